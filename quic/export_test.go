package quic

import "net"

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
