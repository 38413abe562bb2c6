package plugin_test

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// fakeCore is a built-in controller that says what it heard.
type fakeCore struct {
	heard  string
	window int
	rate   uint64
	slow   bool
}

func (c *fakeCore) Name() string                              { return "core" }
func (c *fakeCore) Sent(hook.Instant, int, int)               { c.heard += "S" }
func (c *fakeCore) Acked(*hook.Acked)                         { c.heard += "A" }
func (c *fakeCore) Lost(*hook.Lost)                           { c.heard += "L" }
func (c *fakeCore) MTUChanged(int)                            { c.heard += "M" }
func (c *fakeCore) UndoLoss(hook.Instant)                     { c.heard += "U" }
func (c *fakeCore) Resume(now hook.Instant, window, less int) { c.heard += "R" }
func (c *fakeCore) Window() int                               { return c.window }
func (c *fakeCore) PacingRate() uint64                        { return c.rate }
func (c *fakeCore) InSlowStart() bool                         { return c.slow }

type control struct {
	window int
	rate   uint64
	slow   bool
}

func wantControl(t *testing.T, c hook.Congestion, why string, want control) {
	t.Helper()
	if got := (control{c.Window(), c.PacingRate(), c.(hook.SlowStarter).InSlowStart()}); got != want {
		t.Errorf("%s: %+v, want %+v", why, got, want)
	}
}

func TestTheGuestControlsThePathAndTheCoreHearsEverything(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		p := newPuppet(t, r)
		core := &fakeCore{window: 12000, rate: 5}
		p.answer(hook.OpCongestionInit, 0, 1, 20000, 300)
		c := p.Extension.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{DatagramSize: 1200, Path: 3}, core)
		p.wantHead(hook.OpCongestionInit, 0, 3, start)
		p.wantIn(hook.OpCongestionInit, 32, 0, "8:u64 16:u64 24:u64", 1200, 12000, 5)
		wantControl(t, c, "after cc_init", control{20000, 300, true})

		c.Sent(7, 1200, 2400)
		p.wantHead(hook.OpCongestionSent, 0, 3, 7)
		p.wantIn(hook.OpCongestionSent, 24, 0, "8:u64 16:u64", 1200, 2400)
		wantControl(t, c, "a window of 0 changes nothing", control{20000, 300, true})

		p.answer(hook.OpCongestionAck, 0, 0, 21000)
		c.Acked(&hook.Acked{Now: 8, Bytes: 1, LargestSent: 2, PriorInFlight: 3, InFlight: 4, TxInFlight: 5, LostSince: 6, Packets: 7, CE: 8,
			AppLimited: true, RTT: hook.RTT{Latest: 9, Smoothed: 10, Var: 11, Min: 12, HasSample: true}, Round: 13,
			Rate: hook.Rate{Delivered: 14, Bytes: 15, Interval: 16, AppLimited: true}})
		p.wantHead(hook.OpCongestionAck, 0, 3, 8)
		p.wantIn(hook.OpCongestionAck, 200, 1|4|8, "8:u64 16:u64 24:u64 32:u64 40:u64 48:u64 56:u64 64:u64 72:u64 80:u64 88:u64 96:u64 104:u64 112:u64 "+
			"120:u64 128:u64 136:u64 144:u64 192:u64", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 12000, 0, 0)
		wantControl(t, c, "after cc_ack", control{21000, 0, false})

		p.answer(hook.OpCongestionLoss, -1, 0, 1)
		c.Lost(&hook.Lost{Now: 9, Bytes: 1, Packets: 2, Runs: 3, LargestSent: 4, InFlight: 5, TxInFlight: 6, LostSince: 7, AppLimited: true, CE: true})
		p.wantIn(hook.OpCongestionLoss, 64, 2|4, "8:u64 16:u64 24:u64 32:u64 40:u64 48:u64 56:u64", 1, 2, 3, 4, 5, 6, 7)
		wantControl(t, c, "deferred: as core says", control{12000, 5, false})
		core.window, core.slow = 6000, true
		wantControl(t, c, "as core says now", control{6000, 5, true})

		p.answer(hook.OpCongestionUndo, 0, 0, 30000)
		c.(hook.LossUndoer).UndoLoss(10)
		wantControl(t, c, "after cc_spurious", control{30000, 0, false})
		c.MTUChanged(1400)
		p.wantIn(hook.OpCongestionMTU, 16, 0, "8:u64", 1400)
		c.(hook.Resumer).Resume(11, 1, 2)
		if want := "SALUMR"; core.heard != want {
			t.Errorf("core heard %s, want %s", core.heard, want)
		}

		p.Detach(hook.DetachAsked)
		wantControl(t, c, "detached: as core says", control{6000, 5, true})
	})
}

