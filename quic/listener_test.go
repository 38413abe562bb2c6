package quic_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

const connectionRefused = quic.TransportErrorCode(2) // RFC 9000 §20.1

func wantRefused(t *testing.T, what string, c *quic.Conn, reason string) {
	t.Helper()
	<-c.Context().Done()
	err := context.Cause(c.Context())
	var transport *quic.TransportError
	if !errors.As(err, &transport) || transport.Code != connectionRefused || !transport.Remote || transport.Reason != reason {
		t.Errorf("%s: got %v, want the peer's CONNECTION_REFUSED: %s", what, err, reason)
	}
}

func TestClosedListenerRefusesWhoWaits(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(nil)
		accepted := w.dial(nil)
		w.accept(l)
		waiting := w.dial(nil)
		time.Sleep(time.Second)
		time.AfterFunc(rtt/2+10*time.Millisecond, func() { l.Close() })
		underWay := w.dial(nil) // the server has seen half of its handshake
		wantRefused(t, "connection in the backlog", waiting, "listener is closed")
		wantRefused(t, "connection under way", underWay, "listener is closed")
		if _, err := l.Accept(background); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: got %v, want net.ErrClosed", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close: got %v", err)
		}
		if _, err := w.dialErr(&quic.Config{HandshakeTimeout: time.Second}); !errors.As(err, new(*quic.HandshakeTimeoutError)) {
			t.Errorf("dial: got %v, want a HandshakeTimeoutError", err)
		}
		if accepted.Context().Err() != nil {
			t.Errorf("accepted connection: got %v, want it alive", context.Cause(accepted.Context()))
		}
		l = w.listen(nil)
		w.dial(nil)
		w.accept(l)
	})
}

func TestAcceptReturnsAConnectionThatEnded(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(nil)
		w.dial(nil).CloseWithError(9, "")
		time.Sleep(time.Minute)
		s := w.accept(l)
		var app *quic.ApplicationError
		if _, err := s.AcceptStream(background); !errors.As(err, &app) || app.Code != 9 {
			t.Errorf("AcceptStream: got %v, want ApplicationError 9", err)
		}
	})
}

func TestTransportCloseEndsEverything(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		s.OpenStream()
		w.server.Close()
		if w.server.Conns()+w.server.IDs() != 0 {
			t.Errorf("after Close: %d connections, %d IDs, want none", w.server.Conns(), w.server.IDs())
		}
		var app *quic.ApplicationError
		if _, err := c.AcceptStream(background); !errors.As(err, &app) || app.Code != 0 || !app.Remote {
			t.Errorf("client: got %v, want the peer's ApplicationError 0", err)
		}
		if _, err := s.AcceptStream(background); !errors.As(err, &app) || app.Remote {
			t.Errorf("server: got %v, want its own ApplicationError", err)
		}
		if err := w.server.Close(); err != nil {
			t.Errorf("second Close: got %v", err)
		}
		if _, err := w.server.Listen(w.serverTLS, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Listen: got %v, want net.ErrClosed", err)
		}
		if _, err := w.server.Dial(background, c.LocalAddr(), w.clientTLS, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial: got %v, want net.ErrClosed", err)
		}
	})
}

func TestTransportCloseEndsADial(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		time.AfterFunc(time.Second, func() { w.client.Close() })
		start := time.Now()
		if _, err := w.dialErr(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: got %v, want net.ErrClosed", err)
		}
		w.wantTook("dial", start, time.Second, time.Second)
	})
}

func TestBrokenSocketEndsEverything(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		w.server.Conn.Close() // not by the Transport
		<-s.Context().Done()
		synctest.Wait()
		start := time.Now()
		if _, err := w.server.Dial(background, c.LocalAddr(), w.clientTLS, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial: got %v, want net.ErrClosed", err)
		}
		w.wantTook("Dial", start, 0, 0)
		if w.server.Conns() != 0 {
			t.Errorf("%d connections left, want none", w.server.Conns())
		}
	})
}

func TestTransportSaysWhatItLacks(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		none := &quic.Transport{}
		if _, err := none.Dial(background, w.server.LocalAddr(), w.clientTLS, nil); err == nil {
			t.Error("Dial without a socket: no error")
		}
		if err := none.Close(); err == nil {
			t.Error("Close without a socket: no error")
		}
		if _, err := w.client.Dial(background, nil, w.clientTLS, nil); err == nil {
			t.Error("Dial of nil: no error")
		}
		w.listen(nil)
		if _, err := w.server.Listen(w.serverTLS, nil); err == nil {
			t.Error("second Listen: no error")
		}
		unused := w.transport(netsim.Left, 0)
		if err := unused.Close(); err != nil {
			t.Errorf("Close without use: %v", err)
		}
	})
}
