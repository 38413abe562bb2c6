//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

func init() {
	roles["many"] = roleMany
	roles["lineage"] = roleLineage
	roles["trapped"] = roleTrapped
	roles["abandoned"] = roleAbandoned
	roles["full"] = roleFull
	roles["stormy"] = roleStormy
	roles["own thread"] = roleOwnThread
}

// roleMany asks from many threads at once, each for its own number.
func roleMany([]string) int {
	var wrong atomic.Int32
	var all sync.WaitGroup
	for i := range uintptr(16) {
		all.Go(func() {
			for j := range uintptr(500) {
				if n, errno := ask(0, i<<16|j); errno != 0 || n != int(i<<16|j) {
					wrong.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := wrong.Load(); n > 0 {
		return complain("%d wrong answers", n)
	}
	return 0
}

func TestEveryThreadGetsItsOwnAnswer(t *testing.T) {
	for _, threads := range []int{1, 4} {
		start(t, questions(1), threads, func(c *Call) { c.Return(int64(c.Args[1])) }, "many").wait()
	}
}

// roleLineage asks, has itself asked by a child (vfork, exec), lets a daemon ask later, and execs itself to ask last.
func roleLineage(args []string) int {
	say := func(what uintptr) int {
		if _, errno := ask(0, what); errno != 0 {
			return complain("question %d: %v", what, errno)
		}
		return 0
	}
	run := func(attr *syscall.SysProcAttr, what string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", what)
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = attr
		return cmd
	}
	if len(args) > 0 {
		what, _ := strconv.Atoi(args[0])
		if what == 3 { // the daemon: its father is gone once the pipe on its stdin ends
			os.Stdin.Read(make([]byte, 1))
		}
		return say(uintptr(what))
	}
	if say(1) != 0 || run(nil, "2").Run() != nil {
		return 1
	}
	r, w, err := os.Pipe()
	if err != nil {
		return complain("%v", err)
	}
	daemon := run(&syscall.SysProcAttr{Setsid: true}, "3")
	daemon.Stdin, daemon.Stderr = r, nil
	if err := daemon.Start(); err != nil {
		return complain("%v", err)
	}
	unix.FcntlInt(w.Fd(), unix.F_SETFD, 0) // so that it lives as long as this process, through exec
	err = unix.Exec("/proc/self/exe", []string{"self", "4"}, os.Environ())
	return complain("%v", err)
}

func TestFilterIsInheritedAndServeEndsWithTheLastHeir(t *testing.T) {
	var mu sync.Mutex
	var asked []uint64
	gone := make(chan struct{})
	r := start(t, questions(1), 2, func(c *Call) {
		if c.Args[1] == 3 {
			select {
			case <-gone:
			case <-time.After(patience):
			}
		}
		mu.Lock()
		asked = append(asked, c.Args[1])
		mu.Unlock()
		c.Return(0)
	}, "lineage")
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("program: %v\n%s", err, r.out.String())
	}
	select {
	case err := <-r.served:
		t.Errorf("Serve() = %v while a daemon waits for its answer", err)
	default:
	}
	close(gone)
	r.waitServed(nil)
	if want := []uint64{1, 2, 4, 3}; !slices.Equal(asked, want) {
		t.Errorf("questions of program, child, program after exec, daemon: %v, want %v", asked, want)
	}
}

// roleTrapped asks what nobody answers in time.
func roleTrapped([]string) int {
	ask(0, uintptr(unsafe.Pointer(unsafe.StringData("question"))))
	return complain("came back")
}

func TestCallerKilledMeanwhileIsGone(t *testing.T) {
	asked, killed := make(chan struct{}), make(chan struct{})
	var errs []error
	r := start(t, questions(1), 1, func(c *Call) {
		if err := c.Valid(); err != nil {
			t.Error(err)
		}
		close(asked)
		<-killed
		_, err := c.Socket(0)
		errs = append(errs, c.Valid(), c.Read(c.Args[1], make([]byte, 8)), err, c.AddFD(0, true))
		c.answered = false
		errs = append(errs, c.Continue())
	}, "trapped")
	<-asked
	r.cmd.Process.Kill()
	r.cmd.Wait()
	close(killed)
	r.waitServed(nil)
	for i, err := range errs {
		if !errors.Is(err, ErrGone) {
			t.Errorf("Valid, Read, Socket, AddFD, Continue: number %d = %v, want ErrGone", i, err)
		}
	}
	if len(errs) != 5 {
		t.Errorf("%d answers, want 5", len(errs))
	}
}

// roleAbandoned asks until nobody answers.
func roleAbandoned([]string) int {
	for {
		switch _, errno := ask(0); errno {
		case 0:
		case unix.ENOSYS:
			return 0
		default:
			return complain("%v, want an answer or ENOSYS", errno)
		}
	}
}

func TestClosedListenerLeavesProgramsWithoutTheCall(t *testing.T) {
	asked := make(chan struct{}, 1)
	r := start(t, questions(1), 2, func(c *Call) {
		c.Return(0)
		select {
		case asked <- struct{}{}:
		default:
		}
	}, "abandoned")
	<-asked
	r.listener.Close()
	r.waitServed(net.ErrClosed)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("program: %v\n%s", err, r.out.String())
	}
}

// roleFull has no room for descriptors.
func roleFull([]string) int {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}); err != nil {
		return complain("%v", err)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	if errno != unix.EMFILE {
		return complain("socket: %v, want EMFILE", errno)
	}
	return 0
}

func TestFullDescriptorTableFailsAsItWould(t *testing.T) {
	for _, old := range []bool{false, true} {
		var err error
		supervised(t)
		r := &run{t: t, served: make(chan error, 1), old: old}
		r.cmd = exec.Command("/proc/self/exe")
		r.cmd.Env = append(os.Environ(), roleVar+"=full")
		r.launch(sockets, 1, func(c *Call) { err = c.AddFD(0, true) })
		r.wait()
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("AddFD: %v, want EMFILE", err)
		}
	}
}

// sigaction is the kernel's struct.
type sigaction struct{ handler, flags, restorer, mask uint64 }

// roleStormy asks for sockets under signals whose handler is set with SA_RESTART, or without it.
func roleStormy(args []string) int {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGUSR1)
	var act sigaction
	old := func(set, get *sigaction) unix.Errno {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 8, 0, 0)
		return errno
	}
	if errno := old(nil, &act); errno != 0 {
		return complain("%v", errno)
	}
	const restart = 0x10000000 // SA_RESTART
	if act.flags |= restart; args[0] == "false" {
		act.flags &^= restart
	}
	if errno := old(&act, nil); errno != 0 {
		return complain("%v", errno)
	}
	files, _ := os.ReadDir("/proc/self/fd")
	runtime.LockOSThread()
	fmt.Println("ready", unix.Gettid())
	interrupted, wrong := 0, 0
	for range 10000 {
		fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		switch {
		case errno == unix.EINTR:
			interrupted++
		case errno != 0 || fd <= 2 || unix.Close(int(fd)) != nil:
			wrong++
		}
	}
	after, _ := os.ReadDir("/proc/self/fd")
	fmt.Println("interrupted", interrupted)
	if wrong > 0 || len(after) > len(files) || args[0] == "true" && interrupted > 0 {
		return complain("%d wrong, %d interrupted, %d descriptors left", wrong, interrupted, len(after)-len(files))
	}
	return 0
}

