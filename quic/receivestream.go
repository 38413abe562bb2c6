package quic

import (
	"context"
	"io"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

// A ReceiveStream is an ordered sequence of bytes from the peer: what
// AcceptUniStream returns, or the reading direction of a Stream. One goroutine
// at a time may read it; others are safe, but each gets a part. All other
// methods are safe for concurrent use, and end a Read that waits.
type ReceiveStream struct{ in half }

var (
	_ io.ReadCloser = (*ReceiveStream)(nil)
	_ io.WriterTo   = (*ReceiveStream)(nil)
)

// StreamID returns the stream's ID, whose two low bits tell who opened it and
// whether it goes one way (RFC 9000 §2.1).
func (s *ReceiveStream) StreamID() StreamID { return s.in.streamID() }

// Read reads what has arrived into p, and waits while there is nothing. At the
// end of the stream the error is io.EOF; after a reset by the peer, CancelRead,
// CloseRead or Close it is a *StreamError; after the deadline
// os.ErrDeadlineExceeded; after the end of SetReadContext's context that one's
// error; and when the connection has ended, once all that arrived is read, the
// reason. A Read of nothing never waits.
func (s *ReceiveStream) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	c := s.in.c
	c.mu.Lock()
	for {
		if err = s.in.expired(); err != nil {
			break
		}
		s.in.seen()
		n, err = c.core.Read(time.Now(), s.in.s, p)
		if err != nil {
			err = s.in.publicError(err)
			s.in.tell(c.core.ReadErr(s.in.s))
		}
		if n > 0 || err != nil {
			break
		}
		s.in.changed.Wait()
	}
	c.unlock()
	return n, err
}

// copyBuffer is the size of WriteTo's and ReadFrom's buffer, in bytes: one train.
const copyBuffer = 64 << 10

// WriteTo copies the stream to w until its end, and returns how many bytes that
// were. The error is w's or, but for io.EOF, Read's. A BuffersWriter gets the
// bytes where they are, and without one WriteTo has a buffer while it waits.
func (s *ReceiveStream) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(BuffersWriter); ok {
		return s.lendTo(to)
	}
	return s.in.c.t.copy(w, s)
}

// copy hides what else w and r can do: it would come back here, with a buffer of
// its own.
func (t *Transport) copy(w io.Writer, r io.Reader) (int64, error) {
	buf := t.copies.Get().(*[copyBuffer]byte)
	defer t.copies.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[:])
}

// PeerReset returns a *StreamError if the peer has reset the stream, also while
// Read still has bytes that the reset left alone (see
// SendStream.SetReliableBoundary). Otherwise it returns nil.
func (s *ReceiveStream) PeerReset() error {
	c := s.in.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.in.publicError(c.core.ResetErr(s.in.s))
}

// CancelRead gives up the reading direction and asks the peer to stop sending,
// with an error code of the application (RFC 9000 §3.5). What was not read is
// dropped; reads fail with a *StreamError from now on. Codes above 2^62-1 count
// as that. After the end, or a second time, it does nothing.
func (s *ReceiveStream) CancelRead(code StreamErrorCode) {
	c := s.in.c
	c.mu.Lock()
	now := time.Now()
	s.stop(now, min(code, wire.MaxVarint))
	c.flush(now)
}

// CloseRead is CancelRead with code 0: nobody is interested in the rest. It
// never fails.
func (s *ReceiveStream) CloseRead() error {
	s.CancelRead(0)
	return nil
}

// Close ends the stream, as CloseRead does, and takes deadline and context away.
// It never fails.
func (s *ReceiveStream) Close() error {
	c := s.in.c
	c.mu.Lock()
	now := time.Now()
	s.close(now)
	c.flush(now)
	return nil
}

func (s *ReceiveStream) close(now time.Time) {
	s.in.release(true)
	s.stop(now, 0)
}

func (s *ReceiveStream) stop(now time.Time, code uint64) {
	s.in.seen()
	s.in.c.core.Stop(now, s.in.s, code)
	s.in.tell(s.in.c.core.ReadErr(s.in.s))
}

// SetReadDeadline bounds Read, also one that waits; the zero time does not. It
// never fails.
func (s *ReceiveStream) SetReadDeadline(t time.Time) error {
	s.in.setDeadline(t)
	return nil
}

// SetReadContext bounds Read by ctx, also one that waits, beside the deadline:
// when ctx is done, Read fails with its error, which errors.Is finds to be
// context.Canceled or context.DeadlineExceeded, and with its cause. The stream
// goes on; nil takes the bound away. Close lets go of ctx.
func (s *ReceiveStream) SetReadContext(ctx context.Context) { s.in.setContext(ctx) }

// Context returns a context that is done when nothing more can be read: Read
// has returned io.EOF, the peer reset the stream, this side gave up, or the
// connection has ended. Its cause is what Read returns.
func (s *ReceiveStream) Context() context.Context {
	return s.in.context(func() error { return s.in.c.core.ReadErr(s.in.s) })
}
