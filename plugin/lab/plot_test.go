package lab

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// wellFormed reads an SVG to its end.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		switch _, err := dec.Token(); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

// drawn is a result that no transport had a part in, so that it stays as it is: 40 flows, and a sawtooth.
func drawn(t *testing.T, name string, factor float64) *Result {
	r := &Result{Scenario: mustScenario(t, "loss-5"), Setup: name}
	for i := range 40 {
		took := time.Duration(factor * (300 + 20*float64(i) + float64(i*i*i)/200) * float64(time.Millisecond))
		r.Repetitions = append(r.Repetitions, Repetition{Seed: uint64(i), Busy: took, Delivered: 50_000, Flows: []FlowResult{{Took: took, First: took / 3}}})
	}
	window := 14_000.0
	for at := time.Duration(0); at < time.Duration(factor*float64(8*time.Second)); at += 20 * time.Millisecond {
		s := Sample{At: at, Window: int(window), InFlight: int(window * 0.9), Delivered: int64(at.Seconds() * 90_000 / factor)}
		if at > 100*time.Millisecond {
			s.RTT = 100*time.Millisecond + time.Duration(window)*time.Microsecond
		}
		r.Repetitions[0].Series = append(r.Repetitions[0].Series, s)
		if window += 700 * factor; window > 60_000 {
			window *= 0.7
		}
	}
	return r
}

// drawnGrid is a comparison with given ratios.
func drawnGrid(middle float64) *Comparison {
	c := &Comparison{A: "plain", B: "fec"}
	for i, s := range Grid(1, 60) {
		ratio := middle + 0.3*math.Sin(float64(i)*1.7)
		if i%7 == 0 {
			ratio = 1
		}
		c.Pairs = append(c.Pairs, Pair{Scenario: s, Ratio: ratio, A: &Result{}, B: &Result{}})
	}
	return c
}

func TestPlotsAreAsTheyWere(t *testing.T) {
	a, b := drawn(t, "plain", 1), drawn(t, "fec", 0.7)
	grid := []RatioGroup{{"10 kB", drawnGrid(0.9)}, {"50 kB", drawnGrid(1.05)}}
	for name, plot := range map[string]func(io.Writer) error{
		"series.svg": func(w io.Writer) error {
			return PlotSeries(w, "loss-5, 100 kB, seed 1", Trace{"plain", a.Repetitions[0].Series}, Trace{"fec", b.Repetitions[0].Series})
		},
		"times.svg":  func(w io.Writer) error { return PlotTimes(w, "loss-5, 100 kB, 40 seeds", a, b) },
		"ratios.svg": func(w io.Writer) error { return PlotRatios(w, "12 networks", grid...) },
	} {
		var out bytes.Buffer
		if err := plot(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wellFormed(t, out.Bytes())
		golden(t, name, out.String())
	}
}

func TestNothingToPlotIsAnError(t *testing.T) {
	failed := &Result{Repetitions: []Repetition{{Flows: []FlowResult{{Took: time.Second, Err: io.EOF}}}}}
	for name, err := range map[string]error{
		"no series":    PlotSeries(io.Discard, ""),
		"empty series": PlotSeries(io.Discard, "", Trace{}),
		"no times":     PlotTimes(io.Discard, "", failed),
		"no ratios":    PlotRatios(io.Discard, "", RatioGroup{"", &Comparison{Pairs: make([]Pair, 2)}}),
	} {
		if !errors.Is(err, errNothing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := PlotTimes(io.Discard, "", failed, failed, failed, failed, failed); err == nil || !strings.Contains(err.Error(), "5 runs in one plot, want at most 4") {
		t.Errorf("five runs: %v", err)
	}
}

func TestNamesCannotBreakAPlot(t *testing.T) {
	r := made(t, 1)
	r.Setup = "</text><script>alert(1)</script>\x00\xff&\""
	var out bytes.Buffer
	if err := PlotTimes(&out, r.Setup, r); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, out.Bytes())
	if strings.Contains(out.String(), "<script") {
		t.Error("a name became an element")
	}
}

func TestAxesAreRoundAndHoldTheirValues(t *testing.T) {
	for _, tc := range []struct {
		axis  axis
		title string
		ticks string
	}{
		{linear("time", Time, 0, 0.43, true), "time, ms", "0 100 200 300 400 500"},
		{linear("time", Time, 2.1, 2.9, false), "time, s", "2 2.2 2.4 2.6 2.8 3"},
		{linear("window", Bytes, 0, 100_000, true), "window, KiB", "0 20 40 60 80 100"},
		{linear("nothing", Number, 0, 0, true), "nothing", "0 0.2 0.4 0.6 0.8 1"},
		{logarithmic("ratio", Number, 0.4, 2.5), "ratio", "0.5 0.7 1 1.5 2"},
		{logarithmic("ratio", Number, 1, 1), "ratio", "0.95 1 1.1"},
		{logarithmic("time", Time, 0.01, 10), "time, s", "0.01 0.1 1 10"},
	} {
		var labels []string
		for _, x := range tc.axis.ticks() {
			if at := tc.axis.at(x); at < -1e-9 || at > 1+1e-9 {
				t.Errorf("%s: tick %v lies at %v", tc.title, x, at)
			}
			labels = append(labels, tc.axis.label(x))
		}
		if got := strings.Join(labels, " "); got != tc.ticks || tc.axis.title() != tc.title {
			t.Errorf("%q has ticks %s, want %q with %s", tc.axis.title(), got, tc.title, tc.ticks)
		}
	}
}
