package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// ackChain asks the extensions in turn when to acknowledge, and at last the
// connection's own policy.
type ackChain struct{ x *extensions }

// AckAt implements hook.AckPolicy.
func (k ackChain) AckAt(s *hook.AckState) hook.Instant {
	x := k.x
	for _, h := range x.table.ackPolicy {
		if !h.enter() {
			continue
		}
		x.seen.ack = *s
		at := h.to.AckAt(&x.seen.ack)
		h.leave()
		if at != hook.DeferAck && !h.gone {
			return at
		}
	}
	if own := x.conn.cfg.AckPolicy; own != nil {
		return own.AckAt(s)
	}
	return hook.DeferAck
}

// applyAckPolicy puts the chain in the place of the connection's own policy, or
// takes it out.
func (x *extensions) applyAckPolicy() {
	s := &x.conn.spaces[recovery.AppData]
	switch {
	case s.traffic == nil:
	case len(x.table.ackPolicy) > 0:
		s.recv.SetPolicy(ackChain{x})
	default:
		s.recv.SetPolicy(x.conn.cfg.AckPolicy)
	}
}

// requestAcks asks the owner of acknowledgment requests. It reports false if
// there is none, or it failed: then the connection's own policy is asked.
func (x *extensions) requestAcks(s *hook.SendState) (want hook.AckRequest, ok bool) {
	for _, h := range x.table.ackRequest {
		if h.enter() {
			x.seen.request = *s
			want = h.to.RequestAcks(&x.seen.request)
			h.leave()
			return want, !h.gone
		}
	}
	return want, false
}
