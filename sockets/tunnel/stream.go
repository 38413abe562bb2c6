package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// A Stream is the far part of a TCP connection: what Dial and Incoming.Accept
// return. One goroutine at a time may read it, and one may write it; all other
// methods are safe for concurrent use, and end a Read or Write that waits.
type Stream struct {
	qs    atomic.Pointer[quic.Stream] // another one after early data was rejected
	link  *link
	open  tcpq.Open
	since time.Time

	unanswered bool         // the STATUS is still to be read, or no acceptance; of the one who reads
	refusal    *StatusError // what it was then; of the one who reads
	early      *early       // nil = no bytes of the program were sent before the handshake was complete
	settled    atomic.Bool  // the acceptor has answered: qs stays as it is

	sent, received atomic.Uint64
	abandoned      atomic.Bool // nobody reads any more

	older, newer *Stream // of link; guarded by its lock, as are the next two
	over         bool
	pump         *pump // nil = none
}

var _ net.Conn = (*Stream)(nil)

// newStream adds a stream to its link, which the caller has used.
func newStream(l *link, qs *quic.Stream, open *tcpq.Open) *Stream {
	s := &Stream{link: l, open: *open, since: time.Now()}
	s.qs.Store(qs)
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	l.opened++
	if s.older = l.streams; s.older != nil {
		s.older.newer = s
	}
	l.streams = s
	return s
}

// release takes the stream off its link.
func (s *Stream) release() {
	l := s.link
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		l.streams = s.older
	}
	if s.older != nil {
		s.older.newer = s.newer
	}
	s.newer, s.older = nil, nil
	l.sent += s.sent.Load()
	l.received += s.received.Load()
	l.unuse()
}

// Open returns what the dialer said of the TCP connection.
func (s *Stream) Open() tcpq.Open { return s.open }

// Conn returns the QUIC connection. It is the caller's to look at, not to close.
func (s *Stream) Conn() *quic.Conn { return s.link.conn }

// Read reads bytes of the TCP connection into p, as quic.Stream's does. At the
// peer's FIN the error is io.EOF; when it reset the connection a
// *quic.StreamError; if an acceptor refused a stream that was opened in good
// faith, see Target.Optimistic, a *StatusError; and when the QUIC connection has
// ended, the reason, which is net.ErrClosed.
func (s *Stream) Read(p []byte) (int, error) {
	qs, err := s.answered()
	if err != nil {
		return 0, err
	}
	n, err := qs.Read(p)
	s.received.Add(uint64(n))
	return n, err
}

// answered returns the stream from which bytes of the TCP connection can be
// read, after the STATUS.
func (s *Stream) answered() (*quic.Stream, error) {
	for {
		qs := s.qs.Load()
		err := s.answer(qs)
		if err == nil {
			return qs, nil
		}
		if !errors.Is(err, quic.Err0RTTRejected) {
			return nil, err
		}
		if err = s.again(qs); err != nil {
			return nil, err
		}
	}
}

// answer reads the STATUS if that was not done yet.
func (s *Stream) answer(qs *quic.Stream) error {
	if !s.unanswered {
		return nil
	}
	if s.refusal != nil {
		return s.refusal
	}
	err := readStatus(qs, &s.open)
	if errors.As(err, &s.refusal) {
		s.Reset(tcpq.CodeReset) // nobody takes what the program writes
	}
	s.unanswered = err != nil
	s.settled.Store(err == nil)
	return err
}

// readStatus reads a STATUS and not a byte more. One that is no acceptance is a
// *StatusError.
func readStatus(qs *quic.Stream, open *tcpq.Open) error {
	var buf [tcpq.MaxStatus]byte
	status := partial{buf[:0]}
	return status.read(qs, open)
}

// partial is a STATUS of which a part was read.
type partial struct {
	buf []byte // limit: tcpq.MaxStatus, its capacity
}

// read reads the rest. After a deadline it can be called again.
func (p *partial) read(qs *quic.Stream, open *tcpq.Open) error {
	for {
		status, port, n, err := tcpq.ParseStatus(p.buf)
		switch {
		case err == nil && status == tcpq.Accepted:
			return nil
		case err == nil:
			return &StatusError{Status: status, Dest: open.Dest, Port: port}
		case err != tcpq.ErrShort:
			return err
		}
		have := len(p.buf)
		n, err = io.ReadFull(qs, p.buf[have:have+n])
		p.buf = p.buf[:have+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = &tcpq.MalformedError{What: "STATUS", Why: "the stream ended"}
		}
		if err != nil {
			return err
		}
	}
}

// Write sends bytes of the TCP connection, as quic.Stream's does: it waits while
// the stream's buffer is full. When the peer reset the connection, or refused
// it, the error is a *quic.StreamError; when the QUIC connection has ended, the
// reason, which is net.ErrClosed.
func (s *Stream) Write(p []byte) (int, error) {
	if s.early != nil {
		return s.writeEarly(p)
	}
	n, err := s.qs.Load().Write(p)
	s.sent.Add(uint64(n))
	return n, err
}

