package quic

import (
	"context"
	"io"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

// A SendStream is an ordered sequence of bytes to the peer: what OpenUniStream
// returns, or the writing direction of a Stream. One goroutine at a time may
// write it; others are safe, but their bytes mix. All other methods are safe for
// concurrent use, and end a Write that waits.
type SendStream struct{ out half }

var (
	_ io.WriteCloser = (*SendStream)(nil)
	_ io.ReaderFrom  = (*SendStream)(nil)
)

// StreamID returns the stream's ID, whose two low bits tell who opened it and
// whether it goes one way (RFC 9000 §2.1).
func (s *SendStream) StreamID() StreamID { return s.out.streamID() }

// Write writes all of p, and waits while the stream's buffer is full
// (Limits.SendBuffer). It returns when p is buffered, not when the peer has it;
// p is copied. After the peer stopped the stream, or CancelWrite, the error is a
// *StreamError; after CloseWrite and Close it is net.ErrClosed; after the
// deadline os.ErrDeadlineExceeded; after the end of SetWriteContext's context
// that one's error; and when the connection has ended, the reason.
func (s *SendStream) Write(p []byte) (n int, err error) { return s.write(p, false) }

// WriteFinal is Write and CloseWrite in one: the end of the stream leaves with
// the last bytes of p instead of in a datagram of its own. After an error the
// stream is still open for writing.
func (s *SendStream) WriteFinal(p []byte) (n int, err error) { return s.write(p, true) }

func (s *SendStream) write(p []byte, final bool) (n int, err error) {
	c := s.out.c
	c.mu.Lock()
	for {
		if err = s.out.expired(); err != nil {
			break
		}
		var took int
		took, err = c.core.Write(s.out.s, p[n:])
		n += took
		done := n == len(p) && err == nil
		if done && final {
			s.end()
		}
		if took > 0 || done && final {
			c.flushWritten(took)
		}
		if done || err != nil {
			err = s.out.publicError(err)
			break
		}
		if took == 0 {
			s.out.changed.Wait()
		}
	}
	c.mu.Unlock()
	return n, err
}

// ReadFrom copies r to the stream until r's end, and returns how many bytes that
// were. It does not close the stream. The error is r's or Write's. A
// BuffersReader reads straight into the stream's buffer, and only then ReadFrom
// has no memory while it waits.
func (s *SendStream) ReadFrom(r io.Reader) (int64, error) {
	if from, ok := r.(BuffersReader); ok {
		return s.fillFrom(from)
	}
	return s.out.c.t.copy(s, r)
}

// CloseWrite ends the stream after what was written, all of which is delivered
// (RFC 9000 §3.1). It does not wait for that, and never fails. Writes fail from
// now on.
func (s *SendStream) CloseWrite() error {
	c := s.out.c
	c.mu.Lock()
	s.end()
	c.flushSmall(time.Now())
	return nil
}

// Close ends the stream, as CloseWrite does, and takes deadline and context
// away. It never fails.
func (s *SendStream) Close() error {
	c := s.out.c
	c.mu.Lock()
	s.close()
	c.flushSmall(time.Now())
	return nil
}

func (s *SendStream) close() {
	s.out.release(true)
	s.end()
}

func (s *SendStream) end() {
	s.out.c.core.CloseWrite(s.out.s)
	s.out.tell(s.out.c.core.WriteErr(s.out.s))
}

// CancelWrite gives up the writing direction with an error code of the
// application (RFC 9000 §3.1): what the peer has not received is not sent again,
// unless SetReliableBoundary covers it,
// and its reads fail with code. Writes fail with a *StreamError from now on.
// Codes above 2^62-1 count as that. Once the peer has everything it does nothing.
func (s *SendStream) CancelWrite(code StreamErrorCode) {
	c := s.out.c
	c.mu.Lock()
	c.core.Reset(s.out.s, min(code, wire.MaxVarint))
	s.out.tell(c.core.WriteErr(s.out.s))
	c.flush(time.Now())
}

// SetReliableBoundary protects what was written so far from a later
// CancelWrite: the peer reads it before it learns of the reset
// (draft-ietf-quic-reliable-stream-reset). It does nothing if the peer does not
// understand such resets, see ConnectionState.SupportsStreamResetPartialDelivery.
// If the peer gives up reading, the promise ends.
func (s *SendStream) SetReliableBoundary() {
	c := s.out.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.SetReliableBoundary(s.out.s)
}

// SetWriteDeadline bounds Write, also one that waits; the zero time does not. It
// never fails.
func (s *SendStream) SetWriteDeadline(t time.Time) error {
	s.out.setDeadline(t)
	return nil
}

// SetWriteContext bounds Write by ctx, also one that waits, beside the deadline:
// when ctx is done, Write fails with its error, which errors.Is finds to be
// context.Canceled or context.DeadlineExceeded, and with its cause. The stream
// goes on; nil takes the bound away. Close lets go of ctx.
func (s *SendStream) SetWriteContext(ctx context.Context) { s.out.setContext(ctx) }

// Context returns a context that is done when nothing more can be written: this
// side ended the stream or gave it up, the peer asked to stop, or the connection
// has ended. Its cause is what Write returns.
func (s *SendStream) Context() context.Context {
	return s.out.context(func() error { return s.out.c.core.WriteErr(s.out.s) })
}
