// Layer measures what it costs to run programs over QUIC:
//
//	go run ./tool/layer [-rounds 3] [-seconds 4] [-only iperf,trap,connect,ab,redis,idle] [-mode inside] [-json FILE]
//
// Everything is measured in one run, in turns: what a program does over plain
// TCP, the same under quiver run at both ends, and what bare QUIC moves between
// two processes, Quiver's and quic-go's. What counts are the ratios; other work
// on the machine moves all alike. Programs that are not installed (iperf3, ab
// and nginx, redis-server and redis-benchmark) are left out, which is said.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	if name := os.Getenv(asProgram); name != "" {
		os.Exit(programs[name](os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A work measures one thing, once.
type work struct {
	name  string
	needs []string // programs
	round func(ctx context.Context, b *bench) error
}

var works = []work{
	{"iperf", []string{"iperf3"}, iperf},
	{"trap", nil, traps},
	{"connect", nil, connects},
	{"ab", []string{"ab", "nginx"}, ab},
	{"redis", []string{"redis-server", "redis-benchmark"}, redis},
	{"idle", nil, idle},
}

// A bench is what all works share.
type bench struct {
	dir, quiver, self string
	udpPort           string // of all runs
	mode              string
	seconds           int
	conns             int
	figures           map[string][]float64 // of all rounds
	order             []string
	out               io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("layer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 3, "rounds, in each of which everything runs once")
	seconds := flags.Int("seconds", 4, "of each iperf3")
	only := flags.String("only", "", "some of iperf, trap, connect, ab, redis, idle (default all)")
	mode := flags.String("mode", "inside", "inside or outside")
	conns := flags.Int("conns", 3000, "idle connections")
	quiver := flags.String("quiver", "", "the program to measure (default built from this tree)")
	file := flags.String("json", "", "write all figures to this file")
	if flags.Parse(args) != nil || flags.NArg() > 0 || *rounds < 1 || *seconds < 1 {
		return 2
	}
	b := &bench{mode: *mode, seconds: *seconds, conns: *conns, quiver: *quiver, figures: map[string][]float64{}, out: stderr}
	if err := b.prepare(); err != nil {
		fmt.Fprintln(stderr, "layer: error:", err)
		return 1
	}
	defer os.RemoveAll(b.dir)
	failed := b.rounds(ctx, *rounds, *only, stderr)
	b.table(stdout)
	if *file != "" {
		text, _ := json.MarshalIndent(b.figures, "", "  ")
		if err := os.WriteFile(*file, append(text, '\n'), 0o644); err != nil {
			fmt.Fprintln(stderr, "layer: error:", err)
			return 1
		}
	}
	if failed {
		return 1
	}
	return 0
}

func (b *bench) rounds(ctx context.Context, rounds int, only string, stderr io.Writer) (failed bool) {
	for i := range rounds {
		for _, w := range works {
			if only != "" && !slices.Contains(strings.Split(only, ","), w.name) || ctx.Err() != nil {
				continue
			}
			if missing := missingOf(w.needs); missing != "" {
				fmt.Fprintf(stderr, "%s: %s is not installed\n", w.name, missing)
				continue
			}
			start := time.Now()
			if err := w.round(ctx, b); err != nil {
				fmt.Fprintf(stderr, "round %d: %s: %v\n", i+1, w.name, err)
				failed = true
				continue
			}
			fmt.Fprintf(stderr, "round %d/%d: %s, %.1fs\n", i+1, rounds, w.name, time.Since(start).Seconds())
		}
	}
	return failed
}

// note records a figure of this round.
func (b *bench) note(name string, value float64) {
	if _, known := b.figures[name]; !known {
		b.order = append(b.order, name)
	}
	b.figures[name] = append(b.figures[name], value)
}

// table prints the median of every figure, and its range.
func (b *bench) table(w io.Writer) {
	fmt.Fprintf(w, "%-44s %12s   %s\n", "figure", "median", "range")
	for _, name := range b.order {
		v := slices.Sorted(slices.Values(b.figures[name]))
		median := v[len(v)/2]
		if len(v)%2 == 0 {
			median = (v[len(v)/2-1] + v[len(v)/2]) / 2
		}
		fmt.Fprintf(w, "%-44s %12.4g   %.4g to %.4g\n", name, median, v[0], v[len(v)-1])
	}
}
