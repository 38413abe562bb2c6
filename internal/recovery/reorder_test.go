package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

func TestLatePacketRaisesThePacketThreshold(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.send(6) // 1 to 6
	r.advance(100 * ms)
	r.ack(5, 5)
	r.wantLost("three later is lost", 1, 2)
	r.ack(3, 6)
	r.ack(1, 6)
	lost, spurious := r.p.Lost()
	wantVar(r, "lost", lost, 2)
	wantVar(r, "of which came late", spurious, 2)
	// 1 came when 6 had: five had overtaken it.
	wantVar(r, "threshold", r.p.reorder.packetThreshold(), 6)
	r.acked = nil
	r.send(7) // 7 to 13
	r.advance(100 * ms)
	r.ack(12, 12)
	r.wantLost("five later is not lost any more", []uint64{}...)
	r.ack(13, 13)
	r.wantLost("six later is", 7)
}

func TestLatePacketRaisesTheTimeThreshold(t *testing.T) {
	r := newRig(t, true)
	r.sample(80 * ms)
	r.send(2)
	r.advance(80 * ms)
	r.ack(2, 2)
	r.timeout()
	r.wantLost("by time", 1)
	r.advance(20 * ms) // 110 ms old
	r.ack(1, 2)
	wantVar(r, "11/8 of the round trip would have been enough", r.p.reorder.lossDelay(&r.p.RTT), 110*ms)
	r.send(2)
	r.advance(80 * ms)
	r.ack(4, 4)
	r.wantDeadline("30 ms later instead of ten", 30*ms)
}

func TestReorderingThresholdsAreBounded(t *testing.T) {
	var r reordering
	rtt := RTT{smoothed: 100 * ms, latest: 100 * ms}
	r.onLate(1_000_000, time.Hour, &rtt)
	if got := r.packetThreshold(); got != maxPacketThreshold {
		t.Errorf("packet threshold %d, want %d", got, maxPacketThreshold)
	}
	if got, want := r.lossDelay(&rtt), 196*ms; got < want || got > 200*ms {
		t.Errorf("loss delay %v, want about two round trips", got)
	}
}

func TestReorderingIsForgottenAfterSixteenRealLosses(t *testing.T) {
	var r reordering
	rtt := RTT{smoothed: 100 * ms, latest: 100 * ms}
	r.onLate(20, 150*ms, &rtt)
	for range calmEpisodes - 1 {
		r.onEpisode()
	}
	if r.packetThreshold() != 21 {
		t.Errorf("threshold %d after fifteen episodes, want 21", r.packetThreshold())
	}
	r.onEpisode()
	if r.packetThreshold() != packetThreshold || r.lossDelay(&rtt) != 112500*time.Microsecond {
		t.Errorf("thresholds %d and %v after sixteen, want those of RFC 9002", r.packetThreshold(), r.lossDelay(&rtt))
	}
}

// testUndo lets two packets of an open window be declared lost, and then do happen; want says whether the window comes back.
func testUndo(t *testing.T, name string, want bool, do func(r *rig)) {
	t.Helper()
	cc, _ := New(name, 1200)
	p := NewPath(PathConfig{Congestion: cc})
	r := &rig{t: t, now: hook.Instant(time.Second), p: p, d: NewDetector(Config{}, p), space: AppData}
	r.d.SetHandshakeConfirmed()
	for r.p.Window() < 40*1200 { // leave the initial window
		first := r.d.NextNumber(AppData)
		r.send(r.p.Window() / 1200)
		r.p.use.full = true
		r.advance(100 * ms)
		r.ack(first, r.d.NextNumber(AppData)-1)
	}
	before, slow := r.p.Window(), r.p.InSlowStart()
	first := r.d.NextNumber(AppData)
	r.send(10)
	r.advance(100 * ms)
	r.ack(first+4, first+4) // first and first+1 are lost
	if name != "bbr" && r.p.Window() >= before {
		t.Fatalf("%s: window %d after a loss, was %d", name, r.p.Window(), before)
	}
	do(r)
	got := r.p.Window() >= before && r.p.InSlowStart() == slow
	if got != want {
		t.Errorf("%s: window %d, slow start %v; had %d, %v; want it back: %v", name, r.p.Window(), r.p.InSlowStart(), before, slow, want)
	}
}

