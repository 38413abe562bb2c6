package wire

import "encoding/binary"

// MaxConnIDLen is the longest connection ID of versions 1 and 2 (RFC 9000 §17.2).
const MaxConnIDLen = 20

// MinInitialDatagram is the least UDP payload of a datagram with an
// ack-eliciting Initial packet, in bytes (RFC 9000 §14.1).
const MinInitialDatagram = 1200

// PacketType is what a packet is, whatever code points its version uses.
type PacketType uint8

// The packet types of RFC 9000 §17.
const (
	PacketInitial PacketType = iota
	Packet0RTT
	PacketHandshake
	PacketRetry
	PacketVersionNegotiation
	Packet1RTT
)

var packetTypeNames = [...]string{"initial", "0RTT", "handshake", "retry", "version_negotiation", "1RTT"}

// String returns the qlog name of t.
func (t PacketType) String() string {
	if int(t) < len(packetTypeNames) {
		return packetTypeNames[t]
	}
	return "unknown"
}

// IsLongHeader reports whether the packet that starts with b0 has a long header (RFC 8999 §5.1).
func IsLongHeader(b0 byte) bool { return b0&0x80 != 0 }

// Header is the part of a packet that is readable without keys.
type Header struct {
	Type    PacketType
	Version Version // 0 for a short header
	DCID    []byte
	SCID    []byte
	Token   []byte // Initial and Retry packets
	// PNOffset is where the protected packet number starts, in bytes from the
	// start of the packet; 0 for packets without one.
	PNOffset int
	// Length is the size of this packet in the datagram, header included; what
	// follows is another, coalesced packet.
	Length int
	// Integrity is the Retry Integrity Tag: the last 16 bytes of a Retry packet.
	Integrity []byte
}

// Invariant is the part of a long header that no version may change (RFC 8999 §5.1).
type Invariant struct {
	Version    Version
	DCID, SCID []byte // up to 255 bytes: the caller checks for its version
}

// ParseInvariant reads the version-independent fields of a long header packet.
func ParseInvariant(b []byte) (Invariant, bool) {
	h, _, ok := parseInvariant(b)
	return h, ok
}

func parseInvariant(b []byte) (h Invariant, rest []byte, ok bool) {
	if len(b) < 7 || !IsLongHeader(b[0]) {
		return h, nil, false
	}
	h.Version = Version(binary.BigEndian.Uint32(b[1:]))
	r := reader{b: b[5:]}
	h.DCID = r.bytes(uint64(r.byte()))
	h.SCID = r.bytes(uint64(r.byte()))
	return h, r.b, !r.bad
}

// ParseLong reads the long header at the start of b, a packet of version 1 or
// 2 or a Version Negotiation packet. It reports false for anything else and
// for truncated packets; such bytes are dropped, they are never an error of
// the connection (RFC 9000 §12.2).
func ParseLong(b []byte, h *Header) bool {
	inv, rest, ok := parseInvariant(b)
	if !ok {
		return false
	}
	*h = Header{Version: inv.Version, DCID: inv.DCID, SCID: inv.SCID, Length: len(b)}
	if inv.Version == VersionNegotiation {
		h.Type = PacketVersionNegotiation
		return true
	}
	// RFC 9000 §17.2: longer IDs in v1 make the packet one to drop.
	if len(h.DCID) > MaxConnIDLen || len(h.SCID) > MaxConnIDLen {
		return false
	}
	h.Type, ok = longType(inv.Version, b[0])
	if !ok {
		return false
	}
	r := reader{b: rest}
	switch h.Type {
	case PacketRetry:
		if len(rest) < 16 {
			return false
		}
		h.Token, h.Integrity = rest[:len(rest)-16], rest[len(rest)-16:]
		return true
	case PacketInitial:
		h.Token = r.bytes(r.varint())
	}
	length := r.varint()
	if r.bad || length > uint64(len(r.b)) {
		return false
	}
	h.PNOffset = len(b) - len(r.b)
	h.Length = h.PNOffset + int(length)
	return true
}

// ParseShort reads the short header at the start of b, whose destination
// connection ID has idLen bytes (RFC 9000 §17.3.1).
func ParseShort(b []byte, idLen int, h *Header) bool {
	if len(b) < 1+idLen || IsLongHeader(b[0]) {
		return false
	}
	*h = Header{Type: Packet1RTT, DCID: b[1 : 1+idLen : 1+idLen], PNOffset: 1 + idLen, Length: len(b)}
	return true
}

// The two type bits of a long header by packet type: RFC 9000 §17.2 and RFC 9369 §3.2.
var longTypeBits = [2][4]byte{
	{PacketInitial: 0, Packet0RTT: 1, PacketHandshake: 2, PacketRetry: 3},
	{PacketInitial: 1, Packet0RTT: 2, PacketHandshake: 3, PacketRetry: 0},
}

func longType(v Version, b0 byte) (PacketType, bool) {
	bits := b0 >> 4 & 3
	switch v {
	case Version1:
		return PacketType(bits), true
	case Version2:
		return PacketType((bits + 3) % 4), true
	}
	return 0, false
}

func longTypeByte(v Version, t PacketType) byte {
	row := 0
	if v == Version2 {
		row = 1
	}
	return 0xc0 | longTypeBits[row][t]<<4
}

func appendConnID(b, id []byte) []byte {
	b = append(b, byte(len(id)))
	return append(b, id...)
}

// AppendLong appends the header of an Initial, 0-RTT or Handshake packet up to
// and including the packet number, and returns where the two-byte length field
// stands. The caller fills it with PutVarint2 once the payload is complete.
// pnLen is 1 to 4.
func AppendLong(b []byte, t PacketType, v Version, dcid, scid, token []byte, pn uint64, pnLen int) (_ []byte, lengthAt int) {
	b = append(b, longTypeByte(v, t)|byte(pnLen-1))
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = appendConnID(b, dcid)
	b = appendConnID(b, scid)
	if t == PacketInitial {
		b = AppendVarint(b, uint64(len(token)))
		b = append(b, token...)
	}
	lengthAt = len(b)
	b = AppendVarint2(b, 0)
	return AppendPacketNumber(b, pn, pnLen), lengthAt
}

// The bits of a short header's first byte (RFC 9000 §17.3.1).
const (
	ShortFixedBit = 0x40
	ShortSpinBit  = 0x20
	ShortKeyPhase = 0x04
)

// AppendShort appends a 1-RTT header up to and including the packet number.
func AppendShort(b []byte, dcid []byte, pn uint64, pnLen int, keyPhase, spin bool) []byte {
	b0 := byte(ShortFixedBit | (pnLen - 1))
	if keyPhase {
		b0 |= ShortKeyPhase
	}
	if spin {
		b0 |= ShortSpinBit
	}
	b = append(b, b0)
	b = append(b, dcid...)
	return AppendPacketNumber(b, pn, pnLen)
}

// AppendRetry appends a Retry packet without its integrity tag (RFC 9000
// §17.2.5): dcid is the client's source ID, scid the server's new ID.
func AppendRetry(b []byte, v Version, random byte, dcid, scid, token []byte) []byte {
	b = append(b, longTypeByte(v, PacketRetry)|random&0x0f)
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = appendConnID(b, dcid)
	b = appendConnID(b, scid)
	return append(b, token...)
}
