package sockets

import (
	"net/netip"
	"testing"
	"time"
)

func TestAlarmsAreRaisedOnceAMinute(t *testing.T) {
	var a alarms
	what := alarm{netip.MustParseAddrPort("192.0.2.1:8277"), "changed key"}
	now := time.Unix(1000, 0)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"the first time", 0, true},
		{"at once again", time.Second, false},
		{"shortly before the pause is over", alarmPause - 1, false},
		{"after the pause", alarmPause, true},
	} {
		if got := a.first(what, now.Add(tc.after)); got != tc.want {
			t.Errorf("%s: said %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAlarmsOfManyPeersAreForgotten(t *testing.T) {
	var a alarms
	for i := range 3 * maxAlarms {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 8277)
		if !a.first(alarm{peer, "x"}, time.Unix(0, 0)) {
			t.Fatalf("peer %d was not heard of and nothing was said", i)
		}
		if len(a.said) > maxAlarms {
			t.Fatalf("%d alarms remembered, want at most %d", len(a.said), maxAlarms)
		}
	}
}
