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

// preferredAddress is what the server of the connectionmigration case
// announces: its own addresses of both families, at the port of sock, of which a
// client goes to the one that it did not dial. With one family alone that would
// be no move; then it is another port, on a socket that is returned, too.
func preferredAddress(sock *net.UDPConn, lookup func(family, name string) netip.Addr) (a quic.PreferredAddress, more net.PacketConn, err error) {
	v4, v6 := lookup("ip4", nameV4), lookup("ip6", nameV6)
	port := uint16(sock.LocalAddr().(*net.UDPAddr).Port)
	switch {
	case v4.IsValid() && v6.IsValid():
		return quic.PreferredAddress{V4: netip.AddrPortFrom(v4, port), V6: netip.AddrPortFrom(v6, port)}, nil, nil
	case v4.IsValid():
		other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: v4.AsSlice()})
		if err != nil {
			return a, nil, err
		}
		return quic.PreferredAddress{V4: other.LocalAddr().(*net.UDPAddr).AddrPort()}, other, nil
	case v6.IsValid():
		other, err := net.ListenUDP("udp6", &net.UDPAddr{IP: v6.AsSlice()})
		if err != nil {
			return a, nil, err
		}
		return quic.PreferredAddress{V6: other.LocalAddr().(*net.UDPAddr).AddrPort()}, other, nil
	}
	return a, nil, fmt.Errorf("preferred address: neither %s nor %s has an address", nameV4, nameV6)
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
