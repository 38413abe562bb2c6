//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported tries each feature: on a thread that is thrown away, with a filter about a call that nobody makes, and
// with calls that cannot succeed and tell by their error whether the kernel knows them. It takes a millisecond.
func Supported() Support {
	s := Support{Features: []Feature{
		{Name: "process-memory", What: "reading the arguments that pointers lead to", Since: "3.2", Err: tryMemory()},
		{Name: "filter", What: "filters of system calls", Since: "3.17", Needed: true, Err: tryFlags(0)},
		{Name: "notify", What: "asking a supervisor about a call", Since: "5.0", Needed: true},
		{Name: "pidfd", What: "naming a process so that the name stays its own", Since: "5.3", Err: tryPidfd(0)},
		{Name: "continue", What: "letting a call go on after a look at it", Since: "5.5", Needed: true},
		{Name: "pidfd-getfd", What: "a look at a program's sockets", Since: "5.6", Err: tryGetfd()},
		{Name: "addfd-send", What: "answering with a descriptor", Since: "5.14", Needed: true},
		{Name: "wait-killable", What: "calls that are not interrupted once they are looked at", Since: "5.19",
			Err: tryFlags(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)},
		{Name: "sync-wake-up", What: "answers on the processor of the question", Since: "6.6"},
		{Name: "pidfd-thread", What: "sockets of threads with tables of their own", Since: "6.9", Err: tryPidfd(unix.PIDFD_THREAD)},
	}}
	t := tryNotify()
	for i := range s.Features {
		switch f := &s.Features[i]; f.Name {
		case "notify":
			f.Err = t.notify
		case "continue":
			f.Err = t.goOn
		case "addfd-send":
			f.Err = t.addFD
		case "sync-wake-up":
			f.Err = t.sync
		}
	}
	return s
}

// trial is what became of three calls.
type trial struct{ notify, goOn, addFD, sync error }

// The calls are getppid(2), which has no arguments, with these.
const (
	pleaseContinue = 0x71756976 + iota
	pleaseAddFD
)

func tryNotify() (t trial) {
	t.notify = OnThread(func() error {
		f := Filter{Rules: []Rule{{Nr: unix.SYS_GETPPID, When: []Cond{Is(0, pleaseContinue, pleaseAddFD)}, Do: Notify}}}
		l, err := f.Install(true) // the thread ends, and its privileges with it
		if err != nil {
			return err
		}
		defer l.Close()
		t.sync = l.syncWakeUp()
		served := make(chan error, 1)
		go func() {
			served <- l.Serve(1, func(c *Call) {
				switch c.Args[0] {
				case pleaseContinue:
					t.goOn = c.Continue()
				case pleaseAddFD:
					t.addFD = c.AddFD(l.bell, true)
				}
			})
		}()
		unix.Syscall(unix.SYS_GETPPID, pleaseContinue, 0, 0)
		fd, _, errno := unix.Syscall(unix.SYS_GETPPID, pleaseAddFD, 0, 0)
		if errno == 0 {
			unix.Close(int(fd))
		}
		l.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if t.notify != nil {
		t.goOn, t.addFD, t.sync = t.notify, t.notify, t.notify
	}
	return t
}

// syncWakeUp asks the kernel to wake the supervisor on the processor of the caller, and the caller on the supervisor's.
func (l *Listener) syncWakeUp() error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	if errno != 0 {
		return fmt.Errorf("SECCOMP_IOCTL_NOTIF_SET_FLAGS: %w", errno)
	}
	return nil
}

// tryFlags asks by a filter that is not there: the flags are looked at first.
func tryFlags(flags uintptr) error {
	if _, errno := setFilter(flags, nil); errno != unix.EFAULT {
		return fmt.Errorf("seccomp(2): %w", errno)
	}
	return nil
}

func tryPidfd(flags int) error {
	fd, err := unix.PidfdOpen(unix.Getpid(), flags)
	if err != nil {
		return fmt.Errorf("pidfd_open(2): %w", err)
	}
	return unix.Close(fd)
}

func tryGetfd() error {
	if _, err := unix.PidfdGetfd(-1, 0, 0); err != unix.EBADF {
		return fmt.Errorf("pidfd_getfd(2): %w", err)
	}
	return nil
}

func tryMemory() error {
	from, to := []byte{1}, []byte{0}
	remote := unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&from[0])), Len: 1}
	local := unix.Iovec{Base: &to[0]}
	local.SetLen(1)
	if _, err := unix.ProcessVMReadv(unix.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0); err != nil {
		return fmt.Errorf("process_vm_readv(2): %w", err)
	}
	return nil
}