func TestAControllerThatFailsLeavesThePathToTheCoreInTheSameCall(t *testing.T) {
	for _, tc := range []struct {
		name   string
		result int64
		words  []uint64
	}{
		{"a wild window", 0, []uint64{1 << 40}},
		{"a window of 64 bits", 0, []uint64{1<<64 - 1}},
		{"a wild rate", 0, []uint64{12000, 1 << 63}},
		{"an error", -5, []uint64{12000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPuppet(t, runtime(t))
			p.answer(hook.OpCongestionInit, 0, 0, 20000)
			core := &fakeCore{window: 7000}
			c := p.Extension.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{DatagramSize: 1200}, core)
			p.answer(hook.OpCongestionAck, tc.result, 0, tc.words...)
			c.Acked(&hook.Acked{Now: 5, Round: 1})
			wantControl(t, c, "after the fault", control{window: 7000})
			c.Acked(&hook.Acked{Now: 6, Round: 1})
			if core.heard != "AA" {
				t.Errorf("core heard %s, want both acknowledgments", core.heard)
			}
			p.conn.wantFault(t, plugin.ErrResult)
		})
	}
}

// rounds is a controller that is told once a round trip.
const rounds = `;;! {"hooks": ["cc_init", "cc_round"]}
(module PRELUDE
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach))))
    (i64.store offset=6152 (i32.const 0) (i64.add (i64.const 1000) (i64.load offset=4168 (i32.const 0))))
    (i64.const 0)))`

func TestRoundTripsAreSummedUp(t *testing.T) {
	x, _ := attached(t, load(t, runtime(t), build(t, "rounds", rounds), plugin.Policy{}))
	p := &puppet{x, nil, t}
	core := &fakeCore{window: 12000}
	c := x.(hook.CongestionReplacer).ReplaceCongestion(hook.CongestionConfig{DatagramSize: 1200}, core)
	calls := func() uint64 { return x.(hook.Meter).Usage().Calls }
	before := calls()
	at := func(ms int) hook.Instant { return start.Add(time.Duration(ms) * time.Millisecond) }
	c.Acked(&hook.Acked{Now: at(100), LargestSent: at(0), Bytes: 1200, Packets: 1, PriorInFlight: 9600, InFlight: 8400, Round: 2, RTTSampled: true,
		Rate: hook.Rate{Bytes: 100, Interval: 10, Delivered: 1200}})
	c.Acked(&hook.Acked{Now: at(110), LargestSent: at(5), Bytes: 2400, Packets: 2, CE: 1, InFlight: 6000, Round: 2,
		Rate: hook.Rate{Bytes: 50, Interval: 10, Delivered: 3600}})
	if n := calls() - before; n != 0 {
		t.Fatalf("%d calls before the round trip was over", n)
	}
	c.Acked(&hook.Acked{Now: at(120), LargestSent: at(10), Bytes: 1200, Packets: 1, InFlight: 4800, Round: 3, RTT: hook.RTT{Smoothed: 7},
		Rate: hook.Rate{Delivered: 4800}})
	if n := calls() - before; n != 1 {
		t.Fatalf("%d calls when it was over, want 1", n)
	}
	p.wantIn(hook.OpCongestionRound, 216, 2, "8:u64 16:u64 24:u64 32:u64 56:u64 64:u64 80:u64 104:u64 112:u64 120:u64 128:u64 200:u64 208:u64",
		4800, int64(at(10)), 9600, 4800, 4, 1, 7, 3, 4800, 100, 10, 3, int64(120*time.Millisecond))
	wantControl(t, c, "after cc_round", control{window: 5800})

	c.Acked(&hook.Acked{Now: at(200), Bytes: 1200, Packets: 1, Round: 4})
	p.wantIn(hook.OpCongestionRound, 216, 0, "8:u64 56:u64 104:u64 200:u64 208:u64", 1200, 1, 4, 1, int64(80*time.Millisecond))
	c.Lost(&hook.Lost{Now: at(210)})
	wantControl(t, c, "loss, which it does not handle, is core's", control{window: 12000})
}
