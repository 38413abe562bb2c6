package plugin

import (
	"github.com/seed51309289/quiver/hook"
)

var _ hook.CongestionReplacer = (*extension)(nil)

// ReplaceCongestion is cc_init. A plugin that has no controller leaves the path to core.
func (x *extension) ReplaceCongestion(c hook.CongestionConfig, core hook.Congestion) hook.Congestion {
	p := &congestion{x: x, core: core, path: c.Path, ended: x.rounds()}
	b := x.again(hook.OpCongestionInit, c.Path)
	if b == nil {
		return nil
	}
	in := b[inAt:outAt]
	putHead(in, 32, 0)
	le.PutUint64(in[8:], uint64(c.DatagramSize))
	le.PutUint64(in[16:], uint64(core.Window()))
	le.PutUint64(in[24:], core.PacingRate())
	p.decide()
	return p
}

// rounds reports whether the plugin wants summaries of round trips instead of acknowledgments.
func (x *extension) rounds() bool { return x.m.manifest.Hooked(hook.OpCongestionRound) }

// congestion is the controller of one path. The built-in one hears everything too, and its answer counts before the guest gave one, after the
// guest deferred to it, and from the very call on in which the plugin fails.
type congestion struct {
	x     *extension
	core  hook.Congestion
	path  uint8
	own   bool // the guest's last answer counts
	slow  bool
	win   int
	rate  uint64
	ended bool // of rounds: acknowledgments are summed up
	round round
}

var (
	_ hook.Congestion  = (*congestion)(nil)
	_ hook.SlowStarter = (*congestion)(nil)
	_ hook.LossUndoer  = (*congestion)(nil)
	_ hook.Resumer     = (*congestion)(nil)
)

// decide runs the call that the context block describes and takes its answer.
func (p *congestion) decide() {
	x := p.x
	r, ok := x.run(x.fuel)
	if !ok || r == resultDefer {
		p.own = false
		return
	}
	out := x.i.block[outAt:]
	win, rate := le.Uint64(out[8:]), le.Uint64(out[16:])
	if win == 0 {
		return // nothing changes
	}
	if limit := x.m.policy.maxWindow(); win > limit {
		x.reject("a window of %d bytes, at most %d", win, limit)
		p.own = false
		return
	}
	if limit := x.m.policy.maxPacing(); rate > limit {
		x.reject("a rate of %d bytes a second, at most %d", rate, limit)
		p.own = false
		return
	}
	p.own, p.win, p.rate, p.slow = true, int(win), rate, le.Uint32(out[4:])&1 != 0
}

// Name returns the name of the plugin.
func (p *congestion) Name() string { return p.x.info.ID }

// Window returns what the guest said last, or what core says.
func (p *congestion) Window() int {
	if p.owns() {
		return p.win
	}
	return p.core.Window()
}

// PacingRate returns what the guest said last, or what core says.
func (p *congestion) PacingRate() uint64 {
	if p.owns() {
		return p.rate
	}
	return p.core.PacingRate()
}

// InSlowStart returns what the guest said last, or what core says.
func (p *congestion) InSlowStart() bool {
	if p.owns() {
		return p.slow
	}
	s, ok := p.core.(hook.SlowStarter)
	return ok && s.InSlowStart()
}

func (p *congestion) owns() bool { return p.own && p.x.fault == nil }

// Sent is cc_sent.
func (p *congestion) Sent(now hook.Instant, bytes, inFlight int) {
	p.core.Sent(now, bytes, inFlight)
	b := p.x.enter(hook.OpCongestionSent, now, p.path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 24, 0)
	le.PutUint64(in[8:], uint64(bytes))
	le.PutUint64(in[16:], uint64(inFlight))
	p.decide()
}

// Acked is cc_ack, or adds to what cc_round is told when the round trip is over.
func (p *congestion) Acked(e *hook.Acked) {
	p.core.Acked(e)
	if p.ended {
		if p.round.add(e) {
			p.tellRound(e.Now)
		}
		return
	}
	b := p.x.enter(hook.OpCongestionAck, e.Now, p.path)
	if b == nil {
		p.own = false // not handled: core answers
		return
	}
	in := b[inAt:outAt]
	putAcked(in, e, ackedSize, p.core.Window())
	p.decide()
}

func (p *congestion) tellRound(now hook.Instant) {
	if b := p.x.enter(hook.OpCongestionRound, now, p.path); b != nil {
		in := b[inAt:outAt]
		putAcked(in, &p.round.sum, roundSize, p.core.Window())
		le.PutUint64(in[200:], p.round.acks)
		le.PutUint64(in[208:], uint64(now.Sub(p.round.began)))
		p.decide()
	}
	p.round.next(now)
}

