package core

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// versionState is what version negotiation has come to. Conn.version is the
// version that packets are sent in.
type versionState struct {
	original wire.Version // of the client's first flight
	refused  wire.Version // what a Version Negotiation packet made the client give up; 0 = none
	settled  bool         // a client knows the negotiated version

	// Initial keys of the version that is not in use: at a client that of a
	// server's first packet in another version, after a switch the original.
	other       wire.Version // 0 = none
	read, write *crypt.Keys
}

// first is the version of a client's first flight.
func (cfg *Config) first() wire.Version {
	switch {
	case cfg.FirstVersion != 0:
		return cfg.FirstVersion
	case slices.Contains(cfg.Versions, wire.Version1):
		// RFC 9368 §2.5: the oldest version saves most round trips.
		return wire.Version1
	}
	return cfg.Versions[0]
}

// handleVersionNegotiation lets a client try another version, or give up
// (RFC 9000 §6.2).
func (c *Conn) handleVersionNegotiation(now hook.Instant, pkt []byte) {
	dcid, scid, offered, ok := wire.ParseVersionNegotiation(pkt)
	if !ok || !c.client {
		return
	}
	// RFC 9000 §17.2.1: the packet echoes our connection IDs. §6.2: it is
	// ignored after any other packet, and if it lists the version that we chose.
	if c.heard || c.heardOther || offered.Contains(c.version) ||
		!bytes.Equal(dcid, c.ids.firstLocal()) || !bytes.Equal(scid, c.odcid.Bytes()) {
		c.dropPacket(now, wire.PacketVersionNegotiation, len(pkt), "rejected")
		return
	}
	v := c.pick(offered)
	c.log.VersionInformation(now, c.cfg.Versions, versionSlice(offered), v)
	if v == 0 {
		c.abandon(now, &VersionError{Ours: c.cfg.Versions, Theirs: versionSlice(offered)})
		return
	}
	if err := c.restart(now, v); err != nil {
		c.fail(now, err)
	}
}

// pick returns the version that we prefer of those that a server offers, 0 if
// there is none.
func (c *Conn) pick(offered wire.VersionList) wire.Version {
	for _, v := range c.cfg.Versions {
		if !v.Reserved() && offered.Contains(v) {
			return v
		}
	}
	return 0
}

func versionSlice(l wire.VersionList) []wire.Version {
	out := make([]wire.Version, l.Len())
	for i := range out {
		out[i] = l.At(i)
	}
	return out
}

// restart sends another first flight, in another version. Packet numbers go on
// counting. The ClientHello is a new one, since it names the version.
func (c *Conn) restart(now hook.Instant, v wire.Version) error {
	c.rejectEarly(now) // RFC 9369 §5: a session belongs to one version
	c.vers = versionState{original: v, refused: c.version}
	c.version, c.heardOther = v, true
	c.token = nil // RFC 9369 §5: it belongs to the other version
	// RFC 9368 §2.4: it is another connection, if not for the application.
	if err := c.random(c.odcid.b[:initialIDLen]); err != nil {
		return err
	}
	c.ids.remote[0].id = c.odcid
	c.installInitialKeys(c.odcid.Bytes())
	c.det.OnRetry(c)
	s := &c.spaces[recovery.Initial]
	s.recv.Init(recovery.Initial, maxAckDelay, c.cfg.AckPolicy)
	s.out.drop(&c.pool)
	s.in.drop(&c.pool)
	s.out, s.in = sendBuffer{}, recvBuffer{}
	c.tls.conn.Close()
	c.tls = tlsState{start: &tlsStart{ctx: c.tls.start.ctx}}
	c.idle.onReceive(now)
	return c.startTLS(now)
}

// takesVersion reports whether a packet in the version of h may be the peer's
// (RFC 9369 §4.1): all but Initials and early data come in the negotiated version, which a
// client learns from the first packet in another version than its own. A
// Handshake packet can overtake that one, and is held.
func (c *Conn) takesVersion(h *wire.Header) bool {
	switch h.Type {
	case wire.PacketInitial:
		return h.Version == c.version || h.Version == c.vers.original || c.mayBecome(h.Version)
	case wire.Packet0RTT:
		return h.Version == c.vers.original
	}
	return h.Version == c.version || c.mayBecome(h.Version)
}

// mayBecome reports whether a client would follow its server to v.
func (c *Conn) mayBecome(v wire.Version) bool {
	return c.client && !c.vers.settled && c.vers.original.CompatibleWith(v) && slices.Contains(c.cfg.Versions, v)
}

// initialReader returns the keys for Initials in a version that takesVersion
// allows; nil = discarded.
func (c *Conn) initialReader(v wire.Version) *crypt.Keys {
	s := &c.spaces[recovery.Initial]
	if v == c.version || s.discarded {
		return s.read
	}
	if v != c.vers.other {
		c.deriveOther(v)
	}
	return c.vers.read
}