// TestSignalsInTheProgramCostNothingButEINTR: a handler without SA_RESTART may interrupt a call that was not received
// yet, as it may a socket(2) of a slow kernel; a descriptor is neither lost nor left over.
func TestSignalsInTheProgramCostNothingButEINTR(t *testing.T) {
	for _, restart := range []bool{true, false} {
		for _, old := range []bool{false, true} {
			supervised(t)
			r := &run{t: t, served: make(chan error, 1), old: old}
			r.cmd = exec.Command("/proc/self/exe", strconv.FormatBool(restart))
			r.cmd.Env = append(os.Environ(), roleVar+"=stormy")
			r.launch(sockets, 1, func(c *Call) { c.AddFD(0, true) })
			var tid int
			for end := time.Now().Add(patience); tid == 0 && time.Now().Before(end); runtime.Gosched() {
				fmt.Sscanf(r.out.String(), "ready %d\n", &tid)
			}
			var over atomic.Bool
			var storm sync.WaitGroup
			sent := 0
			storm.Go(func() {
				for !over.Load() {
					unix.Tgkill(r.cmd.Process.Pid, tid, unix.SIGUSR1)
					sent++
					runtime.Gosched()
				}
			})
			err := <-r.served // the program is not reaped before the storm is over: its number is its own
			over.Store(true)
			storm.Wait()
			r.served <- err
			r.wait()
			t.Logf("SA_RESTART %t, as before 5.19 %t: %d signals, %s", restart, old, sent, strings.TrimSpace(r.out.String()))
		}
	}
}

// roleOwnThread has one processor, so that the goroutine of OnThread comes to the main thread first.
func roleOwnThread([]string) int {
	runtime.GOMAXPROCS(1)
	for range 10 {
		err := OnThread(func() error {
			if unix.Gettid() == unix.Getpid() {
				return errors.New("f runs on the main thread")
			}
			return nil
		})
		if err != nil {
			return complain("%v", err)
		}
	}
	return 0
}

func TestOnThreadLeavesTheMainThreadAlone(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"=own thread")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	want := errors.New("said")
	if err := OnThread(func() error { return want }); err != want {
		t.Errorf("OnThread() = %v, want what f said", err)
	}
}

const i386Source = `
static int call(int nr, int a, int b, int c) {
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}
void _start(void) {
	int args[3] = {2, 1, 0}, status = 0;
	if (call(102, 1, (int)args, 0) != -38) status |= 1; /* socketcall(SYS_SOCKET) */
	if (call(359, 2, 1, 0) != -38) status |= 2;         /* socket */
	if (call(362, 0, 0, 0) != -38) status |= 4;         /* connect */
	if (call(20, 0, 0, 0) <= 0) status |= 8;            /* getpid */
	if (call(41, 0, 0, 0) < 0) status |= 16;            /* dup: the native number of socket */
	call(1, status, 0, 0);
}`

func TestProgramOfTheI386ABIMakesNoSockets(t *testing.T) {
	supervised(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 programs run on amd64")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "i386.c"), filepath.Join(dir, "i386")
	if err := os.WriteFile(source, []byte(i386Source), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc := need.Tool(t, "gcc")
	if out, err := exec.Command(gcc, "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-o", program, source).CombinedOutput(); err != nil {
		need.Missing(t, "gcc-m32", "gcc makes no i386 programs: %v\n%s", err, out)
	}
	if err := exec.Command(program).Run(); err != nil && !strings.Contains(err.Error(), "exit status 7") {
		need.Missing(t, "ia32", "this kernel runs no i386 programs: %v", err)
	}
	r := &run{t: t, served: make(chan error, 1), cmd: exec.Command(program)}
	r.launch(sockets, 1, func(c *Call) { t.Errorf("call %d of architecture %#x was told", c.Nr, uint32(c.Arch)) })
	r.wait()
}
