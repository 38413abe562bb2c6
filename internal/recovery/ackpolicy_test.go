package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

func TestDefaultPolicyAsksForSixteenAcksATrip(t *testing.T) {
	unasked := hook.AckRequest{Threshold: 2, MaxDelay: 25 * time.Millisecond, Reordering: 1}
	for _, tc := range []struct {
		name    string
		packets int
		rtt     time.Duration
		last    hook.AckRequest
		want    hook.AckRequest
	}{
		{"a small window", 10, 50 * time.Millisecond, unasked, unasked},
		{"not twice as many", 63, 50 * time.Millisecond, unasked, unasked},
		{"twice as many", 64, 50 * time.Millisecond, unasked, hook.AckRequest{Threshold: 4, MaxDelay: 12500 * time.Microsecond, Reordering: 3}},
		{"a train at most", 100_000, 50 * time.Millisecond, unasked, hook.AckRequest{Threshold: 64, MaxDelay: 12500 * time.Microsecond, Reordering: 3}},
		{"a short trip", 320, time.Millisecond, unasked, hook.AckRequest{Threshold: 20, MaxDelay: 5 * time.Millisecond, Reordering: 3}},
		{"a long trip", 320, time.Second, unasked, hook.AckRequest{Threshold: 20, MaxDelay: 25 * time.Millisecond, Reordering: 3}},
		{"the window fell", 5, 40 * time.Millisecond, hook.AckRequest{Threshold: 64}, hook.AckRequest{Threshold: 2, MaxDelay: 10 * time.Millisecond, Reordering: 3}},
		{"not measured yet", 1000, 0, unasked, unasked},
	} {
		s := hook.SendState{Window: tc.packets * 1200, DatagramSize: 1200, RTT: hook.RTT{Smoothed: tc.rtt, HasSample: tc.rtt > 0}, Reordering: PacketThreshold,
			MinDelay: time.Millisecond, MaxDelay: 25 * time.Millisecond, Last: tc.last}
		if got := DefaultAckPolicy.RequestAcks(&s); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
