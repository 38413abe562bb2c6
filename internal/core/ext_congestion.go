package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// What the controller of an extension may ask for at most, and at least if it
// paces at all.
const (
	maxWindow     = 1 << 30  // bytes. limit: memory of what is in flight is bounded anyway, by recovery.MaxTracked
	maxPacingRate = 1 << 37  // bytes a second: a terabit. limit: no product in the pacer overflows
	minPacingRate = 1200 / 2 // bytes a second: slower is not pacing but silence
)

// guarded is the controller of an extension as the path sees it: it is called as
// extensions are, and what it answers is held against bounds. In a call of its
// extension it repeats its last answers.
type guarded struct {
	*attached
	cc     hook.Congestion
	core   hook.Congestion // the built-in one, which takes over at the end
	path   *recovery.Path
	slow   hook.SlowStarter
	undoer hook.LossUndoer
	window int // as answered last
	rate   uint64
	inSlow bool
}

var (
	_ hook.Congestion  = (*guarded)(nil)
	_ hook.SlowStarter = (*guarded)(nil)
	_ hook.LossUndoer  = (*guarded)(nil)
)

// resuming is a guarded controller that can resume.
type resuming struct{ *guarded }

func (g resuming) Resume(now hook.Instant, window, threshold int) {
	if g.enter() {
		g.cc.(hook.Resumer).Resume(now, window, threshold)
		g.leave()
	}
}

// replaceCongestion lets the extension that owns congestion control, if there is
// one, take over on a path.
func (x *extensions) replaceCongestion(p *recovery.Path) {
	for _, h := range x.table.congestion {
		core := p.Congestion()
		if own := guardOf(core); own != nil && own.attached == h.attached || !h.enter() {
			return
		}
		cc := h.to.ReplaceCongestion(hook.CongestionConfig{DatagramSize: p.MTU.Current(), Path: p.ID()}, core)
		h.leave()
		if cc == nil || h.gone {
			return
		}
		g := &guarded{attached: h.attached, cc: cc, core: core, path: p, window: core.Window(), rate: core.PacingRate()}
		g.slow, _ = cc.(hook.SlowStarter)
		g.undoer, _ = cc.(hook.LossUndoer)
		if _, ok := cc.(hook.Resumer); ok {
			p.SetCongestion(resuming{g})
		} else {
			p.SetCongestion(g)
		}
	}
}

// guardOf returns what is around the controller of an extension, nil for others.
func guardOf(cc hook.Congestion) *guarded {
	switch g := cc.(type) {
	case *guarded:
		return g
	case resuming:
		return g.guarded
	}
	return nil
}

// applyCongestion puts the owner's controller on all paths, and the built-in one
// back where the owner is gone.
func (x *extensions) applyCongestion() {
	for _, p := range x.conn.paths {
		if g := guardOf(p.rec.Congestion()); g != nil && g.gone {
			p.rec.SetCongestion(g.core)
		}
		x.replaceCongestion(p.rec)
	}
}

func (g *guarded) Name() string {
	if g.gone {
		return g.core.Name()
	}
	return g.cc.Name()
}

func (g *guarded) Sent(now hook.Instant, bytes, inFlight int) {
	if g.enter() {
		g.cc.Sent(now, bytes, inFlight)
		g.leave()
	}
}

func (g *guarded) Acked(e *hook.Acked) {
	if g.enter() {
		g.x.seen.acked = *e
		g.cc.Acked(&g.x.seen.acked)
		g.leave()
	}
}

func (g *guarded) Lost(e *hook.Lost) {
	if g.enter() {
		g.x.seen.lost = *e
		g.cc.Lost(&g.x.seen.lost)
		g.leave()
	}
}

func (g *guarded) MTUChanged(size int) {
	if g.enter() {
		g.cc.MTUChanged(size)
		g.leave()
	}
}

func (g *guarded) UndoLoss(now hook.Instant) {
	if g.undoer != nil && g.enter() {
		g.undoer.UndoLoss(now)
		g.leave()
	}
}

func (g *guarded) Window() int {
	if g.enter() {
		g.window = min(max(g.cc.Window(), 0), maxWindow)
		g.leave()
	}
	if g.gone {
		return g.core.Window()
	}
	return g.window
}

func (g *guarded) PacingRate() uint64 {
	if g.enter() {
		if g.rate = min(g.cc.PacingRate(), maxPacingRate); g.rate > 0 {
			g.rate = max(g.rate, minPacingRate)
		}
		g.leave()
	}
	if g.gone {
		return g.core.PacingRate()
	}
	return g.rate
}

func (g *guarded) InSlowStart() bool {
	if g.slow != nil && g.enter() {
		g.inSlow = g.slow.InSlowStart()
		g.leave()
	}
	if s, ok := g.core.(hook.SlowStarter); ok && g.gone {
		return s.InSlowStart()
	}
	return g.inSlow
}
