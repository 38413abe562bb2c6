//go:build amd64 || arm64

package seccomp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// roleVar names what this binary does when a test starts it as the supervised program.
const roleVar = "QUIVER_SECCOMP_ROLE"

// roles are those programs. They say what went wrong on stderr, and return the exit status.
var roles = map[string]func(args []string) int{}

func runRole() (status int, ok bool) {
	role, ok := os.LookupEnv(roleVar)
	if !ok {
		return 0, false
	}
	return roles[role](os.Args[1:]), true
}

// complain is how a role ends with a mistake.
func complain(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return 1
}

// run is a supervised program and its supervisor.
type run struct {
	t        testing.TB
	cmd      *exec.Cmd
	listener *Listener
	served   chan error
	out      lockedBuffer
	old      bool // as on kernels before 5.19
}

// supervised makes sure that this machine can do what the tests are about.
func supervised(t testing.TB) {
	t.Helper()
	if err := Supported().Err(); err != nil {
		need.Missing(t, "seccomp", "%v", err)
	}
}

// start starts this binary in a role, under the filter.
func start(t testing.TB, f *Filter, threads int, handle func(*Call), role string, args ...string) *run {
	t.Helper()
	supervised(t)
	r := &run{t: t, served: make(chan error, 1)}
	r.cmd = exec.Command("/proc/self/exe", args...)
	r.cmd.Env = append(os.Environ(), roleVar+"="+role)
	r.launch(f, threads, handle)
	return r
}

func (r *run) launch(f *Filter, threads int, handle func(*Call)) {
	r.t.Helper()
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	err := OnThread(func() (err error) {
		if r.listener, err = f.install(os.Geteuid() != 0, !r.old); err != nil {
			return err
		}
		go func() { r.served <- r.listener.Serve(threads, handle) }()
		return r.cmd.Start()
	})
	if err != nil {
		if r.listener != nil {
			r.listener.Close()
			<-r.served
		}
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.listener.Close()
	})
}

// wait waits for the program's end, which is to be a good one, and then for the supervisor's.
func (r *run) wait() {
	r.t.Helper()
	overdue := time.AfterFunc(patience, func() { r.cmd.Process.Kill() })
	err := r.cmd.Wait()
	if !overdue.Stop() {
		r.t.Errorf("the program did not end within %v", patience)
	}
	if err != nil {
		r.t.Errorf("program: %v\n%s", err, r.out.String())
	}
	r.waitServed(nil)
}

func (r *run) waitServed(want error) {
	r.t.Helper()
	select {
	case err := <-r.served:
		if err != want {
			r.t.Errorf("Serve() = %v, want %v", err, want)
		}
		r.listener.Close()
	case <-time.After(patience):
		r.t.Fatalf("Serve did not return within %v", patience)
	}
}

// sockets is the filter of most tests: socket(AF_INET, SOCK_STREAM, …) is told.
var sockets = &Filter{Rules: []Rule{{Nr: unix.SYS_SOCKET, When: []Cond{Is(0, unix.AF_INET), Masked(1, 0xf, unix.SOCK_STREAM)}, Do: Notify}}}

// lockedBuffer is what programs print.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
