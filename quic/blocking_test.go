package quic_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// rig is a connection with a stream on which every call of calls waits.
type rig struct {
	*world
	l      *quic.Listener
	c, s   *quic.Conn // near, far
	cs, ss *quic.Stream
	ctx    context.Context // of the calls that take one
}

// calls are all that wait, and whether the call has a context and a stream.
var calls = []struct {
	name           string
	stream, listen bool
	do             func(r *rig) error
}{
	{"AcceptStream", false, false, func(r *rig) error { _, err := r.c.AcceptStream(r.ctx); return err }},
	{"AcceptUniStream", false, false, func(r *rig) error { _, err := r.c.AcceptUniStream(r.ctx); return err }},
	{"OpenStreamSync", false, false, func(r *rig) error { _, err := r.c.OpenStreamSync(r.ctx); return err }},
	{"OpenUniStreamSync", false, false, func(r *rig) error { _, err := r.c.OpenUniStreamSync(r.ctx); return err }},
	{"ReceiveDatagram", false, false, func(r *rig) error { _, err := r.c.ReceiveDatagram(r.ctx); return err }},
	{"Listener.Accept", false, true, func(r *rig) error { _, err := r.l.Accept(r.ctx); return err }},
	{"Read", true, false, func(r *rig) error { _, err := r.cs.Read(make([]byte, 1)); return err }},
	{"Write", true, false, func(r *rig) error { _, err := r.cs.Write(make([]byte, 64<<20)); return err }},
	{"ReadFrom", true, false, func(r *rig) error { _, err := r.cs.ReadFrom(endless{}); return err }},
	{"WriteTo", true, false, func(r *rig) error { _, err := r.cs.WriteTo(discard{}); return err }},
	{"ReadFrom without a copy", true, false, func(r *rig) error { _, err := r.cs.ReadFrom(&source{left: 64 << 20}); return err }},
	{"WriteTo without a copy", true, false, func(r *rig) error { _, err := r.cs.WriteTo(new(sink)); return err }},
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// ends are the ways in which a call that waits comes to its end.
var ends = []struct {
	name   string
	stream bool // of streams only
	end    func(r *rig, cancel context.CancelFunc)
	want   func(err error) bool
}{
	{"closed locally", false, func(r *rig, _ context.CancelFunc) { r.c.CloseWithError(7, "enough") }, func(err error) bool {
		var e *quic.ApplicationError
		return errors.Is(err, net.ErrClosed) && errors.As(err, &e) && !e.Remote && e.Code == 7
	}},
	{"closed by the peer", false, func(r *rig, _ context.CancelFunc) { r.s.CloseWithError(7, "enough") }, func(err error) bool {
		var e *quic.ApplicationError
		return errors.Is(err, net.ErrClosed) && errors.As(err, &e) && e.Remote && e.Code == 7 && e.Reason == "enough"
	}},
	{"transport closed", false, func(r *rig, _ context.CancelFunc) { r.client.Close() }, func(err error) bool { return errors.Is(err, net.ErrClosed) }},
	{"idle timeout", false, func(r *rig, _ context.CancelFunc) { r.s.Abandon() }, func(err error) bool {
		var e *quic.IdleTimeoutError
		var reset *quic.StatelessResetError
		var ne net.Error
		timeout := errors.As(err, &e) && errors.As(err, &ne) && ne.Timeout()
		return errors.Is(err, net.ErrClosed) && (timeout || errors.As(err, &reset)) // who writes learns of it sooner
	}},
	{"context cancelled", false, func(r *rig, cancel context.CancelFunc) { cancel() }, func(err error) bool {
		return errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed)
	}},
	{"deadline", true, func(r *rig, _ context.CancelFunc) { r.cs.SetDeadline(time.Now()) }, func(err error) bool {
		var ne net.Error
		return errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &ne) && ne.Timeout() && !errors.Is(err, net.ErrClosed)
	}},
	{"reset by the peer", true, func(r *rig, _ context.CancelFunc) { r.ss.CancelRead(5); r.ss.CancelWrite(5) }, func(err error) bool {
		var e *quic.StreamError
		return errors.As(err, &e) && e.Remote && e.Code == 5 && !errors.Is(err, net.ErrClosed)
	}},
	{"given up", true, func(r *rig, _ context.CancelFunc) { r.cs.CancelRead(5); r.cs.CancelWrite(5) }, func(err error) bool {
		var e *quic.StreamError
		return errors.As(err, &e) && !e.Remote && e.Code == 5 && errors.Is(err, net.ErrClosed)
	}},
}

