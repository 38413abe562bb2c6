package udp

import (
	"syscall"
	"testing"
)

func TestReasonsAreThoseOfATCPConnect(t *testing.T) {
	const (
		refused = syscall.ECONNREFUSED
		host    = syscall.EHOSTUNREACH
		network = syscall.ENETUNREACH
	)
	for _, tc := range []struct {
		name string
		ipv6 bool
		typ  uint8
		want []syscall.Errno // by code
	}{
		{"IPv4 unreachable", false, 3, []syscall.Errno{network, host, refused, refused, 0, 0, network, host, host, network, host, network, host, host, 0, 0}},
		{"IPv6 unreachable", true, 1, []syscall.Errno{network, host, host, host, refused, host, network, 0}},
		{"IPv4 time exceeded", false, 11, []syscall.Errno{0, 0}},
		{"IPv6 time exceeded", true, 3, []syscall.Errno{0, 0}},
		{"IPv6 packet too big", true, 2, []syscall.Errno{0}},
		{"IPv4 redirect", false, 5, []syscall.Errno{0, 0, 0, 0}},
		{"the type of the other family", true, 128, []syscall.Errno{0, 0, 0, 0}},
	} {
		for code, want := range tc.want {
			if got := reason(tc.ipv6, tc.typ, uint8(code)); got != want {
				t.Errorf("%s, code %d: %v, want %v", tc.name, code, got, want)
			}
		}
	}
}
