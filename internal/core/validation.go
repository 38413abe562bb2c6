package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// validationTries is how many challenges a validation sends, one probe timeout
// apart: never more datagrams than a handshake would (RFC 9000 §8.2.1), and as
// many as fit the three timeouts after which it fails (§8.2.4).
const validationTries = 3

// validation proves that a path carries packets both ways (RFC 9000 §8.2). The
// zero value is none.
type validation struct {
	running bool
	due     bool                     // a challenge is to be sent now
	small   bool                     // a challenge left in less than 1200 bytes
	data    [validationTries][8]byte // what was sent
	sent    int
	nextAt  hook.Instant // when the next challenge is due
	until   hook.Instant // when it fails
	endedAt hook.Instant // when the last one succeeded
}

// startValidation proves a path from scratch, unless a proof is under way.
func (c *Conn) startValidation(now hook.Instant, p *path) {
	if p.validation.running {
		return
	}
	// RFC 9000 §8.2.4: three times the larger of both paths' probe timeouts.
	pto := max(c.det.PathPTO(p.rec), c.pto())
	p.validation = validation{running: true, due: true, until: now.Add(validationTries * pto), endedAt: p.validation.endedAt}
	c.control |= ctlPath
	c.log.MigrationState(now, "probing_started", p.tuple)
}

// challenge returns fresh, unpredictable data (RFC 9000 §8.2.1).
func (c *Conn) challenge(now hook.Instant, p *path) (data [8]byte, ok bool) {
	v := &p.validation
	if c.random(data[:]) != nil {
		return data, false
	}
	v.data[v.sent] = data
	v.sent++
	v.due = false
	v.nextAt = now.Add(v.until.Sub(now) / time.Duration(validationTries-v.sent+1))
	return data, true
}

// handlePathChallenge queues the answer for the path that the challenge came
// on. RFC 9000 §8.2.2: one response per challenge; we keep to the newest few,
// since a peer that floods has no use for all of them.
func (c *Conn) handlePathChallenge(now hook.Instant, f *wire.Frame) {
	p := c.admit(now)
	if p == nil {
		return
	}
	if len(p.responses) == maxPathResponses {
		p.responses = append(p.responses[:0], p.responses[1:]...)
	}
	p.responses = append(p.responses, f.Path)
	c.control |= ctlPath
}

// handlePathResponse ends a validation. RFC 9000 §8.2.3: the response proves the
// path that the challenge was sent on, whichever it came back on; one to no
// challenge of ours is ignored.
func (c *Conn) handlePathResponse(now hook.Instant, f *wire.Frame) {
	for _, p := range c.paths {
		v := &p.validation
		for _, data := range v.data[:v.sent] {
			if v.running && data == f.Path {
				c.pathValidated(now, p)
				return
			}
		}
	}
}

// pathValidated draws the conclusions from a proof.
func (c *Conn) pathValidated(now hook.Instant, p *path) {
	small := p.validation.small
	p.validation = validation{endedAt: now}
	p.validated = true
	if c.path == p {
		c.det.SetAmplificationBlocked(false)
	}
	if small {
		// RFC 9000 §8.2.1: what the limit kept small proved the address; the path
		// must carry 1200 bytes, too.
		c.startValidation(now, p)
		return
	}
	c.count.pathsValidated++
	c.log.MigrationState(now, "probing_successful", p.tuple)
	if c.confirmed {
		p.rec.MTU.Start(now)
	}
	if p.wanted {
		c.setPath(now, p)
		c.events.push(Event{Kind: EventMoved, Socket: p.socket})
	}
	if c.path == p {
		if p.migrating {
			p.migrating = false
			c.log.MigrationState(now, "migration_complete", p.tuple)
		}
		c.retirePaths(now)
		c.issueToken(now)
	}
}

// retirePaths plans the end of all paths but the one in use, which is proved.
// What is under way on them comes in for three probe timeouts more.
func (c *Conn) retirePaths(now hook.Instant) {
	for _, p := range c.paths {
		if p != c.path && !p.wanted && p.until.IsZero() {
			p.until = now.Add(3 * max(c.pto(), c.det.PathPTO(p.rec)))
		}
	}
}

// validationFailed gives a path up.
func (c *Conn) validationFailed(now hook.Instant, p *path) {
	p.validation = validation{endedAt: p.validation.endedAt}
	c.log.MigrationState(now, "probing_abandoned", p.tuple)
	switch {
	case p == c.path:
		c.fallBack(now)
	case p.wanted:
		p.wanted = false
		c.events.push(Event{Kind: EventMoveFailed, Socket: p.socket, Err: ErrNoAnswer})
		c.dropPath(now, p)
	case !p.validated:
		c.dropPath(now, p)
	}
}

