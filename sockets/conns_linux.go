package sockets

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/seed51309289/quiver/sockets/tunnel"
)

// direction says who connected.
type direction string

const (
	outward direction = "out"
	inward  direction = "in"
)

// conns are the TCP connections of the program that have a far side, and those that are to get one. The kernel bounds them: each is a
// descriptor of this process.
type conns struct {
	mu    sync.Mutex // guards all of it
	all   map[*conn]struct{}
	none  *sync.Cond
	total uint64 // that ever had both halves

	up, down uint64 // bytes from and to the program, of those that are over
}

// A conn is one of them.
type conn struct {
	app, dest netip.AddrPort // of the program's socket, and what it is connected with
	direction direction
	rule      string
	since     time.Time
	up, down  uint64 // bytes from and to the program, once it is over

	mu     sync.Mutex // guards what follows
	joined bool
	via    string         // "quic" or "tcp", "" while that is not known
	stream *tunnel.Stream // if over QUIC
	end    func()         // tells the far side that nobody reads here any more
}

func (c *conns) init() {
	c.all = map[*conn]struct{}{} // bounded by maxConns
	c.none = sync.NewCond(&c.mu)
}

func (c *conns) add(app, dest netip.AddrPort, d direction, rule string) *conn {
	n := &conn{app: app, dest: dest, direction: d, rule: rule, since: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[n] = struct{}{}
	return n
}

func (c *conns) remove(n *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, n)
	c.up += n.up
	c.down += n.down
	if len(c.all) == 0 {
		c.none.Broadcast()
	}
}

// wait waits until no connection is left, or ctx is done.
func (c *conns) wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.none.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.all) > 0 && ctx.Err() == nil {
		c.none.Wait()
	}
}

// list returns them, in no order.
func (c *conns) list() []*conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*conn, 0, len(c.all))
	for n := range c.all {
		out = append(out, n)
	}
	return out
}

// sums returns how many connections ever had both halves, and the bytes from and to the program of those that are over.
func (c *conns) sums() (joined, up, down uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total, c.up, c.down
}

// open notes that both halves of a connection are there.
func (c *conns) open(n *conn) {
	c.mu.Lock()
	c.total++
	c.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined = true
}

// over notes what carries it, and how it ends when the program has.
func (n *conn) over(via string, s *tunnel.Stream, end func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.via, n.stream, n.end = via, s, end
}

// abandon ends what comes to the program, since it has ended. What it wrote still arrives.
func (n *conn) abandon() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.end != nil {
		n.end()
	}
}
