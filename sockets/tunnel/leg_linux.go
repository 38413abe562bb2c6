package tunnel

import (
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed51309289/quiver/quic"
)

// maxIOV is how many buffers one read fills.
const maxIOV = 16

// source reads a leg straight into the memory that a stream sends from. It has
// no memory of its own while it waits.
type source struct {
	raw  syscall.RawConn
	s    *Stream
	err  error // of the leg, io.EOF excepted
	turn turn  // the stream's, to send what was read

	iov   [maxIOV]unix.Iovec
	n     int // of iov; then what read found
	errno syscall.Errno
	asked bool                  // ready was called before, and waited since
	read  func(fd uintptr)      // receive, made once
	ready func(fd uintptr) bool // readable, made once
}

var _ quic.BuffersReader = (*source)(nil)

// newSource returns nil if the leg is no socket.
func newSource(p *pump) *source {
	c, ok := p.leg.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &source{raw: raw, s: p.s}
	r.read, r.ready = r.receive, r.readable
	return r
}

// Read is not needed: the stream finds ReadBuffers.
func (r *source) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// ReadBuffers is one system call.
func (r *source) ReadBuffers(b [][]byte) (int, error) {
	r.turn.end()
	r.n = min(len(b), maxIOV)
	for i, p := range b[:r.n] {
		r.iov[i].Base = unsafe.SliceData(p)
		r.iov[i].SetLen(len(p))
	}
	err := r.raw.Control(r.read)
	clear(r.iov[:])
	switch {
	case err != nil:
	case r.errno == syscall.EAGAIN:
		return 0, nil
	case r.errno != 0:
		err = os.NewSyscallError("read", r.errno)
	case r.n == 0:
		return 0, io.EOF
	default:
		r.s.sent.Add(uint64(r.n))
		r.turn.begin(r.s)
		return r.n, nil
	}
	r.err = err
	return 0, err
}

func (r *source) receive(fd uintptr) {
	for {
		var n uintptr
		if r.n == 1 && r.iov[0].Len <= quickSize {
			n, _, r.errno = syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(r.iov[0].Base)), uintptr(r.iov[0].Len), unix.MSG_DONTWAIT, 0, 0)
		} else {
			n, _, r.errno = syscall.Syscall(syscall.SYS_READV, fd, uintptr(unsafe.Pointer(&r.iov[0])), uintptr(r.n))
		}
		if r.errno != syscall.EINTR {
			r.n = int(n)
			return
		}
	}
}

// WaitReadable waits until there is something, or an end.
func (r *source) WaitReadable() error {
	r.turn.end()
	r.asked = false
	if err := r.raw.Read(r.ready); err != nil {
		r.err = err
		return err
	}
	return nil
}

// awaitReset waits until the program has reset the leg, after its FIN, and
// returns how that shows; nil if stopWaiting was called, or the leg was closed.
func (r *source) awaitReset() (err error) {
	r.raw.Read(func(fd uintptr) bool {
		if polled(fd, 0)&(unix.POLLERR|unix.POLLHUP) == 0 {
			return false
		}
		err = socketError(fd)
		return true
	})
	return err
}

// stopWaiting ends awaitReset.
func (r *source) stopWaiting(leg Leg) {
	if d, ok := leg.(interface{ SetReadDeadline(time.Time) error }); ok {
		d.SetReadDeadline(time.Unix(1, 0))
	}
}

// reset returns how the leg shows that the program has reset it, or nil.
func (r *source) reset() (err error) {
	r.raw.Control(func(fd uintptr) {
		if polled(fd, 0)&unix.POLLERR != 0 {
			err = socketError(fd)
		}
	})
	return err
}

// socketError takes the error that a socket has met, or nil.
func socketError(fd uintptr) error {
	errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return err
	}
	return syscall.Errno(errno)
}

// readable reports whether a read would not wait. The second time it was waited
// for, which is answer enough.
func (r *source) readable(fd uintptr) bool {
	if r.asked {
		return true
	}
	r.asked = true
	return polled(fd, unix.POLLIN) != 0
}

// polled returns which events a socket has now; errors and the end of both
// directions are always among them.
func polled(fd uintptr, events int16) int16 {
	p := unix.PollFd{Fd: int32(fd), Events: events}
	for {
		var now unix.Timespec
		_, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		switch errno {
		case 0:
			return p.Revents
		case unix.EINTR:
		default:
			return unix.POLLERR
		}
	}
}
