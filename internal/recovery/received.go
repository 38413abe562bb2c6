package recovery

import (
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	// MaxAckRanges is how many ranges of received numbers are remembered and reported; the oldest are forgotten first
	// (RFC 9000 §13.2.3). limit: numbers with gaps between them.
	MaxAckRanges = 32
	// seenWindow is how many numbers, counted down from the largest, are told apart from duplicates; older ones all count as duplicates
	// (RFC 9000 §12.3).
	seenWindow = 1024

	defaultMaxAckDelay = 25 * time.Millisecond // RFC 9000 §18.2
	ackThreshold       = 2                     // RFC 9000 §13.2.2: an ACK for at least every second ack-eliciting packet
)

// PacketThreshold is after how many later packets one counts as lost.
const PacketThreshold = packetThreshold

// ECN codepoints as they stand in the IP header.
const (
	NotECT uint8 = iota
	ECT1
	ECT0
	CE
)

// Received remembers which packets of one space arrived, and when an acknowledgment is due. Its memory is fixed: a bitmap and at most
// MaxAckRanges ranges, whatever the peer sends.
type Received struct {
	any      bool   // a packet has arrived
	largest  uint64 // valid if any
	at       hook.Instant
	seen     [seenWindow / 64]uint64 // bit pn%seenWindow, for numbers in (largest-seenWindow, largest]
	ranges   []Range                 // ascending, disjoint, not adjacent; limit: MaxAckRanges
	counts   ECNCounts
	policy   hook.AckPolicy
	atOnce   bool // Initial and Handshake
	maxDelay time.Duration

	// What the peer asked for (draft-ietf-quic-ack-frequency), or RFC 9000 §13.2.
	threshold  int
	reordering uint64
	asked      bool
	reported   uint64 // largest number in the last ACK frame sent, plus one
	lastCE     bool   // the packet before this one was marked
	immediate  bool   // this packet asks for an acknowledgment at once

	pending   hook.AckState // what is owed since the last ACK frame
	due       hook.Instant  // when the ACK must leave; 0 = nothing owed
	eliciting uint64        // largest ack-eliciting number, valid if elicited
	elicited  bool
}

// Init prepares r for a space. maxDelay is the max_ack_delay we told the peer, 0 meaning 25 ms. policy replaces the built-in one; nil keeps
// it. Only the AppData space waits or asks a policy.
func (r *Received) Init(space SpaceID, maxDelay time.Duration, policy hook.AckPolicy) {
	if maxDelay <= 0 {
		maxDelay = defaultMaxAckDelay
	}
	if policy == nil {
		policy = defaultAckPolicy{}
	}
	// RFC 9000 §13.2.1: MUST acknowledge all ack-eliciting Initial and Handshake packets immediately.
	*r = Received{policy: policy, maxDelay: maxDelay, atOnce: space != AppData, threshold: ackThreshold, reordering: 1}
}

// SetFrequency obeys a peer's request (draft-ietf-quic-ack-frequency §4): threshold packets are acknowledged at once, one after maxDelay at
// the latest, and reordering by as many numbers at once, 0 meaning never.
func (r *Received) SetFrequency(threshold int, maxDelay time.Duration, reordering uint64) {
	r.asked, r.threshold, r.maxDelay, r.reordering = true, threshold, maxDelay, reordering
	if r.pending.Eliciting > 0 {
		r.pending.Threshold, r.pending.MaxDelay = threshold, maxDelay
		r.due = r.pending.Oldest.Add(maxDelay)
	}
}

// AckAtOnce makes the packet that is Added next one that is acknowledged at once (draft-ietf-quic-ack-frequency §5).
func (r *Received) AckAtOnce() { r.immediate = true }

// SetPolicy replaces the acknowledgment policy from now on; nil restores the built-in one.
func (r *Received) SetPolicy(policy hook.AckPolicy) {
	if policy == nil {
		policy = defaultAckPolicy{}
	}
	r.policy = policy
}

// Trim gives memory back that present ranges do not need.
func (r *Received) Trim() {
	if cap(r.ranges) > 2*len(r.ranges) {
		r.ranges = slices.Clone(r.ranges)
	}
}

// Duplicate reports whether pn has arrived before, or is so old that this is no longer known.
// RFC 9000 §12.3: a receiver MUST discard a packet unless it is certain that it has not processed that number.
func (r *Received) Duplicate(pn uint64) bool {
	if !r.any || pn > r.largest {
		return false
	}
	if r.largest-pn >= seenWindow {
		return true
	}
	return r.seen[pn%seenWindow/64]&(1<<(pn%64)) != 0
}

