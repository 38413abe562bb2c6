package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed51309289/quiver/peers/perf"
)

const (
	limit     = 2 * time.Minute  // of one run
	endDelay  = 10 * time.Second // for a process to end once told
	serverCPU = 0
	clientCPU = 1
)

// place is where client and server meet.
type place interface {
	// listen is the address for a server.
	listen() string
	// start begins a process, on one processor unless cpu is negative.
	start(c *exec.Cmd, server bool, cpu int) error
	close()
}

// loopback is the host's own.
type loopback struct{}

func (loopback) listen() string                           { return "127.0.0.1:0" }
func (loopback) start(c *exec.Cmd, _ bool, cpu int) error { return startOn(c, cpu) }
func (loopback) close()                                   {}

// openPlace makes the place of that name.
func openPlace(name string) (place, error) {
	switch name {
	case Loopback:
		return loopback{}, nil
	case Veth:
		return openVeth()
	}
	return nil, fmt.Errorf("no place %q between client and server; there are: %s", name, strings.Join(Places(), ", "))
}

// run fills in r.
func (m *measurement) run(ctx context.Context, p place, s side, w Work, r *Run) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.N, r.Load = w.N, loadAverage()
	args := append(s.server[1:], "-listen", p.listen(), "-cert", filepath.Join(m.dir, "cert.pem"), "-key", filepath.Join(m.dir, "priv.key"))
	server, err := m.launch(ctx, p, s.server[0], args, true, r)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	defer server.kill()
	addr, err := server.line()
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	before := countersOf(server.cmd.Process.Pid)
	if w.Kind == perf.Idle {
		if err := server.ask("memory", &r.Empty); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	args = append(s.client[1:], "-addr", addr, "-work", w.Kind, "-n", fmt.Sprint(w.N), "-streams", fmt.Sprint(w.Streams))
	client, err := m.launch(ctx, p, s.client[0], args, false, r)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.kill()
	var result perf.Result
	if err := client.read(&result); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if w.Kind == perf.Idle {
		if err := settle(ctx); err != nil {
			return err
		}
		if err := server.ask("memory", &r.Idle); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	if err := client.end(); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := server.ask("count", &r.Server); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r.Kernel = countersOf(server.cmd.Process.Pid).since(before)
	if err := server.end(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r.Seconds, r.P50, r.P99, r.Client = result.Seconds, result.P50, result.P99, result.Memory
	r.ServerCPU, r.ClientCPU = server.cpu(), client.cpu()
	return nil
}

// settleTime is how long connections are left alone before they count as idle:
// those that were made last still have acknowledgments, tickets and timers
// under way, of whichever stack they are.
const settleTime = 3 * time.Second

func settle(ctx context.Context) error {
	select {
	case <-time.After(settleTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// process is a server or a client that runs.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	err   bytes.Buffer
	ended bool
}

func (m *measurement) launch(ctx context.Context, at place, program string, args []string, server bool, r *Run) (*process, error) {
	role, cpu := "client", clientCPU
	if server {
		role, cpu = "server", serverCPU
	}
	if m.Profile != "" {
		args = append(args, "-profile", filepath.Join(m.Profile, fmt.Sprintf("%s-%s-%s-%d-%s.pprof", r.Over, r.Work, r.Stack, r.Round, role)))
	}
	if !r.Pinned {
		cpu = -1
	}
	p := &process{cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.WaitDelay = endDelay
	p.cmd.Stderr = &p.err
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, at.start(p.cmd, server, cpu)
}

// line reads a line of the process.
func (p *process) line() (string, error) {
	text, err := p.out.ReadString('\n')
	if err == nil {
		return strings.TrimSpace(text), nil
	}
	// It has ended, or does now: what it said last is the reason.
	if ended := p.end(); ended != nil {
		err = ended
	}
	return "", err
}

func (p *process) read(v any) error {
	text, err := p.line()
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// ask gives the process a word and reads the answer.
func (p *process) ask(word string, v any) error {
	if _, err := io.WriteString(p.stdin, word+"\n"); err != nil {
		return err
	}
	return p.read(v)
}

// end tells the process to end, and waits.
func (p *process) end() error {
	p.ended = true
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(p.err.String()))
	}
	return nil
}

// kill ends what is still there.
func (p *process) kill() {
	if !p.ended {
		p.ended = true
		p.cmd.Process.Kill()
		p.cmd.Wait() // it was killed; how it went does not matter
	}
}

func (p *process) cpu() float64 {
	return (p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()).Seconds()
}
