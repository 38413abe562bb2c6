package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// Deadline returns when Tick must be called; zero means never.
func (c *Conn) Deadline() Time { return c.when(c.deadline()) }

func (c *Conn) deadline() hook.Instant {
	if c.closing.state == stateDrained {
		return 0
	}
	if c.closing.state != stateOpen {
		return c.closing.until
	}
	at := c.idle.deadline(c.det.PTO(recovery.AppData))
	at = earlier(at, c.det.Deadline())
	at = earlier(at, c.paced)
	for i := range c.spaces {
		id := recovery.SpaceID(i)
		// An acknowledgment that cannot leave is not waited for: its time would pass
		// again and again while a peer that acknowledges nothing keeps the records full.
		if keys, early := c.sealKeys(id); keys != nil && !early && !c.blocked() && c.det.CanTrack(id) {
			at = earlier(at, c.spaces[i].recv.AckDeadline())
		}
	}
	if !c.complete {
		at = earlier(at, c.idle.handshakeBy)
	}
	if c.ext != nil {
		at = earlier(at, c.ext.deadline())
		at = earlier(at, c.ext.exceedDeadline())
	}
	if c.confirmed {
		at = earlier(at, c.pathDeadline())
		at = earlier(at, c.restAt)
		at = earlier(at, c.idle.keepAliveAt())
		at = earlier(at, c.keys.dropAt)
		at = earlier(at, c.ids.initialUntil)
		at = earlier(at, c.early.dropAt)
		at = earlier(at, c.exch.deadline())
	}
	return at
}

// earlier returns the earlier of two instants of which 0 is never.
func earlier(a, b hook.Instant) hook.Instant {
	if a.IsZero() || !b.IsZero() && b < a {
		return b
	}
	return a
}

// Tick does what is due at now. Calling it early is harmless.
func (c *Conn) Tick(now Time) {
	t := c.at(now)
	if c.closing.state != stateOpen {
		c.tickClosing(t)
		return
	}
	c.tickIdle(t)
	if c.closing.state != stateOpen {
		return
	}
	c.tickPaths(t)
	if c.closing.state != stateOpen {
		return
	}
	c.tickKeys(t)
	c.tickInitialID(t)
	c.tickEarly(t)
	c.tryTicket(t)
	c.tickRest(t)
	if c.paced <= t {
		c.paced = 0
	}
	if at := c.det.Deadline(); !at.IsZero() && t >= at {
		c.onLossTimeout(t)
	}
	if c.ext != nil {
		c.ext.tick(t)
		c.settle(t)
	}
}

// onLossTimeout declares packets lost or sends probes (RFC 9002 §6.2).
func (c *Conn) onLossTimeout(now hook.Instant) {
	probe := c.det.OnTimeout(now, c)
	c.logMetrics(now)
	if probe.Count == 0 {
		return
	}
	c.count.probeTimeouts++
	c.probe(probe.Space, probe.Count)
	// RFC 9002 §6.2.4: in the handshake, spaces with data of their own are
	// probed along with it, in the same datagrams. What was lost in one space
	// must not wait for the window that unacknowledged probes of another fill:
	// the peer may be unable to read those without it.
	for id := recovery.Initial; id < recovery.AppData && !c.confirmed; id++ {
		if id != probe.Space && c.spaces[id].write != nil && (c.spaces[id].wantsCrypto() || c.det.ElicitingInFlight(id)) {
			c.probe(id, 1)
		}
	}
	// Nor can a server read our Handshake packets once it has confirmed the
	// handshake. If that did not reach us because the network moved us, only
	// 1-RTT packets tell it where we are.
	if c.client && probe.Space == recovery.Handshake && c.complete && c.det.ElicitingInFlight(recovery.AppData) {
		c.probe(recovery.AppData, 1)
	}
	// The server has nothing to answer early data with before it has the
	// ClientHello: what is in flight may be as lost as that.
	if probe.Space == recovery.Initial && c.early.state == EarlyOffered && c.det.ElicitingInFlight(recovery.AppData) {
		c.probe(recovery.AppData, probe.Count)
	}
}

// probe lets count packets of a space leave whatever the window says, with
// what is in flight once more.
func (c *Conn) probe(id recovery.SpaceID, count int) {
	s := &c.spaces[id]
	s.probes = max(s.probes, count)
	c.resendOutstanding(id, count)
}

// A connection repeats its handshake before its timer says so a few times only,
// and not for the second datagram of one probe: a peer with a short timer on a
// long path asks for it without need.
const (
	maxHurries = 3
	hurryEvery = 100 * time.Millisecond
)

// hurry answers CRYPTO data that came before: the peer seems to lack our answer
// to it, as its own timer has just found out (RFC 9002 §6.2.3).
func (c *Conn) hurry(now hook.Instant) {
	if c.confirmed || c.tls.start.hurries >= maxHurries || now < c.tls.start.hurried.Add(hurryEvery) {
		return
	}
	for id := recovery.Initial; id < recovery.AppData; id++ {
		if c.spaces[id].write == nil || !c.det.ElicitingInFlight(id) {
			continue
		}
		if c.probe(id, 2); c.tls.start.hurried != now {
			c.tls.start.hurries++
			c.tls.start.hurried = now
		}
	}
}
