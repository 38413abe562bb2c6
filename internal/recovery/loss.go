package recovery

import "github.com/seed51309289/quiver/hook"

// persistentThreshold is kPersistentCongestionThreshold (RFC 9002 §7.6.1).
const persistentThreshold = 3

// lossRun is a run of packets of one space, in order of numbers, none of which was acknowledged: what persistent congestion is made of.
type lossRun struct {
	first, last hook.Instant // send times of the first and the last lost ack-eliciting packet; 0 = none
	path        uint8
}

// extend takes a lost packet into the run.
func (r *lossRun) extend(e *Sent) {
	if r.first == 0 || r.path != e.Path {
		*r = lossRun{first: e.At, path: e.Path}
	}
	r.last = e.At
}

// detectLost declares packets lost by number and by time (RFC 9002 §6.1), and advances the ring over everything settled. The caller concludes.
func (d *Detector) detectLost(now hook.Instant, s *space, id SpaceID, fates Fates) (n int, persistent bool) {
	s.lossTime = 0
	if !s.anyAcked {
		return 0, false
	}
	run, prefix := s.run, true
	for pn := s.sent.base; pn <= s.largestAcked; pn++ {
		e := s.sent.at(pn)
		if e.Flags&outstanding != 0 && d.isLost(now, s, pn, e) {
			n++
			d.lose(now, s, id, pn, e, fates)
		}
		if e.Flags&outstanding != 0 {
			prefix = false
			continue
		}
		d.follow(&run, e)
		if n > 0 && d.isPersistent(&run) {
			persistent = true
			d.collapse(run.path)
			run = lossRun{}
		}
		if prefix {
			s.run = run
			s.sent.base = pn + 1
		}
	}
	if s.sent.span() == 0 {
		s.sent.rest()
	}
	return n, persistent
}

// isLost judges an outstanding packet below the largest acknowledged one, and arms the loss timer if time will tell.
func (d *Detector) isLost(now hook.Instant, s *space, pn uint64, e *Sent) bool {
	// RFC 9002 §6.1.1: sent packetThreshold packets before an acknowledged one.
	path := d.pathOf(e)
	if s.largestAcked-pn >= path.reorder.packetThreshold() {
		return true
	}
	// RFC 9002 §6.1.2: … or long enough before it.
	due := e.At.Add(path.reorder.lossDelay(&path.RTT))
	if due <= now {
		return true
	}
	if e.Flags&InFlight != 0 && (s.lossTime == 0 || due < s.lossTime) {
		s.lossTime = due
	}
	return false
}

// pathOf returns the path a packet left on, or the current one.
func (d *Detector) pathOf(e *Sent) *Path {
	if p := d.PathByID(e.Path); p != nil {
		return p
	}
	return d.path
}

// lose settles one packet that was lost.
func (d *Detector) lose(now hook.Instant, s *space, id SpaceID, pn uint64, e *Sent, fates Fates) {
	e.Flags = e.Flags&^stateMask | lost
	if e.Flags&AckEliciting != 0 {
		s.eliciting--
	}
	if path := d.PathByID(e.Path); path != nil {
		path.lose(pn, e)
		if e.Flags&(InFlight|MTUProbe) == InFlight {
			d.noteLost(now, s, pn, e, path)
		}
	}
	fates.PacketLost(id, pn, e)
}

// lose takes a lost packet off the path.
func (p *Path) lose(pn uint64, e *Sent) {
	size := int(e.Size)
	p.tally.touched = true
	if e.Flags&ECT != 0 {
		p.ECN.onLost()
	}
	if e.Flags&InFlight != 0 {
		p.inFlight -= size
	}
	if e.Flags&MTUProbe != 0 {
		// RFC 9000 §14.4: the loss of a probe is not a reliable sign of congestion.
		p.MTU.onProbeLost(size)
		return
	}
	if e.Flags&InFlight != 0 {
		p.tally.lose(pn, e)
	}
	p.tally.bigLost = p.tally.bigLost || size > p.MTU.base
}

// lose counts a lost packet that was in flight.
func (t *tally) lose(pn uint64, e *Sent) {
	if t.packets == 0 || pn != t.lastLost+1 {
		t.runs++
	}
	t.packets++
	t.lastLost = pn
	t.lost += int(e.Size)
	if e.At >= t.newestLost {
		t.newestLost, t.lostLoad = e.At, e.load
	}
}

// follow takes a settled packet into a run of losses.
func (d *Detector) follow(run *lossRun, e *Sent) {
	if e.Flags&acked != 0 {
		*run = lossRun{}
		return
	}
	// RFC 9002 §7.6.2: only ack-eliciting packets count, and only those sent when the path had a sample. A probe of the MTU says nothing.
	if e.Flags&(lost|AckEliciting|MTUProbe) != lost|AckEliciting {
		return
	}
	path := d.PathByID(e.Path)
	if path == nil || !path.RTT.HasSample() || e.At <= path.RTT.first || e.At <= path.collapsed {
		return
	}
	run.extend(e)
}

// isPersistent reports whether a run lasted so long that every packet of it must have met congestion.
func (d *Detector) isPersistent(run *lossRun) bool {
	if run.first == 0 {
		return false
	}
	// RFC 9002 §7.6.1: (smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay) * kPersistentCongestionThreshold, in every space.
	period := (d.paths[run.path].RTT.pto() + d.cfg.MaxAckDelay) * persistentThreshold
	return run.last.Sub(run.first) > period
}

// collapse notes persistent congestion on a path.
func (d *Detector) collapse(id uint8) {
	p := d.paths[id]
	p.tally.persistent = true
	p.collapsed = p.tally.newestLost
	p.RTT.restartMin()
}

// breakRuns ends the runs of the other spaces.
// RFC 9002 §7.6.2: packets of all spaces count when asking whether one between the two was acknowledged.
func (d *Detector) breakRuns(acked SpaceID) {
	for id, s := range d.spaces {
		if s != nil && SpaceID(id) != acked {
			s.run = lossRun{}
		}
	}
}
