package quic

import (
	"net"

	"github.com/seed51309289/quiver/internal/core"
)

// Conns returns how many connections are not drained.
func (t *Transport) Conns() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// HalfOpen returns how many handshakes of clients are counted.
func (t *Transport) HalfOpen() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.router.HalfOpen(0)
}

// IDs returns how many connection IDs the router knows.
func (t *Transport) IDs() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.router.Len()
}

// Abandon forgets the connection without a word to the peer.
func (c *Conn) Abandon() { c.abandon(net.ErrClosed) }

// Chunks returns how many chunks of memory the connection's streams hold.
func (c *Conn) Chunks() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Chunks()
}

// DeadlinePending reports whether a timer of a deadline runs, and stops it.
func DeadlinePending(s *Stream) bool {
	s.in.c.mu.Lock()
	defer s.in.c.mu.Unlock()
	pending := false
	for _, h := range []*half{&s.in, &s.out} {
		if h.bounds != nil && h.bounds.deadline.timer != nil {
			pending = h.bounds.deadline.timer.Stop() || pending
		}
	}
	return pending
}

// MessagesThatWait tells a connection whose Extender takes no news of n messages
// of the peer, and then of an offer, and returns how many news wait.
func MessagesThatWait(n int) int {
	c := &Conn{extender: new(extender)}
	for range n {
		c.newsOf(&core.Event{Plugin: &core.PluginNews{Kind: core.PluginEvent}})
	}
	c.newsOf(&core.Event{Plugin: &core.PluginNews{Kind: core.PluginOffered}})
	return len(c.extender.list)
}
