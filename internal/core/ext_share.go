package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// The application's data and the frames of each extension share a packet's bytes
// by deficit round robin: whose turn it is gets a quantum, and goes on until that
// is used up or nothing waits. Frames are not cut, so a quantum may be overdrawn,
// by a frame or a packet; that is made up for in the next round. The application
// weighs as much as all extensions together: while it has something to send, half
// of the bytes are its.

// share is one taker of turns.
type share struct {
	deficit int // bytes it may still send in its turn
	weight  int
}

// turns says whose turn it is.
type turns struct {
	app     share
	present *attached // nil = the application
	begun   bool      // it got its quantum
	full    uint64    // the packet that the application filled last
}

// takeTurns fills p with the application's data and with frames of extensions.
func (x *extensions) takeTurns(p *packet, buf []byte) {
	start := p.end
	x.app.weight = 0
	for _, a := range x.list {
		if len(a.info.Frames) > 0 {
			x.app.weight += a.share.weight
		}
	}
	for idle, turns := 0, 0; idle <= len(x.list) && turns < maxTurns; turns++ {
		a := x.present
		if !x.waits(a, p) {
			x.shareOf(a).deficit = 0
			x.pass()
			idle++
			continue
		}
		idle = 0
		if !x.turn(a, p, buf) {
			break // the packet has no room for what it wants: it goes on in the next one
		}
	}
	x.fillUp(p, buf)
	if p.end > start {
		x.noteStarved()
	}
}

// maxTurns bounds the work for one packet: debts are paid within two rounds.
const maxTurns = 4 * (hook.MaxExtensions + 1)

// turn lets whose turn it is send. It reports false when p is full.
func (x *extensions) turn(a *attached, p *packet, buf []byte) bool {
	s := x.shareOf(a)
	quantum := max(s.weight, 1) * x.conn.path.rec.MTU.Current()
	if !x.begun {
		x.begun = true
		s.deficit = min(s.deficit+quantum, quantum)
	}
	for s.deficit > 0 && x.waits(a, p) {
		n, full := x.send(a, p, buf)
		s.deficit = max(s.deficit-n, -quantum)
		if full {
			if s.deficit <= 0 {
				x.pass()
			}
			return false
		}
	}
	if s.deficit <= 0 {
		x.pass()
	}
	return true
}

// send appends once what a, or the application, has. full says that it has more
// than p has room for.
func (x *extensions) send(a *attached, p *packet, buf []byte) (n int, full bool) {
	start := p.end
	if a == nil {
		x.conn.appendData(p, buf)
		if full = x.waits(a, p); full {
			x.full = x.packet
		}
		return p.end - start, full
	}
	if i := a.next(p, false); a.fits(&a.reserved[i], p) {
		return a.write(p, buf, i), false
	}
	return 0, true
}

// fillUp uses the rest of p: what is too small for whose turn it is serves others.
func (x *extensions) fillUp(p *packet, buf []byte) {
	start := p.end
	if x.full != x.packet {
		x.conn.appendData(p, buf)
	}
	x.app.deficit = max(x.app.deficit-(p.end-start), -x.conn.path.rec.MTU.Current())
	for _, a := range x.list {
		for i := a.next(p, true); i >= 0; i = a.next(p, true) {
			a.share.deficit -= a.write(p, buf, i)
		}
		a.share.deficit = max(a.share.deficit, -x.conn.path.rec.MTU.Current())
	}
}

// shareOf returns the share of a; nil is the application.
func (x *extensions) shareOf(a *attached) *share {
	if a == nil {
		return &x.app
	}
	return &a.share
}

// waits reports whether a, or the application, has something for p.
func (x *extensions) waits(a *attached, p *packet) bool {
	if a != nil {
		return a.next(p, false) >= 0
	}
	c := x.conn
	return c.datagramsWait() || !c.streams.lost.empty() || !c.streams.newData.empty() && c.flow.available() > 0
}

// pass gives the turn to the next.
func (x *extensions) pass() {
	x.begun = false
	after := x.present == nil
	for _, a := range x.list {
		if after {
			x.present = a
			return
		}
		after = a == x.present
	}
	x.present = nil
}

// appendExceeding appends, although the window is full, what does not count in flight.
func (x *extensions) appendExceeding(p *packet, buf []byte) {
	if !x.mayExceed() {
		return
	}
	for _, a := range x.list {
		for i := a.nextExceeding(p); i >= 0; i = a.nextExceeding(p) {
			a.write(p, buf, i)
		}
	}
}

// nextExceeding is next for a full window.
func (a *attached) nextExceeding(p *packet) int {
	if a.gone || a.offers >= maxTries {
		return -1
	}
	for i := range a.reserved {
		r := &a.reserved[i]
		if r.tried != a.x.packet && !a.info.Frames[r.Frame].InFlight && a.serves(r, p) && a.fits(r, p) {
			return i
		}
	}
	return -1
}

// noteStarved measures how long extensions wait while packets leave.
func (x *extensions) noteStarved() {
	now := x.conn.clock
	for _, a := range x.list {
		waits := len(a.reserved) > 0 && !a.inPacket
		switch {
		case waits && a.starved.IsZero():
			a.starved = now
		case !waits && !a.starved.IsZero():
			a.stats.Starved += now.Sub(a.starved)
			a.starved = 0
		}
	}
}

// wants reports whether an extension has a frame to send for which congestion
// control must make room.
func (x *extensions) wants() bool {
	c := x.conn
	early := !c.complete
	if early && (!c.client || c.early.keys == nil) {
		return false
	}
	for _, a := range x.list {
		for i := range a.reserved {
			r := &a.reserved[i]
			if f := &a.info.Frames[r.Frame]; !r.Wait && f.InFlight && (f.Early || !early) {
				return true
			}
		}
	}
	return false
}

// exceedDeadline is when a frame that is not in flight, and came too soon after
// others, may leave; 0 = none waits.
func (x *extensions) exceedDeadline() hook.Instant {
	at := x.exceedAgain()
	if x.exceeded < maxExceed || at <= x.conn.clock {
		return 0
	}
	for _, a := range x.list {
		for i := range a.reserved {
			if r := &a.reserved[i]; !r.Wait && !a.info.Frames[r.Frame].InFlight {
				return at
			}
		}
	}
	return 0
}

// mayCarry reports whether frames of extensions may travel in p: not before the
// handshake is complete, but for early data of a client.
func (c *Conn) mayCarry(p *packet) bool {
	return p.id == recovery.AppData && (c.complete || p.early)
}