// fallBack returns to the path that was validated last (RFC 9000 §9.3.2).
func (c *Conn) fallBack(now hook.Instant) {
	failed, back := c.path, c.lastValidated()
	if failed.migrating {
		c.log.MigrationState(now, "migration_abandoned", failed.tuple)
	}
	switch {
	case back != nil:
		c.setPath(now, back)
		c.events.push(Event{Kind: EventMoved, Socket: back.socket})
		c.dropPath(now, failed)
	case !failed.validated:
		// RFC 9000 §9.3.2: without a validated address the connection is closed silently.
		c.abandon(now, &NoPathError{})
	}
}

// pathDeadline is when tickPaths has something to do.
func (c *Conn) pathDeadline() (at hook.Instant) {
	for _, p := range c.paths {
		if v := &p.validation; v.running {
			at = earlier(at, v.until)
			if v.sent < validationTries && !v.due {
				at = earlier(at, v.nextAt)
			}
		}
		if p != c.path {
			at = earlier(at, p.until)
		}
	}
	return at
}

// tickPaths sends challenges again, fails validations, forgets paths.
func (c *Conn) tickPaths(now hook.Instant) {
	for i := len(c.paths) - 1; i >= 0 && i < len(c.paths); i-- {
		p := c.paths[i]
		v := &p.validation
		switch {
		case v.running && now >= v.until:
			c.validationFailed(now, p)
		case p != c.path && !p.until.IsZero() && now >= p.until:
			c.dropPath(now, p)
		case v.running && v.sent < validationTries && !v.due && now >= v.nextAt:
			v.due = true
			c.control |= ctlPath
		}
		if c.closing.state != stateOpen {
			return
		}
	}
}

// transmitPaths makes one datagram that proves a path, or answers a proof: on
// any path, before all else, so that it is the first on a new one.
func (c *Conn) transmitPaths(now hook.Instant, b *Batch) bool {
	if c.control&ctlPath == 0 || !c.complete || c.spaces[recovery.AppData].write == nil {
		return false
	}
	left := c.path.wantsDatagram()
	if left && c.transmitOn(now, b, c.path) {
		return true
	}
	for _, p := range c.paths {
		if p == c.path || !p.wantsDatagram() {
			continue
		}
		if left = true; c.transmitOn(now, b, p) {
			return true
		}
	}
	if !left {
		c.control &^= ctlPath
	}
	return false
}

// wantsDatagram reports whether p has a challenge or an answer to send.
func (p *path) wantsDatagram() bool { return p.validation.due || len(p.responses) > 0 }

// transmitOn makes a datagram with the challenge and the answers of one path,
// of 1200 bytes if the peer's address may get as many (RFC 9000 §8.2.1, §8.2.2).
func (c *Conn) transmitOn(now hook.Instant, b *Batch, p *path) bool {
	limit := min(wire.MinInitialDatagram, cap(b.Buf), p.allowance())
	if budget, _ := p.rec.Budget(now); !c.det.CanTrack(recovery.AppData) || !p.validation.due && budget < limit {
		return false
	}
	buf := b.Buf[:limit]
	var k packet
	if !c.beginPacket(&k, recovery.AppData, p, buf[:0], limit, pathFrame) {
		return false
	}
	k.limit = limit - crypt.TagSize
	k.sent.Flags |= recovery.PathProbe
	if p.validation.due && k.end+pathFrame <= k.limit {
		data, ok := c.challenge(now, p)
		if !ok {
			return false
		}
		c.appendPath(&k, buf, wire.FramePathChallenge, data)
		p.validation.small = p.validation.small || limit < wire.MinInitialDatagram
	}
	for len(p.responses) > 0 && k.end+pathFrame <= k.limit {
		c.appendPath(&k, buf, wire.FramePathResponse, p.responses[0])
		p.responses = append(p.responses[:0], p.responses[1:]...)
	}
	if k.end == k.payload {
		return false
	}
	if limit == wire.MinInitialDatagram {
		clear(buf[k.end:k.limit])
		k.end = k.limit
	}
	b.Socket, b.Local, b.Remote = p.socket, p.local, p.remote
	b.ECN = p.rec.ECN.Mark()
	c.finishPacket(now, &k, buf, b.ECN)
	b.Buf = buf[:k.end+crypt.TagSize]
	b.Segment = len(b.Buf)
	p.sent += uint64(len(b.Buf))
	return true
}

// pathFrame is the size of PATH_CHALLENGE and PATH_RESPONSE, in bytes.
const pathFrame = 9

// appendPath appends one of both; neither is repeated when lost (RFC 9000 §13.3).
func (c *Conn) appendPath(k *packet, buf []byte, t wire.FrameType, data [8]byte) {
	c.eliciting(k)
	k.end = len(wire.AppendFrame(buf[:k.end], &wire.Frame{Type: t, Path: data}))
}
