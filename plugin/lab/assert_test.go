package lab

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

var update = flag.Bool("update", false, "rewrite the golden files; look at what changed")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range max(len(g), len(w)) {
			if i >= len(g) || i >= len(w) || g[i] != w[i] {
				t.Fatalf("%s:%d: differs; run with -update if that is meant\n got %s\nwant %s", path, i+1, lineOf(g, i), lineOf(w, i))
			}
		}
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

// made is a result of four flows: 100, 200, 300 and 400 ms, times a factor.
func made(t testing.TB, factor int, stats ...hook.ExtensionStats) *Result {
	r := &Result{Scenario: mustScenario(t, "clean"), Setup: "plain"}
	for i := range 4 {
		took := time.Duration((i+1)*factor) * 100 * time.Millisecond
		rep := Repetition{Seed: uint64(i + 1), Handshake: 30 * time.Millisecond, Busy: took, Delivered: 100_000}
		rep.Flows = []FlowResult{{Flow: Flow{Size: 100_000}, Took: took, First: took / 4}}
		rep.Server = EndResult{PacketsSent: 100, PacketsLost: 5, BytesSent: 140_000, BytesResent: 7000}
		rep.Server.Extensions = stats
		r.Repetitions = append(r.Repetitions, rep)
	}
	return r
}

func TestAssertionsExplainThemselves(t *testing.T) {
	plain := made(t, 2)
	r := made(t, 1, hook.ExtensionStats{FramesWritten: 20, BytesWritten: 9000, Usage: hook.Usage{Calls: 200, Fuel: 1_000_000, MaxFuel: 19_000, Faults: 1, Memory: 70_000},
		Metrics: []hook.Metric{{Name: "repaired", Value: 3}}, Starved: 20 * time.Millisecond})
	var out strings.Builder
	for _, text := range []string{
		"p95 < 400ms", "p95 < 0.3s", "median == 250ms", "median != 250ms", "goodput >= 0.9*plain", "goodput >= 3 * plain.goodput", "p95 <= plain.p95/2 + 1ms",
		"p95 - median < 100ms", "faults == 0", "fuel.max < 20000", "fuel.mean < 4000", "retransmitted < 10KiB", "retransmitted < 5% * sent", "frames.bytes/frames <= 450B",
		"failed == 0", "(p50 + p90) / 2 < plain.p75", "metric.repaired >= 12", "metric.other >= 12", "memory <= 64KiB", "starved < 10ms", "lost/packets <= 5%",
		"goodput/plain.goodput >= 1.9", "median > 0", "p95 < plain", "timeouts/lost < 0.5", "timeouts/faults*0 == frames/timeouts", "handshake < 100ms", "min >= 100ms", "first<=75ms",
	} {
		a, err := ParseAssertion(text)
		if err != nil {
			t.Fatal(err)
		}
		o := a.Check(r, plain)
		fmt.Fprintf(&out, "%-5v %s\n", o.Pass, o.Text)
		if strings.Contains(text, "plain") != a.NeedsPlain() {
			t.Errorf("%s: needs plain: %v", text, a.NeedsPlain())
		}
	}
	a, _ := ParseAssertion("p95 < plain")
	fmt.Fprintf(&out, "%-5v %s\n", false, a.Check(r, nil).Text)
	golden(t, "assertions.txt", out.String())
}

func TestBadAssertionsSayWhereAndWhat(t *testing.T) {
	var out strings.Builder
	for _, text := range []string{
		"", "p95", "p95 <", "p95 < 400", "p95 < 400mz", "p96x < 400ms", "p100 < 1s", "p95 = 400ms", "p95 < 400ms 3", "< 3", "p95 < 10KiB", "p95 * p50 < 3", "goodput / p95 < 3",
		"plain < 3", "p95 < (3ms", "p95 + 3 < 4s", "retransmitted < 10", "p95 < plain.p101", "faults == none", "goodput >= 0.9*", "3 < p95", "faults == 1.2.3", "p95 < §",
		"metric. > 3", strings.Repeat("(", 60) + "3", "p95 - 10KiB < 4s", "p95 !! 3", "failed == 0 && faults == 0",
	} {
		_, err := ParseAssertion(text)
		var bad *AssertionError
		if !errors.As(err, &bad) {
			t.Errorf("ParseAssertion(%q) = %v, want an error", text, err)
			continue
		}
		fmt.Fprintf(&out, "%s\n%s\n\n", bad.Caret(), bad.Problem)
	}
	golden(t, "assertion_errors.txt", out.String())
}

func FuzzAssertion(f *testing.F) {
	for _, text := range []string{"p95 < 400ms", "goodput >= 0.9*plain", "(p50 + p90) / 2 < plain.p75-3ms", "frames.bytes/frames <= 450B/2", "a", "1 < ((2", "3Mbit/s/2 < goodput"} {
		f.Add(text)
	}
	r := made(f, 1)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAssertion(text)
		if err != nil {
			var bad *AssertionError
			if !errors.As(err, &bad) || bad.At > len(text) || bad.Caret() == "" {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if o := a.Check(r, nil); o.Text == "" || a.NeedsPlain() && o.Pass {
			t.Errorf("%q: %+v", text, o)
		}
	})
}
