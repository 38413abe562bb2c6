package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// fetch transfers n bytes over a link with a fresh controller that may resume, and returns how long that took.
func fetch(t *testing.T, name string, l link, n int, saved hook.SavedPath) (took time.Duration, f *simFlow, dropped int) {
	t.Helper()
	cc, err := New(name, BaseMTU)
	if err != nil {
		t.Fatal(err)
	}
	f = newSimFlow(cc)
	f.limit = n
	f.det.Path().Resume(saved)
	simulate(t, &l, 60*time.Second, f)
	if f.done == 0 {
		t.Fatalf("%s: %d of %d bytes arrived in a minute", name, f.got, n)
	}
	return f.done.Sub(simBegin), f, l.dropped
}

// A satellite: 50 Mbit/s, 600 ms.
var satellite = link{rate: 6.25e6, delay: 300 * ms, queue: 3000}

func TestResumedPathIsFullSooner(t *testing.T) {
	const n = 6 << 20
	for _, name := range names {
		_, long, _ := fetch(t, name, satellite, 40<<20, hook.SavedPath{})
		saved, ok := long.det.Path().Saved()
		if !ok || saved.RTT < 600*ms || saved.RTT > 610*ms || float64(saved.Window) < 0.7*6.25e6*0.6 {
			t.Errorf("%s: saved %+v, %v; want about 600 ms and 3.75 MB", name, saved, ok)
		}
		fresh, _, _ := fetch(t, name, satellite, n, hook.SavedPath{})
		resumed, f, dropped := fetch(t, name, satellite, n, saved)
		t.Logf("%s: %v from nothing, %v resumed from %d bytes", name, fresh, resumed, saved.Window)
		if resumed > fresh*7/10 || dropped > 0 {
			t.Errorf("%s: %v resumed, %v from nothing, %d packets dropped; want three tenths less and no loss", name, resumed, fresh, dropped)
		}
		if f.det.Path().resume != nil {
			t.Errorf("%s: still resuming in phase %d", name, f.det.Path().resume.phase)
		}
	}
}

func TestResumeRetreatsOnASmallerPath(t *testing.T) {
	const n = 4 << 20
	saved := hook.SavedPath{RTT: 600 * ms, Window: 3_750_000}
	smaller := link{rate: 0.625e6, delay: 300 * ms, queue: 300} // a tenth
	for _, name := range names {
		fresh, _, _ := fetch(t, name, smaller, n, hook.SavedPath{})
		resumed, f, dropped := fetch(t, name, smaller, n, saved)
		t.Logf("%s: %v from nothing, %v resumed, %d dropped", name, fresh, resumed, dropped)
		if dropped == 0 {
			t.Errorf("%s: nothing was dropped: the jump was no test", name)
		}
		if dropped > saved.Window/2/BaseMTU {
			t.Errorf("%s: %d packets dropped, want fewer than the jump held", name, dropped)
		}
		if resumed > fresh*13/10 {
			t.Errorf("%s: %v with a wrong memory, %v with none", name, resumed, fresh)
		}
		if again, ok := f.det.Path().Saved(); ok && again.Window > saved.Window/2 {
			t.Errorf("%s: saved %d bytes, what was disproved", name, again.Window)
		}
	}
}

// resumeRig offers 120000 bytes and 100 ms to a path, and has its initial window of ten packets in flight.
func resumeRig(t *testing.T, saved hook.SavedPath) *rig {
	cc := newCubic(1200)
	p := NewPath(PathConfig{Congestion: cc})
	p.Resume(saved)
	r := &rig{t: t, now: hook.Instant(time.Second), p: p, d: NewDetector(Config{}, p), space: AppData}
	r.d.SetHandshakeConfirmed()
	r.fill()
	return r
}

// fill sends what the window lets, the last packet a little later.
func (r *rig) fill() {
	for r.p.Window()-r.p.BytesInFlight() >= 2400 {
		r.send(1)
	}
	if r.p.Window()-r.p.BytesInFlight() >= 1200 {
		r.advance(ms)
		r.send(1)
	}
	r.p.use.full = true
}

func (r *rig) resumes() resumePhase {
	r.t.Helper()
	if r.p.resume == nil {
		r.t.Fatal("careful resume is over")
	}
	return r.p.resume.phase
}

var hundred = hook.SavedPath{RTT: 100 * ms, Window: 120_000}

