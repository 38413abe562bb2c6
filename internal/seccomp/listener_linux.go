//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Listener receives the notifications of all processes that have the filter. Its methods may be called by any
// goroutine.
type Listener struct {
	fd       int
	killable bool          // callers wait deaf to signals once their notification was received
	bell     int           // eventfd, readable for good once Close was called
	turn     atomic.Uint64 // even: nobody receives; counts twice the notifications received

	mu     sync.Mutex // guards what follows
	serves int        // Serve calls that run; each holds both descriptors
	closed bool
}

func newListener() (*Listener, error) {
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("seccomp: eventfd: %w", err)
	}
	return &Listener{fd: -1, bell: bell}, nil
}

// Close ends Serve, and lets go of the kernel's object: calls that nobody has answered, and all later ones of processes
// that still live, fail with ENOSYS. It does not wait for Serve to return. A second Close returns net.ErrClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	if l.serves == 0 {
		l.release()
		return nil
	}
	_, err := unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

func (l *Listener) release() {
	unix.Close(l.bell)
	if l.fd >= 0 {
		unix.Close(l.fd)
	}
}

// Serve receives on so many threads, 1 or more, and calls handle on the one that received, until no process with the
// filter is left, when it returns nil, or until Close, when it returns net.ErrClosed. handle is called by all the
// threads at once; it answers c and does not keep it. A call that handle leaves without an answer fails with ENOSYS.
//
// The threads are Serve's own and end with it. All signals are masked on them: a signal between the two halves of
// AddFD would make the caller see descriptor 0 that it never got.
func (l *Listener) Serve(threads int, handle func(c *Call)) error {
	if threads < 1 {
		return fmt.Errorf("seccomp: serve on %d threads, want at least 1", threads)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.serves++
	l.mu.Unlock()
	ends := make(chan error, threads)
	for range threads {
		go func() {
			ends <- OnThread(func() error { return l.receive(handle) })
		}()
	}
	var failed error
	for range threads {
		if err := <-ends; err != nil && (failed == nil || errors.Is(failed, net.ErrClosed)) {
			failed = err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serves--; l.closed && l.serves == 0 {
		l.release()
	}
	return failed
}

// maskSignals blocks all signals that can be on this thread, which the caller is locked to. The runtime does not know,
// and interrupts goroutines of this thread only where they look, as it does without asynchronous preemption.
func maskSignals() error {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), 0, unsafe.Sizeof(all.Val[0]), 0, 0)
	if errno != 0 {
		return fmt.Errorf("seccomp: mask signals: %w", errno)
	}
	return nil
}

// receive is the loop of one thread.
func (l *Listener) receive(handle func(c *Call)) error {
	if err := maskSignals(); err != nil {
		return err
	}
	c, err := newCall(l)
	if err != nil {
		return err
	}
	for {
		switch state, err := l.wait(c); {
		case err != nil:
			return err
		case state == ended:
			return nil
		case state == busy:
			continue
		}
		switch errno := c.next(); errno {
		case 0:
			handle(c)
			if !c.answered {
				c.Errno(unix.ENOSYS)
			}
		case unix.ENOENT, unix.EINTR: // the caller died, or was called away, first
		default:
			return fmt.Errorf("seccomp: receive: %w", errno)
		}
	}
}

// What a thread found when it looked for work.
const (
	busy  = iota // somebody else was faster
	mine         // a notification waits, and the turn to receive it is this thread's until next
	ended        // no process has the filter any more
)

// wait waits for a notification, and takes the turn. RECV cannot be called off where all signals are masked, and older
// kernels do not end it when the last process ends (6.11 does). So no thread calls it before poll(2) has seen a
// notification that nobody has received since: that is what turn tells.
func (l *Listener) wait(c *Call) (int, error) {
	turn := l.turn.Load()
	if turn%2 != 0 {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		return busy, nil
	}
	c.poll = [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.bell), Events: unix.POLLIN}}
	_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&c.poll)), 2, 0, 0, 0, 0)
	switch seen := c.poll[0].Revents; {
	case errno == unix.EINTR || errno == unix.EAGAIN:
		return busy, nil
	case errno != 0:
		return busy, fmt.Errorf("seccomp: poll: %w", errno)
	case c.poll[1].Revents != 0:
		return ended, net.ErrClosed
	case seen&unix.POLLIN != 0:
		if l.turn.CompareAndSwap(turn, turn+1) {
			return mine, nil
		}
	case seen&unix.POLLHUP != 0:
		return ended, nil
	case seen&unix.POLLNVAL != 0:
		return ended, fmt.Errorf("seccomp: poll: %w", unix.EBADF)
	}
	return busy, nil
}
