package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// minAckDelay is the least delay of acknowledgments that we announce to
	// keep: the granularity that timers have.
	minAckDelay = time.Millisecond
	// maxRequestedDelay bounds the delay that a peer may ask for, as RFC 9000
	// §18.2 bounds max_ack_delay; exclusive.
	maxRequestedDelay = 1 << 14 * time.Millisecond
	// maxAckThreshold is the most packets that wait for an acknowledgment,
	// whatever the peer asks. limit: draft-ietf-quic-ack-frequency §4 lets a
	// receiver acknowledge earlier.
	maxAckThreshold = 1 << 12
)

// ackFrequency is what both sides ask of each other's acknowledgments
// (draft-ietf-quic-ack-frequency).
type ackFrequency struct {
	heard    uint64 // the newest sequence number of the peer's requests, plus one
	next     uint64 // the sequence number of our next request
	asked    hook.AckRequest
	inFlight bool            // asked is not known to have arrived
	delay    time.Duration   // the max_ack_delay that the peer is known to keep
	state    *hook.SendState // kept, so that asking a policy allocates nothing; nil at rest
}

// handleAckFrequency takes the peer's request of when to acknowledge
// (draft-ietf-quic-ack-frequency §4).
func (c *Conn) handleAckFrequency(f *wire.Frame) error {
	// The bound on µs is checked first, so that the product below holds.
	if f.MaxDelay >= uint64(maxRequestedDelay/time.Microsecond) || f.MaxDelay < uint64(minAckDelay/time.Microsecond) {
		return violation(ProtocolViolation, f.Type, "requested max_ack_delay is %d µs, want %v to below %v", f.MaxDelay, minAckDelay, maxRequestedDelay)
	}
	// draft-ietf-quic-ack-frequency §4: a frame that is not newer than the newest is ignored.
	if q := &c.ackFreq; f.Sequence >= q.heard {
		q.heard = f.Sequence + 1
		// "more than this number of ack-eliciting packets"
		threshold := int(min(f.Threshold, maxAckThreshold-1)) + 1
		c.spaces[recovery.AppData].recv.SetFrequency(threshold, time.Duration(f.MaxDelay)*time.Microsecond, f.Reordering)
	}
	return nil
}

// tuneAcks decides, after an acknowledgment, whether to ask the peer for more
// or fewer of them. One request is under way at a time.
func (c *Conn) tuneAcks() {
	q := &c.ackFreq
	if c.peer.MinAckDelay < 0 || !c.confirmed || q.inFlight {
		return
	}
	p := c.path.rec
	if q.state == nil {
		q.state = new(hook.SendState)
	}
	*q.state = hook.SendState{
		Window: p.Window(), DatagramSize: p.MTU.Current(), RTT: p.RTT.Snapshot(), Reordering: recovery.PacketThreshold,
		MinDelay: c.peer.MinAckDelay, MaxDelay: c.peer.MaxAckDelay, Last: q.asked,
	}
	want := c.wantAcks(q.state)
	if want == q.asked {
		return
	}
	want.Threshold = min(max(want.Threshold, 1), maxAckThreshold)
	want.Reordering = min(max(want.Reordering, 0), maxAckThreshold)
	// draft-ietf-quic-ack-frequency §4: less than the peer can is invalid.
	want.MaxDelay = min(max(want.MaxDelay, c.peer.MinAckDelay), maxRequestedDelay-time.Millisecond).Truncate(time.Microsecond)
	q.asked, q.inFlight = want, true
	c.control |= ctlAckFrequency
}

// wantAcks asks whoever decides what to ask of the peer: an extension, or the
// configured policy, or the built-in one.
func (c *Conn) wantAcks(s *hook.SendState) hook.AckRequest {
	if c.ext != nil {
		if want, ok := c.ext.requestAcks(s); ok {
			return want
		}
	}
	if c.cfg.AckPolicy == nil {
		return recovery.DefaultAckPolicy.RequestAcks(s)
	}
	if policy, ok := c.cfg.AckPolicy.(hook.AckRequester); ok {
		return policy.RequestAcks(s)
	}
	return s.Last
}

// appendAckFrequency appends the request.
func (c *Conn) appendAckFrequency(p *packet, buf []byte) {
	q := &c.ackFreq
	f := wire.Frame{Type: wire.FrameAckFrequency, Sequence: q.next, Threshold: uint64(q.asked.Threshold - 1),
		MaxDelay: uint64(q.asked.MaxDelay / time.Microsecond), Reordering: uint64(q.asked.Reordering)}
	if !c.put(p, buf, &f) {
		return
	}
	c.control &^= ctlAckFrequency
	c.record(p, sentFrame{kind: sentAckFrequency, id: q.next})
	q.next++
	// draft-ietf-quic-ack-frequency §7: until the request is acknowledged the
	// greater of both delays counts.
	c.det.SetMaxAckDelay(max(q.delay, q.asked.MaxDelay))
}

// ackedAckFrequency learns that the peer knows what we asked last: requests
// under way all ask the same.
func (c *Conn) ackedAckFrequency() {
	if q := &c.ackFreq; q.inFlight {
		q.inFlight, q.delay = false, q.asked.MaxDelay
		c.control &^= ctlAckFrequency
		c.det.SetMaxAckDelay(q.delay)
	}
}

// appendProbe makes a packet that a probe timeout wants ack-eliciting, and asks
// for an acknowledgment at once if the peer knows how to be asked
// (draft-ietf-quic-ack-frequency §5).
func (c *Conn) appendProbe(p *packet, buf []byte) {
	if p.id == recovery.AppData && c.confirmed && c.peer.MinAckDelay >= 0 {
		c.put(p, buf, &wire.Frame{Type: wire.FrameImmediateAck})
	}
	// RFC 9002 §6.2.4: a probe is ack-eliciting, if need be by a PING. That of a
	// client must also move the connection if the network has moved the client,
	// which new connection IDs alone do not (RFC 9000 §9.1).
	if p.ackOnly || c.client && p.id == recovery.AppData && !p.early {
		c.put(p, buf, &wire.Frame{Type: wire.FramePing})
	}
}
