package endpoint

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPreferredAddressIsAnotherPortOfTheServersNames(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	for _, test := range []struct {
		name  string
		names map[string]netip.Addr
	}{
		{name: "both families", names: map[string]netip.Addr{"server4": v4, "server6": v6}},
		{name: "IPv4 alone", names: map[string]netip.Addr{"server4": v4}},
		{name: "IPv6 alone", names: map[string]netip.Addr{"server6": v6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Twice: the second server on a host gets some other port.
			for range 2 {
				a, more, err := preferredAddress(sock, func(_, name string) netip.Addr { return test.names[name] })
				if err != nil {
					t.Fatal(err)
				}
				defer more.Close()
				port := more.LocalAddr().(*net.UDPAddr).AddrPort().Port()
				for name, got := range map[string]netip.AddrPort{"server4": a.V4, "server6": a.V6} {
					if want := test.names[name]; got.Addr() != want || want.IsValid() && got.Port() != port {
						t.Errorf("%s: announced %v, want %v port %d", name, got, want, port)
					}
				}
			}
		})
	}
	if _, _, err := preferredAddress(sock, func(string, string) netip.Addr { return netip.Addr{} }); err == nil || !strings.Contains(err.Error(), "neither server4 nor server6") {
		t.Errorf("without names: %v", err)
	}
}
