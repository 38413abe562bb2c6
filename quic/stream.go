package quic

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// A Stream is an ordered sequence of bytes in one or both directions. One
// goroutine at a time may read it, and one may write it.
type Stream struct {
	c *Conn
	s *core.Stream

	// All below is guarded by c.mu.
	readable, writable sync.Cond
	readBy, writeBy    deadline
}

var (
	_ io.ReadWriteCloser = (*Stream)(nil)
	_ io.WriterTo        = (*Stream)(nil)
	_ io.ReaderFrom      = (*Stream)(nil)
)

var (
	errSendOnly    = errors.New("quic: read from a stream on which only we send")
	errReceiveOnly = errors.New("quic: write to a stream on which only the peer sends")
)

// ID returns the stream's ID (RFC 9000 §2.1).
func (s *Stream) ID() uint64 { return s.s.ID() }

// Read reads what has arrived, and waits while there is nothing. At the end it
// returns io.EOF; after a reset by the peer, or CloseRead, a *StreamError;
// after the deadline os.ErrDeadlineExceeded.
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
	if err != nil && err != io.EOF && err != os.ErrDeadlineExceeded {
		err = publicError(err)
	}
	return n, err
}

// Write writes all of p, and waits while the stream's buffer is full. It
// returns when p is buffered, not when the peer has it. After the peer stopped
// the stream, or CancelWrite, the error is a *StreamError; after the deadline
// os.ErrDeadlineExceeded. p is copied.
func (s *Stream) Write(p []byte) (n int, err error) {
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
		if took > 0 {
			c.flushLocked()
		}
		if n == len(p) || err != nil {
			break
		}
		if took == 0 {
			s.writable.Wait()
		}
	}
	c.mu.Unlock()
	if err != nil && err != os.ErrDeadlineExceeded {
		err = publicError(err)
	}
	return n, err
}

// copyBuffer is the size of WriteTo's and ReadFrom's buffer, in bytes: one train.
const copyBuffer = 64 << 10

// WriteTo copies the stream to w until its end.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{s}, make([]byte, copyBuffer))
}

// ReadFrom copies r to the stream until its end. It does not close the stream.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{s}, r, make([]byte, copyBuffer))
}

// Close ends both directions: what was written is delivered, what arrives is
// dropped, and the peer is asked not to send more if it still does.
func (s *Stream) Close() error {
	s.c.mu.Lock()
	s.c.core.CloseWrite(s.s)
	s.c.core.Stop(time.Now(), s.s, 0)
	s.readable.Broadcast()
	s.c.flush(time.Now())
	return nil
}

// CloseWrite ends the writing direction after what was written.
func (s *Stream) CloseWrite() error {
	if !s.s.CanSend() {
		return errReceiveOnly
	}
	s.c.mu.Lock()
	s.c.core.CloseWrite(s.s)
	s.c.flush(time.Now())
	return nil
}

// CancelWrite gives up the writing direction: what the peer has not received
// is not sent again, and its reads fail with code. Writes fail with a
// *StreamError from now on.
func (s *Stream) CancelWrite(code uint64) {
	s.c.mu.Lock()
	s.c.core.Reset(s.s, code)
	s.writable.Broadcast()
	s.c.flush(time.Now())
}

// CancelRead gives up the reading direction and asks the peer to stop sending,
// with code. Reads fail with a *StreamError from now on.
func (s *Stream) CancelRead(code uint64) {
	s.c.mu.Lock()
	s.c.core.Stop(time.Now(), s.s, code)
	s.readable.Broadcast()
	s.c.flush(time.Now())
}

// SetDeadline bounds reads and writes; the zero time does not.
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
	expired bool
	timer   *time.Timer
	round   int // which call of set the timer belongs to
}

func (d *deadline) set(mu *sync.Mutex, cond *sync.Cond, t time.Time) {
	mu.Lock()
	defer mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	d.expired = !t.IsZero() && !t.After(time.Now())
	if d.expired {
		cond.Broadcast()
	}
	if t.IsZero() || d.expired {
		return
	}
	round := d.round
	d.timer = time.AfterFunc(time.Until(t), func() {
		mu.Lock()
		defer mu.Unlock()
		if d.round == round {
			d.expired = true
			cond.Broadcast()
		}
	})
}
