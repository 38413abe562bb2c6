package dissecttest

import (
	"crypto/tls"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

// Conn makes the packets of one connection.
type Conn struct {
	H            *Handshake
	Version      wire.Version
	OriginalDCID []byte    // destination of the client's first Initial, source of the Initial keys
	ID           [2][]byte // connection ID that each side chose
	Token        []byte    // for the client's Initial packets

	next      [2][3]uint64
	known     bool   // the client knows the server's ID
	updates   [2]int // key updates so far
	initialID []byte // OriginalDCID, or the Retry's ID
}

// NewConn returns a connection with IDs that carry the given mark.
func NewConn(h *Handshake, mark byte) *Conn {
	c := &Conn{H: h, Version: wire.Version1, OriginalDCID: []byte{0x0d, mark, 1, 2, 3, 4, 5, 6, 7, 8}}
	c.ID = [2][]byte{{0xc0, mark, 1, 2, 3}, {0x50, mark, 1, 2, 3, 4, 5, 6}}
	c.initialID = c.OriginalDCID
	return c
}

// Packet is one packet before it is protected; all of it may be changed.
type Packet struct {
	From       Side
	Type       wire.PacketType
	Version    wire.Version
	DCID, SCID []byte
	Token      []byte
	Number     uint64
	Phase      bool
	Payload    []byte // frames
	// InitialID is what the keys of an Initial packet come from.
	InitialID []byte
	Keys      *crypt.Keys // for all others
	// Raw, if set, is sent as it is.
	Raw []byte
}

var spaces = map[wire.PacketType]int{wire.PacketInitial: 0, wire.PacketHandshake: 1, wire.Packet0RTT: 2, wire.Packet1RTT: 2}

// Packet makes the next packet of a type from side with the given frames.
func (c *Conn) Packet(side Side, t wire.PacketType, frames ...[]byte) *Packet {
	p := &Packet{From: side, Type: t, Version: c.Version, SCID: c.ID[side], DCID: c.ID[1-side], InitialID: c.initialID}
	if side == Client && !c.known {
		p.DCID = c.initialID
	}
	if side == Client && t == wire.PacketInitial {
		p.Token = c.Token
	}
	p.Number = c.next[side][spaces[t]]
	c.next[side][spaces[t]]++
	for _, f := range frames {
		p.Payload = append(p.Payload, f...)
	}
	secret := c.H.TrafficSecret[side]
	switch t {
	case wire.PacketHandshake:
		secret = c.H.HandshakeSecret[side]
	case wire.Packet0RTT:
		secret = c.H.EarlySecret
	}
	if t != wire.PacketInitial {
		p.Keys = c.keys(side, t, secret)
	}
	p.Phase = c.updates[side]%2 == 1
	if side == Server {
		c.known = true
	}
	return p
}

func (c *Conn) keys(side Side, t wire.PacketType, secret []byte) *crypt.Keys {
	suite := c.H.Suite
	if t == wire.Packet0RTT {
		suite = tls.TLS_AES_128_GCM_SHA256
	}
	k, err := crypt.New(c.Version, suite, secret)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	if t == wire.Packet1RTT {
		for range c.updates[side] {
			k = k.Next()
		}
	}
	return k
}

// Update makes a key update on one side.
func (c *Conn) Update(side Side) { c.updates[side]++ }

// Retry makes a Retry packet; the client goes on with its ID and token.
func (c *Conn) Retry(id, token []byte) *Packet {
	raw := wire.AppendRetry(nil, c.Version, 0, c.ID[Client], id, token)
	tag := crypt.RetryTag(c.Version, raw, c.OriginalDCID)
	c.initialID, c.Token = id, token
	return &Packet{From: Server, Type: wire.PacketRetry, Version: c.Version, Raw: append(raw, tag[:]...)}
}

// Seal appends the protected packet to b.
func (p *Packet) Seal(b []byte) []byte {
	if p.Raw != nil {
		return append(b, p.Raw...)
	}
	const pnLen = 2
	payload := p.Payload
	for len(payload) < 4 {
		payload = append(payload, 0)
	}
	keys := p.Keys
	if p.Type == wire.PacketInitial {
		ck, sk := crypt.NewInitial(p.Version, p.InitialID)
		keys = [2]*crypt.Keys{ck, sk}[p.From]
	}
	pkt := make([]byte, 0, 128+len(p.Token)+len(payload))
	if p.Type == wire.Packet1RTT {
		pkt = wire.AppendShort(pkt, p.DCID, p.Number, pnLen, p.Phase, false)
	} else {
		var at int
		pkt, at = wire.AppendLong(pkt, p.Type, p.Version, p.DCID, p.SCID, p.Token, p.Number, pnLen)
		wire.PutVarint2(pkt[at:], uint64(pnLen+len(payload)+crypt.TagSize))
	}
	pnOffset := len(pkt) - pnLen
	return append(b, keys.Seal(append(pkt, payload...), pnOffset, pnLen, p.Number)...)
}

// Crypto returns a CRYPTO frame.
func Crypto(offset int, data []byte) []byte {
	return append(wire.AppendCryptoHeader(nil, uint64(offset), len(data)), data...)
}

// Stream returns a STREAM frame.
func Stream(id uint64, offset int, data []byte, fin bool) []byte {
	return append(wire.AppendStreamHeader(nil, id, uint64(offset), len(data), fin), data...)
}

// Ack returns an ACK of the numbers up to largest.
func Ack(largest uint64) []byte {
	return wire.AppendAck(nil, 64, []wire.AckRange{{Smallest: 0, Largest: largest}}, 0, nil)
}

// Frame returns any other frame.
func Frame(f wire.Frame) []byte { return wire.AppendFrame(nil, &f) }

// Padding returns n bytes of it.
func Padding(n int) []byte { return make([]byte, max(n, 0)) }
