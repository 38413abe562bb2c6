package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	ecnTestPackets = 10 // RFC 9000 §A.4: packets marked before the path has to prove itself
	ecnTestPTOs    = 3  // RFC 9000 §A.4: … or this many probe timeouts of marking
)

// ecnState is where a path stands in RFC 9000 §A.4.
type ecnState uint8

const (
	ecnTesting ecnState = iota // marking the first packets
	ecnUnknown                 // marked enough, waiting for their acknowledgment, not marking
	ecnCapable
	ecnFailed
)

// ECN validates that a path carries ECN marks and that the peer reports them (RFC 9000 §13.4.2), and decides whether packets are marked.
type ECN struct {
	state    ecnState
	l4s      bool         // packets are marked ECT(1), for low latency queues (RFC 9331 §4.1), instead of ECT(0)
	sent     uint64       // marked packets sent
	good     uint64       // of them acknowledged by a valid report
	lost     uint64       // of them lost
	deadline hook.Instant // end of testing, set by the first marked packet
	ceEpoch  hook.Instant // marks on packets sent until then belong to the last reaction
}

// Mark returns the ECN codepoint for the IP header of packets on this path: that of the path, or NotECT. Packets that are marked carry the
// ECT flag.
func (e *ECN) Mark() uint8 {
	switch {
	case e.state != ecnTesting && e.state != ecnCapable:
		return NotECT
	case e.l4s:
		return ECT1
	}
	return ECT0
}

// ours returns counts with those of our own codepoint in ECT0 and those of the other, which we never send, in ECT1.
func (e *ECN) ours(c ECNCounts) ECNCounts {
	if e.l4s {
		c.ECT0, c.ECT1 = c.ECT1, c.ECT0
	}
	return c
}

// Capable reports whether the path proved that it carries marks.
func (e *ECN) Capable() bool { return e.state == ecnCapable }

// Failed reports whether marking is off for good on this path.
func (e *ECN) Failed() bool { return e.state == ecnFailed }

// State names where the path stands in RFC 9000 §A.4; off means that it was never tried.
func (e *ECN) State() string {
	if e.state == ecnFailed && e.sent == 0 {
		return "off"
	}
	return [...]string{"testing", "unknown", "capable", "failed"}[e.state]
}

// ReportedECN returns the counts of marks that the peer reported last, of all spaces.
func (d *Detector) ReportedECN() (n ECNCounts) {
	n = d.discarded
	for _, s := range d.spaces {
		if s != nil {
			n.Add(s.ecn)
		}
	}
	return n
}

// disable turns marking off.
func (e *ECN) disable() { e.state = ecnFailed }

// onSent counts a marked packet; pto is the present probe timeout.
func (e *ECN) onSent(now hook.Instant, pto time.Duration) {
	e.sent++
	if e.state != ecnTesting {
		return
	}
	if e.deadline == 0 {
		e.deadline = now.Add(ecnTestPTOs * pto)
	}
	if e.sent >= ecnTestPackets || now >= e.deadline {
		e.state = ecnUnknown
	}
}

// onLost counts a marked packet that was lost.
func (e *ECN) onLost() {
	e.lost++
	if e.state != ecnUnknown || e.good+e.lost < e.sent {
		return
	}
	// RFC 9000 §A.4: when all marked packets of the test were lost, something on the path drops them.
	e.state = ecnFailed
	if e.good > 0 {
		e.state = ecnCapable
	}
}

// ecnReport is what one acknowledgment says about marks.
type ecnReport struct {
	marked   uint64     // newly acknowledged packets that left with our mark
	counts   *ECNCounts // nil: the frame had no ECN section
	previous ECNCounts  // totals of the space before this frame
	sentECT0 uint64     // packets of the space that ever left with our mark
}

// valid applies the rules of RFC 9000 §13.4.2.1.
func (e *ECN) valid(r *ecnReport) bool {
	if r.counts == nil {
		// "fails if an ACK frame newly acknowledges a packet that was sent with either ECT(0) or ECT(1) set and the counts are not present"
		return r.marked == 0
	}
	c, p := e.ours(*r.counts), e.ours(r.previous)
	if c.ECT0 < p.ECT0 || c.ECT1 < p.ECT1 || c.CE < p.CE {
		return false // counts only grow
	}
	// We never send the other codepoint: a count of it, or more marks than packets sent, means remarking or a lie.
	if c.ECT1 != 0 || c.ECT0 > r.sentECT0 || c.CE > r.sentECT0 {
		return false
	}
	// The increase of our mark and CE together covers the newly acknowledged packets sent with it.
	return (c.ECT0-p.ECT0)+(c.CE-p.CE) >= r.marked
}

// onAck judges an acknowledgment that raised the largest acknowledged number, and reports whether the controller must react to new CE marks.
// largestSent is the send time of the largest packet it newly acknowledged.
func (e *ECN) onAck(now, largestSent hook.Instant, r *ecnReport) (congested bool) {
	if e.state == ecnFailed {
		return false
	}
	if !e.valid(r) {
		e.state = ecnFailed
		return false
	}
	e.good += r.marked
	// RFC 9000 §A.4: success in the unknown state makes the path capable; testing goes on marking either way.
	if e.state == ecnUnknown && r.marked > 0 {
		e.state = ecnCapable
	}
	if r.counts == nil || r.counts.CE == r.previous.CE || largestSent <= e.ceEpoch {
		return false
	}
	// RFC 9002 §7.1, §7.3.1: an increase of the CE count is congestion, once in a round trip.
	e.ceEpoch = now
	return true
}
