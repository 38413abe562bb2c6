package netsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

const (
	ipv4HeaderLen = 20 // bytes, RFC 791 §3.1, without options
	ipv6HeaderLen = 40 // bytes, RFC 8200 §3
	udpHeaderLen  = 8  // bytes, RFC 768
	tcpHeaderLen  = 20 // bytes, RFC 9293 §3.1, without options

	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	defaultTTL = 64
	hops       = 2 // the simulator counts as two routers
)

var errShortIP = errors.New("netsim: IP packet is cut short")

// ParseIP reads the headers of the IPv4 or IPv6 packet at the start of b and returns it as a Packet that
// aliases b; bytes behind the packet (Ethernet padding) are left out. Fragments count as not UDP: only the
// first one has ports. Any other transport protocol is fine, too, and has ports 0.
func ParseIP(b []byte) (Packet, error) {
	if len(b) == 0 {
		return Packet{}, errShortIP
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return Packet{}, fmt.Errorf("netsim: IP version is %d, want 4 or 6", b[0]>>4)
}

func parseIPv4(b []byte) (Packet, error) {
	if len(b) < ipv4HeaderLen {
		return Packet{}, errShortIP
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderLen || total < header || total > len(b) {
		return Packet{}, errShortIP
	}
	p := Packet{Data: b[:total], WireSize: total, ECN: b[1] & 3}
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0 // MF or an offset
	p.setTransport(src, dst, b[9], header, fragment)
	return p, nil
}

func parseIPv6(b []byte) (Packet, error) {
	if len(b) < ipv6HeaderLen {
		return Packet{}, errShortIP
	}
	total := ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return Packet{}, errShortIP
	}
	p := Packet{Data: b[:total], WireSize: total, ECN: b[1] >> 4 & 3}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	proto, at, fragment := skipExtensions(p.Data)
	p.setTransport(src, dst, proto, at, fragment)
	return p, nil
}

// maxExtensions bounds the chain of IPv6 extension headers that is followed.
const maxExtensions = 8

// skipExtensions returns the transport protocol of the IPv6 packet b and the offset of its header
// (RFC 8200 §4). A chain that is broken or too long ends as an unknown protocol.
func skipExtensions(b []byte) (proto byte, at int, fragment bool) {
	proto, at = b[6], ipv6HeaderLen
	for range maxExtensions {
		if at+8 > len(b) {
			return proto, at, fragment
		}
		switch proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			proto, at = b[at], at+8+int(b[at+1])*8
		case 44: // fragment: an atomic one is none (RFC 6946)
			fragment = fragment || binary.BigEndian.Uint16(b[at+2:])&0xfff9 != 0
			proto, at = b[at], at+8
		default:
			return proto, at, fragment
		}
	}
	return 59, at, fragment // no next header
}

// setTransport fills addresses, and ports and payload if there is a whole UDP header at offset at.
func (p *Packet) setTransport(src, dst netip.Addr, proto byte, at int, fragment bool) {
	p.Src, p.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if proto != protoUDP || fragment || at+udpHeaderLen > len(p.Data) {
		return
	}
	udp := p.Data[at:]
	if n := int(binary.BigEndian.Uint16(udp[4:])); n < udpHeaderLen || n > len(udp) {
		return
	}
	p.UDP, p.Payload = true, at+udpHeaderLen
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(udp))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(udp[2:]))
}

// udpHeader returns the UDP header of a whole packet.
func (p *Packet) udpHeader() []byte { return p.Data[p.Payload-udpHeaderLen : p.Payload] }

// AppendUDP appends to b the IP packet that carries payload from src to dst, with all checksums, and returns
// the extended slice. Both addresses are of one family; ttl is the TTL or hop limit.
func AppendUDP(b []byte, src, dst netip.AddrPort, ecn, ttl uint8, payload []byte) []byte {
	start, length := len(b), udpHeaderLen+len(payload)
	if src.Addr().Is4() {
		b = appendIPv4Header(b, src.Addr(), dst.Addr(), ecn, ttl, protoUDP, length)
	} else {
		b = appendIPv6Header(b, src.Addr(), dst.Addr(), ecn, ttl, protoUDP, length)
	}
	udp := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	setTransportChecksum(b[start:], udp-start, protoUDP, udpChecksumField)
	return b
}

func appendIPv4Header(b []byte, src, dst netip.Addr, ecn, ttl, proto uint8, length int) []byte {
	at := len(b)
	b = append(b, 0x45, ecn&3)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+length))
	b = append(b, 0, 0, 0x40, 0, ttl, proto, 0, 0) // identification 0, don't fragment
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	setIPv4Checksum(b[at:])
	return b
}

func appendIPv6Header(b []byte, src, dst netip.Addr, ecn, ttl, proto uint8, length int) []byte {
	b = append(b, 0x60, ecn&3<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, proto, ttl)
	s, d := src.As16(), dst.As16()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}
