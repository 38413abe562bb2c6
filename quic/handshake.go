package quic

import (
	"bytes"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// maxInbox bounds the datagrams that wait while the handshake computes.
// limit: what a client sends meanwhile.
const maxInbox = 64

// pool runs handshakes, whose arithmetic takes hundreds of microseconds, off
// the socket's goroutine: at most one goroutine per processor, and none when
// there is nothing to do.
type pool struct {
	mu      sync.Mutex // guards all below; a leaf
	waiting queue[*Conn]
	running int
}

func (p *pool) submit(c *Conn) {
	p.mu.Lock()
	p.waiting.push(c)
	start := p.running < runtime.GOMAXPROCS(0)
	if start {
		p.running++
	}
	p.mu.Unlock()
	if start {
		go p.work()
	}
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		if p.waiting.len() == 0 {
			p.running--
			p.mu.Unlock()
			return
		}
		c := p.waiting.pop()
		p.mu.Unlock()
		c.runInbox()
	}
}

// inbox holds datagrams of a connection whose handshake is under way.
type inbox struct {
	mu     sync.Mutex      // guards all below; a leaf
	list   []core.Datagram // limit: maxInbox
	queued bool            // the pool has the connection
}

// postpone leaves a copy of d to the pool. It reports false when the handshake
// ended meanwhile.
func (c *Conn) postpone(d *core.Datagram) bool {
	c.inbox.mu.Lock()
	if !c.handshaking.Load() {
		c.inbox.mu.Unlock()
		return false
	}
	if len(c.inbox.list) < maxInbox {
		own := *d
		own.Data = bytes.Clone(d.Data)
		c.inbox.list = append(c.inbox.list, own)
	}
	submit := !c.inbox.queued
	c.inbox.queued = true
	c.inbox.mu.Unlock()
	if submit {
		c.t.handshakes.submit(c)
	}
	return true
}

// runInbox feeds what waits to the core; a goroutine of the pool runs it.
func (c *Conn) runInbox() {
	for {
		c.inbox.mu.Lock()
		list := c.inbox.list
		c.inbox.list = nil
		if len(list) == 0 {
			c.inbox.queued = false
			c.inbox.mu.Unlock()
			return
		}
		c.inbox.mu.Unlock()
		now := time.Now()
		c.mu.Lock()
		for i := range list {
			c.core.Receive(now, &list[i])
		}
		if !c.core.Heard() && c.listener != nil {
			c.mu.Unlock()
			c.abandon(net.ErrClosed) // not one authentic packet: whoever sent it is no client
			continue
		}
		if !c.core.Handshaking() {
			c.endHandshake()
			now = c.letOthersWrite()
		}
		c.flush(now)
	}
}

// letOthersWrite gives up the processor once, so that who waited for the end of
// the handshake writes first: the last flight of the handshake then leaves with
// a client's first request, or with a server's first answer. The caller holds
// c.mu, which is free meanwhile.
func (c *Conn) letOthersWrite() time.Time {
	c.drainEvents()
	mine := !c.later
	c.later = true
	c.mu.Unlock()
	runtime.Gosched()
	c.mu.Lock()
	if mine {
		c.later = false
	}
	return time.Now()
}

// endHandshake lets datagrams go straight to the core. Those that came
// meanwhile are fed first. The caller holds c.mu.
func (c *Conn) endHandshake() {
	c.inbox.mu.Lock()
	list := c.inbox.list
	c.inbox.list = nil
	c.handshaking.Store(false)
	c.inbox.mu.Unlock()
	now := time.Now()
	for i := range list {
		c.core.Receive(now, &list[i])
	}
}
