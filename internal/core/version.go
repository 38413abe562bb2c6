package core

import (
	"bytes"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

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
		c.log.PacketDropped(now, wire.PacketVersionNegotiation, len(pkt), "unexpected_version_negotiation")
		return
	}
	theirs := make([]wire.Version, 0, offered.Len())
	for i := range offered.Len() {
		theirs = append(theirs, offered.At(i))
	}
	for _, v := range c.cfg.Versions {
		if !v.Reserved() && offered.Contains(v) {
			c.log.VersionInformation(now, c.cfg.Versions, theirs, v)
			c.restart(now, v)
			return
		}
	}
	c.abandon(now, &VersionError{Ours: c.cfg.Versions, Theirs: theirs})
}

// restart sends the first flight again, in another version. Packet numbers go
// on counting, and TLS has said nothing yet that depends on the version.
func (c *Conn) restart(now hook.Instant, v wire.Version) {
	c.version, c.heardOther = v, true
	c.installInitialKeys(c.odcid.Bytes())
	c.det.OnRetry(c)
	c.spaces[recovery.Initial].recv.Init(recovery.Initial, maxAckDelay, c.cfg.AckPolicy)
	c.idle.onReceive(now)
}