// Lost is cc_loss. A plugin that does not handle it leaves the answer to core.
func (p *congestion) Lost(e *hook.Lost) {
	p.core.Lost(e)
	b := p.x.enter(hook.OpCongestionLoss, e.Now, p.path)
	if b == nil {
		p.own = false
		return
	}
	in := b[inAt:outAt]
	putHead(in, 64, flag(e.Persistent, 0)|flag(e.CE, 1)|flag(e.AppLimited, 2))
	le.PutUint64(in[8:], uint64(e.Bytes))
	le.PutUint64(in[16:], uint64(e.Packets))
	le.PutUint64(in[24:], uint64(e.Runs))
	le.PutUint64(in[32:], uint64(e.LargestSent))
	le.PutUint64(in[40:], uint64(e.InFlight))
	le.PutUint64(in[48:], uint64(e.TxInFlight))
	le.PutUint64(in[56:], uint64(e.LostSince))
	p.decide()
}

// MTUChanged is cc_mtu.
func (p *congestion) MTUChanged(size int) {
	p.core.MTUChanged(size)
	b := p.x.again(hook.OpCongestionMTU, p.path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 16, 0)
	le.PutUint64(in[8:], uint64(size))
	p.decide()
}

// UndoLoss is cc_spurious.
func (p *congestion) UndoLoss(now hook.Instant) {
	if u, ok := p.core.(hook.LossUndoer); ok {
		u.UndoLoss(now)
	}
	b := p.x.enter(hook.OpCongestionUndo, now, p.path)
	if b == nil {
		return
	}
	putHead(b[inAt:outAt], 8, 0)
	p.decide()
}

// Resume is for core, which takes over from there if it must: plugins begin where cc_init says.
func (p *congestion) Resume(now hook.Instant, window, threshold int) {
	if r, ok := p.core.(hook.Resumer); ok {
		r.Resume(now, window, threshold)
	}
}

// Sizes of the in-structs of cc_ack and cc_round.
const (
	ackedSize = 200
	roundSize = 216
)

func putAcked(in []byte, e *hook.Acked, size uint32, coreWindow int) {
	putHead(in, size, flag(e.AppLimited, 0)|flag(e.RTTSampled, 1)|flag(e.RTT.HasSample, 2)|flag(e.Rate.AppLimited, 3))
	le.PutUint64(in[8:], uint64(e.Bytes))
	le.PutUint64(in[16:], uint64(e.LargestSent))
	le.PutUint64(in[24:], uint64(e.PriorInFlight))
	le.PutUint64(in[32:], uint64(e.InFlight))
	le.PutUint64(in[40:], uint64(e.TxInFlight))
	le.PutUint64(in[48:], uint64(e.LostSince))
	le.PutUint64(in[56:], uint64(e.Packets))
	le.PutUint64(in[64:], uint64(e.CE))
	le.PutUint64(in[72:], uint64(e.RTT.Latest))
	le.PutUint64(in[80:], uint64(e.RTT.Smoothed))
	le.PutUint64(in[88:], uint64(e.RTT.Var))
	le.PutUint64(in[96:], uint64(e.RTT.Min))
	le.PutUint64(in[104:], e.Round)
	le.PutUint64(in[112:], e.Rate.Delivered)
	le.PutUint64(in[120:], e.Rate.Bytes)
	le.PutUint64(in[128:], uint64(e.Rate.Interval))
	le.PutUint64(in[136:], uint64(coreWindow))
	clear(in[144:200])
}

// round sums the acknowledgments of a round trip.
type round struct {
	sum   hook.Acked
	acks  uint64
	began hook.Instant // 0 = with the first acknowledgment
}

// add takes an acknowledgment, and reports whether it ended a round trip. Counts are added up, instants and states are those of the last one.
func (r *round) add(e *hook.Acked) (ended bool) {
	if r.began == 0 {
		r.began = e.LargestSent // since no acknowledgment came earlier, this round trip began when that packet left
	}
	ended = r.sum.Round > 0 && e.Round > r.sum.Round
	old := r.sum
	r.sum = *e
	r.sum.Bytes += old.Bytes
	r.sum.Packets += old.Packets
	r.sum.CE += old.CE
	r.sum.RTTSampled = e.RTTSampled || old.RTTSampled
	if r.acks > 0 {
		r.sum.PriorInFlight = old.PriorInFlight
	}
	if e.Rate.Interval == 0 || old.Rate.Interval != 0 && faster(old.Rate, e.Rate) {
		r.sum.Rate = old.Rate
		r.sum.Rate.Delivered = e.Rate.Delivered
	}
	r.acks++
	return ended
}

// faster reports whether a is the higher rate. What was limited by the application says less than what was not.
func faster(a, b hook.Rate) bool {
	if a.AppLimited != b.AppLimited {
		return b.AppLimited
	}
	return float64(a.Bytes)*float64(b.Interval) > float64(b.Bytes)*float64(a.Interval)
}

// next begins another round trip.
func (r *round) next(now hook.Instant) {
	*r = round{sum: hook.Acked{Round: r.sum.Round}, began: now}
}
