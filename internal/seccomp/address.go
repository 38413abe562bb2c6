package seccomp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Families of addresses, as Linux numbers them.
const (
	inet  = 2  // AF_INET
	inet6 = 10 // AF_INET6
)

// maxAddress is the size of struct sockaddr_storage, and the most of an address that is looked at. limit: the kernel
// takes no longer one.
const maxAddress = 128

// ParseAddress reads a struct sockaddr of Linux, as programs hand it to bind(2) and connect(2), and says whether it is
// an Internet address of full length (16 bytes, or 24 and more for IPv6: ip(7), ipv6(7)). A scope becomes a zone of
// digits. A struct for IPv4 in IPv6 stays one. family is 0 if b has none.
func ParseAddress(b []byte) (family uint16, addr netip.AddrPort, ok bool) {
	if len(b) < 2 {
		return 0, addr, false
	}
	family = binary.LittleEndian.Uint16(b)
	switch {
	case family == inet && len(b) >= 16:
		return family, netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[2:])), true
	case family == inet6 && len(b) >= 24:
		ip := netip.AddrFrom16([16]byte(b[8:]))
		if len(b) >= 28 && ip.IsLinkLocalUnicast() || len(b) >= 28 && ip.IsLinkLocalMulticast() {
			if scope := binary.LittleEndian.Uint32(b[24:]); scope != 0 {
				ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
			}
		}
		return family, netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:])), true
	}
	return family, addr, false
}
