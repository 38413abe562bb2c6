package netsim

import (
	"encoding/binary"
	"net/netip"
)

// The functions below change a packet in place and keep a right checksum right and a wrong one wrong.

// sum16 adds the 16-bit words of b to the one's complement sum s (RFC 1071).
func sum16(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
		s = s&0xffff + s>>16
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// fold reduces a one's complement sum to 16 bits.
func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func setIPv4Checksum(ip []byte) {
	header := ip[:int(ip[0]&15)*4]
	binary.BigEndian.PutUint16(header[10:], 0)
	binary.BigEndian.PutUint16(header[10:], ^fold(sum16(0, header)))
}

// setTransportChecksum computes the checksum of the TCP or UDP segment at offset at of the IP packet, whose
// checksum field lies field bytes into the segment.
func setTransportChecksum(ip []byte, at int, proto uint8, field int) {
	segment := ip[at:]
	binary.BigEndian.PutUint16(segment[field:], 0)
	sum := ^fold(sum16(pseudoHeader(ip, len(segment), proto), segment))
	if sum == 0 && proto == protoUDP {
		sum = 0xffff // RFC 768: zero would mean that there is no checksum
	}
	binary.BigEndian.PutUint16(segment[field:], sum)
}

func pseudoHeader(ip []byte, length int, proto uint8) uint32 {
	addrs := ip[12:20]
	if ip[0]>>4 == 6 {
		addrs = ip[8:40]
	}
	return sum16(uint32(proto)+uint32(length)&0xffff+uint32(length)>>16, addrs)
}

// checksumOK verifies the checksum of the UDP datagram that p carries. A zero checksum over IPv4
// is fine (RFC 768), a packet without headers too.
func (p *Packet) checksumOK() bool {
	if !p.UDP || !p.whole() {
		return true
	}
	at := p.Payload - udpHeaderLen
	if p.Data[0]>>4 == 4 && binary.BigEndian.Uint16(p.udpHeader()[6:]) == 0 {
		return true
	}
	return fold(sum16(pseudoHeader(p.Data, len(p.Data)-at, protoUDP), p.Data[at:])) == 0xffff
}

// replace overwrites the even number of bytes old with new and corrects the checksum that covers them
// (RFC 1624 §3: HC' = ~(~HC + ~m + m')).
func replace(check, old, new []byte) {
	s := uint32(^binary.BigEndian.Uint16(check))
	for i := 0; i < len(new); i += 2 {
		s += uint32(^binary.BigEndian.Uint16(old[i:])) + uint32(binary.BigEndian.Uint16(new[i:]))
	}
	binary.BigEndian.PutUint16(check, ^fold(s))
}

// correctUDP is replace for bytes that the UDP checksum covers. The old bytes stay as they are.
func (p *Packet) correctUDP(old, new []byte) {
	check := p.udpHeader()[6:8]
	if p.Data[0]>>4 == 4 && check[0] == 0 && check[1] == 0 {
		return // RFC 768: the sender computed none
	}
	replace(check, old, new)
	if check[0] == 0 && check[1] == 0 {
		check[0], check[1] = 0xff, 0xff
	}
}

// setPayloadByte changes byte i of the UDP payload.
func (p *Packet) setPayloadByte(i int, v byte) {
	if p.whole() {
		old := [2]byte{0: p.UDPPayload()[i]}
		changed := [2]byte{0: v}
		if i%2 == 1 { // the second byte of its 16-bit word
			old[0], old[1] = 0, old[0]
			changed[0], changed[1] = 0, v
		}
		p.correctUDP(old[:], changed[:])
	}
	p.Data[p.Payload+i] = v
}

// setSrc rewrites the source of a UDP packet, setDst its destination. The family must not change.
func (p *Packet) setSrc(to netip.AddrPort) {
	if p.whole() {
		p.rewrite(to, 0)
	}
	p.Src = to
}

func (p *Packet) setDst(to netip.AddrPort) {
	if p.whole() {
		p.rewrite(to, 1)
	}
	p.Dst = to
}

// rewrite puts to in the place of the source (which = 0) or the destination (1).
func (p *Packet) rewrite(to netip.AddrPort, which int) {
	addr := to.Addr().AsSlice()
	at := 12
	if len(addr) == 16 {
		at = 8
	}
	field := p.Data[at+which*len(addr):][:len(addr)]
	p.correctUDP(field, addr)
	if len(addr) == 4 {
		replace(p.Data[10:12], field, addr)
	}
	copy(field, addr)

	var port [2]byte
	binary.BigEndian.PutUint16(port[:], to.Port())
	field = p.udpHeader()[2*which:][:2]
	p.correctUDP(field, port[:])
	copy(field, port[:])
}

// setECN changes the two ECN bits.
func (p *Packet) setECN(ecn uint8) {
	p.ECN = ecn
	if !p.whole() {
		return
	}
	if p.Data[0]>>4 == 6 {
		p.Data[1] = p.Data[1]&^0x30 | ecn<<4
		return
	}
	word := [2]byte{p.Data[0], p.Data[1]&^3 | ecn}
	replace(p.Data[10:12], p.Data[0:2], word[:])
	p.Data[1] = word[1]
}

// age takes n from the TTL or hop limit of the IP packet and reports whether it may still travel.
func age(ip []byte, n uint8) bool {
	if ip[0]>>4 == 6 {
		if ip[7] <= n {
			return false
		}
		ip[7] -= n
		return true
	}
	if ip[8] <= n {
		return false
	}
	word := [2]byte{ip[8] - n, ip[9]}
	replace(ip[10:12], ip[8:10], word[:])
	ip[8] = word[0]
	return true
}
