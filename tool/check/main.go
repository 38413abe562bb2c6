// Check is the developer's one command: it formats nothing, changes nothing,
// and says whether a change may go in.
//
//	go run ./tool/check [-short] [-fuzztime 30s] [-only step,step]
//
// The steps, in this order; all are run, whatever the ones before said:
//
//	fmt          every Go file is as gofmt writes it
//	vet          go vet
//	arch         the layers, the nevers and the purity of arch_test.go
//	staticcheck  honnef.co/go/tools, in the version pinned here
//	test         go test -race
//	fuzz         every fuzz target for -fuzztime
//	deviates     lists the DEVIATES comments; it cannot fail
//
// The exit status is 0 when all passed, 1 when one failed, 2 for a command
// line that cannot be understood.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// config is what the command line says.
type config struct {
	root     string        // directory of go.mod
	fuzztime time.Duration // for each target
	short    bool
	only     []string // names of steps; empty = all
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "check: error: %v\n", err)
		return 2
	}
	return c.runSteps(ctx, steps, stdout)
}

func parse(args []string, stderr io.Writer) (*config, error) {
	c := &config{}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&c.fuzztime, "fuzztime", 30*time.Second, "how long to run each fuzz target")
	flags.BoolVar(&c.short, "short", false, "run the tests with -short and without the race detector, and no fuzz target")
	only := flags.String("only", "", "run these steps only, separated by commas: "+strings.Join(stepNames(steps), ", "))
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: want options only", flags.Arg(0))
	}
	if *only != "" {
		c.only = strings.Split(*only, ",")
	}
	for _, name := range c.only {
		if !slices.Contains(stepNames(steps), name) {
			return nil, fmt.Errorf("-only: no step %q, want some of %s", name, strings.Join(stepNames(steps), ", "))
		}
	}
	var err error
	c.root, err = moduleRoot()
	return c, err
}

// moduleRoot returns the nearest directory above with a go.mod.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %s or above", start)
		}
	}
}

// runSteps runs those that were asked for, shows each as it goes, and ends with a summary.
func (c *config) runSteps(ctx context.Context, steps []step, stdout io.Writer) int {
	var failed []string
	begin, ran := time.Now(), 0
	for _, s := range steps {
		if len(c.only) > 0 && !slices.Contains(c.only, s.name) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		ran++
		fmt.Fprintf(stdout, "%-12s %s\n", s.name, s.what)
		start := time.Now()
		err := s.run(ctx, c, stdout)
		took := time.Since(start).Round(100 * time.Millisecond)
		if err != nil {
			failed = append(failed, s.name)
			fmt.Fprintf(stdout, "%-12s FAILED after %v: %v\n\n", s.name, took, err)
			continue
		}
		fmt.Fprintf(stdout, "%-12s ok, %v\n\n", s.name, took)
	}
	return summary(ctx, stdout, failed, ran, time.Since(begin))
}

func summary(ctx context.Context, stdout io.Writer, failed []string, ran int, took time.Duration) int {
	took = took.Round(time.Second)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(stdout, "interrupted after %v; failed so far: %s\n", took, orNone(failed))
		return 1
	case len(failed) > 0:
		fmt.Fprintf(stdout, "%d of %d steps failed in %v: %s\n", len(failed), ran, took, strings.Join(failed, ", "))
		return 1
	}
	fmt.Fprintf(stdout, "%d of %d steps passed in %v\n", ran, ran, took)
	return 0
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