func TestLossThatWasReorderingIsTakenBack(t *testing.T) {
	for _, name := range []string{"cubic", "newreno"} {
		next := func(r *rig) uint64 { return r.d.NextNumber(AppData) - 10 }
		testUndo(t, name, true, func(r *rig) { r.ack(next(r), next(r)+4) })
		testUndo(t, name, true, func(r *rig) { r.ack(next(r), next(r)); r.ack(next(r)+1, next(r)+1) })
		testUndo(t, name, false, func(r *rig) { r.ack(next(r), next(r)) }) // the other one is lost
		testUndo(t, name, false, func(r *rig) {
			r.ackDelayed(0, nil, next(r)+9, next(r)+9, next(r)+4, next(r)+4) // four more
			r.ack(next(r), next(r)+1)
		})
		testUndo(t, name, false, func(r *rig) {
			r.p.episode.mark(r.now, r.now.Add(-100*ms)) // the network marked packets besides
			r.ack(next(r), next(r)+1)
		})
		testUndo(t, name, false, func(r *rig) {
			r.p.SetCongestion(r.p.Congestion()) // another one had the path meanwhile
			r.ack(next(r), next(r)+1)
		})
		testUndo(t, name, false, func(r *rig) {
			r.advance(10 * time.Second) // nobody waits that long
			r.ack(next(r), next(r)+1)
		})
	}
}

func TestLossAfterAnUndoneOneCounts(t *testing.T) {
	testUndo(t, "cubic", false, func(r *rig) {
		first := r.d.NextNumber(AppData) - 10
		r.ack(first, first+4)
		before := r.p.Window()
		r.send(80)
		r.ack(first+85, first+85)
		if r.p.Window() >= before {
			t.Errorf("window %d after a loss in the same round trip, was %d", r.p.Window(), before)
		}
	})
}

// RFC 9438 §4.9.2: the curve comes back with the window.
func TestCubicUndoGivesItsCurveBack(t *testing.T) {
	f := newFlow(t, "cubic")
	f.avoid(100)
	for range 20 {
		f.trip()
	}
	c := f.Congestion.(*cubic)
	curve, size := c.curveState, c.size
	f.lose()
	c.UndoLoss(f.now)
	if c.curveState != curve || c.size != size {
		t.Errorf("curve %+v and window %d, want %+v and %d", c.curveState, c.size, curve, size)
	}
	f.lose()
	c.size = 2 * size
	c.UndoLoss(f.now)
	if c.size != 2*size {
		t.Errorf("window %d, want the larger one it has, %d", c.size, 2*size)
	}
}

func TestLostLogIsBounded(t *testing.T) {
	r := newRig(t, true)
	r.send(3 * maxLostLog)
	last := r.d.NextNumber(AppData) - 1
	r.ack(last, last)
	if got := len(r.d.spaces[AppData].lost.entries); got != maxLostLog {
		t.Errorf("%d lost packets remembered, want %d", got, maxLostLog)
	}
	r.ack(0, last)
	if _, spurious := r.p.Lost(); spurious != maxLostLog {
		t.Errorf("%d came late, want what is remembered, %d", spurious, maxLostLog)
	}
	wantVar(r, "emptied", len(r.d.spaces[AppData].lost.entries), 0)
}

func TestPathThatReordersIsUsed(t *testing.T) {
	for _, name := range names {
		l := &link{rate: 1.25e6, delay: 15 * ms, queue: 60, late: 25, lateBy: 12 * ms}
		cc, _ := New(name, BaseMTU)
		f := newSimFlow(cc)
		simulate(t, l, 20*time.Second, f)
		lost, spurious := f.det.Path().Lost()
		if a, b := f.det.Lost(); a != lost || b != spurious {
			t.Errorf("%s: the detector counts %d and %d, its only path %d and %d", name, a, b, lost, spurious)
		}
		got := share(f, l, 20*time.Second)
		t.Logf("%s: %.3f of the link; %d declared lost, %d dropped, %d came late", name, got, lost, l.dropped, spurious)
		if got < 0.93 {
			t.Errorf("%s: %.3f of the link, want 0.93", name, got)
		}
		if int(lost-spurious) > l.dropped+l.dropped/10+5 || spurious > 40 {
			t.Errorf("%s: %d declared lost, %d of them came late; %d were dropped", name, lost, spurious, l.dropped)
		}
	}
}
