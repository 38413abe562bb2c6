package drive

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// builtin is the controller in whose stead the extension acts: it never changes its mind.
type builtin struct{}

func (builtin) Name() string                  { return "fixed" }
func (builtin) Sent(hook.Instant, int, int)   {}
func (builtin) Acked(*hook.Acked)             {}
func (builtin) Lost(*hook.Lost)               {}
func (builtin) MTUChanged(int)                {}
func (builtin) Window() int                   { return 10 * datagram }
func (builtin) PacingRate() uint64            { return 0 }
func (builtin) InSlowStart() bool             { return false }
func (builtin) UndoLoss(hook.Instant)         {}
func (builtin) Resume(hook.Instant, int, int) {}

// fullWindow is how many bytes fill the path. A window beyond grows no faster than it does in round trips as they usually are, so that no controller
// gets to where its host takes it for broken.
const fullWindow = 64 << 20

// control has the extension take a path over, if it does such things.
func (d *driver) control() {
	r, ok := d.x.(hook.CongestionReplacer)
	if !ok || !d.hooked(hook.OpCongestionInit) {
		return
	}
	c := hook.CongestionConfig{DatagramSize: max(d.number(1200, datagram, 65527), 1200), Path: d.path()}
	d.call(hook.OpCongestionInit, c, func() { d.cc = r.ReplaceCongestion(c, builtin{}) })
}

// window is what the path may have in flight, within bounds in which sums stay sums.
func (d *driver) window() int { return min(max(d.cc.Window(), 2*datagram), 1<<30) }

func (d *driver) congestionSent() {
	if d.cc == nil {
		return
	}
	bytes, inFlight := d.number(40, datagram, datagram), d.number(0, d.window(), 1<<30)
	d.call(hook.OpCongestionSent, [2]int{bytes, inFlight}, func() { d.cc.Sent(d.now, bytes, inFlight) })
}

func (d *driver) congestionAcked() {
	if d.cc == nil {
		return
	}
	window := d.window()
	most := 2 * window // never more than was in flight
	if window > fullWindow {
		most = 4 * datagram
	}
	bytes := d.number(datagram, 4*datagram, most)
	inFlight := d.number(window/2, window, 1<<30)
	if d.chance(4) {
		d.round++
	}
	d.bytes += uint64(bytes)
	e := &hook.Acked{
		Now: d.now, Bytes: bytes, LargestSent: d.ago(60 * time.Millisecond), PriorInFlight: inFlight + bytes, InFlight: inFlight, TxInFlight: d.number(window/2, window, 1<<30),
		Packets: 1 + bytes/datagram, AppLimited: d.chance(8), RTT: d.rtt(), RTTSampled: !d.chance(4), Round: d.round + 1,
		Rate: hook.Rate{Delivered: d.bytes, Bytes: uint64(d.number(bytes, 40*datagram, 1<<30)), Interval: time.Duration(d.number(20, 60, 60_000)) * time.Millisecond, AppLimited: d.chance(8)},
	}
	if d.chance(30) {
		e.CE, e.LostSince = d.number(1, 4, 1<<20), d.number(0, 4*datagram, 1<<24)
	}
	op := hook.OpCongestionAck
	if d.hooked(hook.OpCongestionRound) {
		op = hook.OpCongestionRound
	}
	d.call(op, e, func() { d.cc.Acked(e) })
}

func (d *driver) congestionLost() {
	if d.cc == nil || !d.wild && !d.chance(20) {
		return
	}
	window := d.window()
	e := &hook.Lost{Now: d.now, Bytes: d.number(datagram, 4*datagram, 1<<24), Packets: d.number(1, 4, 1<<14), Runs: d.number(1, 2, 1<<14), LargestSent: d.ago(60 * time.Millisecond),
		InFlight: d.number(0, window, 1<<30), TxInFlight: d.number(window/2, window, 1<<30), AppLimited: d.chance(8), Persistent: d.chance(20)}
	e.LostSince = e.Bytes
	if d.chance(8) {
		e.CE, e.Bytes, e.Packets = true, 0, 0
	}
	d.call(hook.OpCongestionLoss, e, func() { d.cc.Lost(e) })
}

func (d *driver) undo() {
	if u, ok := d.cc.(hook.LossUndoer); ok && d.chance(4) {
		d.call(hook.OpCongestionUndo, nil, func() { u.UndoLoss(d.now) })
	}
}

func (d *driver) mtu() {
	if d.cc == nil || !d.chance(8) {
		return
	}
	size := max(d.number(1200, datagram, 65527), 1200)
	d.call(hook.OpCongestionMTU, size, func() { d.cc.MTUChanged(size) })
}
