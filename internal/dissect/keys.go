package dissect

import (
	"crypto/tls"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

// opened is a packet whose protection is off.
type opened struct {
	plain   []byte // valid until the next packet is opened
	pn      uint64
	phase   bool
	payload int // bytes after the packet number, tag included
}

// Why a packet stays closed.
const (
	noteNoHello   = "its keys need a ClientHello and a ServerHello that are not complete"
	noteNoSecrets = "the key log has no secret for it"
	noteBadSuite  = "its cipher suite is not known"
	noteAuth      = "does not authenticate"
	noteShort     = "too short to be protected"
	noteUnknown   = "belongs to no known connection"
	noteTooMany   = "too many packets wait for keys"
)

// open removes the protection of a packet that from sent on c. If it cannot,
// note says why, and wait that keys may still turn up.
func (d *dissector) open(c *Conn, from role, h *wire.Header, pkt []byte) (o opened, note string, wait bool) {
	switch h.Type {
	case wire.PacketInitial:
		return d.openInitial(c, from, h, pkt)
	case wire.Packet0RTT:
		return d.openEarly(c, from, h, pkt)
	case wire.PacketHandshake:
		return d.openHandshake(c, from, h, pkt)
	}
	return d.openTraffic(c, from, h, pkt)
}

func (d *dissector) openInitial(c *Conn, from role, h *wire.Header, pkt []byte) (o opened, note string, wait bool) {
	for i := len(c.initialIDs) - 1; i >= 0; i-- {
		k := c.initialKeysOf(h.Version, c.initialIDs[i], from)
		if o, ok := d.try(k, pkt, h.PNOffset, c.ends[from].largest[levelInitial]); ok {
			return o, "", false
		}
	}
	return o, noteAuth, false
}

func (d *dissector) openHandshake(c *Conn, from role, h *wire.Header, pkt []byte) (o opened, note string, wait bool) {
	e := &c.ends[from]
	k := e.handshake
	if k == nil || c.Version != h.Version {
		secret, note, wait := d.secret(c, func(s *secrets) []byte { return s.handshake[from] })
		if note != "" {
			return o, note, wait
		}
		var err error
		if k, err = crypt.New(h.Version, c.ServerHello.Suite, secret); err != nil {
			return o, noteBadSuite, false
		}
	}
	o, ok := d.try(k, pkt, h.PNOffset, e.largest[levelHandshake])
	if !ok {
		return o, noteAuth, false
	}
	e.handshake = k
	return o, "", false
}

// openEarly opens a 0-RTT packet. The suite is the one of the earlier session,
// which nothing in this trace has to name: all that fit the secret are tried.
func (d *dissector) openEarly(c *Conn, from role, h *wire.Header, pkt []byte) (o opened, note string, wait bool) {
	e := &c.ends[from]
	if e.early != nil {
		if o, ok := d.try(e.early, pkt, h.PNOffset, e.largest[levelApp]); ok {
			return o, "", false
		}
	}
	if c.ClientHello == nil {
		return o, noteNoHello, true
	}
	s := d.secretsOf(c)
	if s == nil || s.early == nil {
		return o, noteNoSecrets, false
	}
	suites := []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256}
	if len(s.early) == 48 {
		suites = []uint16{tls.TLS_AES_256_GCM_SHA384}
	}
	for _, id := range suites {
		k, err := crypt.New(h.Version, id, s.early)
		if err != nil {
			continue
		}
		if o, ok := d.try(k, pkt, h.PNOffset, e.largest[levelApp]); ok {
			e.early = k
			return o, "", false
		}
	}
	return o, noteAuth, false
}

// openTraffic opens a 1-RTT packet and follows key updates: a flipped phase
// means the next generation for a new packet, the previous one for an old one
// (RFC 9001 §6.3, §6.5).
func (d *dissector) openTraffic(c *Conn, from role, h *wire.Header, pkt []byte) (o opened, note string, wait bool) {
	e := &c.ends[from]
	if len(e.traffic) == 0 {
		secret, note, wait := d.secret(c, func(s *secrets) []byte { return s.traffic[from] })
		if note != "" {
			return o, note, wait
		}
		k, err := crypt.New(c.Version, c.ServerHello.Suite, secret)
		if err != nil {
			return o, noteBadSuite, false
		}
		e.traffic = []*crypt.Keys{k}
	}
	// Header protection is the same in all generations (RFC 9001 §6.1), so the phase can be read first.
	header := d.scratch[:copy(d.scratch, pkt)]
	if _, _, ok := e.traffic[0].Unprotect(header, h.PNOffset); !ok {
		return o, noteShort, false
	}
	phase := header[0]&wire.ShortKeyPhase != 0
	tries := [2]int{e.current, e.current + 2}
	if phase != (e.current&1 == 1) {
		tries = [2]int{e.current + 1, e.current - 1}
	}
	for _, generation := range tries {
		k := e.generation(generation)
		if k == nil {
			continue
		}
		if o, ok := d.try(k, pkt, h.PNOffset, e.largest[levelApp]); ok {
			o.phase = phase
			e.current = max(e.current, generation)
			return o, "", false
		}
	}
	return o, noteAuth, false
}

// generation returns the keys after n key updates, nil beyond the limit.
func (e *end) generation(n int) *crypt.Keys {
	if n < 0 || n >= maxGenerations {
		return nil
	}
	for len(e.traffic) <= n {
		e.traffic = append(e.traffic, e.traffic[len(e.traffic)-1].Next())
	}
	return e.traffic[n]
}

// secret picks a secret of a connection whose suite is known.
func (d *dissector) secret(c *Conn, pick func(*secrets) []byte) (secret []byte, note string, wait bool) {
	if c.ClientHello == nil || c.ServerHello == nil {
		return nil, noteNoHello, true
	}
	if s := d.secretsOf(c); s != nil {
		if secret := pick(s); secret != nil {
			return secret, "", false
		}
	}
	return nil, noteNoSecrets, false
}

func (d *dissector) secretsOf(c *Conn) *secrets {
	if c.secrets == nil && c.ClientHello != nil {
		c.secrets = d.keys.sessions[c.ClientHello.Random]
		c.HasSecrets = c.secrets != nil
	}
	return c.secrets
}

// try opens a copy of pkt with k. If the packet number that is nearest to the
// largest one fails, it may be an old packet with a small number.
func (d *dissector) try(k *crypt.Keys, pkt []byte, pnOffset int, largest int64) (o opened, ok bool) {
	buf := d.scratch[:copy(d.scratch, pkt)]
	truncated, n, ok := k.Unprotect(buf, pnOffset)
	if !ok {
		return o, false
	}
	o.pn = wire.DecodePacketNumber(largest, truncated, n)
	o.payload = len(pkt) - pnOffset - n
	var err error
	if o.plain, err = k.Open(buf, pnOffset+n, o.pn); err == nil {
		return o, true
	}
	if o.pn == truncated {
		return o, false
	}
	copy(buf[pnOffset+n:], pkt[pnOffset+n:])
	o.pn = truncated
	o.plain, err = k.Open(buf, pnOffset+n, o.pn)
	return o, err == nil
}
