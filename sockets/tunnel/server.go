package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// A Server takes streams of dialers. Set the fields before the first call and
// leave them alone after it. Its methods are safe for concurrent use.
type Server struct {
	// Options tune the connections; the Listener's configuration comes from their
	// ListenConfig.
	Options Options

	links    links
	handlers sync.WaitGroup
}

const (
	// maxPending is how many streams of one connection may wait at once for their
	// OPEN to be whole, or for their handler's answer. Further ones wait in the
	// connection. limit: TCP connections that are being made.
	maxPending = 1024
	// openWithin is how long a stream's OPEN may take.
	openWithin = 10 * time.Second
)

// Serve takes connections of ln until ctx is done or ln is closed, and returns
// why. Each stream whose OPEN is whole is given to handle, in a goroutine of its
// own; what handle neither accepts nor refuses is refused when it returns. At
// most 1024 streams of a connection wait for an answer, and no stream whose OPEN
// is not whole after 10 s. Streams go on when Serve has returned, until Close.
func (s *Server) Serve(ctx context.Context, ln *quic.Listener, handle func(*Incoming)) error {
	s.links.mu.Lock()
	s.links.wait = -1
	s.links.mu.Unlock()
	for {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return err
		}
		s.links.mu.Lock()
		l, ok := s.links.add(conn, addrPort(conn.RemoteAddr()), "")
		s.links.mu.Unlock()
		if !ok {
			conn.CloseWithError(tcpq.CodeStopping, "no room")
			continue
		}
		s.handlers.Go(func() { s.serve(l, handle) })
	}
}

// serve takes the streams of one connection until it ends.
func (s *Server) serve(l *link, handle func(*Incoming)) {
	pending := make(chan struct{}, maxPending) // bounded by maxPending
	for {
		qs, err := l.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		pending <- struct{}{}
		s.handlers.Go(func() {
			in := &Incoming{link: l, qs: qs, pending: pending}
			defer in.Refuse(tcpq.Refused)
			if in.read() {
				handle(in)
			}
		})
	}
}

// Close ends the Server, as Dialer.Close does, and waits until all handlers have
// returned. New streams are refused from now on. Listeners stay open.
func (s *Server) Close(ctx context.Context) {
	s.links.close(ctx)
	s.handlers.Wait()
}

// An Incoming is a stream that wants an answer: call Accept or Refuse, once.
type Incoming struct {
	// Open is what the dialer said.
	Open tcpq.Open
	// From is the address of the QUIC peer with the port of the program: what the
	// program here is to see. Only dialers that may speak for others are to be
	// believed Open.Source.
	From netip.AddrPort

	link     *link
	qs       *quic.Stream
	pending  chan struct{} // has a token of ours until there is an answer; bounded by maxPending
	answered bool
}

// read takes OPEN off the stream.
func (in *Incoming) read() bool {
	in.qs.SetReadDeadline(time.Now().Add(openWithin))
	var buf [256]byte
	b := buf[:0]
	for {
		o, n, err := tcpq.ParseOpen(b)
		if err == nil {
			in.Open = o
			break
		}
		if err == tcpq.ErrShort {
			have := len(b)
			b = append(b, make([]byte, n)...)
			_, err = io.ReadFull(in.qs, b[have:])
		}
		if err != nil {
			in.give(openCode(err))
			return false
		}
	}
	in.qs.SetReadDeadline(time.Time{})
	in.From = addrPort(in.link.conn.RemoteAddr())
	if in.Open.Source.IsValid() && in.Open.Source.Port() != 0 {
		in.From = netip.AddrPortFrom(in.From.Addr(), in.Open.Source.Port())
	}
	return true
}

// addrPort returns the address of a QUIC peer.
func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.UDPAddr).AddrPort() // as quic.Conn says
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// openCode is what a dialer is told whose OPEN did not come.
func openCode(err error) uint64 {
	var bad *tcpq.MalformedError
	switch {
	case errors.As(err, &bad):
		return tcpq.CodeMalformed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tcpq.CodeTimeout
	}
	return tcpq.CodeReset
}

// give gives the stream up.
func (in *Incoming) give(code uint64) {
	in.answer()
	in.qs.CancelWrite(code)
	in.qs.CancelRead(code)
}

// answer reports whether there was no answer yet.
func (in *Incoming) answer() bool {
	if in.answered {
		return false
	}
	in.answered = true
	<-in.pending
	return true
}

// Conn returns the QUIC connection, whose state tells who the dialer is. It is
// the caller's to look at, not to close.
func (in *Incoming) Conn() *quic.Conn { return in.link.conn }

// Early reports whether the handshake is not complete yet: then OPEN came in a
// 0-RTT packet, which somebody else may have sent again.
func (in *Incoming) Early() bool { return !complete(in.link.conn) }

// AwaitHandshake waits until the handshake is complete, and the dialer certainly
// who it says. The error is the connection's or ctx's.
func (in *Incoming) AwaitHandshake(ctx context.Context) error {
	return awaitHandshake(ctx, in.link.conn)
}

// Context returns a context that is done when the dialer has given up, or its
// connection has ended.
func (in *Incoming) Context() context.Context { return in.qs.Context() }

// Accept says that the TCP connection is made, and returns its far part, which
// the caller must close. The error says that there is nobody any more.
func (in *Incoming) Accept() (*Stream, error) {
	if !in.answer() {
		return nil, errors.New("tunnel: incoming stream was answered before")
	}
	in.link.set.mu.Lock()
	ok := in.link.use()
	in.link.set.mu.Unlock()
	if !ok {
		in.end(tcpq.Overloaded, 0)
		return nil, ErrClosed
	}
	var buf [tcpq.MaxStatus]byte
	s := newStream(in.link, in.qs, &in.Open)
	if _, err := in.qs.Write(tcpq.AppendStatus(buf[:0], tcpq.Accepted, 0)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Refuse says that there is no TCP connection. It does nothing after an answer.
func (in *Incoming) Refuse(status tcpq.Status) {
	if in.answer() {
		in.end(status, 0)
	}
}

// Elsewhere says that the listener answers at another UDP port of this host. It
// does nothing after an answer.
func (in *Incoming) Elsewhere(port uint16) {
	if in.answer() {
		in.end(tcpq.Elsewhere, port)
	}
}

func (in *Incoming) end(status tcpq.Status, port uint16) {
	var buf [tcpq.MaxStatus]byte
	in.qs.WriteFinal(tcpq.AppendStatus(buf[:0], status, port))
	in.qs.CancelRead(tcpq.CodeReset)
}
