package recovery

import "github.com/seed51309289/quiver/hook"

// reno is the congestion controller of RFC 9002 §7, with HyStart++.
type reno struct {
	window
	acked int // bytes acknowledged in congestion avoidance since the last step
}

var _ hook.Congestion = (*reno)(nil)
var _ hook.SlowStarter = (*reno)(nil)
var _ hook.LossUndoer = (*reno)(nil)

func newReno(mss int) *reno {
	r := new(reno)
	r.init(mss)
	return r
}

// Name returns "newreno".
func (r *reno) Name() string { return "newreno" }

// Sent has nothing to note.
func (r *reno) Sent(now hook.Instant, bytes, inFlight int) {}

// Acked raises the window.
func (r *reno) Acked(e *hook.Acked) {
	if !r.mayGrow(e) {
		return
	}
	if r.InSlowStart() {
		r.slowStart(e)
		return
	}
	// RFC 9002 §7.3.3: limit the increase to one maximum datagram size for each window acknowledged.
	r.acked += e.Bytes
	for r.acked >= r.size {
		r.acked -= r.size
		r.size += r.mss
	}
}

// UndoLoss takes the last reduction back.
func (r *reno) UndoLoss(now hook.Instant) { r.undo() }

// Lost halves the window once a round trip.
func (r *reno) Lost(e *hook.Lost) {
	if r.reduces(e) {
		r.reduce(e.Now, r.size/2) // RFC 9002 §7.3.2, kLossReductionFactor = 1/2
		r.acked = 0
	}
	if e.Persistent {
		r.collapse()
	}
}
