package lab

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustRun(t testing.TB, text string, setup Setup) *Result {
	t.Helper()
	r, err := Run(t.Context(), mustScenario(t, text), setup)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func measure(t testing.TB, r *Result, name string) float64 {
	t.Helper()
	m, ok := FindMeasure(name)
	if !ok {
		t.Fatalf("no measure %s", name)
	}
	return m.Value(r)
}

func TestASeedReplaysTheTimesOfEveryFlow(t *testing.T) {
	const text = "wifi --size=50kB,200kB --both --times=2 --repeat=8 --seed=11 --sample=20ms"
	one, two := mustRun(t, text, Setup{}), mustRun(t, text, Setup{})
	if !slices.Equal(one.Times(), two.Times()) {
		t.Errorf("completion times differ:\n%v\n%v", one.Times(), two.Times())
	}
	for i := range one.Repetitions {
		a, b := &one.Repetitions[i], &two.Repetitions[i]
		if !slices.Equal(a.Series, b.Series) || a.Network != b.Network || a.Seed != uint64(11+i) {
			t.Errorf("seed %d: series or network differ", a.Seed)
		}
		if len(a.Series) < 10 || a.Series[len(a.Series)-1].Window == 0 || a.Series[len(a.Series)-1].Delivered == 0 {
			t.Errorf("seed %d: the time series is empty: %d samples", a.Seed, len(a.Series))
		}
	}
	if other := mustRun(t, text+" --seed=500", Setup{}); slices.Equal(one.Times(), other.Times()) {
		t.Error("another seed gives the same times")
	}
}

func TestALinkIsFilledByWhatItCarries(t *testing.T) {
	r := mustRun(t, "clean --size=5MB", Setup{})
	if g := measure(t, r, "goodput"); g < 0.7*20e6 || g > 20e6 {
		t.Errorf("goodput %s on 20 Mbit/s", Rate.Format(g))
	}
	if h := measure(t, r, "handshake"); h < 0.030 || h > 0.040 {
		t.Errorf("handshake %s on a path of 30 ms", Time.Format(h))
	}
	first, med := measure(t, r, "first"), measure(t, r, "median")
	if first < 0.030 || first > 0.045 || med < 2 || med > 3 {
		t.Errorf("first byte after %v s, all after %v s", first, med)
	}
}

func TestEveryNamedScenarioCarriesItsFlows(t *testing.T) {
	for _, n := range Named() {
		r := mustRun(t, n.Name, Setup{})
		if err := r.FirstError(); err != nil || measure(t, r, "failed") != 0 {
			t.Errorf("%s: %v", n.Name, err)
		}
		if g := measure(t, r, "goodput"); g <= 0 || g > float64(r.Scenario.Rate()) {
			t.Errorf("%s: goodput %s on %s", n.Name, Rate.Format(g), Rate.Format(float64(r.Scenario.Rate())))
		}
	}
}

func TestAFlowThatFailsCountsWithTheLimit(t *testing.T) {
	r := mustRun(t, "edge --size=10MB --limit=2s --repeat=3", Setup{})
	if measure(t, r, "failed") != 3 || measure(t, r, "median") != 2 || measure(t, r, "goodput") != 0 {
		t.Errorf("failed %v, median %v, goodput %v", measure(t, r, "failed"), measure(t, r, "median"), measure(t, r, "goodput"))
	}
	if err := r.FirstError(); err == nil || !strings.Contains(err.Error(), "not done after 2s") {
		t.Errorf("error %v", err)
	}
}

func TestASetupComparedWithItselfIsTheSame(t *testing.T) {
	scenarios := []*Scenario{mustScenario(t, "loss-5 --repeat=5"), mustScenario(t, "burst --repeat=5")}
	calls := 0
	c, err := Compare(t.Context(), scenarios, Setup{}, Setup{Name: "again"}, Options{Workers: 3, Progress: func(done, total int) {
		if calls++; done != calls || total != 20 {
			t.Errorf("progress %d of %d at call %d", done, total, calls)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Pairs {
		if p.Ratio != 1 || !slices.Equal(p.A.Times(), p.B.Times()) {
			t.Errorf("%s: ratio %v", p.Scenario.Name, p.Ratio)
		}
	}
	if s := c.Summary(); calls != 20 || s.Same != 2 || s.Scenarios != 2 || s.Median != 1 || s.Share() != 0 || c.A != "plain" || c.B != "again" {
		t.Errorf("%d calls, summary %+v", calls, s)
	}
}

func TestAnotherControllerMakesADifference(t *testing.T) {
	c, err := Compare(t.Context(), []*Scenario{mustScenario(t, "loss-1 --size=2MB --repeat=3")}, Setup{}, Setup{Name: "bbr", Server: End{Congestion: "bbr"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Pairs[0].Ratio; r >= 0.9 || r <= 0 || math.IsNaN(r) {
		t.Errorf("BBR takes %.2f of the time of CUBIC at 1 %% of loss: is it in use?", r)
	}
}

func TestAComparisonEndsWhenItsContextDoes(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	gone := errors.New("enough")
	_, err := Compare(ctx, Grid(1, 50), Setup{}, Setup{}, Options{Progress: func(done, _ int) {
		if done == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(gone)
	if _, err := Run(ctx2, Grid(1, 1)[0], Setup{}); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines stay, had %d", runtime.NumGoroutine(), before)
}

func TestSetupsAreCheckedBeforeAnythingRuns(t *testing.T) {
	s := mustScenario(t, "clean")
	for want, setup := range map[string]Setup{
		`setup "plain", client: extension 0 has no New`:            {Client: End{Extensions: make([]Extension, 1)}},
		`setup "x", server: unknown congestion controller "vegas"`: {Name: "x", Server: End{Congestion: "vegas"}},
	} {
		if _, err := Run(t.Context(), s, setup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for _, s := range []*Scenario{nil, {}, {Network: s.Network}} {
		if _, err := Run(t.Context(), s, Setup{}); err == nil {
			t.Errorf("scenario %+v ran", s)
		}
	}
	if _, err := Compare(t.Context(), nil, Setup{}, Setup{}, Options{}); err == nil {
		t.Error("nothing was compared without an error")
	}
}

func TestValuesAreThoseOfTheMeasures(t *testing.T) {
	r := made(t, 1)
	text, err := json.Marshal(r.Values())
	if err != nil || !strings.Contains(string(text), `{"name":"median","unit":"s","value":0.25}`) || !strings.Contains(string(text), `{"name":"failed","value":0}`) {
		t.Errorf("%s, %v", text, err)
	}
	for _, v := range r.Values() {
		if x := measure(t, r, v.Name); x != v.Value {
			t.Errorf("%s is %v, and %v as a measure", v.Name, v.Value, x)
		}
	}
	for size, want := range map[int64]string{1: "1 B", 10_000: "10 kB", 1_500_000: "1.5 MB"} {
		if got := SizeName(size); got != want {
			t.Errorf("SizeName(%d) = %q, want %q", size, got, want)
		}
	}
}

func TestTheRatioIsThatOfTheMedians(t *testing.T) {
	c, err := Compare(t.Context(), []*Scenario{mustScenario(t, "loss-5 --size=200kB --repeat=9")}, Setup{}, Setup{Name: "bbr", Server: End{Congestion: "bbr"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &c.Pairs[0]
	if want := measure(t, p.B, "median") / measure(t, p.A, "median"); p.Ratio != want || want >= 1 {
		t.Errorf("ratio %v, want %v, below 1", p.Ratio, want)
	}
	for i, r := range p.Ratios() {
		if a, b := p.A.Repetitions[i].Flows[0].Took, p.B.Repetitions[i].Flows[0].Took; r != float64(b)/float64(a) {
			t.Errorf("repetition %d: ratio %v of %v and %v", i, r, b, a)
		}
	}
}
