package sockets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
	"golang.org/x/sys/unix"
)

// The test binary is three things: the tests, quiver run, and the programs that it runs.
const (
	asRun     = "SOCKETS_TEST_AS_RUN"     // "mode", then the flags of the policy, by spaces
	asProgram = "SOCKETS_TEST_AS_PROGRAM" // a name of programs
)

func TestMain(m *testing.M) {
	if flags, ok := os.LookupEnv(asRun); ok && !runsAsProgram() {
		os.Exit(runAsTest(flags))
	}
	if name, ok := os.LookupEnv(asProgram); ok {
		os.Exit(programs[name](os.Args[1:]))
	}
	os.Exit(m.Run())
}

// runsAsProgram reports whether this process was started by a supervisor as its program.
func runsAsProgram() bool { return len(os.Args) > 1 && os.Args[1] == "program" }

// runAsTest is quiver run, without a command line.
func runAsTest(flags string) int {
	words := strings.Fields(flags)
	var f policy.Flags
	who := identity.Options{Insecure: true}
	level := slog.LevelWarn
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "to":
			f.To = append(f.To, value)
		case "listen":
			f.Listen = append(f.Listen, value)
		case "fallback":
			f.Fallback = value
		case "ports":
			f.Ports = value
		case "proto":
			f.Proto = append(f.Proto, value)
		case "policy":
			f.Policy = value
		case "udp-port":
			f.UDPPort, _ = strconv.Atoi(value)
		case "files": // the limit of open files
			n, _ := strconv.ParseUint(value, 10, 64)
			unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
		case "verbose":
			level = slog.LevelDebug
		case "secure":
			who.Insecure = false
		case "ca":
			who.Insecure, who.CA = false, value
		}
	}
	p, err := policy.FromFlags(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	code, err := Run(context.Background(), &Config{
		Command: append([]string{os.Args[0], "program"}, os.Args[1:]...), Self: os.Args, Mode: Mode(words[0]), Policy: p, OnlyProtocols: len(f.Proto) > 0,
		UDPPortFixed: f.UDPPort != 0, Identity: who,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if start, ok := errors.AsType[*StartError](err); ok {
			return start.ExitStatus()
		}
		return 1
	}
	return code
}

// A running is a run under test.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *output
	stdin  io.WriteCloser
	once   sync.Once
	status int
}

// output collects what a run says.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed, and made anew, when there is more
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// testLimit is how long anything in a test may take.
const testLimit = 20 * time.Second

// start starts a program under quiver run, in the world of the test.
func (w *world) start(flags, program string, args ...string) *running {
	w.t.Helper()
	r := &running{t: w.t, out: &output{more: make(chan struct{})}}
	r.cmd = exec.Command(os.Args[0], args...)
	r.cmd.Env = append(os.Environ(), asRun+"="+flags, asProgram+"="+program, "QUIVER_RUNTIME_DIR="+w.dir+"/run", "QUIVER_STATE_DIR="+w.dir+"/state")
	r.cmd.Env = append(r.cmd.Env, w.env...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.stdin, _ = r.cmd.StdinPipe()
	if err := w.within(r.cmd.Start); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.wait()
	})
	return r
}

// wait waits for the end and returns the exit status.
func (r *running) wait() int { return r.waitFor(testLimit) }

// waitFor is wait for so long.
func (r *running) waitFor(limit time.Duration) int {
	r.once.Do(func() {
		kill := time.AfterFunc(limit, func() {
			r.t.Errorf("the run did not end in %v; it said:\n%s", limit, r.out)
			syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		})
		defer kill.Stop()
		r.cmd.Wait()
		r.status = r.cmd.ProcessState.ExitCode()
	})
	return r.status
}

// says waits until the run has said something.
func (r *running) says(what string) {
	r.t.Helper()
	r.saysWithin(testLimit, what)
}

// saysWithin is says for what takes longer.
func (r *running) saysWithin(limit time.Duration, what string) {
	r.t.Helper()
	deadline := time.After(limit)
	for {
		r.out.mu.Lock()
		found, more := strings.Contains(r.out.b.String(), what), r.out.more
		r.out.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-deadline:
			r.t.Fatalf("waited for %q, the run said:\n%s", what, r.out)
		}
	}
}

// wantExit expects an exit status.
func (r *running) wantExit(want int) {
	r.t.Helper()
	if got := r.wait(); got != want {
		r.t.Errorf("exit status %d, want %d; the run said:\n%s", got, want, r.out)
	}
}

// supervisor returns the process that supervises.
func (r *running) supervisor() int { return childOf(r.t, r.cmd.Process.Pid) }

// childOf returns the one child of a process.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	for _, p := range processes() {
		if p.ppid == parent {
			return p.pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// A world is a network namespace of the test's own.
type world struct {
	t   *testing.T
	dir string
	env []string // of runs, beside what they need; bounded by the test
	ns  int      // descriptor of the namespace; 0 = where the test is
}

// inNamespaces runs a test again in namespaces of its own, as root or not, and there calls f.
func inNamespaces(t *testing.T, f func(w *world)) {
	t.Helper()
	if os.Getenv("SOCKETS_TEST_INSIDE") == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		upLoopback(t)
		f(&world{t: t, dir: t.TempDir()})
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.timeout="+worldLimit())
	cmd.Env = append(os.Environ(), "SOCKETS_TEST_INSIDE="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		missingNamespaces(t, err)
	}
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Fatalf("in namespaces: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