// CloseWrite sends FIN after what was written. It does not wait, and never fails.
func (s *Stream) CloseWrite() error {
	if s.early != nil {
		s.early.mu.Lock()
		defer s.early.mu.Unlock()
		s.early.fin = true
	}
	return s.qs.Load().CloseWrite()
}

// Reset gives up the writing direction with a code of tcpq.
func (s *Stream) Reset(code uint64) { s.qs.Load().CancelWrite(code) }

// ResetAfter is Reset, but what was written so far arrives before it: a reset of
// TCP takes nothing back that was sent. If the peer does not read, it learns of
// the reset as late.
func (s *Stream) ResetAfter(code uint64) {
	qs := s.qs.Load()
	qs.SetReliableBoundary()
	qs.CancelWrite(code)
}

// Abandon says that nobody is left here who reads, as close(2) does: what the
// peer sends is thrown away, and a program that still writes learns so. What was
// written arrives, and a Pump goes on until it has. Any goroutine may call it.
func (s *Stream) Abandon() {
	s.abandoned.Store(true)
	s.Stop(tcpq.CodeNone)
}

// Stop gives up the reading direction with a code of tcpq.
func (s *Stream) Stop(code uint64) { s.qs.Load().CancelRead(code) }

// Close ends both directions, as quic.Stream's does, and lets the connection go
// on to others. Before the peer's FIN was read that is a reset to the peer, once
// it has read ours. Whoever has a Stream must close it; Pump does. It never fails.
func (s *Stream) Close() error {
	s.CloseWrite()
	qs := s.qs.Load()
	qs.CancelRead(tcpq.CodeReset) // nothing, if all was read
	qs.Close()
	s.release()
	return nil
}

// Context returns a context that is done when nothing more can be written: this
// side ended the stream or gave it up, the peer asked to stop, or the connection
// has ended.
func (s *Stream) Context() context.Context { return s.qs.Load().Context() }

// SetReadDeadline bounds Read. It never fails.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.qs.Load().SetReadDeadline(t) }

// SetWriteDeadline bounds Write. It never fails.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.qs.Load().SetWriteDeadline(t) }

// SetDeadline bounds both. It never fails.
func (s *Stream) SetDeadline(t time.Time) error { return s.qs.Load().SetDeadline(t) }

// LocalAddr and RemoteAddr are those of the QUIC connection.
func (s *Stream) LocalAddr() net.Addr { return s.link.conn.LocalAddr() }

// RemoteAddr returns the address of the QUIC peer.
func (s *Stream) RemoteAddr() net.Addr { return s.link.conn.RemoteAddr() }

// maxEarly is how many bytes of a program leave before the handshake is
// complete. limit: what is kept to be sent again.
const maxEarly = 16 << 10

// early keeps what was sent before the handshake was complete, since the server
// may not take it.
type early struct {
	mu     sync.Mutex // guards all below; held while they are sent again
	kept   []byte     // limit: maxEarly
	fin    bool
	failed error // why the stream could not be opened again
}

// writeEarly writes what fits before the handshake, and the rest after it.
func (s *Stream) writeEarly(p []byte) (n int, err error) {
	e := s.early
	e.mu.Lock()
	for e.failed == nil && !complete(s.link.conn) && len(e.kept) < maxEarly && n < len(p) {
		part := p[n:min(len(p), n+maxEarly-len(e.kept))]
		if _, err = s.qs.Load().Write(part); errors.Is(err, quic.Err0RTTRejected) {
			break // the handshake is complete in a moment
		} else if err != nil {
			e.mu.Unlock()
			return n, err
		}
		e.kept = append(e.kept, part...)
		n += len(part)
	}
	err = e.failed
	e.mu.Unlock()
	s.sent.Add(uint64(n))
	if n == len(p) || err != nil {
		return n, err
	}
	if err := awaitHandshake(context.Background(), s.link.conn); err != nil {
		return n, err
	}
	for {
		qs := s.qs.Load()
		more, err := qs.Write(p[n:])
		n += more
		s.sent.Add(uint64(more))
		if more > 0 || !errors.Is(err, quic.Err0RTTRejected) {
			return n, err
		}
		if err = s.again(qs); err != nil {
			return n, err
		}
	}
}

// again opens the stream anew after the server took nothing of it, unless
// somebody did meanwhile.
func (s *Stream) again(old *quic.Stream) error {
	if err := awaitHandshake(context.Background(), s.link.conn); err != nil {
		return err
	}
	e := s.early
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil || s.qs.Load() != old {
		return e.failed
	}
	qs, err := s.link.conn.OpenStreamSync(s.link.conn.Context())
	if err == nil {
		_, err = qs.Write(append(tcpq.AppendOpen(nil, &s.open), e.kept...))
	}
	if err != nil {
		e.failed = err
		return err
	}
	if e.fin {
		qs.CloseWrite()
	}
	e.kept = nil
	s.qs.Store(qs)
	return nil
}

// complete reports whether the handshake is.
func complete(c *quic.Conn) bool {
	select {
	case <-c.HandshakeComplete():
		return true
	default:
		return false
	}
}

// awaitHandshake waits until the handshake is complete, or cannot be any more.
func awaitHandshake(ctx context.Context, c *quic.Conn) error {
	select {
	case <-c.HandshakeComplete():
		return nil
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}
