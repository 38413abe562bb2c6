package recovery

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Limits of a Detector.
const (
	MaxTracked = 1 << 16 // limit: packets between the oldest of unknown fate and the newest, per space
	MaxPaths   = 8       // paths a connection may have packets in flight on

	maxSkips        = 8 // newest skipped numbers per space, which every acknowledgment is checked against
	packetThreshold = 3 // RFC 9002 §6.1.1: kPacketThreshold, on a path that keeps the order
	noPath          = MaxPaths
)

// ErrUnsent is what errors.Is finds in the error of an acknowledgment of a packet that was never sent, whether its number was
// skipped on purpose or not yet reached. It means PROTOCOL_VIOLATION (RFC 9000 §13.1).
var ErrUnsent = errors.New("acknowledgment of a packet never sent")

// Config says what a Detector must know from the start.
type Config struct {
	Client      bool
	MaxAckDelay time.Duration // the peer's max_ack_delay; 0 = 25 ms until SetMaxAckDelay
	// Forget, if set, is told of a packet that was not in flight and is dropped from memory without a fate, so that its content can be
	// released: a peer need not acknowledge packets that carry nothing but ACK frames. It must not call back into the Detector.
	Forget func(p *Sent)
}

// Detector keeps the packets sent in all spaces of one connection, finds out which arrived and which are lost, and says when to probe
// (RFC 9002 §5 and §6). It drives the machines of the paths the packets left on. It is not safe for concurrent use.
//
// After every call, Deadline may have changed.
type Detector struct {
	cfg       Config
	spaces    [NumSpaces]*space // nil = discarded
	discarded ECNCounts         // as last reported in those
	paths     [MaxPaths]*Path
	path      *Path // current: new packets leave on it, and its round trip sets the timers

	ptoCount      int
	lastEvent     hook.Instant // last packet sent or acknowledged, or timeout
	confirmed     bool         // the handshake is
	handshakeKeys bool
	validated     bool // the peer has validated our address
	blocked       bool // by the anti-amplification limit
	lost          uint64
	spurious      uint64
	acked         uint64
}

// space is the sending half of a packet number space.
type space struct {
	sent          ring
	largestAcked  uint64
	anyAcked      bool
	eliciting     int          // ack-eliciting packets outstanding
	lastEliciting hook.Instant // when the last one was sent, or a probe timeout asked for one
	lossTime      hook.Instant // when the next one is lost by time; 0 = none
	ecn           ECNCounts    // as last reported by the peer
	marked        uint64       // packets sent with ECT(0)
	run           lossRun
	lost          lostLog
	skips         [maxSkips]uint64
	skipped       int // how many numbers were skipped
}

// AckResult tells what an acknowledgment changed.
type AckResult struct {
	NewlyAcked     int   // packets
	AckedEliciting bool  // one of them was ack-eliciting
	Lost           int   // packets declared lost
	RTTSampled     bool  // the estimate of Path changed
	CE             bool  // new ECN-CE marks were taken as congestion
	Persistent     bool  // persistent congestion was found
	Path           *Path // on which the newest of the packets left; nil if it is gone
}

// NewDetector returns a detector for a connection that starts on path.
func NewDetector(cfg Config, path *Path) *Detector {
	if cfg.MaxAckDelay <= 0 {
		cfg.MaxAckDelay = defaultMaxAckDelay
	}
	d := &Detector{cfg: cfg, validated: !cfg.Client}
	for i := range d.spaces {
		d.spaces[i] = new(space)
	}
	d.SetPath(path)
	return d
}

// Path returns the current path.
func (d *Detector) Path() *Path { return d.path }

// PathByID returns the path that Sent.Path refers to, nil if it is gone.
func (d *Detector) PathByID(id uint8) *Path {
	if id >= MaxPaths {
		return nil
	}
	return d.paths[id]
}

// SetPath makes p current, adding it if it is new. Probe timeouts that grew on another path do not count on it.
func (d *Detector) SetPath(p *Path) {
	d.AddPath(p)
	if d.path != p {
		d.ptoCount = 0
	}
	d.path = p
}