// deriveOther makes the Initial keys of version v: of the same connection ID,
// with another salt (RFC 9369 §3.3.1).
func (c *Conn) deriveOther(v wire.Version) {
	dcid := &c.odcid
	if c.retried {
		dcid = &c.retrySCID
	}
	c.vers.other = v
	c.vers.read, c.vers.write = crypt.NewInitial(v, dcid.Bytes())
	if c.client {
		c.vers.read, c.vers.write = c.vers.write, c.vers.read
	}
}

// switchVersion goes on in version v, whose Initial keys were derived. Initials
// in the old version are still read (RFC 9369 §4.1).
func (c *Conn) switchVersion(v wire.Version) {
	s := &c.spaces[recovery.Initial]
	s.read, c.vers.read = c.vers.read, s.read
	s.write, c.vers.write = c.vers.write, s.write
	c.version, c.vers.other, c.vers.settled = v, c.version, true
}

// ownVersions is the version_information that we announce (RFC 9368 §3).
func (c *Conn) ownVersions() *wire.VersionInformation {
	info := &wire.VersionInformation{Chosen: c.version}
	for _, v := range c.cfg.Versions {
		if v == c.version || !v.Reserved() && (!c.client || c.version.CompatibleWith(v)) {
			info.Available = wire.AppendVersions(info.Available, v)
		}
	}
	if c.client && !info.Available.Contains(c.version) {
		info.Available = wire.AppendVersions(info.Available, c.version)
	}
	var random [5]byte
	if c.cfg.NoGrease || c.random(random[:]) != nil {
		return info
	}
	grease := wire.AppendVersions(nil, reservedVersion([4]byte(random[1:])))
	if random[0]&1 == 0 {
		info.Available = append(grease, info.Available...)
	} else {
		info.Available = append(info.Available, grease...)
	}
	return info
}

// reservedVersion is one that no peer may choose, and none may stumble over
// (RFC 9000 §6.3, §15).
func reservedVersion(random [4]byte) wire.Version {
	return wire.Version(binary.BigEndian.Uint32(random[:])&0xf0f0f0f0 | 0x0a0a0a0a)
}

// handleVersions checks the peer's version_information; at a server it decides
// about the version.
func (c *Conn) handleVersions(now hook.Instant, p *wire.Params) error {
	info := p.Versions
	if c.client {
		err := c.checkVersions(info)
		if info != nil {
			c.log.VersionInformation(now, c.cfg.Versions, versionSlice(info.Available), info.Chosen)
		}
		return err
	}
	if info == nil {
		return nil
	}
	// RFC 9368 §4: the long header's version is the one that the client chose.
	if info.Chosen != c.version {
		return violation(VersionNegotiationError, wire.FrameCrypto, "client chose version %v in a packet of version %v", info.Chosen, c.version)
	}
	c.upgrade(info.Available)
	c.log.VersionInformation(now, versionSlice(info.Available), c.cfg.Versions, c.version)
	return nil
}

// upgrade moves a server to the version that it prefers of those to which the
// client's first flight can be converted (RFC 9368 §2.3).
func (c *Conn) upgrade(available wire.VersionList) {
	// RFC 9369 §4.1: all CRYPTO frames are in the negotiated version. After a
	// HelloRetryRequest it is too late for another.
	if c.spaces[recovery.Initial].out.end() > 0 {
		return
	}
	for _, v := range c.cfg.Versions {
		if v.Reserved() || !available.Contains(v) || !c.version.CompatibleWith(v) {
			continue
		}
		if v != c.version {
			c.deriveOther(v)
			c.switchVersion(v)
		}
		return
	}
}

// checkVersions is what a client verifies: that nobody but the server chose
// the version (RFC 9368 §4).
func (c *Conn) checkVersions(info *wire.VersionInformation) error {
	wrong := func(format string, args ...any) error {
		return violation(VersionNegotiationError, wire.FrameCrypto, format, args...)
	}
	refused := c.vers.refused
	if info == nil {
		if c.version != c.vers.original {
			return wrong("server went from version %v to %v and has no version_information", c.vers.original, c.version)
		}
		if refused == 0 {
			return nil
		}
		if c.version != wire.Version1 {
			return wrong("server refused version %v and has no version_information in version %v", refused, c.version)
		}
		// RFC 9368 §8: a server that knows nothing of this speaks version 1 alone.
		info = &wire.VersionInformation{Chosen: wire.Version1, Available: wire.AppendVersions(nil, wire.Version1)}
	}
	if info.Chosen != c.version {
		return wrong("server chose version %v in packets of version %v", info.Chosen, c.version)
	}
	if refused == 0 {
		return nil
	}
	if info.Available.Len() == 0 {
		return wrong("server refused version %v and names none that it speaks", refused)
	}
	// A server that speaks the version would not have refused it.
	if !refused.Reserved() && info.Available.Contains(refused) {
		return wrong("a Version Negotiation packet refused version %v, which the server speaks", refused)
	}
	all := wire.AppendVersions(bytes.Clone(info.Available), c.version)
	if v := c.pick(all); v != c.vers.original {
		return wrong("a Version Negotiation packet led to version %v, the server's own list leads to %v", c.vers.original, v)
	}
	return nil
}
