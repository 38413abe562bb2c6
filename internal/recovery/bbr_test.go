package recovery

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// watched is a BBR that remembers the states it went through.
type watched struct {
	*bbr
	seen   []bbrState
	rounds map[bbrState]uint64 // in which a state was entered first
}

func watch() *watched {
	return &watched{bbr: newBBR(BaseMTU), seen: []bbrState{bbrStartup}, rounds: map[bbrState]uint64{}}
}

func (w *watched) Acked(e *hook.Acked) {
	w.bbr.Acked(e)
	w.note()
}

func (w *watched) Lost(e *hook.Lost) {
	w.bbr.Lost(e)
	w.note()
}

func (w *watched) note() {
	if w.state == w.seen[len(w.seen)-1] {
		return
	}
	w.seen = append(w.seen, w.state)
	if _, ok := w.rounds[w.state]; !ok {
		w.rounds[w.state] = w.round
	}
}

func (w *watched) saw(s bbrState) bool { _, ok := w.rounds[s]; return ok }

// share is what arrived in the second half, of what the link carries.
func share(f *simFlow, l *link, d time.Duration) float64 {
	return float64(f.late) / (l.rate * d.Seconds() / 2)
}

func TestBBRFillsAPathAndKeepsItsQueueShort(t *testing.T) {
	for _, tc := range []struct {
		name  string
		link  link
		for_  time.Duration
		share float64
		queue time.Duration // mean, at most
	}{
		{"10 Mbit/s, 30 ms, 25 packets", link{rate: 1.25e6, delay: 15 * ms, queue: 25}, 20 * time.Second, 0.95, 7 * ms},
		{"10 Mbit/s, 30 ms, a deep queue", link{rate: 1.25e6, delay: 15 * ms, queue: 1000}, 20 * time.Second, 0.95, 7 * ms},
		{"100 Mbit/s, 10 ms", link{rate: 12.5e6, delay: 5 * ms, queue: 100}, 20 * time.Second, 0.95, 2 * ms},
		{"10 Mbit/s, 1.5 s, a satellite and more", link{rate: 1.25e6, delay: 750 * ms, queue: 2000}, 90 * time.Second, 0.88, 600 * ms},
		{"10 Mbit/s, 30 ms, a queue of five", link{rate: 1.25e6, delay: 15 * ms, queue: 5}, 20 * time.Second, 0.85, 3 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cc, l := watch(), tc.link
			f := newSimFlow(cc)
			simulate(t, &l, tc.for_, f)
			got := share(f, &l, tc.for_)
			lost := float64(l.dropped) / float64(l.count)
			t.Logf("%.3f of the link, mean queue %v, %.3f %% lost", got, f.queue(), 100*lost)
			if got < tc.share || f.queue() > tc.queue {
				t.Errorf("%.3f of the link with a queue of %v, want %.2f and %v", got, f.queue(), tc.share, tc.queue)
			}
			for s := bbrDrain; s <= bbrProbeRTT; s++ {
				if !cc.saw(s) {
					t.Errorf("never entered state %d, was in %v", s, cc.seen)
				}
			}
		})
	}
}

// Loss by chance is no sign of congestion: a controller that takes it for one starves.
func TestBBRKeepsItsRateUnderRandomLoss(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	for _, tc := range []struct {
		loss, share float64
	}{{0.005, 0.95}, {0.01, 0.90}, {0.02, 0.85}} {
		run := func(name string) float64 {
			l := &link{rate: 1.25e6, delay: 15 * ms, queue: 25, loss: tc.loss, luck: rand.New(rand.NewPCG(seed, seed))}
			cc, _ := New(name, BaseMTU)
			f := newSimFlow(cc)
			simulate(t, l, 40*time.Second, f)
			return share(f, l, 40*time.Second)
		}
		got, cubic := run("bbr"), run("cubic")
		t.Logf("%.1f %% loss: bbr %.3f of the link, cubic %.3f", 100*tc.loss, got, cubic)
		if got < tc.share || got < cubic {
			t.Errorf("%.1f %% loss: bbr has %.3f of the link, cubic %.3f, want %.2f and more than cubic", 100*tc.loss, got, cubic, tc.share)
		}
	}
}

