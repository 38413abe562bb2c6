package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// PathConfig describes a network path.
type PathConfig struct {
	ID         uint8           // below MaxPaths; Sent.Path refers to it
	Congestion hook.Congestion // nil = CUBIC
	InitialRTT time.Duration   // 0 = 333 ms
	NoECN      bool            // never mark packets
	L4S        bool            // mark packets ECT(1) instead of ECT(0)
	MTU        MTUConfig
}

// MTUConfig bounds path MTU discovery. Sizes are UDP payloads in bytes.
type MTUConfig struct {
	Base int // what every path must carry; 0 = 1200
	Max  int // never larger, whatever the path carries; 0 = 1452; not above Base = no discovery
}

// Path is one network path: its round-trip time, its congestion controller and pacer, its ECN validation and its datagram size.
type Path struct {
	RTT RTT
	MTU MTU
	ECN ECN

	id        uint8
	cc        hook.Congestion
	slow      hook.SlowStarter // cc, if it can tell
	undoer    hook.LossUndoer  // cc, if it can take a reaction back
	pacer     pacer
	inFlight  int // bytes
	reorder   reordering
	episode   episode
	lost      uint64 // packets declared lost, probes aside
	spurious  uint64 // of them arrived after all
	use       usage
	carried   carried
	unproved  hook.SavedPath // offered to Resume, and not disproved
	resume    *resume        // nil = nothing to resume, or done
	collapsed hook.Instant   // packets sent until then were part of the last persistent congestion
	*work                    // nil = at rest
	delivered uint64         // at rest: what rate counted
}

// work is what a path needs while something is in flight.
type work struct {
	rate     rateSampler
	losses   lossHistory
	tally    tally
	ackEvent hook.Acked // here, so that telling the controller allocates nothing
	lossNews hook.Lost
}

// wake ends a rest, in which the application had nothing to send.
func (p *Path) wake() {
	if p.work == nil {
		p.work = new(work)
		p.rate.delivered = p.delivered
		p.rate.onAppLimited(0)
	}
}

// rest gives the memory back that a path needs while something is in flight.
func (p *Path) rest() {
	if p.work != nil && p.inFlight == 0 {
		p.delivered = p.rate.delivered
		p.work = nil
	}
}

// usage tells, over two round trips, whether the application or the network held the sender back.
type usage struct {
	round          uint64
	start          hook.Instant // of the round
	peak, lastPeak int          // bytes in flight
	full, lastFull bool         // the window or the pacer refused
}

// tally gathers what one acknowledgment or one timeout means for a path.
type tally struct {
	touched     bool
	prior       int // bytes in flight before
	acks        int // packets newly acknowledged
	acked, lost int // bytes in flight that were acknowledged, and lost (MTU probes not counted as lost)
	packets     int // that were lost
	runs        int // of consecutive numbers among them
	newestAcked hook.Instant
	newestLost  hook.Instant
	ackedLoad   uint32 // Sent.load of the newest acknowledged and the newest lost packet
	lostLoad    uint32
	lastLost    uint64 // number of the packet lost last
	marks       int    // newly reported CE marks
	bigAcked    bool   // larger than the base MTU, probes aside
	bigLost     bool
	persistent  bool
	ce          bool
	rttSampled  bool
}

// NewPath returns a path that carried nothing yet.
func NewPath(cfg PathConfig) *Path {
	if cfg.ID >= MaxPaths {
		panic("BUG: recovery: path id out of range")
	}
	p := &Path{id: cfg.ID, work: new(work)}
	p.RTT.init(cfg.InitialRTT)
	p.MTU.init(cfg.MTU)
	p.ECN.l4s = cfg.L4S
	if cfg.NoECN {
		p.ECN.disable()
	}
	if cfg.Congestion == nil {
		cfg.Congestion = newCubic(p.MTU.Current())
	}
	p.SetCongestion(cfg.Congestion)
	return p
}

// ID returns the number by which Sent.Path refers to p.
func (p *Path) ID() uint8 { return p.id }

// Congestion returns the controller.
func (p *Path) Congestion() hook.Congestion { return p.cc }

// SetCongestion replaces the controller. c must be new, or have served this path before.
func (p *Path) SetCongestion(c hook.Congestion) {
	p.cc = c
	p.slow, _ = c.(hook.SlowStarter)
	p.undoer, _ = c.(hook.LossUndoer)
	p.episode.final = true // c did not react to it, and has nothing to take back
	c.MTUChanged(p.MTU.Current())
}

// BytesInFlight returns the bytes of packets in flight on this path.
func (p *Path) BytesInFlight() int { return p.inFlight }

// Window returns the congestion window in bytes.
// RFC 9002 §7.2: whatever a controller says, two datagrams are the minimum.
func (p *Path) Window() int {
	window := p.cc.Window()
	if p.resume != nil {
		window = p.resume.limit(window)
	}
	return max(window, 2*p.MTU.Current())
}

// Lost returns how many packets were declared lost, probes of the datagram size aside, and how many of them arrived after all.
func (p *Path) Lost() (lost, spurious uint64) { return p.lost, p.spurious }

// InSlowStart reports whether the controller says that it is in slow start.
func (p *Path) InSlowStart() bool { return p.slow != nil && p.slow.InSlowStart() }