// Add records a packet that was authenticated and is not a Duplicate. ecn is its codepoint.
func (r *Received) Add(now hook.Instant, pn uint64, ackEliciting bool, ecn uint8) {
	gap := pn > r.next()
	r.remember(now, pn)
	r.insert(pn)
	switch ecn {
	case ECT0:
		r.counts.ECT0++
	case ECT1:
		r.counts.ECT1++
	case CE:
		r.counts.CE++
	}
	// RFC 9000 §13.2.1: packets that are not ack-eliciting never cause an acknowledgment on their own.
	if ackEliciting {
		r.owe(now, pn, gap, ecn == CE)
	}
	r.lastCE, r.immediate = ecn == CE, false
}

// next returns the number that arrives next when nothing is lost.
func (r *Received) next() uint64 {
	if !r.any {
		return 0
	}
	return r.largest + 1
}

// remember marks pn in the bitmap, moving the window up to it.
func (r *Received) remember(now hook.Instant, pn uint64) {
	if !r.any || pn > r.largest {
		r.slide(pn)
		r.any, r.largest, r.at = true, pn, now
	}
	r.seen[pn%seenWindow/64] |= 1 << (pn % 64)
}

// slide clears the bits of the numbers that enter the window when its top moves to pn.
func (r *Received) slide(pn uint64) {
	if !r.any || pn-r.largest >= seenWindow {
		clear(r.seen[:])
		return
	}
	for n := r.largest + 1; n <= pn; n++ {
		if n%64 == 0 && n+63 <= pn {
			r.seen[n%seenWindow/64] = 0
			n += 63
			continue
		}
		r.seen[n%seenWindow/64] &^= 1 << (n % 64)
	}
}

// insert adds pn to the ranges; in the common case it only extends the last one.
func (r *Received) insert(pn uint64) {
	n := len(r.ranges)
	if n > 0 && r.ranges[n-1].Largest+1 == pn {
		r.ranges[n-1].Largest = pn
		return
	}
	i := n // the first range above pn
	for i > 0 && r.ranges[i-1].Smallest > pn {
		i--
	}
	below := i > 0 && r.ranges[i-1].Largest+1 == pn
	above := i < n && pn+1 == r.ranges[i].Smallest
	switch {
	case i > 0 && r.ranges[i-1].Contains(pn):
	case below && above:
		r.ranges[i-1].Largest = r.ranges[i].Largest
		r.ranges = append(r.ranges[:i], r.ranges[i+1:]...)
	case below:
		r.ranges[i-1].Largest = pn
	case above:
		r.ranges[i].Smallest = pn
	default:
		r.open(i, pn)
	}
}

// open inserts a new range at index i, forgetting the oldest one when the table is full.
// RFC 9000 §13.2.3: the range with the largest number is always kept.
func (r *Received) open(i int, pn uint64) {
	if len(r.ranges) == MaxAckRanges {
		if i == 0 {
			return // older than all we report
		}
		copy(r.ranges, r.ranges[1:i])
		r.ranges[i-1] = Range{Smallest: pn, Largest: pn}
		return
	}
	r.ranges = append(r.ranges, Range{})
	copy(r.ranges[i+1:], r.ranges[i:])
	r.ranges[i] = Range{Smallest: pn, Largest: pn}
}

// owe notes that the peer waits for an acknowledgment of pn.
func (r *Received) owe(now hook.Instant, pn uint64, gap, ce bool) {
	if r.pending.Eliciting == 0 {
		r.pending = hook.AckState{Oldest: now, Threshold: r.threshold, MaxDelay: r.maxDelay}
		r.due = now.Add(r.maxDelay)
	}
	r.pending.Eliciting++
	below := r.elicited && pn < r.eliciting
	if !below {
		r.elicited, r.eliciting = true, pn
	}
	switch r.reordering {
	case 0: // draft-ietf-quic-ack-frequency §6.2: reordering is no reason
	case 1:
		// RFC 9000 §13.2.1: at once when it comes after a larger ack-eliciting number, or leaves numbers missing before it.
		r.pending.Reordered = r.pending.Reordered || gap || below
	default:
		r.pending.Reordered = r.pending.Reordered || r.missingFor(r.reordering)
	}
	// RFC 9000 §13.2.1: packets marked with ECN-CE SHOULD be acknowledged immediately; draft-ietf-quic-ack-frequency §6.3: of a run of
	// them, the first.
	if ce && !(r.asked && r.lastCE) {
		r.pending.CE = true
	}
	if r.atOnce || r.immediate {
		r.due = now
	}
}

// missingFor reports whether the smallest missing number that the last ACK frame did not already show to be missing for n numbers is now.
// Then the peer takes that packet for lost as soon as it hears of it (draft-ietf-quic-ack-frequency §6.2).
func (r *Received) missingFor(n uint64) bool {
	told := uint64(0)
	if r.reported > n {
		told = r.reported - n
	}
	for i := 1; i < len(r.ranges); i++ {
		if missing := max(r.ranges[i-1].Largest+1, told); missing < r.ranges[i].Smallest {
			return r.eliciting >= missing && r.eliciting-missing >= n
		}
	}
	return false
}