func TestBBRSharesWithItself(t *testing.T) {
	const d = 60 * time.Second
	l := &link{rate: 1.25e6, delay: 15 * ms, queue: 60}
	a, b := newSimFlow(newBBR(BaseMTU)), newSimFlow(newBBR(BaseMTU))
	b.start = 5 * time.Second
	simulate(t, l, d, a, b)
	x, y := share(a, l, d), share(b, l, d)
	t.Logf("%.3f and %.3f of the link, queues %v and %v", x, y, a.queue(), b.queue())
	if x+y < 0.93 || min(x, y) < 0.25 {
		t.Errorf("%.3f and %.3f of the link, want most of it together and a quarter at least each", x, y)
	}
}

func TestBBRLivesBesideCubic(t *testing.T) {
	const d = 60 * time.Second
	l := &link{rate: 1.25e6, delay: 15 * ms, queue: 60}
	a, b := newSimFlow(newBBR(BaseMTU)), newSimFlow(newCubic(BaseMTU))
	simulate(t, l, d, a, b)
	x, y := share(a, l, d), share(b, l, d)
	t.Logf("bbr %.3f, cubic %.3f of the link", x, y)
	if x+y < 0.93 || min(x, y) < 0.1 {
		t.Errorf("bbr %.3f, cubic %.3f of the link, want neither starved", x, y)
	}
}

func TestBBRLeavesStartupSoonAfterThePipeIsFull(t *testing.T) {
	for _, tc := range []struct {
		name   string
		link   link
		rounds uint64
	}{
		// Ten packets double to a product of 31 in two rounds; three more without growth.
		{"deep queue: by the plateau", link{rate: 1.25e6, delay: 15 * ms, queue: 1000}, 8},
		{"shallow queue: by loss", link{rate: 1.25e6, delay: 15 * ms, queue: 10}, 7},
		// 1042 packets, seven rounds.
		{"100 Mbit/s, 100 ms", link{rate: 12.5e6, delay: 50 * ms, queue: 5000}, 13},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cc := watch()
			simulate(t, &tc.link, 3*time.Second, newSimFlow(cc))
			if got, ok := cc.rounds[bbrDrain]; !ok || got > tc.rounds {
				t.Errorf("left Startup in round %d (left: %v), want %d at most", got, ok, tc.rounds)
			}
		})
	}
}

func TestBBRSeesALongerPathAfterProbeRTT(t *testing.T) {
	cc := watch()
	l := &link{rate: 1.25e6, delay: 10 * ms, queue: 200}
	f := newSimFlow(cc)
	simulate(t, l, 5*time.Second, f)
	before := cc.minRTT
	now := hook.Instant(6 * time.Second)
	if before > 0.025 {
		t.Fatalf("least round trip %.1f ms, want about 20", 1e3*before)
	}
	// From here on acknowledgments take 40 ms more.
	e := hook.Acked{Bytes: 1200, InFlight: 20000, TxInFlight: 20000, RTTSampled: true,
		RTT: hook.RTT{Latest: 60 * ms, Smoothed: 60 * ms, Min: 20 * ms, HasSample: true}, Rate: hook.Rate{Bytes: 75000, Interval: 60 * ms}}
	for range 900 {
		now = now.Add(15 * ms)
		e.Now, e.LargestSent = now, now.Add(-60*ms)
		e.Rate.Delivered += 1200
		if cc.state == bbrProbeRTT {
			e.InFlight = min(20000, cc.Window())
			if want := max(0.5*before*cc.maxBandwidth(), 4*1200); float64(cc.Window()) > 1.1*want {
				t.Fatalf("window %d in ProbeRTT, want at most %.0f", cc.Window(), want)
			}
		} else {
			e.InFlight = 20000
		}
		cc.Acked(&e)
	}
	if !cc.saw(bbrProbeRTT) || math.Abs(cc.minRTT-0.060) > 1e-9 {
		t.Errorf("least round trip %.1f ms, went through ProbeRTT: %v, want 60", 1e3*cc.minRTT, cc.saw(bbrProbeRTT))
	}
	if cc.state == bbrProbeRTT {
		t.Error("still in ProbeRTT")
	}
}

