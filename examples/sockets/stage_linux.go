package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"golang.org/x/sys/unix"
)

// The environment of the process that plays.
const (
	insideVar = "QUIVER_EXAMPLE_INSIDE" // its directory
	quiverVar = "QUIVER"                // the command
)

// command is the package that is built where no command is given.
const command = "github.com/seed51309289/quiver/cmd/quiver"

// An exitError is how this very program ended in its namespaces, where it has
// said why.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// inside reports whether this process has namespaces of its own.
func inside() bool { return os.Getenv(insideVar) != "" }

// enter runs this program again, in user, network and mount namespaces of its
// own. They go with it, and so does the directory that it works in.
func enter(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	runtime.LockOSThread() // whose end is the signal of Pdeathsig
	dir, err := os.MkdirTemp("", "quiver-example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	quiver := os.Getenv(quiverVar)
	if quiver == "" {
		quiver = filepath.Join(dir, "quiver")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", quiver, command).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", command, err, out)
		}
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), insideVar+"="+dir, quiverVar+"="+quiver)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &exitError{exit.ExitCode()}
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("this user may not make namespaces: %w", err)
	}
	return err
}

// A stage is two hosts, and a path between them.
type stage struct {
	options
	ctx            context.Context
	out            io.Writer
	dir            string
	quiver         string
	self           string
	client, server *host
	path           *path // nil = none
	count          int   // of files made
}

// newStage makes the hosts, and a directory for a play.
func newStage(ctx context.Context, o options, play string, out io.Writer) (*stage, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make the mounts private: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(os.Getenv(insideVar), play)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	s := &stage{options: o, ctx: ctx, out: out, dir: dir, quiver: os.Getenv(quiverVar), self: self}
	s.client, err = s.newHost("client", netsim.Left)
	if err == nil {
		s.server, err = s.newHost("server", netsim.Right)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close ends all processes, the hosts, and the path: over it ends say farewell, and
// without it they wait for each other.
func (s *stage) close() error {
	var errs []error
	for _, h := range []*host{s.client, s.server} {
		if h != nil {
			errs = append(errs, h.stop())
		}
	}
	if s.path != nil {
		_, err := s.disconnect()
		errs = append(errs, err)
	}
	for _, h := range []*host{s.client, s.server} {
		if h != nil {
			errs = append(errs, h.close())
		}
	}
	return errors.Join(errs...)
}

// file returns the path of a new file, or directory, that is not there yet.
func (s *stage) file(name string) string {
	s.count++
	return filepath.Join(s.dir, fmt.Sprintf("%d-%s", s.count, name))
}

func (s *stage) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// A path carries packets between the hosts.
type path struct {
	cancel context.CancelFunc
	done   chan error
	trace  string
}

// seed is that of every path: the same packets are lost each time.
const seed = 2

// connect joins the hosts by a path that is the same in both directions. What
// reaches the server, and what leaves it, is recorded in the file trace, if it is
// named: a path that writes files can be late.
func (s *stage) connect(link netsim.LinkConfig, trace string) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	p := &path{cancel: cancel, done: make(chan error, 1), trace: trace}
	ready := make(chan struct{})
	go func() {
		_, err := netsim.RunVeth(ctx, netsim.RelayConfig{
			Left: s.client.wire, Right: s.server.wire, Scenario: netsim.NewScenario(link, link), Seed: seed,
			RightTrace: p.trace, Ready: func() { close(ready) },
		})
		p.done <- err
	}()
	select {
	case <-ready:
		s.path = p
		return nil
	case err := <-p.done:
		cancel()
		return err
	}
}

// disconnect ends the path and returns what was recorded, in pcapng.
func (s *stage) disconnect() ([]byte, error) {
	p := s.path
	s.path = nil
	p.cancel()
	if err := <-p.done; err != nil || p.trace == "" {
		return nil, err
	}
	return os.ReadFile(p.trace)
}
