package core

import (
	"bytes"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/wire"
)

// handleRetry lets a client prove its address with the server's token
// (RFC 9000 §17.2.5).
func (c *Conn) handleRetry(now hook.Instant, pkt []byte, h *wire.Header) {
	// RFC 9000 §17.2.5.2: one Retry at most, none after another packet, none
	// with an empty token or a tag that does not fit; §17.2.5.1: with a new ID.
	if !c.client || c.heard || c.retried || len(h.Token) == 0 || h.Version != c.version ||
		!bytes.Equal(h.DCID, c.ids.firstLocal()) || bytes.Equal(h.SCID, c.ids.dcid()) ||
		!crypt.ValidRetry(c.version, pkt, c.ids.dcid()) {
		c.dropPacket(now, wire.PacketRetry, len(pkt), "rejected")
		return
	}
	if c.log != nil {
		c.log.PacketReceived(now, qlog.PacketInfo{Type: wire.PacketRetry, DCID: h.DCID, SCID: h.SCID, Token: h.Token, Version: h.Version, Size: len(pkt)}, nil)
	}
	c.retried, c.heardOther = true, true
	c.token = bytes.Clone(h.Token)
	c.retrySCID = MakeConnID(h.SCID)
	// RFC 9001 §5.2: the Initial keys come from the new ID. Packet numbers are
	// not reset (RFC 9000 §17.2.5.3).
	c.ids.remote[0].id = c.retrySCID
	c.installInitialKeys(h.SCID)
	c.det.OnRetry(c)
	c.idle.onReceive(now)
}