// driven is a BBR fed with acknowledgments of a path of 100 packets a round trip of 100 ms.
type driven struct {
	*bbr
	t     *testing.T
	now   hook.Instant
	sum   uint64
	stop  bbrState // ends a trip when reached
	queue int      // packets in flight besides those of a trip
}

func drive(t *testing.T) *driven {
	return &driven{bbr: newBBR(mss), t: t, now: hook.Instant(time.Second)}
}

// trip acknowledges n packets over a round trip, at the rate that makes; ce of them were marked.
func (d *driven) trip(n, ce int) {
	const rtt = 100 * ms
	begin := d.now
	for i := range n {
		d.now = begin.Add(rtt * time.Duration(i+1) / time.Duration(n))
		d.sum += mss
		e := hook.Acked{Now: d.now, Bytes: mss, LargestSent: d.now.Add(-rtt), InFlight: (n + d.queue) * mss, TxInFlight: n * mss, RTTSampled: true,
			RTT:  hook.RTT{Latest: rtt, Smoothed: rtt, Min: rtt, HasSample: true},
			Rate: hook.Rate{Delivered: d.sum, Bytes: uint64(n * mss), Interval: rtt}}
		if i < ce {
			e.CE = 1
		}
		d.Sent(d.now, mss, d.window) // as full as it may be
		d.Acked(&e)
		if d.stop != bbrStartup && d.state == d.stop {
			return
		}
	}
}

// until lets round trips of n packets pass until the state is s.
func (d *driven) until(s bbrState, n int) {
	d.t.Helper()
	d.stop = s
	defer func() { d.stop = bbrStartup }()
	for range 100 {
		if d.state == s {
			return
		}
		d.trip(n, 0)
	}
	d.t.Fatalf("state %d after a hundred round trips, want %d", d.state, s)
}

func TestBBRStartupDoublesAndEndsAfterThreeFlatRounds(t *testing.T) {
	d := drive(t)
	for _, n := range []int{10, 20, 40, 80, 100} {
		d.trip(n, 0)
		if d.state != bbrStartup || d.fullReached {
			t.Fatalf("state %d with %d packets a round, want Startup", d.state, n)
		}
	}
	if gain := d.rate / d.bw; math.Abs(gain-2.77*0.99) > 0.01 {
		t.Errorf("paced at %.2f of the bandwidth, want 2.77 less one per cent", gain)
	}
	// 80 to 100 is a growth of exactly 25 %.
	d.queue = 50
	d.until(bbrDrain, 100)
	if d.bw != 1_200_000 {
		t.Errorf("bandwidth %.0f, want 1.2 MB/s", d.bw)
	}
	if d.rate > 0.51*d.bw {
		t.Errorf("drains at %.0f of %.0f", d.rate, d.bw)
	}
	d.queue = 0
	d.until(bbrDown, 100)
	d.until(bbrCruise, 90)
	if math.Abs(d.rate-0.99*d.bw) > 1 {
		t.Errorf("cruises at %.0f of %.0f", d.rate, d.bw)
	}
}

func TestBBRLowersItsShortTermBoundsOncePerRoundWithLoss(t *testing.T) {
	d := drive(t)
	d.until(bbrCruise, 100)
	lose := func(packets int) {
		d.Lost(&hook.Lost{Now: d.now, Bytes: packets * mss, Packets: packets, Runs: packets, LargestSent: d.now.Add(-100 * ms),
			TxInFlight: 100 * mss, LostSince: packets * mss})
	}
	lose(2)
	d.trip(50, 0)
	d.trip(50, 0)
	if !math.IsInf(d.bwShort, 1) {
		t.Errorf("short-term bandwidth %.0f after two lost packets of a hundred, want no bound", d.bwShort)
	}
	lose(3)
	d.trip(50, 0)
	d.trip(50, 0)
	if !(d.bwShort < d.maxBandwidth()) || d.bwShort < 0.7*d.maxBandwidth()-1 {
		t.Errorf("short-term bandwidth %.0f of %.0f, want lower but no lower than 0.7 of it", d.bwShort, d.maxBandwidth())
	}
	low := d.bwShort
	d.trip(50, 0)
	if d.bwShort != low {
		t.Errorf("short-term bandwidth %.0f, was %.0f: a round without loss lowers nothing", d.bwShort, low)
	}
	d.until(bbrRefill, 50)
	if !math.IsInf(d.bwShort, 1) || !math.IsInf(d.inflightShort, 1) {
		t.Error("a new probe forgets the short term")
	}
}

