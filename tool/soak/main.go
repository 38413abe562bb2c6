// Soak keeps hundreds of connections busy for a long time, and then looks
// whether everything is as it was before:
//
//	go run ./tool/soak [-duration 10m] [-conns 200] [-seed 1] [-scenario TEXT]
//
// Clients reach two servers over real UDP sockets on loopback, through relays
// that lose, delay, reorder, duplicate and corrupt packets, go dark, and move
// clients to other ports and addresses. Each connection lives for some seconds
// and does, at random, what the public API of quic allows: streams in both
// directions, resets, datagrams, key updates, migration, resumption, 0-RTT; and
// ends in one of the ways in which connections end. Every byte that arrives is
// compared with what was sent.
//
// A line on standard output tells how it goes, every ten seconds. At the end,
// while the servers still listen, descriptors must be exactly and goroutines at most as
// many as before the first connection (after a warm-up), and the heap may have
// grown by 2 MiB; when the servers are closed, too, goroutines and descriptors
// must be as many as at the start of the program. The exit status is 0 if that is
// so, no byte was wrong and no connection ended for a reason that is not in its
// script; 1 otherwise; 2 for a wrong command line. What went wrong is on standard
// error.
//
// The scripts are a function of the seed; the times are real, so that no two
// runs are the same.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	progressEvery = 10 * time.Second
	warmUp        = 2 * time.Second // at most
	patience      = time.Minute     // for what was closed to be over: longer than any timeout of a connection
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	duration := flags.Duration("duration", 10*time.Minute, "how long connections are made")
	conns := flags.Int("conns", 200, "connections at a time")
	seed := flags.Uint64("seed", 1, "of all random choices")
	only := flags.String("scenario", "", "of all relays, as 'quiver netsim' has it (default random ones)")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() > 0 || *duration <= 0 || *conns <= 0 {
		fmt.Fprintf(stderr, "soak: error: duration %v, conns %d, arguments %q: want a time and a number above 0, and no arguments\n", *duration, *conns, flags.Args())
		return 2
	}
	fmt.Fprintf(stdout, "seed %d, %d connections for %v\n", *seed, *conns, *duration)
	s := &soak{conns: *conns, seed: *seed, long: min(maxLife, *duration), only: *only, idle: min(idleTimeout, 2*time.Second+2**duration), tally: newTally(stderr), out: stdout}
	if err := s.run(ctx, *duration); err != nil {
		fmt.Fprintf(stderr, "soak: error: %v\n", err)
		return 1
	}
	return s.verdict()
}

// soak is one run of the command.
type soak struct {
	conns int
	seed  uint64
	long  time.Duration // what a connection does takes at most about that
	idle  time.Duration // timeout of connections
	only  string        // scenario; "" = random ones
	out   io.Writer
	*tally
	servers []*server
	book    book
}

func (s *soak) run(ctx context.Context, duration time.Duration) error {
	openPoller()
	start := measure()
	if err := s.listen(); err != nil {
		return err
	}
	listening := measure()
	if err := s.crowd(ctx, min(duration/4, warmUp)); err != nil {
		s.close()
		return err
	}
	listening.heap = math.MaxUint64 - heapSlack
	baseline := s.compare("warm-up", listening)
	err := s.watched(ctx, duration)
	s.compare("at rest", baseline)
	s.close()
	start.heap = baseline.heap
	s.compare("closed", start)
	return err
}

// watched is crowd with lines about its progress.
func (s *soak) watched(ctx context.Context, duration time.Duration) error {
	began := time.Now()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	done := make(chan error, 1)
	go func() { done <- s.crowd(ctx, duration) }()
	for {
		select {
		case <-ticker.C:
			s.progress(s.out, time.Since(began))
		case err := <-done:
			s.progress(s.out, time.Since(began))
			return err
		}
	}
}

// compare waits until everything is as it was, or patience ends: then what is not
// is a fault. It returns what it measured.
func (s *soak) compare(when string, want gauge) gauge {
	began := time.Now()
	got := measure()
	for !want.covers(got) && time.Since(began) < patience {
		time.Sleep(100 * time.Millisecond)
		got = measure()
	}
	fmt.Fprintf(s.out, "%-8s %v, after %v\n", when, got, time.Since(began).Round(100*time.Millisecond))
	for _, text := range want.differences(got) {
		s.fault("%s: %s", when, text)
	}
	return got
}

func (s *soak) verdict() int {
	if n := s.faults.Load(); n > 0 {
		fmt.Fprintf(s.out, "FAIL: %d faults\n", n)
		return 1
	}
	fmt.Fprintln(s.out, "ok")
	return 0
}
