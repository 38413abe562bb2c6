package core

import (
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// restAfter is how long a connection must be silent to rest.
const restAfter = time.Second

// stir says that something arrived or left: the connection rests later.
func (c *Conn) stir(now hook.Instant) { c.restAt = now.Add(restAfter) }

// tickRest lets a silent connection rest.
func (c *Conn) tickRest(now hook.Instant) {
	if !c.restAt.IsZero() && now >= c.restAt {
		c.restAt = 0
		c.rest()
	}
}

// rest gives all memory back that a busy connection is faster with, and an
// idle one does not need. The next packet takes it again. What is in use stays.
func (c *Conn) rest() {
	c.pool.trim()
	c.det.Trim()
	c.slab.rest()
	c.events.rest()
	c.streams.rest()
	if c.datagrams != nil {
		c.datagrams.out.trim()
	}
	if c.exch != nil {
		c.exch.rest()
	}
	if c.ext != nil {
		c.ext.rest()
	}
	c.ranges = nil
	c.ackFreq.state, c.arrival = nil, nil
	c.ids.local = slices.Clone(c.ids.local)
	c.keys.next = nil // the first packet that comes derives them again
	for i := range c.spaces {
		s := &c.spaces[i]
		if s.traffic != nil {
			s.recv.Trim()
		}
		if s.read != nil {
			s.read.Rest()
		}
		if s.write != nil {
			s.write.Rest()
		}
	}
}

// release gives back what a drained connection has no use for, although
// somebody may hold it for long. Bytes that arrived can still be read.
func (c *Conn) release() {
	for id := range c.spaces {
		s := &c.spaces[id]
		c.det.Discard(recovery.SpaceID(id), nil)
		s.read, s.write = nil, nil
		if !s.discarded {
			s.out.drop(&c.pool)
			s.in.drop(&c.pool)
			s.recv.AckSent(c.clock) // nobody waits for one
		}
	}
	for _, s := range c.streams.byID {
		s.send.buf.drop(&c.pool)
	}
	t := &c.streams
	t.byID, t.last = nil, nil
	t.newData, t.lost, t.control = streamQueue{}, streamQueue{}, streamQueue{}
	c.keys.prev, c.keys.next, c.early.keys = nil, nil, nil
	c.slab, c.restAt = frameSlab{}, 0
	c.rest()
}
