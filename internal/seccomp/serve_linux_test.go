//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { roles["answers"] = roleAnswers }

// magic numbers make getppid(2), which has no arguments, a question to the supervisor.
const magic = 0x51765101

func ask(what uintptr, args ...uintptr) (int, unix.Errno) {
	var arg uintptr
	if len(args) > 0 {
		arg = args[0]
	}
	r, _, errno := unix.Syscall(unix.SYS_GETPPID, magic+what, arg, 0)
	return int(r), errno
}

// addressOf is where b is for the supervisor; b lives in the heap, where it stays.
func addressOf(b *[16]byte) uintptr { return uintptr(unsafe.Pointer(b)) }

// questions is the filter for ask.
func questions(n uint32) *Filter {
	var values []uint32
	for i := range n {
		values = append(values, magic+i)
	}
	return &Filter{Rules: []Rule{{Nr: unix.SYS_GETPPID, When: []Cond{Is(0, values...)}, Do: Notify}}}
}

func roleAnswers([]string) int {
	if n, errno := ask(0); errno != 0 || n != os.Getppid() {
		return complain("continue: %d, %v, want the parent's %d", n, errno, os.Getppid())
	}
	if _, errno := ask(1); errno != unix.EDQUOT {
		return complain("errno: %v, want EDQUOT", errno)
	}
	if n, errno := ask(2); errno != 0 || n != 1<<40 {
		return complain("return: %d, %v, want %d", n, errno, 1<<40)
	}
	for i, want := range []int{unix.FD_CLOEXEC, 0} {
		fd, errno := ask(3 + uintptr(i))
		if errno != 0 {
			return complain("descriptor: %v", errno)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != want {
			return complain("flags of descriptor %d: %d, %v, want %d", fd, flags, err, want)
		}
	}
	if _, errno := ask(5); errno != unix.ENOSYS {
		return complain("no answer: %v, want ENOSYS", errno)
	}
	if _, errno := ask(6); errno != unix.EBADF {
		return complain("descriptor that is none: %v, want EBADF", errno)
	}
	return 0
}

func TestEveryAnswerArrivesOnce(t *testing.T) {
	var twice error
	r := start(t, questions(7), 2, func(c *Call) {
		switch c.Args[0] - magic {
		case 0:
			c.Continue()
			twice = c.Return(7)
		case 1:
			c.Errno(unix.EDQUOT)
		case 2:
			c.Return(1 << 40)
		case 3:
			c.AddFD(0, true)
		case 4:
			c.AddFD(0, false)
		case 5: // forgotten
		case 6:
			c.AddFD(1<<20, true)
		}
	}, "answers")
	r.wait()
	if !errors.Is(twice, errAnswered) {
		t.Errorf("a second answer: %v, want %v", twice, errAnswered)
	}
}

func TestNestedListenerIsRefusedWithAHint(t *testing.T) {
	supervised(t)
	err := OnThread(func() error {
		outer, err := questions(1).Install(true)
		if err != nil {
			return err
		}
		defer outer.Close()
		inner, err := questions(1).Install(true)
		if err == nil {
			inner.Close()
			return fmt.Errorf("a second listener was installed")
		}
		if !errors.Is(err, ErrNested) || !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("%w, want ErrNested and EBUSY", err)
		}
		t.Log(err)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCloseEndsServeOnAllThreads(t *testing.T) {
	supervised(t)
	for _, threads := range []int{1, 4} {
		stop := make(chan struct{})
		installed, served := make(chan *Listener), make(chan error, 1)
		go OnThread(func() error {
			l, err := questions(1).Install(true)
			if err != nil {
				t.Error(err)
			}
			installed <- l
			<-stop // so that the filter has a user
			return nil
		})
		l := <-installed
		go func() { served <- l.Serve(threads, func(c *Call) {}) }()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		r := &run{t: t, listener: l, served: served}
		r.waitServed(net.ErrClosed)
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v, want net.ErrClosed", err)
		}
		if err := l.Serve(1, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve after Close: %v, want net.ErrClosed", err)
		}
		close(stop)
	}
}

func TestSupportedTellsEveryFeatureOfThisKernel(t *testing.T) {
	supervised(t)
	for _, f := range Supported().Features {
		if f.Name == "" || f.What == "" || f.Since == "" {
			t.Errorf("feature without a name, a purpose or a version: %+v", f)
		}
		t.Logf("%-15s %-5s needed=%-5t %v", f.Name, f.Since, f.Needed, f.Err)
	}
}
