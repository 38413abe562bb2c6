package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// Time is the driver's clock; it only has to be monotonic within a connection.
type Time = time.Time

// connFlow is connection-level flow control, both directions (RFC 9000 §4.1).
// All numbers are bytes.
type connFlow struct {
	max        uint64 // the limit that we announced
	window     uint64 // how far ahead of the application it goes
	received   uint64 // sum of the streams' highest offsets
	consumed   uint64 // what the application has read or dropped
	lastUpdate hook.Instant

	peerMax   uint64 // the peer's limit
	sent      uint64 // sum of the streams' first-time bytes
	blockedAt uint64 // limit that DATA_BLOCKED reported, plus one
}

// ReceiveBudget is memory that connections share for what was received and not
// read. It is asked under the locks of all of them, and must not call back.
type ReceiveBudget interface {
	// Reserve takes n bytes, or reports that there are not so many.
	Reserve(n uint64) bool
	// Release gives back n bytes that were taken.
	Release(n uint64)
	// Scarce reports whether streams' windows are to be small.
	Scarce() bool
}

// held is what the peer may send beyond the connection's own window: taken from
// the budget.
func (f *connFlow) held() uint64 {
	if ahead := f.max - f.consumed; ahead > f.window {
		return ahead - f.window
	}
	return 0
}

// unhold gives back to the budget what was held before, and is not any more.
func (c *Conn) unhold(before uint64) {
	if c.cfg.Budget == nil || c.closing.err != nil {
		return // at the end everything was given back
	}
	if now := c.flow.held(); now < before {
		c.cfg.Budget.Release(before - now)
	}
}

// lendWindow lets the peer send a window more than it did, although nobody has
// read that, as long as the budget has room: streams that are not read do not
// stop the others.
func (c *Conn) lendWindow() {
	f := &c.flow
	if c.cfg.Budget == nil || f.max-f.received > f.window/2 {
		return
	}
	grown := *f
	grown.max = min(f.received+f.window, wire.MaxVarint)
	if more := grown.held() - f.held(); more > 0 && c.cfg.Budget.Reserve(more) {
		f.max = grown.max
		c.control |= ctlMaxData
	}
}

// available is how many new stream bytes the peer takes.
func (f *connFlow) available() uint64 { return f.peerMax - f.sent }

// consumed accounts for n bytes that the application read from s, and opens
// both windows when enough of them is used up.
func (c *Conn) consumed(now hook.Instant, s *Stream, n uint64) {
	r, held := &s.recv, c.flow.held()
	if !r.hasFinal {
		most := c.cfg.MaxStreamWindow
		if c.cfg.Budget != nil && c.cfg.Budget.Scarce() {
			most = c.cfg.StreamWindow
			if r.max-r.buf.data.base <= r.window/2 {
				r.window = max(r.window/2, min(r.window, most))
			}
		}
		if limit, ok := c.nextLimit(now, r.max, r.buf.data.base, &r.window, most, &r.lastUpdate); ok {
			r.max, r.maxSend = limit, true
			// RFC 9000 §4: the connection's window has to hold more than one stream's.
			c.flow.window = max(c.flow.window, min(r.window+r.window/2, c.cfg.MaxConnWindow))
			c.queueControl(s)
		}
	}
	c.unhold(held)
	c.consumeConn(now, n)
}

func (c *Conn) consumeConn(now hook.Instant, n uint64) {
	f := &c.flow
	held := f.held()
	f.consumed += n
	if limit, ok := c.nextLimit(now, f.max, f.consumed, &f.window, c.cfg.MaxConnWindow, &f.lastUpdate); ok {
		f.max = limit
		c.control |= ctlMaxData
	}
	c.unhold(held)
}

// nextLimit decides whether to announce a new limit: when half of the window
// is used. A window that empties in less than two round trips holds the peer
// back, and doubles up to most.
func (c *Conn) nextLimit(now hook.Instant, limit, consumed uint64, window *uint64, most uint64, last *hook.Instant) (uint64, bool) {
	if limit-consumed > *window/2 {
		return 0, false
	}
	if rtt := c.path.rec.RTT.Smoothed(); !last.IsZero() && now.Sub(*last) < 2*rtt {
		*window = max(*window, min(2**window, most))
	}
	*last = now
	return min(consumed+*window, wire.MaxVarint), true
}

func (c *Conn) handleMaxData(f *wire.Frame) {
	// RFC 9000 §4.1: a smaller limit is ignored.
	c.flow.peerMax = max(c.flow.peerMax, f.Limit)
}
