package netsim

import (
	"net/netip"
	"testing"
)

func TestAnswersToTheProbeStayOutOfTraces(t *testing.T) {
	for _, tc := range []struct {
		name string
		dst  netip.Addr
		udp  bool
		want bool
	}{
		{"an answer to the probe", netip.MustParseAddr("193.167.100.2"), true, true},
		{"an answer to a probe over IPv6", netip.MustParseAddr("fd00:cafe:cafe:100::2"), true, true},
		{"a packet for the client", ClientV4, true, false},
		{"a TCP packet for the simulator", netip.MustParseAddr("193.167.0.2"), false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Packet{UDP: tc.udp, Dst: netip.AddrPortFrom(tc.dst, 40000)}
			if got := toGateway(&p); got != tc.want {
				t.Errorf("toGateway(%v, udp %v) = %v, want %v", tc.dst, tc.udp, got, tc.want)
			}
		})
	}
}
