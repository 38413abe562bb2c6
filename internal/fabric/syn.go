package fabric

import (
	"encoding/binary"
	"net/netip"
)

// A syn is what the first packet of a connection says (RFC 9293 §3.1).
type syn struct {
	app, dest netip.AddrPort
	seq       uint32       // the initial sequence number
	size      int          // of head
	head      [maxSYN]byte // the packet without its payload
}

// maxSYN is the longest SYN, in bytes: an IP header and a TCP header with all their options.
const maxSYN = 60 + 60

// parseSYN parses an IP packet that is a SYN. The packet may be cut short behind the TCP header, and may have IPv4 options but no IPv6
// extension headers. What it carries beyond (TCP Fast Open) is left out: the program sends it again with its next packet, as RFC 7413 §3
// lets a server that takes no data ask for.
func parseSYN(b []byte) (s syn, ok bool) {
	if len(b) == 0 {
		return s, false
	}
	var src, dst netip.Addr
	head := 40
	switch b[0] >> 4 {
	case 4:
		head = int(b[0]&0xf) * 4
		if head < 20 || len(b) < head || b[9] != protoTCP {
			return s, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	case 6:
		if len(b) < head || b[6] != protoTCP {
			return s, false
		}
		src, dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	default:
		return s, false
	}
	tcp := b[head:]
	if len(tcp) < 20 || tcp[13]&flagsOfInterest != flagSYN {
		return s, false
	}
	size := int(tcp[12]>>4) * 4
	if size < 20 || size > len(tcp) {
		return s, false
	}
	s.app = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	s.dest = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	s.seq = binary.BigEndian.Uint32(tcp[4:])
	s.size = copy(s.head[:], b[:head+size])
	s.finish(head)
	return s, true
}

// finish writes the lengths and sums of head, which the kernel leaves to the network card, or which told of the payload too.
func (s *syn) finish(ipSize int) {
	b := s.head[:s.size]
	tcp := b[ipSize:]
	if b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(s.size))
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], checksum(0, b[:ipSize]))
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(len(tcp)))
	}
	binary.BigEndian.PutUint16(tcp[16:], 0)
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudo(s.app.Addr(), s.dest.Addr(), protoTCP, len(tcp)), tcp))
}

// packet is the SYN, as the program sent it.
func (s *syn) packet() []byte { return s.head[:s.size] }

// TCP flags, RFC 9293 §3.1.
const (
	flagFIN         = 1
	flagSYN         = 2
	flagRST         = 4
	flagACK         = 16
	flagsOfInterest = flagFIN | flagSYN | flagRST | flagACK
)

// Protocols of IP packets.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58
)

// refusal returns the packet that makes the connect of s fail as r says, or nothing for TimedOut.
func (s *syn) refusal(r Reason) []byte {
	switch r {
	case Refused:
		return s.answer(protoTCP, s.reset())
	case HostUnreachable:
		return s.unreachable(1, 3) // host; address
	case NetUnreachable:
		return s.unreachable(0, 0) // network; no route
	}
	return nil
}

// reset returns the TCP header of the answer "nobody listens" to s (RFC 9293 §3.10.7.1).
func (s *syn) reset() []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, s.dest.Port())
	binary.BigEndian.PutUint16(b[2:], s.app.Port())
	binary.BigEndian.PutUint32(b[8:], s.seq+1)
	b[12], b[13] = 5<<4, flagRST|flagACK
	binary.BigEndian.PutUint16(b[16:], checksum(pseudo(s.dest.Addr(), s.app.Addr(), protoTCP, len(b)), b))
	return b
}

// unreachable returns a packet with the ICMP message that says why s did not get through (RFC 792, RFC 4443 §3.1).
func (s *syn) unreachable(code4, code6 byte) []byte {
	b := make([]byte, 8, 8+s.size)
	if s.app.Addr().Is4() {
		b[0], b[1] = 3, code4
		b = append(b, s.packet()...)
		binary.BigEndian.PutUint16(b[2:], checksum(0, b))
		return s.answer(protoICMP, b)
	}
	b[0], b[1] = 1, code6
	b = append(b, s.packet()...)
	binary.BigEndian.PutUint16(b[2:], checksum(pseudo(s.dest.Addr(), s.app.Addr(), protoICMPv6, len(b)), b))
	return s.answer(protoICMPv6, b)
}

// nearest is the time to live of what we send to the program: that of a neighbour, as programs may want one that talk to nobody else
// (RFC 5082).
const nearest = 255

// answer returns an IP packet from where s was going to where it came from.
func (s *syn) answer(proto byte, payload []byte) []byte {
	src, dst := s.dest.Addr(), s.app.Addr()
	if dst.Is4() {
		b := make([]byte, 20, 20+len(payload))
		b[0], b[8], b[9] = 4<<4|5, nearest, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(b[10:], checksum(0, b))
		return append(b, payload...)
	}
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 6<<4, proto, nearest
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// pseudo is the sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).
func pseudo(src, dst netip.Addr, proto byte, size int) uint32 {
	sum := uint32(proto) + uint32(size)
	for _, a := range [2]netip.Addr{src, dst} {
		for b := a.AsSlice(); len(b) > 0; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
	}
	return sum
}

// checksum is the Internet checksum of b (RFC 1071), on top of sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
