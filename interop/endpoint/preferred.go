package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/seed51309289/quiver/quic"
)

// The names of a run under which the server has one address of each family.
const (
	nameV4 = "server4"
	nameV6 = "server6"
)

// preferredPort is where the server of the connectionmigration case would
// rather be reached. Another port is a move for any client: some go to the
// family of the address that they dialed alone.
const preferredPort = 4443

// preferredAddress is what that server announces: its own addresses of both
// families at another port, and the socket that hears there.
func preferredAddress(sock *net.UDPConn, lookup func(family, name string) netip.Addr) (a quic.PreferredAddress, more *net.UDPConn, err error) {
	v4, v6 := lookup("ip4", nameV4), lookup("ip6", nameV6)
	if !v4.IsValid() && !v6.IsValid() {
		return a, nil, fmt.Errorf("preferred address: neither %s nor %s has an address", nameV4, nameV6)
	}
	addr := *sock.LocalAddr().(*net.UDPAddr)
	addr.Port = preferredPort
	if more, err = net.ListenUDP("udp", &addr); err != nil {
		addr.Port = 0 // several servers on one host
		if more, err = net.ListenUDP("udp", &addr); err != nil {
			return a, nil, err
		}
	}
	port := more.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if v4.IsValid() {
		a.V4 = netip.AddrPortFrom(v4, port)
	}
	if v6.IsValid() {
		a.V6 = netip.AddrPortFrom(v6, port)
	}
	return a, more, nil
}

// lookupWith returns a function that gives the first address of a name, or none.
func lookupWith(ctx context.Context) func(family, name string) netip.Addr {
	return func(family, name string) netip.Addr {
		list, err := net.DefaultResolver.LookupNetIP(ctx, family, name)
		if err != nil || len(list) == 0 {
			return netip.Addr{}
		}
		return list[0].Unmap()
	}
}
