//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is one notification: a thread somewhere waits in a system call until it is answered, once. It is valid until
// its handler returns, for the handler's goroutine only.
type Call struct {
	PID  uint32    // of the thread that calls, in this process's PID namespace; 0 if it is not in there
	Nr   int       // number of the system call
	Arch Arch      // whose number that is
	Args [6]uint64 // as in registers: the high half of an int is anything

	l        *Listener
	answered bool
	poll     [2]unix.PollFd
	in       struct {
		notification
		spare [maxNotification - unsafe.Sizeof(notification{})]byte
	}
	out struct {
		response
		spare [maxNotification - unsafe.Sizeof(response{})]byte
	}
	add           addFD
	id            uint64
	local, remote iovec
	noDirect      bool // memory goes by way of its file, for tests
	mem           [maxMemory]byte
}

// maxNotification is how large the structures of the kernel may become, in bytes; today they have 80 and 24.
const maxNotification = 256

// The structures of <linux/seccomp.h>: seccomp_notif, seccomp_notif_resp, seccomp_notif_addfd, seccomp_notif_sizes.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	errno int32 // negative
	flags uint32
}

type addFD struct {
	id                              uint64
	flags, source, target, newFlags uint32
}

type sizes struct{ notification, response, data uint16 }

// errAnswered is what a handler hears that answers twice.
var errAnswered = errors.New("seccomp: the call has its answer already")

func newCall(l *Listener) (*Call, error) {
	var s sizes
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_NOTIF_SIZES, 0, uintptr(unsafe.Pointer(&s)))
	if errno != 0 {
		return nil, fmt.Errorf("seccomp: sizes of notifications: %w", errno)
	}
	if s.notification > maxNotification || s.response > maxNotification {
		return nil, fmt.Errorf("seccomp: the kernel's notifications have %d bytes, answers %d, want at most %d", s.notification, s.response, maxNotification)
	}
	return &Call{l: l}, nil
}

// ioctl does not wait long, but may wait: for the caller to take its descriptor. The kernel's lock is given up with
// EINTR, before anything was done, where the thread is to stop: by SIGSTOP, a debugger, a freezer, which no mask keeps
// away.
func (c *Call) ioctl(request uintptr, arg unsafe.Pointer) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.l.fd), request, uintptr(arg))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// next receives a notification, which wait has seen, and passes on the turn.
func (c *Call) next() unix.Errno {
	c.in.notification = notification{} // the kernel insists, so that the structure can grow
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.l.fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&c.in)))
	c.l.turn.Add(1)
	n := &c.in.notification
	c.PID, c.Nr, c.Arch, c.Args, c.answered = n.pid, int(n.nr), Arch(n.arch), n.args, false
	return errno
}

// send answers; ErrGone if there is nobody to hear it.
func (c *Call) send(r response) error {
	if c.answered {
		return errAnswered
	}
	c.answered = true
	r.id = c.in.id
	c.out.response = r
	if _, errno := c.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&c.out)); errno != 0 {
		return c.failed("answer", errno)
	}
	return nil
}

func (c *Call) failed(what string, errno unix.Errno) error {
	if errno == unix.ENOENT || errno == unix.ESRCH {
		return ErrGone
	}
	return fmt.Errorf("seccomp: %s system call %d of process %d: %w", what, c.Nr, c.PID, errno)
}

// Continue lets the kernel run the call, with what is in the caller's memory by then. ErrGone is normal.
func (c *Call) Continue() error {
	return c.send(response{flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// Errno makes the call fail. ErrGone is normal.
func (c *Call) Errno(errno unix.Errno) error { return c.send(response{errno: -int32(errno)}) }

// Return makes the call return v. ErrGone is normal.
func (c *Call) Return(v int64) error { return c.send(response{val: v}) }

// AddFD gives the caller a duplicate of fd, which stays ours, as its lowest free descriptor, and makes the call return
// that number. cloexec is for the caller's descriptor. If the caller cannot take it, because its table is full
// (EMFILE), the call fails with that error, which is also returned. ErrGone is normal.
//
// With SECCOMP_ADDFD_FLAG_SEND the kernel takes the call for answered before the caller has the descriptor; if this
// thread is stopped between the two, the caller sees 0 and gets nothing. So where callers wait deaf (5.19), the number
// is sent afterwards, which takes a third longer. Where they do not, that could leave them a descriptor that nobody
// knows of, which is worse, and a stop is the risk.
func (c *Call) AddFD(fd int, cloexec bool) error {
	if c.answered {
		return errAnswered
	}
	c.add = addFD{id: c.in.id, source: uint32(fd)}
	if !c.l.killable {
		c.add.flags = unix.SECCOMP_ADDFD_FLAG_SEND
	}
	if cloexec {
		c.add.newFlags = unix.O_CLOEXEC
	}
	n, errno := c.ioctl(unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&c.add))
	switch {
	case errno == 0 && c.l.killable:
		return c.Return(int64(n))
	case errno == 0:
		c.answered = true
		return nil
	}
	err := c.failed("add a descriptor to", errno)
	if !errors.Is(err, ErrGone) {
		c.Errno(errno)
	}
	c.answered = true
	return err
}

// Valid returns nil while the caller waits for the answer, else ErrGone. What was learnt of a process by its PID is of
// this caller only if it is valid afterwards.
func (c *Call) Valid() error {
	c.id = c.in.id
	if _, errno := c.ioctl(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&c.id)); errno != 0 {
		return c.failed("look for", errno)
	}
	return nil
}
