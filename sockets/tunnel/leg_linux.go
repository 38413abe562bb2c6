package tunnel

import (
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed51309289/quiver/quic"
)

// maxIOV is how many buffers one read fills.
const maxIOV = 16

// source reads a leg straight into the memory that a stream sends from. It has
// no memory of its own while it waits.
type source struct {
	raw syscall.RawConn
	s   *Stream
	err error // of the leg, io.EOF excepted

	iov   [maxIOV]unix.Iovec
	n     int // of iov; then what read found
	errno syscall.Errno
	read  func(fd uintptr)      // readv, made once
	ready func(fd uintptr) bool // made once
}

var _ quic.BuffersReader = (*source)(nil)

// newSource returns nil if the leg is no socket.
func newSource(leg Leg, s *Stream) *source {
	c, ok := leg.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &source{raw: raw, s: s}
	r.read, r.ready = r.readv, readable
	return r
}

// Read is not needed: the stream finds ReadBuffers.
func (r *source) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// ReadBuffers is one system call.
func (r *source) ReadBuffers(b [][]byte) (int, error) {
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
		return r.n, nil
	}
	r.err = err
	return 0, err
}

func (r *source) readv(fd uintptr) {
	for {
		var n uintptr
		n, _, r.errno = syscall.Syscall(syscall.SYS_READV, fd, uintptr(unsafe.Pointer(&r.iov[0])), uintptr(r.n))
		if r.errno != syscall.EINTR {
			r.n = int(n)
			return
		}
	}
}

// WaitReadable waits until there is something, or an end.
func (r *source) WaitReadable() error {
	if err := r.raw.Read(r.ready); err != nil {
		r.err = err
		return err
	}
	return nil
}

// readable reports whether a read of a socket would not wait.
func readable(fd uintptr) bool {
	return polled(fd, unix.POLLIN) != 0
}

// polled returns which events a socket has now; errors and the end of both
// directions are always among them.
func polled(fd uintptr, events int16) int16 {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		_, err := unix.Poll(p[:], 0)
		switch err {
		case nil:
			return p[0].Revents
		case unix.EINTR:
		default:
			return unix.POLLERR
		}
	}
}
