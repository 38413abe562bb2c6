package sockets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/internal/netwatch"
	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
	"golang.org/x/sys/unix"
)

// How long ends may take.
const (
	endLimit   = 3 * time.Second  // of a process that was asked to end, before it is made to
	drainLimit = 30 * time.Second // of what a program wrote before it ended
)

// A supervisor runs one program: it owns the fabric, the QUIC endpoints, and every connection between them.
type supervisor struct {
	conf   *Config
	mode   Mode
	log    *slog.Logger
	ctx    context.Context // ends with the run
	wanted context.Context // ends with the program, and with it all that it waits for
	fabric *fabric.Fabric
	id     *identity.Identity
	dialer *tunnel.Dialer
	memory policy.Memory
	ports  ports
	conns  conns
	traps  traps
	alarms alarms

	network   atomic.Pointer[netwatch.Watcher]
	published *control.Publication // nil = quiver ps does not see us
	started   time.Time
	child     *os.Process
	nobody    context.CancelFunc // of wanted
	will      *will
	fallbacks atomic.Uint64 // connections that became TCP where QUIC was preferred
	refused   atomic.Uint64
}

// Run runs the program of c until it and all that it started have ended, and returns the exit status of the program: that of a shell,
// 128 and the signal's number, if a signal ended it. The error says why the program could not be run; *StartError is the program's own.
//
// Run starts its own program again, as c.Self says, to supervise: it must get to Run with the same c. Signals that reach either process
// are handed on to the program.
func Run(ctx context.Context, c *Config) (int, error) {
	if !supervising() {
		return watch(c)
	}
	s := &supervisor{conf: c, log: c.Log, started: time.Now()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.ctx = ctx
	wanted, nobody := context.WithCancel(ctx)
	defer nobody()
	s.wanted, s.nobody = wanted, nobody
	if err := s.prepare(); err != nil {
		return 0, err
	}
	defer s.close()
	return s.run()
}

// prepare makes all that the program needs before it starts.
func (s *supervisor) prepare() (err error) {
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // what the program leaves behind is ours to wait for
	s.mode = s.conf.mode()
	who := s.conf.Identity
	who.Protocols = []string{tcpq.ALPN}
	if s.id, err = identity.Load(who); err != nil {
		return fmt.Errorf("keys of this host: %w", err)
	}
	if s.fabric, err = fabric.New(fabric.Config{Log: s.log, Anyway: s.conf.Policy.Redirected()}); err != nil {
		return explain(fmt.Errorf("make the private namespace: %w", err))
	}
	if s.dialer, err = s.newDialer(); err != nil {
		s.fabric.Close()
		return explain(err)
	}
	s.will = ownWill()
	s.ports.init(s)
	s.conns.init()
	return s.traps.init(s)
}

// run starts the program and serves it.
func (s *supervisor) run() (int, error) {
	s.publish()
	defer s.published.Close()
	s.lookUpNames()
	signals := make(chan os.Signal, 16)
	hearAll := hear(signals) // to the end of this process: one that comes while all is given back must not end it

	l := launch{command: s.conf.Command, filter: s.traps.filter(), fabric: -1, humble: !s.mayKeep()}
	in, out, errs := s.conf.files()
	l.files = []*os.File{in, out, errs}
	if s.mode == Inside {
		l.fabric = s.fabric.NS()
	}
	child, listener, err := l.start()
	if err != nil {
		return 0, explain(err)
	}
	s.child = child
	hearAll()
	defer listener.Close()
	go s.forward(signals)
	go s.outgoing()
	stopWatching := s.followNetwork()
	defer stopWatching()

	served := make(chan error, 1)
	go func() { served <- listener.Serve(receivers, s.traps.handle) }()
	status, err := s.wait(served)
	s.drain()
	return status, err
}

// wait waits for the program and then for all that it left behind, and returns the program's exit status.
func (s *supervisor) wait(served <-chan error) (int, error) {
	status, err := waitFor(s.child)
	if err != nil {
		return 0, err
	}
	select {
	case err := <-served:
		return status, err
	case <-time.After(endLimit):
	}
	s.log.Info("the program has ended; what it started still runs", "processes", len(descendants(os.Getpid())))
	return status, s.waitForRest(served)
}

// waitForRest collects orphans until no process is left that the filter is on.
func (s *supervisor) waitForRest(served <-chan error) error {
	orphans := make(chan os.Signal, 1)
	signal.Notify(orphans, syscall.SIGCHLD)
	defer signal.Stop(orphans)
	for {
		reap()
		select {
		case err := <-served:
			return err
		case <-orphans:
		}
	}
}

// waitFor returns the exit status of p in the terms of a shell.
func waitFor(p *os.Process) (int, error) {
	state, err := p.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for the program: %w", err)
	}
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal()), nil
	}
	return state.ExitCode(), nil
}

// forward hands signals on to the program, and after its end to what it left behind. When whoever started us is gone, all must end.
func (s *supervisor) forward(signals <-chan os.Signal) {
	for sig := range signals {
		if !supervising() {
			s.log.Warn("the process that started this run is gone: its program is ended")
			endChildren(os.Getpid(), endLimit)
			return
		}
		if fromTerminal(sig) {
			continue
		}
		if err := s.child.Signal(sig); errors.Is(err, os.ErrProcessDone) {
			for _, pid := range descendants(os.Getpid()) {
				syscall.Kill(pid, sig.(syscall.Signal))
			}
		}
	}
}

// mayKeep reports whether the program may have the capabilities of this process: they are its own, not lent by a user namespace.
func (s *supervisor) mayKeep() bool { return !lent() }

// drain lets what the program wrote before it ended reach the far side, as the kernel would. What it only wanted is over.
func (s *supervisor) drain() {
	s.nobody()
	ctx, cancel := context.WithTimeout(s.ctx, drainLimit)
	defer cancel()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, n := range s.conns.list() {
		n.abandon()
	}
	s.conns.wait(ctx)
	var both sync.WaitGroup
	both.Go(func() { s.dialer.Close(ctx) })
	both.Go(func() { s.ports.shutdown(ctx) })
	both.Wait()
}

// close gives everything back.
func (s *supervisor) close() {
	s.dialer.Transport.Close()
	s.ports.close()
	s.fabric.Close()
	s.id.Close()
}

// newDialer makes what connections to peers leave from: a UDP socket on any port.
func (s *supervisor) newDialer() (*tunnel.Dialer, error) {
	sock, err := listenUDP(0)
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket: %w", err)
	}
	return &tunnel.Dialer{Transport: &quic.Transport{Conn: sock}, Config: s.quicConfig()}, nil
}

// quicConfig is what all QUIC connections of this run are.
func (s *supervisor) quicConfig() *quic.Config {
	return &quic.Config{Congestion: s.conf.Congestion, QLogDir: s.conf.QLogDir, Logger: s.log}
}