// AddPath lets packets leave on p. A path that had p's ID before is forgotten: what is still out on it neither counts as in flight nor
// tells anything about p (RFC 9000 §9.4), but its content is still acknowledged or lost.
func (d *Detector) AddPath(p *Path) {
	if old := d.paths[p.id]; old != nil && old != p {
		d.orphan(p.id)
	}
	d.paths[p.id] = p
}

// orphan detaches outstanding packets from a path.
func (d *Detector) orphan(id uint8) {
	for _, s := range d.spaces {
		if s == nil {
			continue
		}
		s.run = lossRun{}
		r := &s.sent
		for pn := r.base; pn < r.next; pn++ {
			if e := r.at(pn); e.Path == id {
				e.Path = noPath
			}
		}
		s.lost.forgetPath(id)
	}
}

// NextNumber returns the number of the next packet of the space (RFC 9000 §12.3), 0 in a discarded one.
func (d *Detector) NextNumber(space SpaceID) uint64 {
	if s := d.spaces[space]; s != nil {
		return s.sent.next
	}
	return 0
}

// SkipNumber leaves out the next number: a peer that acknowledges it acknowledges what it never received.
// RFC 9000 §21.4: an endpoint MAY skip packet numbers to detect optimistic acknowledgment.
func (d *Detector) SkipNumber(space SpaceID) {
	s := d.spaces[space]
	s.skips[s.skipped%maxSkips] = s.sent.next
	s.skipped++
	s.sent.push(Sent{Flags: skipped, Path: noPath}, d.cfg.Forget)
}

// LargestAcked returns the largest number the peer has acknowledged in the space; packet numbers are encoded relative to it.
func (d *Detector) LargestAcked(space SpaceID) (pn uint64, ok bool) {
	if s := d.spaces[space]; s != nil {
		return s.largestAcked, s.anyAcked
	}
	return 0, false
}

// CanTrack reports whether another packet (and a skipped number) may be sent in the space.
func (d *Detector) CanTrack(space SpaceID) bool {
	s := d.spaces[space]
	return s != nil && s.sent.span() < MaxTracked-1
}

// ElicitingInFlight reports whether an ack-eliciting packet of the space is outstanding.
func (d *Detector) ElicitingInFlight(space SpaceID) bool {
	s := d.spaces[space]
	return s != nil && s.eliciting > 0
}

// OnSent records a packet. pn must be NextNumber(space); p.At is set here. Packets that are not in flight
// may be forgotten without a fate, see Config.Forget.
func (d *Detector) OnSent(now hook.Instant, space SpaceID, pn uint64, p Sent) {
	s := d.spaces[space]
	path := d.PathByID(p.Path)
	if s == nil || pn != s.sent.next || path == nil || s.sent.span() >= MaxTracked {
		panic("BUG: recovery: packet sent out of turn, in a discarded space, or on no path")
	}
	p.At = now
	p.Flags = p.Flags&^stateMask | outstanding
	d.lastEvent = now
	if p.Flags&AckEliciting != 0 {
		p.Flags |= InFlight // RFC 9002 §2
		s.eliciting++
		s.lastEliciting = now
	}
	if p.Flags&InFlight != 0 {
		path.onSent(now, int(p.Size))
		p.load = uint32(path.inFlight)
	}
	if p.Flags&ECT != 0 {
		s.marked++
		path.ECN.onSent(now, path.RTT.pto())
	}
	if p.Flags&MTUProbe != 0 {
		path.MTU.onSent(int(p.Size))
	}
	s.sent.push(p, d.cfg.Forget)
}