func TestResumePhases(t *testing.T) {
	r := resumeRig(t, hundred)
	r.advance(100 * ms)
	r.ack(0, 8)
	wantVar(r, "nine of ten acknowledged", r.resumes(), reconnaissance)
	r.fill()
	r.ack(0, 9)
	wantVar(r, "the initial window arrived", r.resumes(), unvalidated)
	wantVar(r, "half of what was saved", r.p.Window(), 60_000)
	wantVar(r, "paced over the round trip", r.p.PacingRate(), uint64(60_000/r.p.RTT.Smoothed().Seconds()))
	r.advance(50 * ms)
	r.fill()
	inFlight := r.p.BytesInFlight()
	wantVar(r, "all of it left", inFlight/1200, 50)
	r.advance(48 * ms)
	r.ack(0, 20)
	wantVar(r, "what was sent before tells nothing", r.resumes(), unvalidated)
	r.fill()
	next := r.d.NextNumber(AppData)
	r.advance(40 * ms)
	first := uint64(0)
	for pn, p, ok := r.d.Outstanding(AppData, 0); ok && p.At <= r.p.resume.entered; pn, p, ok = r.d.Outstanding(AppData, pn+1) {
		first = pn + 1
	}
	r.ack(0, first)
	wantVar(r, "the first of the jump arrived", r.resumes(), validating)
	wantVar(r, "nothing more than is acknowledged", r.p.Window() >= r.p.BytesInFlight() && r.p.Window() <= inFlight+1200, true)
	r.advance(60 * ms)
	r.ack(0, next-1)
	if r.p.resume != nil {
		t.Errorf("still in phase %d although all of it arrived", r.p.resume.phase)
	}
	if w := r.p.cc.Window(); w < 50_000 || !r.p.InSlowStart() {
		t.Errorf("the controller has %d bytes, slow start %v; want the jump and slow start", w, r.p.InSlowStart())
	}
}

func TestResumeRetreatsToHalfOfWhatArrived(t *testing.T) {
	for _, tc := range []struct {
		name string
		bad  func(r *rig, first uint64)
	}{
		{"loss", func(r *rig, first uint64) { r.ack(first+3, first+5, 0, first) }},
		{"marks", func(r *rig, first uint64) {
			r.p.tally = tally{touched: true, ce: true, newestAcked: r.now.Add(-100 * ms), prior: r.p.inFlight}
			r.p.conclude(r.now)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := resumeRig(t, hundred)
			r.advance(100 * ms)
			r.ack(0, 9)
			r.advance(ms)
			first := r.d.NextNumber(AppData)
			r.fill()
			last := r.d.NextNumber(AppData) - 1
			r.advance(100 * ms)
			pipe := r.p.resume.pipe
			tc.bad(r, first)
			wantVar(r, "phase", r.resumes(), retreating)
			wantVar(r, "half of what arrived, or the initial window", r.p.Window() <= max(pipe/2+3600, 12_000), true)
			before := r.p.Window()
			r.ack(first+3, last-1)
			wantVar(r, "no growth", r.p.Window(), before)
			r.ack(first+3, last)
			if r.p.resume != nil {
				t.Fatal("still retreating although the last of the jump is accounted for")
			}
			if c := r.p.cc.(*cubic); c.size != before || c.ssthresh < 40_000 || c.ssthresh > 70_000 {
				t.Errorf("window %d, threshold %d; want %d and what arrived", c.size, c.ssthresh, before)
			}
			if saved, _ := r.p.Saved(); saved.Window >= hundred.Window {
				t.Errorf("saved %+v, what was disproved", saved)
			}
		})
	}
}

func TestResumeStaysAwayFromOtherPaths(t *testing.T) {
	for _, tc := range []struct {
		name  string
		saved hook.SavedPath
		rtt   time.Duration
		do    func(r *rig)
	}{
		{"a much shorter round trip", hundred, 49 * ms, nil},
		{"a much longer one", hundred, 1001 * ms, nil},
		{"loss before the jump", hundred, 100 * ms, func(r *rig) { r.ack(3, 9) }},
		{"the application has nothing to send", hundred, 100 * ms, func(r *rig) {
			r.p.use = usage{round: 1}
			r.ack(0, 9)
		}},
		{"not worth it", hook.SavedPath{RTT: 100 * ms, Window: 47_999}, 100 * ms, nil},
		{"no round-trip time", hook.SavedPath{Window: 120_000}, 100 * ms, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := resumeRig(t, tc.saved)
			r.advance(tc.rtt)
			if tc.do != nil {
				tc.do(r)
			} else {
				r.ack(0, 9)
			}
			if w := r.p.Window(); w > 24_000 {
				t.Errorf("window %d, want no jump", w)
			}
		})
	}
}

func TestResumeNeedsAControllerThatCan(t *testing.T) {
	p := NewPath(PathConfig{Congestion: &recorder{window: 12_000}})
	p.Resume(hundred)
	if p.resume != nil {
		t.Error("resuming a controller that cannot")
	}
}

func TestSavedPathOutlivesAConnectionThatLearntNothing(t *testing.T) {
	r := resumeRig(t, hundred)
	if got, ok := r.p.Saved(); !ok || got != hundred {
		t.Errorf("saved %+v, %v; want what was offered", got, ok)
	}
}