// PacingRate returns the rate in bytes per second that the pacer keeps now, 0 when it holds nothing back.
func (p *Path) PacingRate() uint64 { return p.pace().rate }

func (p *Path) pace() pace {
	rate := p.cc.PacingRate()
	if p.resume != nil {
		rate = p.resume.rate(rate, p.RTT.Smoothed())
	}
	return newPace(rate, p.Window(), p.MTU.Current(), &p.RTT, p.InSlowStart())
}

// Budget returns how many bytes the congestion window and the pacer let leave now. It is 0 or at least one full datagram. When it is
// 0 because of the pacer, retry is when to ask again; when the window is full, retry is 0: an acknowledgment will open it.
// Probes, acknowledgments and CONNECTION_CLOSE need no budget.
func (p *Path) Budget(now hook.Instant) (bytes int, retry hook.Instant) {
	room := p.Window() - p.inFlight
	if room < p.MTU.Current() {
		p.use.full = true
		return 0, 0
	}
	tokens, retry := p.pacer.budget(now, p.pace())
	if retry != 0 {
		p.use.full = true
		return 0, retry
	}
	return int(min(int64(room), tokens)), 0
}

// onSent counts a packet in flight.
func (p *Path) onSent(now hook.Instant, size int) {
	p.wake()
	p.rate.onSent(now, p.inFlight)
	p.inFlight += size
	p.use.peak = max(p.use.peak, p.inFlight)
	p.pacer.sent(size)
	if p.resume != nil {
		p.resume.sent(now)
	}
	p.cc.Sent(now, size, p.inFlight)
}

// resize tells the controller that the datagram size changed.
func (p *Path) resize(changed bool) {
	if changed {
		p.cc.MTUChanged(p.MTU.Current())
	}
}

// begin clears the tally.
func (p *Path) begin() {
	p.wake()
	p.tally = tally{prior: p.inFlight}
}

// conclude tells the path's machines what the tally says: losses first, then marks, then acknowledgments.
func (p *Path) conclude(now hook.Instant) {
	t := &p.tally
	if !t.touched {
		return
	}
	p.resize(p.MTU.onLosses(t.bigAcked, t.bigLost))
	if t.lost > 0 {
		p.concludeLosses(now)
	}
	// One congestion event an acknowledgment: marks add nothing to a loss.
	if t.ce {
		p.episode.mark(now, t.newestAcked)
	}
	if t.ce && t.lost == 0 {
		p.lossNews = hook.Lost{Now: now, LargestSent: t.newestAcked, InFlight: p.inFlight, CE: true,
			TxInFlight: int(t.ackedLoad), LostSince: p.losses.since(t.newestAcked), AppLimited: p.rate.limitedAt(t.newestAcked)}
		p.cc.Lost(&p.lossNews)
	}
	if p.resume != nil && (t.lost > 0 || t.ce) {
		p.resume.onCongestion(p)
	}
	if t.acks > 0 {
		p.concludeAcks(now)
	}
}

func (p *Path) concludeLosses(now hook.Instant) {
	t := &p.tally
	p.losses.onLost(now, t.lost, p.RTT.Smoothed())
	p.episode.final = p.episode.final || t.persistent
	p.lossNews = hook.Lost{
		Now: now, Bytes: t.lost, Packets: t.packets, Runs: t.runs, LargestSent: t.newestLost, InFlight: p.inFlight, TxInFlight: int(t.lostLoad),
		LostSince: p.losses.since(t.newestLost), AppLimited: p.rate.limitedAt(t.newestLost), Persistent: t.persistent,
	}
	p.cc.Lost(&p.lossNews)
}

func (p *Path) concludeAcks(now hook.Instant) {
	t := &p.tally
	p.use.advance(now, t.newestAcked)
	p.ackEvent = hook.Acked{
		Now: now, Bytes: t.acked, LargestSent: t.newestAcked, PriorInFlight: t.prior, InFlight: p.inFlight,
		TxInFlight: int(t.ackedLoad), LostSince: p.losses.since(t.newestAcked), Packets: t.acks, CE: t.marks,
		AppLimited: p.use.appLimited(p.Window()), RTT: p.RTT.Snapshot(), RTTSampled: t.rttSampled,
		Round: p.use.round, Rate: p.rate.onAck(now, t.newestAcked, t.acked, p.RTT.Min()),
	}
	p.carried.onAck(p.ackEvent.Round, p.rate.delivered)
	p.cc.Acked(&p.ackEvent)
	if p.resume != nil {
		p.resume.onAck(now, p)
	}
	p.use.peak = max(p.use.peak, p.inFlight)
}

// advance begins a new round trip if a packet sent in this one was acknowledged.
func (u *usage) advance(now, newestAcked hook.Instant) {
	if newestAcked < u.start {
		return
	}
	u.round++
	u.start = now
	u.lastPeak, u.peak = u.peak, 0
	u.lastFull, u.full = u.full, false
}

// appLimited reports whether the sender neither met the window or the pacer, nor had half the window in flight, for a round trip.
// RFC 9002 §7.8: a window that is not filled SHOULD NOT be increased; being paced is not underutilization.
func (u *usage) appLimited(window int) bool {
	return !u.full && !u.lastFull && 2*max(u.peak, u.lastPeak) < window
}
