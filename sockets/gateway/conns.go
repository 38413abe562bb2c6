package gateway

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/sockets/tunnel"
)

// conns are the TCP connections that a gateway carries, and those it is about to.
type conns struct {
	mu     sync.Mutex         // guards all below
	all    map[*conn]struct{} // limit: maxConns
	ending bool               // no more
	empty  chan struct{}      // closed when ending and all is empty

	handshakes atomic.Int64 // limit: maxHandshakes

	made, refused  atomic.Uint64
	sent, received atomic.Uint64 // bytes of connections that are over
}

// conn is one of them.
type conn struct {
	in    *conns
	pair  *Pair
	since time.Time

	mu     sync.Mutex     // guards all below
	source netip.AddrPort // the program that connects
	dest   target         // where it goes
	leg    *net.TCPConn   // nil: not yet
	stream *tunnel.Stream // nil: not yet
	over   bool           // the leg is closed as soon as there is one
}

func (s *conns) init() {
	s.all = map[*conn]struct{}{}
	s.empty = make(chan struct{})
}

// add makes room for a connection; nil: there is none, or the gateway ends. Who has it must remove it.
func (s *conns) add(pair *Pair, source netip.AddrPort, leg *net.TCPConn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || len(s.all) >= maxConns {
		s.refused.Add(1)
		return nil
	}
	c := &conn{in: s, pair: pair, since: time.Now(), source: source, leg: leg}
	s.all[c] = struct{}{}
	return c
}

// remove forgets c.
func (c *conn) remove() {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
	if s.ending && len(s.all) == 0 {
		close(s.empty)
	}
}

// handshake makes room for a client that has not said yet what it wants. Who has it must call over.
func (s *conns) handshake() (over func(), ok bool) {
	if s.handshakes.Add(1) > maxHandshakes {
		s.handshakes.Add(-1)
		s.refused.Add(1)
		return nil, false
	}
	return func() { s.handshakes.Add(-1) }, true
}

// asks notes where c is to go, and from whom.
func (c *conn) asks(source netip.AddrPort, dest target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source, c.dest = source, dest
}

// join notes both halves. It reports false if c was ended meanwhile.
func (c *conn) join(leg *net.TCPConn, stream *tunnel.Stream) bool {
	c.in.made.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leg, c.stream = leg, stream
	return !c.over
}

// end resets c, unless it has a stream, with which it ends.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over = true; c.leg != nil && c.stream == nil {
		reset(c.leg)
	}
}

// ending reports whether no more connections are taken.
func (g *Gateway) ending() bool {
	g.conns.mu.Lock()
	defer g.conns.mu.Unlock()
	return g.conns.ending
}

// stop takes no more connections. empty is closed when those that there are have ended.
func (s *conns) stop() (left int, empty <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.ending = true
		if len(s.all) == 0 {
			close(s.empty)
		}
	}
	return len(s.all), s.empty
}

// list returns all, the oldest first.
func (s *conns) list() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.all))
	for c := range s.all {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Or(a.since.Compare(b.since), a.source.Compare(b.source)) })
	return all
}

// reset ends a TCP connection so that the other end notices.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
