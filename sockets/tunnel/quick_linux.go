package tunnel

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quick writes to a leg what is small, by calls that never wait and that Go's
// scheduler does not hear of: docs/RATIONALE.md says what its hearing costs.
type quick struct {
	raw   syscall.RawConn
	p     []byte
	n     int
	errno syscall.Errno
	send  func(fd uintptr) // sendto, made once
}

// newQuick returns nil if the leg is no socket.
func newQuick(src *source) *quick {
	if src == nil {
		return nil
	}
	q := &quick{raw: src.raw}
	q.send = q.sendto
	return q
}

// write takes as much of p as there is room for, and leaves an error that it
// cannot name to whoever writes the rest.
func (q *quick) write(p []byte) (n int, err error) {
	q.p, q.n, q.errno = p, 0, 0
	q.raw.Control(q.send) // fails if the leg is closed
	q.p = nil
	if q.errno != 0 && q.errno != syscall.EAGAIN {
		return 0, os.NewSyscallError("write", q.errno)
	}
	return q.n, nil
}

func (q *quick) sendto(fd uintptr) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(q.p))), uintptr(len(q.p)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if q.errno = errno; errno == 0 {
			q.n = int(n)
		}
		return
	}
}
