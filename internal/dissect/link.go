package dissect

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// udpDatagram is what a captured frame holds for us.
type udpDatagram struct {
	src, dst netip.AddrPort
	ecn      uint8
	size     int    // UDP payload as sent
	payload  []byte // as captured: shorter than size if the capture was cut
}

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	protoUDP  = 17
	// Raw IP as some systems number it in capture files.
	linkRaw12 layers.LinkType = 12
	linkRaw14 layers.LinkType = 14
)

// parseFrame finds the UDP datagram in a captured frame. It reports false for
// other protocols, for IP fragments and for nonsense.
func parseFrame(link layers.LinkType, b []byte) (u udpDatagram, ok bool) {
	switch link {
	case layers.LinkTypeEthernet:
		return parseEther(b, 12, 14)
	case layers.LinkTypeLinuxSLL:
		return parseEther(b, 14, 16)
	case layers.LinkTypeLinuxSLL2:
		return parseEther(b, 0, 20)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return parseIP(skip(b, 4))
	case layers.LinkTypeRaw, linkRaw12, linkRaw14, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
		return parseIP(b)
	}
	return u, false
}

func parseEther(b []byte, typeAt, header int) (u udpDatagram, ok bool) {
	if len(b) < header {
		return u, false
	}
	switch binary.BigEndian.Uint16(b[typeAt:]) {
	case etherIPv4, etherIPv6:
		return parseIP(b[header:])
	}
	return u, false
}

func skip(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}

func parseIP(b []byte) (u udpDatagram, ok bool) {
	if len(b) == 0 {
		return u, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return u, false
}

func parseIPv4(b []byte) (u udpDatagram, ok bool) {
	if len(b) < 20 || b[9] != protoUDP {
		return u, false
	}
	header := int(b[0]&0xf) * 4
	// More fragments, or an offset: a piece of a datagram.
	if header < 20 || len(b) < header || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return u, false
	}
	u.ecn = b[1] & 3
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	ok = u.parseUDP(src, dst, b[header:])
	return u, ok
}

func parseIPv6(b []byte) (u udpDatagram, ok bool) {
	if len(b) < 40 {
		return u, false
	}
	u.ecn = b[1] >> 4 & 3
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, rest := b[6], b[40:]
	// Hop-by-hop options, routing, destination options: at most one of each kind and a second of the last.
	for range 4 {
		switch next {
		case protoUDP:
			ok = u.parseUDP(src, dst, rest)
			return u, ok
		case 0, 43, 60:
			if len(rest) < 8 {
				return u, false
			}
			next, rest = rest[0], skip(rest, 8+8*int(rest[1]))
		default:
			return u, false
		}
	}
	return u, false
}

func (u *udpDatagram) parseUDP(src, dst netip.Addr, b []byte) bool {
	if len(b) < 8 {
		return false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < 8 {
		return false
	}
	u.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	u.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	u.size = length - 8
	u.payload = b[8:min(len(b), length)]
	return true
}