// OnAck takes the ranges of an ACK frame, the highest first, disjoint. ackDelay is the frame's delay, already scaled; ecn is nil if the frame has
// no ECN section. fates learns of every newly acknowledged packet, then of every packet this declares lost. An error wraps ErrUnsent;
// then nothing was changed.
func (d *Detector) OnAck(now hook.Instant, space SpaceID, ranges []Range, ackDelay time.Duration, ecn *ECNCounts, fates Fates) (res AckResult, err error) {
	s := d.spaces[space]
	if len(ranges) == 0 || s == nil {
		return res, nil
	}
	if err := s.check(space, ranges); err != nil {
		return res, err
	}
	d.begin()
	d.takeLate(now, s, ranges)
	got := d.takeAcks(s, space, ranges, fates)
	raised := !s.anyAcked || ranges[0].Largest > s.largestAcked
	if raised {
		s.anyAcked, s.largestAcked = true, ranges[0].Largest
	}
	if got.packets == 0 {
		return res, nil
	}
	d.lastEvent = now
	d.resetBackoff(space)
	res = AckResult{NewlyAcked: got.packets, AckedEliciting: got.eliciting, Path: got.path}
	// RFC 9002 §5.1: a sample only when the largest acknowledged number is newly acknowledged and a newly acknowledged packet was ack-eliciting.
	if got.largest == ranges[0].Largest && got.eliciting {
		res.RTTSampled = d.sampleRTT(now, space, got.path, got.sentAt, ackDelay)
	}
	if raised {
		res.CE = d.checkECN(now, s, &got, ecn)
	}
	d.breakRuns(space)
	res.Lost, res.Persistent = d.detectLost(now, s, space, fates)
	d.conclude(now)
	return res, nil
}

// check refuses acknowledgments of numbers never sent.
func (s *space) check(id SpaceID, ranges []Range) error {
	if largest := ranges[0].Largest; largest >= s.sent.next {
		return fmt.Errorf("%s packet %d, next to send %d: %w", id, largest, s.sent.next, ErrUnsent)
	}
	for _, pn := range s.skips[:min(s.skipped, maxSkips)] {
		for _, r := range ranges {
			if r.Contains(pn) {
				return fmt.Errorf("%s packet %d, skipped on purpose: %w", id, pn, ErrUnsent)
			}
		}
	}
	return nil
}

// newlyAcked sums up what takeAcks found.
type newlyAcked struct {
	packets   int
	eliciting bool
	marked    uint64 // sent with ECT(0)
	largest   uint64
	sentAt    hook.Instant // of the largest
	path      *Path        // of the largest, nil if gone
}

// takeAcks settles the outstanding packets in the ranges, in ascending order. Everything more than the path's packet threshold below the largest
// acknowledged number is settled already and lies below the ring's base, so this costs O(ranges + newly acknowledged).
func (d *Detector) takeAcks(s *space, id SpaceID, ranges []Range, fates Fates) (got newlyAcked) {
	for i := len(ranges) - 1; i >= 0; i-- {
		for pn := max(ranges[i].Smallest, s.sent.base); pn <= ranges[i].Largest; pn++ {
			e := s.sent.at(pn)
			if e.Flags&outstanding == 0 {
				continue
			}
			got.packets++
			got.eliciting = got.eliciting || e.Flags&AckEliciting != 0
			got.largest, got.sentAt, got.path = pn, e.At, d.PathByID(e.Path)
			if e.Flags&ECT != 0 {
				got.marked++
			}
			d.acknowledge(s, e, got.path)
			fates.PacketAcked(id, pn, e)
		}
	}
	return got
}

// acknowledge settles one packet that arrived.
func (d *Detector) acknowledge(s *space, e *Sent, path *Path) {
	d.acked++
	e.Flags = e.Flags&^stateMask | acked
	if e.Flags&AckEliciting != 0 {
		s.eliciting--
	}
	if path == nil {
		return
	}
	t := &path.tally
	t.touched = true
	t.acks++
	if e.At >= t.newestAcked {
		t.newestAcked, t.ackedLoad = e.At, e.load
	}
	if e.Flags&InFlight != 0 {
		path.inFlight -= int(e.Size)
		t.acked += int(e.Size)
	}
	if e.Flags&MTUProbe != 0 {
		path.resize(path.MTU.onProbeAcked(int(e.Size)))
		return
	}
	t.bigAcked = t.bigAcked || int(e.Size) > path.MTU.base
}

// resetBackoff ends the back-off of probe timeouts.
func (d *Detector) resetBackoff(id SpaceID) {
	if id == Handshake {
		d.validated = true // only a server that got our Handshake packet, and so validated us, acknowledges it
	}
	// RFC 9002 §6.2.1: not reset while a client is uncertain whether the server has validated its address.
	if d.validated {
		d.ptoCount = 0
	}
}

