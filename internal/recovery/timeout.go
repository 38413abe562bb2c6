package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// maxBackoff bounds the period between probe timeouts.
//
// DEVIATES RFC 9002 §6.2.1: the period doubles until it reaches a minute, not for ever; TCP allows the same (RFC 6298 §2.5).
const maxBackoff = time.Minute

// probesPerTimeout is how many packets a probe timeout sends. RFC 9002 §6.2.4: MAY send up to two datagrams.
const probesPerTimeout = 2

// Probe asks the core to send Count ack-eliciting packets in Space, whatever the budget says, with new data or content sent before,
// or else a PING. Count 0 asks for nothing.
type Probe struct {
	Space SpaceID
	Count int
	Lost  int // packets declared lost by time, when the loss timer fired instead
}

// PTO returns the probe timeout of a space without back-off, on the current path.
func (d *Detector) PTO(space SpaceID) time.Duration {
	pto := d.path.RTT.pto()
	if space == AppData {
		// RFC 9002 §6.2.1: max_ack_delay counts in the Application Data space only.
		pto += d.cfg.MaxAckDelay
	}
	return pto
}

// PathPTO returns the probe timeout of the application's packets on any path, without back-off.
func (d *Detector) PathPTO(p *Path) time.Duration { return p.RTT.pto() + d.cfg.MaxAckDelay }

// PTOCount returns how many probe timeouts fired since the last acknowledgment.
func (d *Detector) PTOCount() int { return d.ptoCount }

// backoff doubles a period once for each timeout in a row.
func (d *Detector) backoff(pto time.Duration) time.Duration {
	limit := max(pto, maxBackoff)
	for i := 0; i < d.ptoCount && pto < limit; i++ {
		pto *= 2
	}
	return min(pto, limit)
}

// Deadline returns when OnTimeout must be called, 0 if nothing is waited for. It may lie in the past: then call it at once.
func (d *Detector) Deadline() hook.Instant {
	if at, _ := d.lossDeadline(); at != 0 {
		return at
	}
	at, _ := d.ptoDeadline()
	return at
}

// lossDeadline returns when the next packet is lost by time.
func (d *Detector) lossDeadline() (at hook.Instant, space SpaceID) {
	for i, s := range d.spaces {
		if s != nil && s.lossTime != 0 && (at == 0 || s.lossTime < at) {
			at, space = s.lossTime, SpaceID(i)
		}
	}
	return at, space
}

// ptoDeadline returns when the probe timeout fires and for which space (RFC 9002 §6.2, appendix A.8).
func (d *Detector) ptoDeadline() (at hook.Instant, space SpaceID) {
	// RFC 9002 §6.2.2.1: a server that may not send anything MUST NOT arm the timer.
	if d.blocked || d.lastEvent == 0 {
		return 0, 0
	}
	for i, s := range d.spaces {
		id := SpaceID(i)
		// RFC 9002 §6.2.1: MUST NOT set the timer for Application Data until the handshake is confirmed.
		if s == nil || s.eliciting == 0 || id == AppData && !d.confirmed {
			continue
		}
		t := s.lastEliciting.Add(d.backoff(d.PTO(id)))
		if at == 0 || t < at {
			at, space = t, id
		}
	}
	if at == 0 && !d.validated {
		return d.unlockDeadline()
	}
	return at, space
}

// unlockDeadline returns when a client with nothing in flight must send anyway.
// RFC 9002 §6.2.2.1: since the server could be blocked until it receives more from the client, the client arms the timer until it knows
// that the server validated its address; a Handshake packet if it has the keys, else an Initial.
func (d *Detector) unlockDeadline() (at hook.Instant, space SpaceID) {
	space = Initial
	if d.handshakeKeys {
		space = Handshake
	}
	return d.lastEvent.Add(d.backoff(d.PTO(space))), space
}

