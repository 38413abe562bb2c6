package quic

import (
	"context"
	"net"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// Names for the numbers that a program passes. They are uint64, so that its own
// constants need no conversion.
type (
	// A StreamID numbers the streams of a connection (RFC 9000 §2.1).
	StreamID = uint64
	// A StreamErrorCode tells the peer's application why a stream was given up;
	// at most 2^62-1 (RFC 9000 §20.2).
	StreamErrorCode = uint64
	// An ApplicationErrorCode tells the peer's application why a connection was
	// closed; at most 2^62-1 (RFC 9000 §20.2).
	ApplicationErrorCode = uint64
)

// A Stream is an ordered sequence of bytes in each direction: what OpenStream
// and AcceptStream return (RFC 9000 §2). It has the methods of both its halves,
// and is a net.Conn whose addresses are those of the connection. One goroutine
// at a time may read it, and one may write it.
//
// A stream counts against the peer's limit until both directions are over. So
// who is done calls Close; who wrote everything and still reads, CloseWrite.
type Stream struct {
	ReceiveStream
	SendStream
}

var _ net.Conn = (*Stream)(nil)

// wrap returns the Stream of a core's stream, made when it is first met. A
// unidirectional one shows only its half of it. The caller holds c.mu.
func (c *Conn) wrap(s *core.Stream) *Stream {
	if w, ok := s.User.(*Stream); ok {
		return w
	}
	w := new(Stream)
	w.in.c, w.in.s, w.in.changed.L = c, s, &c.mu
	w.out.c, w.out.s, w.out.changed.L = c, s, &c.mu
	s.User = w
	return w
}

// StreamID returns the stream's ID, whose two low bits tell who opened it and
// whether it goes one way (RFC 9000 §2.1).
func (s *Stream) StreamID() StreamID { return s.in.streamID() }

// LocalAddr returns the address of the socket.
func (s *Stream) LocalAddr() net.Addr { return s.in.c.LocalAddr() }

// RemoteAddr returns the peer's address.
func (s *Stream) RemoteAddr() net.Addr { return s.in.c.RemoteAddr() }

// Close ends both directions: what was written is delivered, what arrives is
// dropped, and the peer is asked not to send more if it still does. It does not
// wait, and never fails.
func (s *Stream) Close() error {
	c := s.in.c
	c.mu.Lock()
	now := time.Now()
	s.SendStream.close()
	s.ReceiveStream.close(now)
	c.flushSmall(now)
	return nil
}

// SetDeadline bounds reads and writes, as SetReadDeadline and SetWriteDeadline
// do. It never fails.
func (s *Stream) SetDeadline(t time.Time) error {
	s.in.setDeadline(t)
	s.out.setDeadline(t)
	return nil
}

// Context returns a context that is done when nothing more can be written, as
// that of a SendStream: for the side that answers, it tells when nobody waits
// for the answer any more. ReceiveStream.Context tells the end of reading.
func (s *Stream) Context() context.Context { return s.SendStream.Context() }
