package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/peers/perf"
)

// roleVar makes the test binary a server or a client of a run.
const roleVar = "QUIVER_BENCH_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) != "" {
		if err := perf.Main(context.Background(), Stack{}, os.Args[1:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// down is a run of a GiB that took cpu seconds on each side and one second of time.
func down(stack string, round int, cpu float64) Run {
	return Run{Setting: Setting{Loopback, true}, Stack: stack, Work: "down", Round: round, N: 1 << 30, Seconds: 1, ServerCPU: cpu, ClientCPU: cpu}
}

// find returns the row of a figure.
func find(t *testing.T, rows []Row, metric, against string) *Row {
	t.Helper()
	for i := range rows {
		if rows[i].Metric == metric && rows[i].Against == against {
			return &rows[i]
		}
	}
	t.Fatalf("no row with %s against %q in %+v", metric, against, rows)
	return nil
}

func TestCompareTakesRatiosWithinRounds(t *testing.T) {
	// The machine was four times slower in round 2; the ratios do not care.
	rows := Compare([]Run{
		down(Quiver, 1, 1), down(QuicGo, 1, 2),
		down(QuicGo, 2, 8), down(Quiver, 2, 4),
		down(Quiver, 3, 3), down(QuicGo, 3, 4),
	})
	r := find(t, rows, cpuPerGiB, QuicGo)
	if r.Ratio != 0.5 || r.Min != 0.5 || r.Max != 0.75 || r.Rounds != 3 {
		t.Errorf("ratio %v [%v-%v] of %d rounds, want 0.5 [0.5-0.75] of 3", r.Ratio, r.Min, r.Max, r.Rounds)
	}
	if r.Ours != 6 || r.Theirs != 8 {
		t.Errorf("medians %v and %v CPU-s/GiB, want 6 and 8", r.Ours, r.Theirs)
	}
	if r.Target != "<= 0.38" || r.Met {
		t.Errorf("target %q met: %t; want <= 0.38 missed", r.Target, r.Met)
	}
}

func TestCompareKeepsRoundsAndSettingsApart(t *testing.T) {
	free := down(QuicGo, 2, 1)
	free.Pinned = false
	failed := down(QuicGo, 2, 1)
	failed.Err = "killed"
	rows := Compare([]Run{down(QuicGo, 1, 2), down(QuicGo, 2, 4), free, failed, down(Quiver, 2, 1)})
	if r := find(t, rows, cpuPerGiB, QuicGo); r.Ratio != 0.25 || r.Rounds != 1 || !r.Met {
		t.Errorf("%+v, want a ratio of 0.25, of one round, that meets its target", r)
	}
	for _, r := range rows {
		if !r.Pinned {
			t.Errorf("%+v: quiver did not run there", r)
		}
	}
}

func TestCompareResumedWithOurFullHandshakes(t *testing.T) {
	op := func(work string, cpu float64) Run {
		return Run{Setting: Setting{Loopback, true}, Stack: Quiver, Work: work, Round: 1, N: 1000, ServerCPU: cpu, P50: 1, P99: 1}
	}
	r := find(t, Compare([]Run{op("handshake", 1), op("resumed", 0.7)}), cpuPerOp, ownHandshake)
	if r.Work != "resumed" || r.Ratio != 0.7 || r.Target != "<= 0.75" || !r.Met {
		t.Errorf("%+v, want 0.7 of a full handshake, which meets 0.75", r)
	}
}

func TestCompareCountsIdleConnections(t *testing.T) {
	r := Run{Setting: Setting{Loopback, true}, Stack: Quiver, Work: "idle", Round: 1, N: 100}
	r.Empty = perf.Memory{Heap: 1000, Goroutines: 5, RSS: 1 << 20}
	r.Idle = perf.Memory{Heap: 1000 + 100*5000, Goroutines: 105, RSS: 1<<20 + 100*9000}
	rows := Compare([]Run{r})
	for _, want := range []struct {
		metric string
		value  float64
	}{{heap, 5000}, {goroutines, 0}, {resident, 9000}} {
		if got := find(t, rows, want.metric, absolute); got.Ours != want.value || got.Target != "" && !got.Met {
			t.Errorf("%s: %+v, want %v and its target met", want.metric, got, want.value)
		}
	}
}

func TestTargetsHaveTheirRows(t *testing.T) {
	// Every target is for a figure that some row of the whole table shows.
	var runs []Run
	for _, name := range All {
		for _, stack := range append(Stacks(), Quiver) {
			for _, s := range []Setting{{Loopback, true}, {Loopback, false}, {Veth, true}} {
				r := Run{Setting: s, Stack: stack, Work: name, Round: 1, N: 1, Seconds: 1, ServerCPU: 1, P50: 1, P99: 1}
				r.Idle = perf.Memory{Heap: 7000, Goroutines: 3, RSS: 9000}
				runs = append(runs, r)
			}
		}
	}
	seen := map[*target]bool{}
	for _, r := range Compare(runs) {
		if t := targetOf(&r); t != nil {
			seen[t] = true
		}
	}
	if len(seen) != len(targets) {
		t.Errorf("%d of %d targets appear in the table", len(seen), len(targets))
	}
}

func TestPrintAlignsTheTable(t *testing.T) {
	var out bytes.Buffer
	if err := Print(&out, Compare([]Run{down(Quiver, 1, 0.5), down(QuicGo, 1, 2)})); err != nil {
		t.Fatal(err)
	}
	const want = `work  over      cpus   figure     quiver  against  theirs  ratio [min-max]   target   met
down  loopback  apart  CPU-s/GiB  1.00    -        -       -                 -        -
down  loopback  apart  Mbit/s     8590    -        -       -                 -        -
down  loopback  apart  CPU-s/GiB  1.00    quic-go  4.00    0.25 [0.25-0.25]  <= 0.38  yes
down  loopback  apart  Mbit/s     8590    quic-go  8590    1.00 [1.00-1.00]  >= 2.5   no
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestParseWorks(t *testing.T) {
	sizes := Sizes{Bytes: 10, Ops: 20, Handshakes: 30, Conns: 40}
	works, err := ParseWorks([]string{"all", "up7"}, sizes)
	if err != nil || len(works) != len(All)+1 {
		t.Fatalf("%d works, %v; want %d", len(works), err, len(All)+1)
	}
	for name, want := range map[string]perf.Work{
		"down100": {Kind: perf.Down, N: 10, Streams: 100}, "up7": {Kind: perf.Up, N: 10, Streams: 7},
		"rr32": {Kind: perf.Request, N: 20, Streams: 32}, "idle": {Kind: perf.Idle, N: 40, Streams: 1},
		"resumed": {Kind: perf.Resumed, N: 30, Streams: handshakesAtOnce},
	} {
		for _, w := range works {
			if w.Name == name && w.Work != want {
				t.Errorf("%s is %+v, want %+v", name, w.Work, want)
			}
		}
	}
	for _, bad := range []string{"", "sideways", "idle7", "rr0", "rr1001", "7"} {
		if _, err := ParseWorks([]string{bad}, sizes); err == nil || !strings.Contains(err.Error(), "pingpong") {
			t.Errorf("%q: error %v, want one that lists the workloads", bad, err)
		}
	}
}

func TestParseCounters(t *testing.T) {
	got := parseCounters("Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 7 1 2 9 3\nUdpLite: InDatagrams\nUdpLite: 5\n")
	if want := (Counters{In: 7, Out: 9, Dropped: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// options measure this test binary.
func options(t *testing.T, over string, names ...string) Options {
	t.Helper()
	t.Setenv(roleVar, "1")
	works, err := ParseWorks(names, Sizes{Bytes: 3<<20 + 5, Ops: 50, Handshakes: 10, Conns: 10})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Self: []string{os.Args[0]}, Works: works, Over: []string{over}, Pin: []bool{true, false}, Rounds: 1, Log: io.Discard}
}

func TestMeasureRunsEveryWork(t *testing.T) {
	o := options(t, Loopback, "down", "down3", "up", "pingpong", "rr1", "rr4", "handshake", "idle")
	o.Profile = t.TempDir()
	runs, err := Measure(t.Context(), o)
	if err != nil || len(runs) != 2*len(o.Works) {
		t.Fatalf("%d runs, %v; want %d", len(runs), err, 2*len(o.Works))
	}
	for _, r := range runs {
		if r.Seconds <= 0 || r.ServerCPU <= 0 || r.ClientCPU <= 0 || r.Server.Heap == 0 || r.Client.Heap == 0 {
			t.Errorf("%+v lacks a figure", r)
		}
		if r.Work == "idle" && (r.Idle.Heap <= r.Empty.Heap || r.Idle.Goroutines < r.Empty.Goroutines+10) {
			t.Errorf("10 idle connections are not there: %+v, before them %+v", r.Idle, r.Empty)
		}
	}
	if profiles, _ := filepath.Glob(filepath.Join(o.Profile, "loopback-down-quiver-1-*.pprof")); len(profiles) != 2 {
		t.Errorf("%d profiles of a run, want 2", len(profiles))
	}
}

func TestMeasureOverVeth(t *testing.T) {
	p, err := openVeth()
	if err != nil {
		need.Missing(t, "veth", "%v", err)
	}
	p.close()
	o := options(t, Veth, "down", "up")
	o.Pin = []bool{false}
	runs, err := Measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		// 3 MiB are 2100 packets of an MTU of 1500, and nothing else is on the link.
		if r.Kernel.Out == 0 || r.Kernel.Out > 3000 {
			t.Errorf("%s: the server's kernel counted %d datagrams out", r.Work, r.Kernel.Out)
		}
	}
}

func TestMeasureGoesOnAfterAFailure(t *testing.T) {
	o := options(t, Loopback, "down", "up")
	o.Works[0].N, o.Works[0].Streams = 1, perf.MaxStreams+1
	o.Pin = []bool{true}
	runs, err := Measure(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "loopback, down, round 1/1, quiver: client:") {
		t.Errorf("error %v, want that the client of down failed", err)
	}
	if len(runs) != 2 || runs[0].Err == "" || runs[1].Err != "" {
		t.Errorf("runs %+v, want a failed one and a good one", runs)
	}
}

func TestMeasureNamesTheStacksThatExist(t *testing.T) {
	_, err := Measure(t.Context(), Options{Self: []string{os.Args[0]}, Versus: []string{"msquic"}, Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "quic-go, tcp-tls, x-net") {
		t.Errorf("got %v, want an error that lists the stacks", err)
	}
}
