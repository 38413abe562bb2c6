package core

import (
	"bytes"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxToken is the largest token that a client keeps and sends, in bytes: it must
// leave room in an Initial. limit: a server's NEW_TOKEN frames.
const maxToken = 512

// issueToken gives the client a token for its next connection, when its address
// is proved (RFC 9000 §8.1.3). A connection does not fail for want of one.
func (c *Conn) issueToken(now hook.Instant) {
	if c.client || c.cfg.TokenKey == nil {
		return
	}
	token, err := c.cfg.TokenKey.Seal(c.cfg.Rand, &crypt.Token{
		Kind: crypt.TokenAddress, Version: c.version, Addr: c.path.remote, Time: c.when(now),
	})
	if err == nil {
		c.newToken = token
		c.control |= ctlNewToken
	}
}

// tokenID tells a token from one that replaced it; 0 is none.
func tokenID(token []byte) uint64 {
	if token == nil {
		return 0
	}
	return crypt.TokenID(token)
}

// appendNewToken appends the token that waits.
func (c *Conn) appendNewToken(p *packet, buf []byte) {
	f := wire.Frame{Type: wire.FrameNewToken, Data: c.newToken}
	const header = 1 + 2
	if c.newToken == nil {
		c.control &^= ctlNewToken
		return
	}
	if p.end+header+len(c.newToken) > p.limit {
		return
	}
	c.eliciting(p)
	p.end = len(wire.AppendFrame(buf[:p.end], &f))
	c.control &^= ctlNewToken
	c.record(p, sentFrame{kind: sentNewToken, id: tokenID(c.newToken)})
}

// handleNewToken hands a token to the driver.
func (c *Conn) handleNewToken(f *wire.Frame) error {
	// RFC 9000 §19.7: a server treats NEW_TOKEN as PROTOCOL_VIOLATION.
	if !c.client {
		return violation(ProtocolViolation, f.Type, "a client sent NEW_TOKEN")
	}
	if len(f.Data) <= maxToken {
		c.events.push(Event{Kind: EventToken, Data: bytes.Clone(f.Data)})
	}
	return nil
}