func TestBBRProbeThatLosesTooMuchSetsTheLongTermBound(t *testing.T) {
	d := drive(t)
	d.until(bbrUp, 100)
	lose := func(packets int) {
		d.Lost(&hook.Lost{Now: d.now, Bytes: packets * mss, Packets: packets, Runs: packets, LargestSent: d.now.Add(-100 * ms),
			TxInFlight: 120 * mss, LostSince: packets * mss})
	}
	lose(2)
	if d.state != bbrUp || !math.IsInf(d.inflightLong, 1) {
		t.Fatalf("state %d, bound %.0f after 2 of 120, want the probe to go on", d.state, d.inflightLong)
	}
	lose(6)
	if d.state != bbrDown {
		t.Fatalf("state %d after 6 of 120, want the end of the probe", d.state)
	}
	// Before these six 114 were in flight: 2 % of them is 2.28 packets, so (114 + 2.28/0.98) is where the threshold was crossed.
	if want := (114 + 2.28/0.98) * mss; math.Abs(d.inflightLong-want) > 1 {
		t.Errorf("bound %.0f, want %.0f", d.inflightLong, want)
	}
	if limit := d.inflightLong; float64(d.window) > limit {
		d.trip(100, 0)
		if float64(d.window) > limit {
			t.Errorf("window %d above the bound %.0f", d.window, limit)
		}
	}
	d.until(bbrCruise, 80)
	if limit := 0.85*d.inflightLong + 1; float64(d.window) > limit {
		t.Errorf("window %d while cruising, want at most %.0f: headroom for others", d.window, limit)
	}
}

func TestBBRTakesMarksForLoss(t *testing.T) {
	d := drive(t)
	d.until(bbrUp, 100)
	d.Lost(&hook.Lost{Now: d.now, CE: true, LargestSent: d.now.Add(-100 * ms), TxInFlight: 110 * mss})
	if d.state != bbrDown || d.inflightLong != 110*mss {
		t.Errorf("state %d, bound %.0f after a mark in a probe, want ProbeBW_DOWN and what was in flight, %d", d.state, d.inflightLong, 110*mss)
	}
	s := drive(t)
	for _, n := range []int{10, 20, 40} {
		s.trip(n, 0)
	}
	s.Lost(&hook.Lost{Now: s.now, CE: true, LargestSent: s.now.Add(-100 * ms), TxInFlight: 40 * mss})
	s.trip(60, 10)
	s.trip(60, 10)
	if s.state == bbrStartup {
		t.Error("still in Startup although a sixth of the packets is marked")
	}
}

func TestBBRUndoGivesBackWhatReorderingTook(t *testing.T) {
	d := drive(t)
	d.until(bbrUp, 100)
	window := d.window
	d.Lost(&hook.Lost{Now: d.now, Bytes: 6 * mss, Packets: 6, Runs: 6, LargestSent: d.now.Add(-100 * ms), TxInFlight: 120 * mss, LostSince: 6 * mss})
	d.trip(50, 0)
	if d.state == bbrUp || math.IsInf(d.inflightLong, 1) {
		t.Fatal("the probe did not end")
	}
	d.UndoLoss(d.now)
	if d.state != bbrRefill || !math.IsInf(d.inflightLong, 1) || d.window < window {
		t.Errorf("state %d, bound %.0f, window %d; want a new probe, no bound, and %d", d.state, d.inflightLong, d.window, window)
	}
	s := drive(t)
	s.trip(10, 0)
	s.trip(20, 0)
	s.Lost(&hook.Lost{Now: s.now, Bytes: 8 * mss, Packets: 8, Runs: 8, LargestSent: s.now.Add(-100 * ms), TxInFlight: 20 * mss, LostSince: 8 * mss})
	s.s.lost = 0
	s.fullReached, s.undo.left, s.undo.state, s.state = true, true, bbrStartup, bbrDrain
	s.UndoLoss(s.now)
	if s.state != bbrStartup || s.fullReached {
		t.Errorf("state %d, want Startup again", s.state)
	}
}

