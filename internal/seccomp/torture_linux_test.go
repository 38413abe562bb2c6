//go:build amd64 || arm64

package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// injections is how many sockets are injected under fire.
const injections = 50000

func init() {
	roles["injected"] = roleInjected
	roles["besieged"] = roleBesieged
}

// roleInjected asks for sockets, closes each, and looks whether what it got is one.
func roleInjected(args []string) int {
	n, _ := strconv.Atoi(args[0])
	wrong := 0
	for range n {
		fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if errno != 0 || fd <= 2 || unix.Close(int(fd)) != nil {
			wrong++
		}
	}
	if wrong > 0 {
		return complain("%d wrong answers of %d", wrong, n)
	}
	return 0
}

// roleBesieged supervises the program before, collects garbage all the time, and has handlers for the signals that
// come. It says ready on stdout, and ends by itself.
func roleBesieged(args []string) int {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGUSR1, unix.SIGWINCH, unix.SIGCHLD, unix.SIGIO)
	host, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return complain("%v", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-got:
			default:
				garbage = make([]byte, 1<<16+i%100)
				runtime.GC()
			}
		}
	}()
	t := new(besieged)
	r := &run{t: t, served: make(chan error, 1), old: args[1] == "true"}
	r.cmd = exec.Command("/proc/self/exe", args[0])
	r.cmd.Env = append(os.Environ(), roleVar+"=injected")
	r.launch(sockets, 2, func(c *Call) { c.AddFD(host, true) })
	fmt.Println("ready")
	r.wait()
	if t.failed {
		return 1
	}
	return 0
}

var garbage []byte

// besieged is a test where there is none: its mistakes go to stderr.
type besieged struct {
	testing.TB
	failed bool
}

func (b *besieged) Helper()        {}
func (b *besieged) Cleanup(func()) {}
func (b *besieged) Errorf(format string, args ...any) {
	b.failed = true
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
func (b *besieged) Fatal(args ...any) { b.Errorf("%v", args); os.Exit(1) }
func (b *besieged) Fatalf(format string, args ...any) {
	b.Errorf(format, args...)
	os.Exit(1)
}

// besiege runs a supervisor and sends it signals until it ends.
func besiege(t *testing.T, n int, old bool, signals ...unix.Signal) (sent int) {
	t.Helper()
	supervised(t)
	cmd := exec.Command("/proc/self/exe", strconv.Itoa(n), strconv.FormatBool(old))
	cmd.Env = append(os.Environ(), roleVar+"=besieged")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	problems := new(lockedBuffer)
	cmd.Stderr = problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 6)
	if _, err := out.Read(ready); err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	var storm sync.WaitGroup
	storm.Go(func() {
		for i := 0; !over.Load(); i++ {
			unix.Kill(cmd.Process.Pid, signals[i%len(signals)])
			sent++
			runtime.Gosched()
		}
		unix.Kill(cmd.Process.Pid, unix.SIGCONT)
	})
	overdue := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	// The process is reaped only once the storm is over: until then its number is its own.
	err = unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	over.Store(true)
	storm.Wait()
	if err != nil {
		t.Error(err)
	}
	err = cmd.Wait()
	if !overdue.Stop() {
		t.Errorf("the supervisor did not end within %v", patience)
	}
	if err != nil {
		t.Errorf("supervisor under %d signals: %v\n%s", sent, err, problems)
	}
	return sent
}

// count is injections, or fewer in a hurry.
func count() int {
	if os.Getenv("QUIVER_FAULTS") == "" {
		return injections / 10
	}
	return injections
}

func TestNoSocketIsLostWhileSignalsHitTheSupervisor(t *testing.T) {
	for _, old := range []bool{false, true} {
		sent := besiege(t, count(), old, unix.SIGUSR1, unix.SIGWINCH, unix.SIGURG, unix.SIGCHLD, unix.SIGIO)
		t.Logf("as before 5.19 %t: %d sockets, %d signals", old, count(), sent)
	}
}

// TestNoSocketIsLostWhileTheSupervisorIsStoppedAndContinued is about what no mask keeps away: ^Z, debuggers, freezers.
func TestNoSocketIsLostWhileTheSupervisorIsStoppedAndContinued(t *testing.T) {
	supervised(t)
	if !Supported().Has("wait-killable") {
		need.Missing(t, "seccomp", "AddFD survives a stop since Linux 5.19")
	}
	sent := besiege(t, count(), false, unix.SIGSTOP, unix.SIGCONT)
	t.Logf("%d sockets, %d signals", count(), sent)
}
