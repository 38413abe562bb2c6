package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// ackedPlugin tells an extension that the peer has a frame of its.
func (c *Conn) ackedPlugin(f *sentFrame, sent hook.Instant) {
	if a := c.sender(f); a != nil {
		a.stats.FramesAcked++
		a.tellFate(f, hook.FrameAcked, c.clock.Sub(sent))
	}
}

// lostPlugins tells extensions that frames of theirs were in a packet that is lost.
func (c *Conn) lostPlugins(p *recovery.Sent) {
	for i := p.Extra; i != 0; i = c.slab.list[i].next {
		if a := c.sender(&c.slab.list[i]); a != nil {
			f := c.slab.list[i]
			c.slab.list[i].kind = sentNothing
			a.stats.FramesLost++
			a.tellFate(&f, hook.FrameLost, 0)
		}
	}
}

// sender is the extension that a frame was sent for, nil if it was for none, or is
// over.
func (c *Conn) sender(f *sentFrame) *attached {
	if f.kind != sentPlugin || c.ext == nil {
		return nil
	}
	for _, a := range c.ext.list {
		if uint64(a.serial) == f.id>>32 {
			return a
		}
	}
	return nil
}

// tellFate tells a what became of a frame.
func (a *attached) tellFate(f *sentFrame, fate hook.Fate, rtt time.Duration) {
	if a.enter() {
		a.frames.FrameFate(hook.Token(f.id), fate, rtt)
		a.leave()
	}
}

// dropFates tells a that nobody will ever know what became of its frames, unless
// it failed.
func (a *attached) dropFates() {
	slab := &a.x.conn.slab
	for i := range slab.list {
		f := slab.list[i]
		if f.kind != sentPlugin || f.id>>32 != uint64(a.serial) {
			continue
		}
		slab.list[i].kind = sentNothing
		switch {
		case !a.ending:
			a.tellFate(&f, hook.FrameDropped, 0)
		case a.why != hook.DetachFault:
			a.running = true // enter would refuse, but this belongs to the end
			a.frames.FrameFate(hook.Token(f.id), hook.FrameDropped, 0)
			a.running = false
		}
	}
}

// dropEarlyFates does so for the frames in early data that the server rejected.
func (c *Conn) dropEarlyFates() {
	if c.ext != nil {
		for _, a := range c.ext.list {
			a.dropFates()
		}
	}
}

// forgetContent forgets what lost packets carried: their streams are over, and
// other streams may get their numbers.
func (x *extensions) forgetContent() { x.content, x.contentAt = nil, 0 }