// TestDialEndsWithItsReason: a Dial that waits has no connection to close yet, so
// that it has ends of its own.
func TestDialEndsWithItsReason(t *testing.T) {
	for _, end := range []struct {
		name string
		conf *quic.Config
		end  func(w *world, cancel context.CancelFunc) // nil = time does it
		want func(err error) bool
	}{
		{"context cancelled", nil, func(_ *world, cancel context.CancelFunc) { cancel() }, func(err error) bool {
			return errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed)
		}},
		{"transport closed", nil, func(w *world, _ context.CancelFunc) { w.client.Close() }, func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		{"handshake timeout", &quic.Config{HandshakeTimeout: time.Second}, nil, func(err error) bool {
			var e *quic.HandshakeTimeoutError
			var ne net.Error
			return errors.Is(err, net.ErrClosed) && errors.As(err, &e) && errors.As(err, &ne) && ne.Timeout()
		}},
		{"idle timeout", &quic.Config{HandshakeTimeout: -1, MaxIdleTimeout: time.Second}, nil, func(err error) bool {
			var e *quic.IdleTimeoutError
			var ne net.Error
			return errors.Is(err, net.ErrClosed) && errors.As(err, &e) && errors.As(err, &ne) && ne.Timeout()
		}},
	} {
		for _, dial := range []string{"Dial", "DialEarly"} {
			t.Run(dial+", "+end.name, func(t *testing.T) {
				inWorld(t, calm, func(w *world) { // nobody listens
					ctx, cancel := context.WithCancel(background)
					defer cancel()
					if end.end != nil {
						time.AfterFunc(time.Second, func() { end.end(w, cancel) })
					}
					call := w.client.Dial
					if dial == "DialEarly" {
						call = w.client.DialEarly
					}
					start := time.Now()
					c, err := call(ctx, w.server.LocalAddr(), w.clientTLS, end.conf)
					if c != nil || !end.want(err) {
						t.Errorf("got %v and %T: %v", c, err, err)
					}
					w.wantTook("the call", start, time.Second, 5*time.Second)
					time.Sleep(10 * time.Second) // RFC 9000 §10.2: a closing connection answers for three PTOs
					if n := w.client.Stats().Connections; n != 0 {
						t.Errorf("%d connections are left of it", n)
					}
				})
			})
		}
	}
}

// TestEveryWaitEndsWithItsReason runs every call that waits into every end.
func TestEveryWaitEndsWithItsReason(t *testing.T) {
	for _, call := range calls {
		for _, end := range ends {
			if end.stream && !call.stream || call.listen && end.name != "context cancelled" {
				continue
			}
			t.Run(call.name+", "+end.name, func(t *testing.T) {
				inWorld(t, calm, func(w *world) {
					conf := &quic.Config{EnableDatagrams: true, MaxIdleTimeout: 10 * time.Second, Limits: quic.Limits{MaxIncomingStreams: 1, MaxIncomingUniStreams: -1}}
					r := &rig{world: w, l: w.listen(conf)}
					r.c = w.dial(conf)
					r.s = w.accept(r.l)
					r.cs, r.ss = w.streams(r.c, r.s)
					ctx, cancel := context.WithCancel(background)
					defer cancel()
					r.ctx = ctx
					r.cs.SetReadContext(ctx)
					r.cs.SetWriteContext(ctx)
					time.AfterFunc(time.Second, func() { end.end(r, cancel) })
					start := time.Now()
					if err := call.do(r); !end.want(err) {
						t.Errorf("got %T: %v", err, err)
					}
					if time.Since(start) < time.Second {
						t.Error("it did not wait")
					}
				})
			})
		}
	}
}
