package perf

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
)

// Main runs the program of a stack:
//
//	server -listen ADDR -cert FILE -key FILE    prints the address it listens on
//	client -addr ADDR -work WORK -n N -streams N
//
// Both read lines on stdin. "count" and "memory" are answered by a line with a
// Memory as JSON, the second after a garbage collection; the end of stdin ends
// the server. A client prints a Result as a line of JSON; one of idle
// connections prints it as soon as they are there, and keeps them until the end
// of stdin.
func Main(ctx context.Context, s Stack, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("perf", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	cert := flags.String("cert", "cert.pem", "certificate chain")
	key := flags.String("key", "priv.key", "its key")
	addr := flags.String("addr", "", "address of the server")
	profile := flags.String("profile", "", "file for a CPU profile")
	var o Options
	var w Work
	flags.IntVar(&o.Datagram, "datagram", 0, "largest UDP payload in bytes, 0 = the stack's own")
	flags.StringVar(&o.Congestion, "cc", "", "congestion controller, empty = the stack's own")
	flags.StringVar(&w.Kind, "work", Down, "what to do")
	flags.Uint64Var(&w.N, "n", 1<<30, "bytes, operations or connections")
	flags.IntVar(&w.Streams, "streams", 1, "streams, or operations, at the same time")
	if len(args) == 0 {
		return errors.New("want server or client")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch args[0] {
	case "server":
		chain, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		return serve(ctx, s, *listen, chain, o, stdin, stdout)
	case "client":
		return runClient(ctx, s, *addr, w, o, stdin, stdout)
	}
	return fmt.Errorf("%q: want server or client", args[0])
}

func serve(ctx context.Context, s Stack, addr string, chain tls.Certificate, o Options, stdin io.Reader, stdout io.Writer) error {
	l, err := s.Listen(addr, &tls.Config{Certificates: []tls.Certificate{chain}, NextProtos: []string{ALPN}, MinVersion: tls.VersionTLS13}, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, l.Addr())
	failed := make(chan error, 1)
	go func() { failed <- acceptAll(ctx, l) }()
	told := make(chan error, 1)
	go func() { told <- obey(stdin, stdout) }()
	select {
	case err := <-failed:
		return err
	case err := <-told:
		return err
	case <-ctx.Done():
		return nil
	}
}

// obey answers the lines of stdin until its end.
func obey(stdin io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		switch line := lines.Text(); line {
		case "count":
			out.Encode(measure(false))
		case "memory":
			out.Encode(measure(true))
		default:
			return fmt.Errorf("%q: want count or memory", line)
		}
	}
	return lines.Err()
}

func runClient(ctx context.Context, s Stack, addr string, w Work, o Options, stdin io.Reader, stdout io.Writer) error {
	if w.Streams < 1 || w.Streams > MaxStreams {
		return fmt.Errorf("%d streams, want 1 to %d", w.Streams, MaxStreams)
	}
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: serverName, NextProtos: []string{ALPN}, MinVersion: tls.VersionTLS13}
	if w.Kind == Resumed {
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(w.Streams)
	}
	d, err := s.Dialer(addr, conf, o)
	if err != nil {
		return err
	}
	c := client{stack: s, dialer: d, work: w}
	r, err := c.run(ctx)
	if err != nil {
		return err
	}
	r.Memory = measure(false)
	if err := json.NewEncoder(stdout).Encode(r); err != nil {
		return err
	}
	if w.Kind == Idle {
		err = obey(stdin, stdout)
		runtime.KeepAlive(&c) // and its connections
		return err
	}
	return nil
}
