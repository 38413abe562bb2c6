package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Bounds of careful resume (RFC 9959).
const (
	resumeShare    = 2  // of the saved window a half is tried
	resumeMinRTT   = 2  // a round trip below half of the saved one is another path …
	resumeMaxRTT   = 10 // … and so is one above ten times
	resumeWorthIts = 4  // initial windows: less than that slow start reaches as fast
)

// resumePhase is where careful resume stands. The observing phase of RFC 9959 is carried; the normal one is Path.resume = nil.
type resumePhase uint8

const (
	reconnaissance resumePhase = iota // is it the same path? An initial window must arrive first
	unvalidated                       // for a round trip the jump is in flight, and nobody knows yet whether it arrives
	validating                        // its acknowledgments are coming in
	retreating                        // it did not all arrive: half of what did, until the last of it is accounted for
)

// resume lets a connection begin with the window of an earlier one over the same path, carefully: it takes half of it, paced over a round
// trip, and retreats below what a slow start would have if anything is lost. While it is at work its window replaces the controller's.
type resume struct {
	phase   resumePhase
	saved   hook.SavedPath
	initial int          // bytes: the initial window
	acked   int          // in reconnaissance
	window  int          // in the later phases
	pipe    int          // PipeSize: bytes that are known to fit the path
	entered hook.Instant // the unvalidated phase; what left after it is unvalidated
	last    hook.Instant // when the last unvalidated packet left
}

// Resume offers what an earlier connection to the same peer knew of the path; call it before anything is acknowledged. It does nothing if
// the controller cannot resume, or if slow start is as fast.
func (p *Path) Resume(saved hook.SavedPath) {
	initial := p.cc.Window()
	if _, ok := p.cc.(hook.Resumer); !ok || saved.RTT <= 0 || saved.Window < resumeWorthIts*initial {
		return
	}
	p.resume = &resume{saved: saved, initial: initial}
	p.unproved = saved
}

// Saved returns what a later connection to the same peer may resume, false if nothing is worth it. It is what was measured here, else what was
// offered to Resume and not disproved.
func (p *Path) Saved() (hook.SavedPath, bool) {
	if w := p.carried.window(); p.RTT.HasSample() && w >= resumeWorthIts*initialWindow(p.MTU.Current()) {
		return hook.SavedPath{RTT: p.RTT.Min(), Window: w}, true
	}
	return p.unproved, p.unproved.Window > 0
}

// limit is the window for a controller that has one of size bytes.
func (r *resume) limit(size int) int {
	if r.phase == reconnaissance {
		return size
	}
	return r.window
}

// rate is the pacing rate for a controller that wants this one. RFC 9959: the unvalidated packets MUST be paced over the present round trip.
func (r *resume) rate(rate uint64, srtt time.Duration) uint64 {
	if r.phase == reconnaissance {
		return rate
	}
	return max(1, uint64(float64(r.window)/srtt.Seconds()))
}

// sent notes a packet.
func (r *resume) sent(now hook.Instant) {
	if r.phase == unvalidated {
		r.last = now
	}
}

// onCongestion answers loss and marks.
func (r *resume) onCongestion(p *Path) {
	p.unproved = hook.SavedPath{} // nobody else shall try
	if r.phase == reconnaissance || p.tally.persistent {
		p.resume = nil // the controller's own answer is enough
		return
	}
	if r.phase == retreating {
		return
	}
	// RFC 9959, safe retreat: the window MUST fall to at most half of what is known to have arrived.
	r.phase = retreating
	r.window = max(r.pipe/2, r.initial)
}

// onAck takes one acknowledgment; the tally says what it brought.
func (r *resume) onAck(now hook.Instant, p *Path) {
	t := &p.tally
	switch r.phase {
	case reconnaissance:
		r.acked += t.acked
		r.reconnoitre(now, p)
		return
	case unvalidated:
		r.pipe += t.acked
		if t.newestAcked > r.entered || now.Sub(r.entered) > p.RTT.Smoothed() {
			r.validate(now, p)
		}
		return
	}
	r.pipe += t.acked
	if r.phase == validating && !p.ackEvent.AppLimited {
		r.window += t.acked // slow start, clocked by what arrives
	}
	if t.newestAcked < r.last {
		return
	}
	threshold := 0
	if r.phase == retreating {
		threshold = r.pipe
	}
	r.finish(now, p, threshold)
}

// reconnoitre asks whether it is the same path, and jumps.
func (r *resume) reconnoitre(now hook.Instant, p *Path) {
	jump := r.saved.Window / resumeShare
	if rtt := p.RTT.Min(); p.RTT.HasSample() && (rtt < r.saved.RTT/resumeMinRTT || rtt > r.saved.RTT*resumeMaxRTT) {
		p.resume, p.unproved = nil, hook.SavedPath{}
		return
	}
	if p.cc.Window() >= jump {
		p.resume = nil
		return
	}
	// RFC 9959: not before the initial window was acknowledged, and only by a sender that the window holds back.
	if r.acked < r.initial || !p.RTT.HasSample() || p.ackEvent.AppLimited {
		return
	}
	r.phase, r.entered, r.last = unvalidated, now, now
	r.pipe, r.window = p.inFlight, jump
}

// validate ends the unvalidated phase: nothing more is sent than is acknowledged from now on.
func (r *resume) validate(now hook.Instant, p *Path) {
	if p.inFlight <= r.pipe {
		r.window = r.pipe // the application had less to send than was tried
		r.finish(now, p, 0)
		return
	}
	r.phase, r.window = validating, max(r.pipe, p.inFlight)
}

// finish gives the window back to the controller.
func (r *resume) finish(now hook.Instant, p *Path, threshold int) {
	p.resume = nil
	p.cc.(hook.Resumer).Resume(now, r.window, threshold)
}

// carried is how much a path carries in a round trip: what one delivered, or seven eighths of what was known before.
type carried struct {
	round uint64
	begin uint64 // bytes delivered when the round began
	bytes int
}

func (c *carried) onAck(round, delivered uint64) {
	if round != c.round {
		c.bytes = max(int(delivered-c.begin), c.bytes*7/8)
		c.round, c.begin = round, delivered
	}
}

// window returns the bytes of a round trip.
func (c *carried) window() int { return c.bytes }
