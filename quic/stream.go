package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// A Stream is an ordered sequence of bytes in one or both directions. It is a
// net.Conn; its addresses are those of the connection. One goroutine at a time
// may read it, and one may write it: others are safe, but their bytes mix.
type Stream struct {
	c *Conn
	s *core.Stream

	// All below is guarded by c.mu.
	readable, writable sync.Cond
	readBy, writeBy    deadline
}

var (
	_ net.Conn      = (*Stream)(nil)
	_ io.WriterTo   = (*Stream)(nil)
	_ io.ReaderFrom = (*Stream)(nil)
)

var (
	errSendOnly    = errors.New("quic: read from a stream on which only we send")
	errReceiveOnly = errors.New("quic: write to a stream on which only the peer sends")
)

// ID returns the stream's ID (RFC 9000 §2.1).
func (s *Stream) ID() uint64 { return s.s.ID() }

// LocalAddr returns the address of the socket.
func (s *Stream) LocalAddr() net.Addr { return s.c.LocalAddr() }

// RemoteAddr returns the peer's address.
func (s *Stream) RemoteAddr() net.Addr { return s.c.RemoteAddr() }

// Read reads what has arrived, and waits while there is nothing. At the end it
// returns io.EOF; after a reset by the peer, CancelRead or Close, a
// *StreamError; after the deadline os.ErrDeadlineExceeded; and when the
// connection has ended, once all that arrived is read, the reason.
func (s *Stream) Read(p []byte) (n int, err error) {
	if !s.s.CanReceive() {
		return 0, errSendOnly
	}
	if len(p) == 0 {
		return 0, nil
	}
	c := s.c
	c.mu.Lock()
	for {
		if s.readBy.expired {
			err = os.ErrDeadlineExceeded
			break
		}
		n, err = c.core.Read(time.Now(), s.s, p)
		if n > 0 || err != nil {
			break
		}
		s.readable.Wait()
	}
	c.unlock()
	return n, s.publicError(err)
}

// publicError is publicError but for the two errors that every stream meets,
// and for the connection's, which is the same for everybody.
func (s *Stream) publicError(err error) error {
	switch err {
	case nil, io.EOF, os.ErrDeadlineExceeded:
		return err
	}
	if _, ok := err.(*core.StreamError); !ok && err != core.ErrFinished && s.c.ctx.Err() != nil {
		return context.Cause(s.c.ctx)
	}
	return publicError(err)
}

// Write writes all of p, and waits while the stream's buffer is full. It
// returns when p is buffered, not when the peer has it. After the peer stopped
// the stream, or CancelWrite, the error is a *StreamError; after CloseWrite and
// Close it is net.ErrClosed; after the deadline os.ErrDeadlineExceeded. p is
// copied.
func (s *Stream) Write(p []byte) (n int, err error) { return s.write(p, false) }

// WriteFinal is Write and CloseWrite in one: the end of the stream leaves with
// the last bytes of p instead of in a datagram of its own. After an error the
// stream is still open for writing.
func (s *Stream) WriteFinal(p []byte) (n int, err error) { return s.write(p, true) }

func (s *Stream) write(p []byte, final bool) (n int, err error) {
	if !s.s.CanSend() {
		return 0, errReceiveOnly
	}
	c := s.c
	c.mu.Lock()
	for {
		if s.writeBy.expired {
			err = os.ErrDeadlineExceeded
			break
		}
		var took int
		took, err = c.core.Write(s.s, p[n:])
		n += took
		done := n == len(p) && err == nil
		if done && final {
			c.core.CloseWrite(s.s)
		}
		if took > 0 || done && final {
			c.flushLocked()
		}
		if done || err != nil {
			break
		}
		if took == 0 {
			s.writable.Wait()
		}
	}
	c.mu.Unlock()
	return n, s.publicError(err)
}

// copyBuffer is the size of WriteTo's and ReadFrom's buffer, in bytes: one train.
const copyBuffer = 64 << 10

// WriteTo copies the stream to w until its end.
func (s *Stream) WriteTo(w io.Writer) (int64, error) { return s.copy(w, s) }

// ReadFrom copies r to the stream until its end. It does not close the stream.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) { return s.copy(s, r) }

// copy hides what else w and r can do: it would come back here, with a buffer of
// its own.
func (s *Stream) copy(w io.Writer, r io.Reader) (int64, error) {
	buf := s.c.t.copies.Get().(*[copyBuffer]byte)
	defer s.c.t.copies.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[:])
}

// Close ends both directions: what was written is delivered, what arrives is
// dropped, and the peer is asked not to send more if it still does. It does not
// wait, and never fails.
func (s *Stream) Close() error {
	now := time.Now()
	s.c.mu.Lock()
	s.c.core.CloseWrite(s.s)
	s.c.core.Stop(now, s.s, 0)
	s.readBy.stop()
	s.writeBy.stop()
	s.readable.Broadcast()
	s.writable.Broadcast()
	s.c.flush(now)
	return nil
}

// CloseWrite ends the writing direction after what was written. A Write that
// waits fails.
func (s *Stream) CloseWrite() error {
	if !s.s.CanSend() {
		return errReceiveOnly
	}
	s.c.mu.Lock()
	s.c.core.CloseWrite(s.s)
	s.writable.Broadcast()
	s.c.flush(time.Now())
	return nil
}

// CancelWrite gives up the writing direction: what the peer has not received
// is not sent again, and its reads fail with code. Writes fail with a
// *StreamError from now on. Codes above 2^62-1 count as that.
func (s *Stream) CancelWrite(code uint64) {
	s.c.mu.Lock()
	s.c.core.Reset(s.s, min(code, wire.MaxVarint))
	s.writable.Broadcast()
	s.c.flush(time.Now())
}

// CancelRead gives up the reading direction and asks the peer to stop sending,
// with code. Reads fail with a *StreamError from now on. Codes above 2^62-1
// count as that.
func (s *Stream) CancelRead(code uint64) {
	s.c.mu.Lock()
	s.c.core.Stop(time.Now(), s.s, min(code, wire.MaxVarint))
	s.readable.Broadcast()
	s.c.flush(time.Now())
}

// SetDeadline bounds reads and writes; the zero time does not. It never fails,
// nor do the other two.
func (s *Stream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline bounds Read, also one that waits; the zero time does not.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readBy.set(&s.c.mu, &s.readable, t)
	return nil
}

// SetWriteDeadline bounds Write, also one that waits; the zero time does not.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeBy.set(&s.c.mu, &s.writable, t)
	return nil
}

// deadline wakes a waiter when its time has come. The connection's lock guards it.
type deadline struct {
	at      time.Time // zero = none
	expired bool
	timer   *time.Timer // nil = never needed
}

func (d *deadline) set(mu *sync.Mutex, cond *sync.Cond, at time.Time) {
	mu.Lock()
	defer mu.Unlock()
	d.stop()
	d.at = at
	if at.IsZero() {
		return
	}
	left := time.Until(at)
	switch {
	case left <= 0:
		d.expired = true
		cond.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(left, func() { d.expire(mu, cond) })
	default:
		d.timer.Reset(left)
	}
}

// expire is the timer's function. It may come late, after set or stop; then at
// tells.
func (d *deadline) expire(mu *sync.Mutex, cond *sync.Cond) {
	mu.Lock()
	defer mu.Unlock()
	if d.at.IsZero() || d.expired {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.expired = true
	cond.Broadcast()
}

// stop takes the deadline away, so that nothing holds the stream.
func (d *deadline) stop() {
	d.at, d.expired = time.Time{}, false
	if d.timer != nil {
		d.timer.Stop()
	}
}
