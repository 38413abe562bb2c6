package sockets

import (
	"net/netip"
	"testing"
)

func TestOnlyThisHostIsBelievedWhichOfItsAddressesCalls(t *testing.T) {
	local := func(a netip.Addr) bool {
		return a == netip.MustParseAddr("10.0.0.7") || a == netip.MustParseAddr("10.0.0.8") || a == netip.MustParseAddr("fd00::8")
	}
	for _, tc := range []struct{ packets, said, want string }{
		{"127.0.0.1:900", "127.0.0.1", "127.0.0.1:900"},
		{"127.0.0.1:900", "127.0.0.5", "127.0.0.5:900"},
		{"127.0.0.1:900", "10.0.0.8", "10.0.0.8:900"},
		{"127.0.0.1:900", "::ffff:127.0.0.5", "127.0.0.5:900"},
		{"127.0.0.1:900", "192.0.2.1", "127.0.0.1:900"}, // nobody's here
		{"10.0.0.7:900", "10.0.0.8", "10.0.0.8:900"},
		{"10.0.0.7:900", "127.0.0.1", "10.0.0.7:900"}, // a translator may stand between
		{"192.0.2.1:900", "10.0.0.8", "192.0.2.1:900"},
		{"192.0.2.1:900", "127.0.0.1", "192.0.2.1:900"},
		{"192.0.2.1:900", "192.0.2.2", "192.0.2.1:900"},
		{"[::1]:900", "fd00::8", "[fd00::8]:900"},
		{"[::1]:900", "10.0.0.8", "[::1]:900"}, // of another family
		{"[::1]:900", "", "[::1]:900"},
	} {
		var said netip.Addr
		if tc.said != "" {
			said = netip.MustParseAddr(tc.said)
		}
		if got := callerOf(netip.MustParseAddrPort(tc.packets), said, local); got.String() != tc.want {
			t.Errorf("packets from %s, said to be %q: %v, want %s", tc.packets, tc.said, got, tc.want)
		}
	}
}