// OnTimeout does what is due at now: it declares packets lost by time, or else asks for probes. Called too early it does nothing.
func (d *Detector) OnTimeout(now hook.Instant, fates Fates) Probe {
	if at, _ := d.lossDeadline(); at != 0 {
		return Probe{Lost: d.onLossTime(now, fates)}
	}
	at, space := d.ptoDeadline()
	if at == 0 || now < at {
		return Probe{}
	}
	d.ptoCount++
	d.lastEvent = now
	if s := d.spaces[space]; s != nil {
		s.lastEliciting = now // if the core cannot send, the next timeout waits all the same
	}
	d.path.resize(d.path.MTU.onTimeout(d.ptoCount))
	// RFC 9002 §6.2.4: a probe timeout sends, it never marks packets as lost.
	if !d.ElicitingInFlight(space) {
		return Probe{Space: space, Count: 1}
	}
	return Probe{Space: space, Count: probesPerTimeout}
}

// onLossTime declares lost what is due.
func (d *Detector) onLossTime(now hook.Instant, fates Fates) (n int) {
	d.begin()
	for i, s := range d.spaces {
		if s != nil && s.lossTime != 0 && s.lossTime <= now {
			lost, _ := d.detectLost(now, s, SpaceID(i), fates)
			n += lost
		}
	}
	d.conclude(now)
	return n
}

// SetHandshakeConfirmed tells that the handshake is confirmed (RFC 9001 §4.1.2).
func (d *Detector) SetHandshakeConfirmed() { d.confirmed, d.validated = true, true }

// SetHasHandshakeKeys tells that Handshake packets can be sent.
func (d *Detector) SetHasHandshakeKeys() { d.handshakeKeys = true }

// SetPeerAddressValidated tells a client whether the server is known to have validated its address. An acknowledgment in the Handshake space
// and the confirmation of the handshake prove it by themselves.
func (d *Detector) SetPeerAddressValidated(v bool) { d.validated = v || !d.cfg.Client }

// SetAmplificationBlocked tells a server whether the anti-amplification limit keeps it from sending anything. When it no longer does,
// the deadline may be in the past.
func (d *Detector) SetAmplificationBlocked(v bool) { d.blocked = v }

// Discard forgets a space whose keys were discarded. Its packets leave flight without any sign of congestion. If fates is not nil it learns of
// them as lost, so that content can be released or sent in another space.
func (d *Detector) Discard(id SpaceID, fates Fates) {
	s := d.spaces[id]
	if s == nil {
		return
	}
	d.abandon(s, id, fates)
	// RFC 9002 §6.2.2: when Initial or Handshake keys are discarded, the PTO count MUST be reset along with the timer.
	d.ptoCount = 0
	d.discarded.Add(s.ecn)
	d.spaces[id] = nil
}

// OnRetry tells a client that a Retry came: what it sent is to be sent again with the token, in packets numbered on from here
// (RFC 9000 §17.2.5.3). fates learns of it as lost.
func (d *Detector) OnRetry(fates Fates) {
	d.restart(Initial, fates)
	d.restart(AppData, fates) // 0-RTT packets, which the server did not read either
	// RFC 9002 §6.3: a client that receives Retry resets congestion control and loss recovery state, pending timers included.
	d.ptoCount = 0
}

// OnEarlyRejected tells a client that the server did not take its 0-RTT packets. fates learns of them as lost.
func (d *Detector) OnEarlyRejected(fates Fates) { d.restart(AppData, fates) }

// restart forgets the packets of a space, whose numbers go on.
func (d *Detector) restart(id SpaceID, fates Fates) {
	s := d.spaces[id]
	d.abandon(s, id, fates)
	s.lastEliciting, s.lossTime = 0, 0
}

// abandon takes the outstanding packets of a space out of flight.
// RFC 9002 §6.4: they no longer count as in flight, and are never declared lost.
func (d *Detector) abandon(s *space, id SpaceID, fates Fates) {
	for pn := s.sent.base; pn < s.sent.next; pn++ {
		e := s.sent.at(pn)
		if e.Flags&outstanding == 0 {
			continue
		}
		e.Flags = e.Flags&^stateMask | lost
		if path := d.PathByID(e.Path); path != nil && e.Flags&InFlight != 0 {
			path.inFlight -= int(e.Size)
		}
		if fates != nil {
			fates.PacketLost(id, pn, e)
		}
	}
	s.sent.base = s.sent.next
	s.eliciting = 0
}
