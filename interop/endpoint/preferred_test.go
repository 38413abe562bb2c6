package endpoint

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPreferredAddressIsOneThatTheClientDidNotDial(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	port := sock.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, test := range []struct {
		name  string
		names map[string]netip.Addr
		more  bool
		wrong string
	}{
		{name: "both families", names: map[string]netip.Addr{"server4": v4, "server6": v6}},
		{name: "IPv4 alone", names: map[string]netip.Addr{"server4": v4}, more: true},
		{name: "no name", wrong: "neither server4 nor server6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, more, err := preferredAddress(sock, func(_, name string) netip.Addr { return test.names[name] })
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("got %v, want %q in it", err, test.wrong)
				}
				return
			}
			if err != nil || a.V4.Addr() != v4 || (more != nil) != test.more {
				t.Fatalf("got %+v, socket %v, %v", a, more, err)
			}
			if !test.more {
				if want := netip.AddrPortFrom(v6, port); a.V6 != want || a.V4.Port() != port {
					t.Errorf("got %+v, want port %d on both", a, port)
				}
				return
			}
			defer more.Close()
			if a.V4.Port() == port || a.V4.String() != more.LocalAddr().String() || a.V6.IsValid() {
				t.Errorf("got %+v, want another port, that of %v", a, more.LocalAddr())
			}
		})
	}
}
