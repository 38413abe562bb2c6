package quic

import (
	"runtime"
	"time"
)

// smallWrite is what a Write may have, in bytes, to wait for company. More
// fills datagrams by itself.
const smallWrite = 4 << 10

// flushSmall is flush for something small that was written, or is owed to the
// peer. While other streams have data that nobody has read yet, whoever reads
// them is likely to have something to say, too: then one datagram, or one
// train, carries it all. The caller holds c.mu, which flushSmall releases.
//
// A connection with one exchange at a time never waits.
func (c *Conn) flushSmall(now time.Time) {
	if c.unread == 0 {
		c.flush(now)
		return
	}
	c.flushSoon()
}

// flushSoon leaves the flush to a goroutine that runs when those who can run now
// had their turn. The caller holds c.mu, which flushSoon releases.
func (c *Conn) flushSoon() {
	if !c.later {
		c.later = true
		if c.flushLater == nil {
			c.flushLater = c.afterOthers
		}
		go c.flushLater() // a func value made once: a method value would be made anew
	}
	c.mu.Unlock()
}

// flushWritten flushes after a Write took n bytes, for a caller that goes on
// under c.mu.
func (c *Conn) flushWritten(n int) {
	if now := time.Now(); n <= smallWrite {
		c.flushSmall(now)
	} else {
		c.flush(now)
	}
	c.mu.Lock()
}

// afterOthers flushes when the goroutines that can run now had their turn.
func (c *Conn) afterOthers() {
	runtime.Gosched()
	c.mu.Lock()
	c.later = false
	c.flush(time.Now())
}

// answer flushes after datagrams arrived: what they allow to be sent, and
// acknowledgments, which go with what the streams' readers answer if they do so
// at once. The caller holds c.mu, which answer releases.
func (c *Conn) answer(now time.Time) {
	c.drainEvents()
	if c.later || c.unread == 0 || !c.core.AckDue(now) { // later: the others had their time
		c.flush(now)
		return
	}
	c.flushSmall(now)
}

// arrived notes that the peer gave the stream something to read. The caller
// holds c.mu.
func (h *half) arrived() {
	if !h.unread {
		h.unread = true
		h.c.unread++
	}
}

// seen notes that somebody looked. The caller holds c.mu.
func (h *half) seen() {
	if h.unread {
		h.unread = false
		h.c.unread--
	}
}