// Conformance 121, 119.
func TestBBRPersistentCongestionTakesTheMinimumUntilItIsOver(t *testing.T) {
	d := drive(t)
	d.until(bbrCruise, 100)
	before := d.window
	at := d.now
	d.Lost(&hook.Lost{Now: at, Bytes: 50 * mss, Packets: 50, Runs: 1, LargestSent: at.Add(-ms), TxInFlight: 100 * mss, LostSince: 50 * mss, Persistent: true})
	if d.window != 2*mss {
		t.Errorf("window %d, want two datagrams", d.window)
	}
	d.Acked(&hook.Acked{Now: at.Add(50 * ms), Bytes: mss, LargestSent: at.Add(-50 * ms)})
	if d.window > 4*mss {
		t.Errorf("window %d while what was sent before is still acknowledged, want four datagrams at most", d.window)
	}
	d.trip(100, 0)
	d.trip(100, 0)
	if float64(d.window) < 0.45*float64(before) {
		t.Errorf("window %d after recovery, was %d", d.window, before)
	}
}

func TestBBRIgnoresWhatTheApplicationHeldBack(t *testing.T) {
	d := drive(t)
	d.until(bbrCruise, 100)
	bw := d.bw
	for i := range 200 {
		d.now = d.now.Add(100 * ms)
		e := hook.Acked{Now: d.now, Bytes: mss, LargestSent: d.now.Add(-100 * ms), InFlight: 0, TxInFlight: mss, RTTSampled: true, AppLimited: true,
			RTT:  hook.RTT{Latest: 100 * ms, Smoothed: 100 * ms, Min: 100 * ms, HasSample: true},
			Rate: hook.Rate{Delivered: d.sum, Bytes: mss, Interval: 100 * ms, AppLimited: true}}
		d.Sent(d.now.Add(-100*ms), mss, mss)
		d.Acked(&e)
		if d.state == bbrProbeRTT {
			t.Fatalf("in ProbeRTT at step %d: silence already drained the queue", i)
		}
	}
	if d.bw != bw {
		t.Errorf("bandwidth %.0f after twenty seconds of single packets, was %.0f", d.bw, bw)
	}
}

func TestBBRExtraAckedIsWhatAcknowledgmentsRunAhead(t *testing.T) {
	d := drive(t)
	d.until(bbrCruise, 100)
	before := d.extraAcked()
	d.now = d.now.Add(50 * ms)
	d.sum += 50 * mss
	d.Acked(&hook.Acked{Now: d.now, Bytes: 50 * mss, LargestSent: d.now.Add(-60 * ms), InFlight: 50 * mss, TxInFlight: 100 * mss, Rate: hook.Rate{Delivered: d.sum}})
	if got := d.extraAcked(); got < before+30*mss || got > 60*mss {
		t.Errorf("extra_acked %.0f after 50 packets at once, was %.0f", got, before)
	}
}

func TestRoundMaxIsTheMaximumOfItsWindow(t *testing.T) {
	const seed = 11
	luck := rand.New(rand.NewPCG(seed, seed))
	var m roundMax
	var values []float64
	for round := range uint64(2000) {
		v := luck.Float64()
		values = append(values, v)
		m.add(round, v, 10)
		from := max(0, len(values)-10)
		most := 0.0
		for _, x := range values[from:] {
			most = max(most, x)
		}
		// Three candidates stand for ten: never more than the maximum, and seldom less.
		if m.get() > most || m.get() < 0.5*most {
			t.Fatalf("seed %d, round %d: %.3f, want about %.3f", seed, round, m.get(), most)
		}
	}
}
