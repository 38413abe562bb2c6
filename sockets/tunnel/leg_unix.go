//go:build unix

package tunnel

import (
	"io"
	"os"
	"syscall"
)

// legReader reads a leg in large pieces.
type legReader struct {
	leg Leg
	raw syscall.RawConn // nil = the leg cannot tell when it can be read
	try func(fd uintptr) bool
	buf *[bufferSize]byte // nil while nothing is in it
	n   int
	err error
}

func newLegReader(leg Leg) *legReader {
	r := &legReader{leg: leg}
	if c, ok := leg.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			r.raw, r.try = raw, r.read
		}
	}
	return r
}

// next waits for bytes and returns them, and io.EOF behind the last. They are
// the caller's until done or the next call.
func (r *legReader) next() ([]byte, error) {
	if r.raw == nil {
		r.take()
		n, err := r.leg.Read(r.buf[:])
		return r.buf[:n], err
	}
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.try); err != nil {
		return nil, err
	}
	switch {
	case r.err != nil:
		return nil, os.NewSyscallError("read", r.err)
	case r.n == 0:
		return nil, io.EOF
	}
	return r.buf[:r.n], nil
}

// read is one attempt; false means that there is nothing yet.
func (r *legReader) read(fd uintptr) bool {
	r.take()
	for {
		n, err := syscall.Read(int(fd), r.buf[:])
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			r.done()
			return false
		}
		if err != nil || n == 0 {
			r.done()
		}
		r.n, r.err = max(n, 0), err
		return true
	}
}

func (r *legReader) take() {
	if r.buf == nil {
		r.buf = buffers.Get().(*[bufferSize]byte)
	}
}

// done gives the buffer back.
func (r *legReader) done() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}