// sampleRTT measures the path on which the largest newly acknowledged packet left.
func (d *Detector) sampleRTT(now hook.Instant, id SpaceID, path *Path, sentAt hook.Instant, ackDelay time.Duration) bool {
	if path == nil {
		return false
	}
	// RFC 9002 §5.3: MAY ignore the delay for Initial packets; after confirmation MUST use the lesser of the delay and max_ack_delay.
	if id == Initial {
		ackDelay = 0
	}
	if d.confirmed {
		ackDelay = min(ackDelay, d.cfg.MaxAckDelay)
	}
	path.RTT.sample(now, now.Sub(sentAt), max(ackDelay, 0))
	path.tally.rttSampled = true
	return true
}

// checkECN validates the counts of an acknowledgment that raised the largest number (RFC 9000 §13.4.2.1: reordered ones are not judged).
func (d *Detector) checkECN(now hook.Instant, s *space, got *newlyAcked, counts *ECNCounts) (congested bool) {
	report := ecnReport{marked: got.marked, counts: counts, previous: s.ecn, sentECT0: s.marked}
	if got.path != nil {
		congested = got.path.ECN.onAck(now, got.sentAt, &report)
		got.path.tally.ce = congested
		if counts != nil && !got.path.ECN.Failed() {
			got.path.tally.marks = int(counts.CE - s.ecn.CE)
		}
	}
	if counts != nil {
		s.ecn = *counts
	}
	return congested
}

func (d *Detector) begin() {
	for _, p := range d.paths {
		if p != nil {
			p.begin()
		}
	}
}

func (d *Detector) conclude(now hook.Instant) {
	for _, p := range d.paths {
		if p != nil {
			p.conclude(now)
		}
	}
}

// Lost returns how many packets were declared lost on all paths, see Path.Lost.
func (d *Detector) Lost() (lost, spurious uint64) { return d.lost, d.spurious }

// Acked returns how many packets were acknowledged before they were declared lost, on all paths.
func (d *Detector) Acked() uint64 { return d.acked }

// Outstanding returns the first ack-eliciting packet numbered from or more whose fate is unknown, for a core that looks for content worth
// sending again in a probe. p is valid until the next OnSent or SkipNumber, and must not be changed except for its content.
func (d *Detector) Outstanding(space SpaceID, from uint64) (pn uint64, p *Sent, ok bool) {
	s := d.spaces[space]
	if s == nil {
		return 0, nil, false
	}
	r := &s.sent
	for pn = max(from, r.base); pn < r.next; pn++ {
		if e := r.at(pn); e.Flags&(outstanding|AckEliciting) == outstanding|AckEliciting {
			return pn, e, true
		}
	}
	return 0, nil, false
}

// Unsettled returns what is remembered of a packet whose fate is unknown, nil for any other. As with Outstanding, only its content may be changed,
// and it is valid until the next OnSent or SkipNumber.
func (d *Detector) Unsettled(space SpaceID, pn uint64) *Sent {
	s := d.spaces[space]
	if s == nil || pn < s.sent.base || pn >= s.sent.next {
		return nil
	}
	if e := s.sent.at(pn); e.Flags&outstanding != 0 {
		return e
	}
	return nil
}

// Budget returns what the current path's congestion window and pacer let leave now; see Path.Budget.
func (d *Detector) Budget(now hook.Instant) (bytes int, retry hook.Instant) {
	return d.path.Budget(now)
}

// OnAppLimited tells that there was budget left and nothing to send.
func (d *Detector) OnAppLimited() {
	if d.path.work != nil {
		d.path.rate.onAppLimited(d.path.inFlight)
	}
}

// SetMaxAckDelay sets the peer's max_ack_delay.
func (d *Detector) SetMaxAckDelay(v time.Duration) { d.cfg.MaxAckDelay = v }

// Trim gives memory of an idle connection back. It forgets packets that the peer need not acknowledge.
func (d *Detector) Trim() {
	for _, s := range d.spaces {
		if s != nil {
			s.sent.forgetAcks(d.cfg.Forget)
			s.sent.trim()
			s.lost = lostLog{}
		}
	}
	for _, p := range d.paths {
		if p != nil {
			p.rest()
		}
	}
}
