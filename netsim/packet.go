package netsim

import "net/netip"

// ECN codepoints, the two low bits of the traffic class (RFC 3168 §5).
const (
	ecnNotECT = 0
	ecnCE     = 3
)

// A Packet is one IP packet on the link. Data is either the whole IP packet or, for users who deal in UDP
// payloads only (Payload = 0), the UDP payload; the model then counts the headers that it would have.
type Packet struct {
	Data     []byte         // owned by the Sim from Send until Pop or the Event that drops it
	Payload  int            // offset of the UDP payload in Data; 0 = Data is the payload
	WireSize int            // bytes of the IP packet; 0 = from Data and the address family
	Src, Dst netip.AddrPort // as in the headers; ports are 0 for other protocols than UDP
	ECN      uint8          // 0..3
	UDP      bool           // the error models other than the blackhole touch UDP only
	Tag      uint64         // the caller's, carried along untouched; a duplicate has the tag of its original
}

// UDPPayload returns the part of Data that the UDP header covers, nil for other protocols.
func (p *Packet) UDPPayload() []byte {
	if !p.UDP || p.Payload > len(p.Data) {
		return nil
	}
	return p.Data[p.Payload:]
}

// size returns the length of the IP packet in bytes.
func (p *Packet) size() int {
	if p.WireSize > 0 {
		return p.WireSize
	}
	if p.Payload > 0 || !p.UDP {
		return len(p.Data)
	}
	if p.Dst.Addr().Unmap().Is4() {
		return len(p.Data) + ipv4HeaderLen + udpHeaderLen
	}
	return len(p.Data) + ipv6HeaderLen + udpHeaderLen
}

// whole reports whether Data carries IP headers, which a change of the packet must keep true.
func (p *Packet) whole() bool { return p.Payload > 0 }
