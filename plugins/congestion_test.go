package plugins_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// quietConn is a connection of which a controller asks nothing.
type quietConn struct {
	hook.Conn
	fault error
}

func (c *quietConn) Fault(err error) { c.fault = err }

// replaced attaches a plugin's controller to a path with the built-in one as it was made.
func replaced(t *testing.T, name string, mss int) (hook.Congestion, *quietConn) {
	t.Helper()
	x, err := load(t, "cc-"+name).New()
	if err != nil {
		t.Fatal(err)
	}
	conn := &quietConn{}
	if err := x.Attach(conn, &hook.AttachState{Now: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Detach(hook.DetachAsked) })
	core := builtin(t, name, mss)
	return x.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{DatagramSize: mss}, core), conn
}

func builtin(t *testing.T, name string, mss int) hook.Congestion {
	t.Helper()
	cc, err := recovery.New(name, mss)
	if err != nil {
		t.Fatal(err)
	}
	return cc
}

// path is a crude network that both controllers of a pair believe to be on: what happens is chance, guided by the window of the first.
type path struct {
	rng       *rand.Rand
	now       hook.Instant
	round     uint64
	delivered uint64
	lastLoss  hook.Instant
}

func (p *path) rtt() hook.RTT {
	latest := 40*time.Millisecond + time.Duration(p.rng.IntN(20_000_000))
	return hook.RTT{Latest: latest, Smoothed: 50 * time.Millisecond, Var: 5 * time.Millisecond, Min: 40 * time.Millisecond, HasSample: true}
}

// step lets one thing happen to both controllers.
func (p *path) step(a, b hook.Congestion) string {
	p.now = p.now.Add(time.Duration(p.rng.IntN(4_000_000)))
	window := a.Window()
	inFlight := p.rng.IntN(window + 1)
	sent := p.now.Add(-time.Duration(p.rng.IntN(60_000_000)))
	both := func(f func(hook.Congestion)) { f(a); f(b) }
	switch n := p.rng.IntN(1000); {
	case n < 400:
		bytes := 1 + p.rng.IntN(1500)
		if p.rng.IntN(20) == 0 {
			inFlight = bytes // after silence
		}
		both(func(c hook.Congestion) { c.Sent(p.now, bytes, inFlight) })
		return "sent"
	case n < 975:
		return p.ack(both, window, inFlight, sent)
	case n < 990:
		e := hook.Lost{Now: p.now, Bytes: 1200 * (1 + p.rng.IntN(4)), Packets: 1, Runs: 1 + p.rng.IntN(3), LargestSent: sent, InFlight: inFlight,
			TxInFlight: window, LostSince: 1200 * (1 + p.rng.IntN(5)), AppLimited: p.rng.IntN(8) == 0, Persistent: p.rng.IntN(12) == 0}
		if p.rng.IntN(4) == 0 {
			e.Bytes, e.Packets, e.CE = 0, 0, true
		}
		both(func(c hook.Congestion) { c.Lost(&e) })
		p.lastLoss = p.now
		return fmt.Sprintf("lost %+v", e)
	case n < 996:
		if p.lastLoss == 0 {
			return "nothing"
		}
		p.lastLoss = 0
		both(func(c hook.Congestion) { c.(hook.LossUndoer).UndoLoss(p.now) })
		return "undo"
	default:
		size := 1200 + p.rng.IntN(300)
		both(func(c hook.Congestion) { c.MTUChanged(size) })
		return fmt.Sprintf("mtu %d", size)
	}
}

func (p *path) ack(both func(func(hook.Congestion)), window, inFlight int, sent hook.Instant) string {
	bytes := 1 + p.rng.IntN(min(window, 12000))
	if p.rng.IntN(10) == 0 {
		p.round++
	}
	p.delivered += uint64(bytes)
	e := hook.Acked{Now: p.now, Bytes: bytes, LargestSent: sent, PriorInFlight: inFlight + bytes, InFlight: inFlight, TxInFlight: window, Packets: 1 + bytes/1200,
		LostSince: p.rng.IntN(2) * p.rng.IntN(3000), CE: p.rng.IntN(40) / 39, AppLimited: p.rng.IntN(6) == 0, RTT: p.rtt(), RTTSampled: p.rng.IntN(4) > 0, Round: p.round + 1}
	e.Rate = hook.Rate{Delivered: p.delivered, Bytes: uint64(bytes) * 4, Interval: time.Duration(p.rng.IntN(50)) * time.Millisecond, AppLimited: p.rng.IntN(6) == 0}
	both(func(c hook.Congestion) { c.Acked(&e) })
	return fmt.Sprintf("acked %+v", e)
}

// The controllers in C decide as those in Go, event for event. CUBIC's cube root and the order of floating-point operations may differ in the
// last bit, so a byte of difference is no difference.
func TestPluginsOfControllersDecideAsTheBuiltInOnes(t *testing.T) {
	for _, c := range []struct {
		name  string
		slack int
	}{{"newreno", 0}, {"cubic", 1}, {"bbr", 1}} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("%s seed %d", c.name, seed), func(t *testing.T) {
				guest, conn := replaced(t, c.name, 1200)
				native := builtin(t, c.name, 1200)
				p := &path{rng: rand.New(rand.NewPCG(seed, 1)), now: 1_000_000_000}
				for i := range 3000 {
					what := p.step(native, guest)
					if conn.fault != nil {
						t.Fatalf("event %d, %s: %v", i, what, conn.fault)
					}
					if d := native.Window() - guest.Window(); d > c.slack || -d > c.slack {
						t.Fatalf("event %d, %s: window %d, want %d as the built-in", i, what, guest.Window(), native.Window())
					}
					want, got := native.PacingRate(), guest.PacingRate()
					if d := int64(want - got); max(d, -d) > 1+int64(want>>20) {
						t.Fatalf("event %d, %s: pacing rate %d, want %d as the built-in", i, what, got, want)
					}
				}
			})
		}
	}
}
