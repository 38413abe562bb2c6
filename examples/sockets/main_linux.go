// Sockets shows what programs that know only TCP get from QUIC: each promise is
// played twice, over TCP as it is and under quiver run, between two hosts that
// are namespaces of this machine. It needs no root.
//
//	go run ./examples/sockets                             all four
//	go run ./examples/sockets roaming                     a session outlives its client's address
//	go run ./examples/sockets lossy                       no connection waits for another one's loss
//	go run ./examples/sockets early                       the second session is there a round trip earlier
//	go run ./examples/sockets private                     what is on the wire, and who answers
//
// The programs in it use package net and nothing of Quiver; see programs_linux.go.
// Where redis is installed, it is one of them. Exit status 1: a promise did not
// hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// A play shows one promise on a stage: it prints what it sees, and returns an
// error if the promise does not hold.
type play struct {
	name string
	run  func(s *stage) error
}

// plays in the order of their telling.
var plays = []play{
	{"roaming", playRoaming},
	{"lossy", playLossy},
	{"early", playEarly},
	{"private", playPrivate},
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == asProgram {
		os.Exit(runProgram(os.Args[2], os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	quick bool   // small numbers, for tests
	svg   string // where to draw the distribution that lossy measured; "" = nowhere
	names []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("sockets", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "play with small numbers")
	flags.StringVar(&o.svg, "svg", "", "draw what lossy measured to `FILE`")
	if flags.Parse(args) != nil {
		return 2
	}
	o.names = flags.Args()
	for _, name := range o.names {
		if !slices.ContainsFunc(plays, func(p play) bool { return p.name == name }) {
			fmt.Fprintf(stderr, "sockets: got %q, want roaming, lossy, early or private\n", name)
			return 2
		}
	}
	var err error
	if inside() {
		err = perform(ctx, o, stdout)
	} else {
		err = enter(ctx, args, stdout, stderr)
	}
	if again, ok := errors.AsType[*exitError](err); ok {
		return again.code
	}
	if err != nil {
		fmt.Fprintln(stderr, "sockets:", strings.ReplaceAll(err.Error(), "\n", "\nsockets: "))
		return 1
	}
	return 0
}

// perform plays what was asked for, each on a stage of its own.
func perform(ctx context.Context, o options, out io.Writer) error {
	var failed []error
	for _, p := range plays {
		if len(o.names) > 0 && !slices.Contains(o.names, p.name) {
			continue
		}
		if err := p.on(ctx, o, out); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(failed...)
}

func (p play) on(ctx context.Context, o options, out io.Writer) (err error) {
	s, err := newStage(ctx, o, p.name, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return p.run(s)
}
