package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program that runs on a host, with its children in a process
// group of its own.
type process struct {
	cmd  *exec.Cmd
	out  *output
	err  error
	done chan struct{} // closed when err is there
}

// patience is how long anything may take that does not depend on the path.
const patience = 30 * time.Second

func (p *process) collect() {
	p.cmd.WaitDelay = time.Second
	p.err = p.cmd.Wait()
	close(p.done)
	p.out.change(func() {})
}

func (p *process) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// says waits until the process has said something.
func (p *process) says(ctx context.Context, what string) error {
	return p.until(ctx, what, func(text string) bool { return strings.Contains(text, what) })
}

// until waits for what is wanted to be true of all that the process has said.
func (p *process) until(ctx context.Context, what string, holds func(text string) bool) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		ended := p.hasEnded()
		text, more := p.out.state()
		switch {
		case holds(text):
			return nil
		case ended:
			return fmt.Errorf("%s ended (%v) without %s; it said:\n%s", p.name(), p.err, what, text)
		}
		select {
		case <-more:
		case <-limit.C:
			return fmt.Errorf("%s: no %s in %v; it said:\n%s", p.name(), what, patience, text)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait waits for the end and returns what the process said.
func (p *process) wait(ctx context.Context) (string, error) {
	select {
	case <-p.done:
	case <-time.After(patience):
		return "", fmt.Errorf("%s did not end in %v; it said:\n%s", p.name(), patience, p.out)
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if p.err != nil {
		return p.out.String(), fmt.Errorf("%s: %w; it said:\n%s", p.name(), p.err, p.out)
	}
	return p.out.String(), nil
}

func (p *process) name() string { return strings.Join(p.cmd.Args, " ") }

// stop ends the process, politely at first.
func (p *process) stop() error {
	if p.hasEnded() {
		return nil
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience / 2):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("%s did not end when asked to", p.name())
}

// An output keeps what a process says, and tells who waits for more. It is safe
// for concurrent use.
type output struct {
	mu   sync.Mutex // guards all below
	text bytes.Buffer
	more chan struct{} // closed when something happens, and made anew
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) Write(b []byte) (int, error) {
	o.change(func() { o.text.Write(b) })
	return len(b), nil
}

func (o *output) state() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}

func (o *output) String() string { text, _ := o.state(); return text }