// WantAck reports whether an ACK frame must leave now. Call it once a whole train of datagrams was fed, and when AckDeadline has passed:
// that makes one acknowledgment a train.
func (r *Received) WantAck(now hook.Instant) bool {
	if r.pending.Eliciting == 0 {
		return false
	}
	if now >= r.due {
		return true
	}
	r.pending.Now = now
	// RFC 9000 §13.2.1: never later than the max_ack_delay we promised, whatever a policy says.
	at := r.policy.AckAt(&r.pending)
	if at == hook.DeferAck {
		at = DefaultAckPolicy.AckAt(&r.pending)
	}
	r.due = max(now, min(at, r.pending.Oldest.Add(r.maxDelay)))
	return now >= r.due
}

// AckDeadline returns when WantAck will become true by itself, 0 if nothing is owed.
func (r *Received) AckDeadline() hook.Instant { return r.due }

// Pending reports whether the peer waits for an acknowledgment, so that a packet that leaves for another reason should carry it.
func (r *Received) Pending() bool { return r.pending.Eliciting > 0 }

// HasAck reports whether there is anything to acknowledge.
func (r *Received) HasAck() bool { return len(r.ranges) > 0 }

// Largest returns the largest number received.
func (r *Received) Largest() (pn uint64, ok bool) { return r.largest, r.any }

// LargestTime returns when the largest number was received; the ACK frame's delay counts from then.
func (r *Received) LargestTime() hook.Instant { return r.at }

// Ranges appends the ranges to report to dst, the highest first, and returns the extended slice.
func (r *Received) Ranges(dst []Range) []Range {
	for i := len(r.ranges) - 1; i >= 0; i-- {
		dst = append(dst, r.ranges[i])
	}
	return dst
}

// ECN returns how many packets arrived with each mark (RFC 9000 §13.4.1).
func (r *Received) ECN() ECNCounts { return r.counts }

// AckSent tells that an ACK frame with Ranges left.
func (r *Received) AckSent(now hook.Instant) {
	r.pending.Eliciting = 0
	r.due = 0
	if r.any {
		r.reported = r.largest + 1
	}
}

// PruneBelow stops reporting the ranges that lie wholly below pn: the peer acknowledged an ACK frame whose largest number was pn-1 or
// more (RFC 9000 §13.2.4). The range that holds the largest number is kept. Duplicates stay known.
func (r *Received) PruneBelow(pn uint64) {
	i := 0
	for i < len(r.ranges)-1 && r.ranges[i].Largest < pn {
		i++
	}
	if i > 0 {
		r.ranges = append(r.ranges[:0], r.ranges[i:]...)
	}
}

// What the built-in policy asks of a peer.
const (
	acksPerTrip  = 16                   // acknowledgments in a round trip: enough for slow start to judge by (RFC 9406 §4.2: 8 samples), and for the pacer
	maxAsk       = 64                   // packets that wait: a train
	delaysInTrip = 4                    // the last packets of a flight wait a quarter of a round trip
	minAskDelay  = 5 * time.Millisecond // below that it is the peer's scheduler that decides
)

// DefaultAckPolicy is the built-in policy.
var DefaultAckPolicy defaultAckPolicy

// defaultAckPolicy acknowledges at once what is out of order or marked, and every second packet, or what the peer asked for; counted at
// the end of a train, this is one acknowledgment a train. It asks a peer for some sixteen acknowledgments in a round trip, instead of one
// for every second packet, as soon as that makes a difference: with windows of 64 packets and more.
type defaultAckPolicy struct{}

var (
	_ hook.AckPolicy    = defaultAckPolicy{}
	_ hook.AckRequester = defaultAckPolicy{}
)

func (defaultAckPolicy) AckAt(s *hook.AckState) hook.Instant {
	if s.Reordered || s.CE || s.Eliciting >= s.Threshold {
		return s.Now
	}
	return s.Oldest.Add(s.MaxDelay)
}

func (defaultAckPolicy) RequestAcks(s *hook.SendState) hook.AckRequest {
	threshold := min(max(s.Window/max(s.DatagramSize, 1)/acksPerTrip, ackThreshold), maxAsk)
	// A request for little change is not worth its bytes.
	if last := s.Last.Threshold; !s.RTT.HasSample || threshold < 2*last && 2*threshold > last {
		return s.Last
	}
	delay := min(max(s.RTT.Smoothed/delaysInTrip, minAskDelay), s.MaxDelay)
	return hook.AckRequest{Threshold: threshold, MaxDelay: max(delay, s.MinDelay), Reordering: s.Reordering}
}
