package quic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

func TestHandshakeTakesOneRoundTrip(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(nil)
		start := time.Now()
		c := w.dial(nil)
		w.wantTook("dial", start, rtt, rtt+5*time.Millisecond)
		s := w.accept(l)
		for name, conn := range map[string]*quic.Conn{"client": c, "server": s} {
			state := conn.ConnectionState()
			if state.Version != quic.Version1 || state.TLS.NegotiatedProtocol != "test" || !state.TLS.HandshakeComplete {
				t.Errorf("%s negotiated version %#x, protocol %q, complete %v", name, state.Version, state.TLS.NegotiatedProtocol, state.TLS.HandshakeComplete)
			}
		}
		if c.RemoteAddr().String() != w.server.LocalAddr().String() || s.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("addresses: client %v to %v, server %v to %v", c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
		}
	})
}

func TestRetryCostsOneRoundTripMore(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		var asked []netip.AddrPort
		w.server.RequireRetry = func(client netip.AddrPort) bool {
			asked = append(asked, client)
			return true
		}
		l := w.listen(nil)
		start := time.Now()
		c := w.dial(nil)
		w.wantTook("dial", start, 2*rtt, 2*rtt+5*time.Millisecond)
		w.accept(l)
		if len(asked) == 0 || asked[0].String() != c.LocalAddr().String() {
			t.Errorf("asked about %v, want the client %v", asked, c.LocalAddr())
		}
	})
}

func TestTransferSurvivesLoss(t *testing.T) {
	inWorld(t, lossy, func(w *world) {
		c, s := w.pair(nil, nil)
		go echo(s)
		st, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		want := randomBytes(512 << 10)
		go func() {
			st.ReadFrom(bytes.NewReader(want))
			st.CloseWrite()
		}()
		var got bytes.Buffer
		if _, err := st.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("got %d bytes back, error %v, want the %d written", got.Len(), err, len(want))
		}
		stats := c.ConnectionStats()
		if stats.SmoothedRTT < 10*time.Millisecond || stats.CongestionWindow <= 0 || stats.MTU < 1200 || stats.Congestion != "cubic" {
			t.Errorf("stats after the transfer: got %+v", stats)
		}
	})
}

func TestTransportCarriesManyConnections(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		const conns = 20
		l := w.listen(nil)
		var wg sync.WaitGroup
		for range conns {
			wg.Go(func() {
				c := w.dial(nil)
				s, err := c.OpenStream()
				if err != nil {
					t.Error(err)
					return
				}
				s.Write([]byte(c.LocalAddr().String()))
				s.CloseWrite()
				if got, err := io.ReadAll(s); string(got) != c.LocalAddr().String() || err != nil {
					t.Errorf("echo: got %q, error %v", got, err)
				}
				c.CloseWithError(0, "")
			})
			wg.Go(func() { echo(w.accept(l)) })
		}
		wg.Wait()
		time.Sleep(5 * time.Second) // the draining period of all
		if w.client.Conns()+w.server.Conns()+w.client.IDs()+w.server.IDs() != 0 {
			t.Errorf("after all closed: %d and %d connections, %d and %d IDs, want none",
				w.client.Conns(), w.server.Conns(), w.client.IDs(), w.server.IDs())
		}
	})
}

func TestDialGivesUpAtTheHandshakeTimeout(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		start := time.Now()
		_, err := w.dialErr(nil) // nobody listens
		var timeout *quic.HandshakeTimeoutError
		wantTimeout(t, "dial into a black hole", err, &timeout)
		w.wantTook("dial", start, 10*time.Second, 10*time.Second)
		synctest.Wait()
		if n := w.client.Conns(); n != 0 {
			t.Errorf("%d connections left, want none", n)
		}
	})
}

// wantTimeout checks that err is of target's type, net.ErrClosed and a net.Error with Timeout.
func wantTimeout(t *testing.T, what string, err error, target any) {
	t.Helper()
	var ne net.Error
	if !errors.As(err, target) || !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%s: got %v, want a %T that is net.ErrClosed and has Timeout", what, err, target)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		for _, delay := range []time.Duration{0, 20 * time.Millisecond, 400 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(context.Background(), delay)
			start := time.Now()
			_, err := w.client.Dial(ctx, w.server.LocalAddr(), w.clientTLS, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("dial with %v: got %v, want context.DeadlineExceeded", delay, err)
			}
			w.wantTook("dial", start, delay, delay)
		}
		time.Sleep(time.Minute)
		if n := w.client.Conns(); n != 0 {
			t.Errorf("%d connections left, want none", n)
		}
	})
}

func TestDialCancelledInMidHandshakeLeavesNothingAtTheServer(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(nil)
		ctx, cancel := context.WithTimeout(context.Background(), rtt-5*time.Millisecond) // the server has answered
		defer cancel()
		if _, err := w.client.Dial(ctx, w.server.LocalAddr(), w.clientTLS, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: got %v, want context.DeadlineExceeded", err)
		}
		time.Sleep(5 * time.Second) // less than the handshake timeout: the close was told
		if w.client.Conns() != 0 || w.server.Conns() != 0 {
			t.Errorf("%d and %d connections left, want none", w.client.Conns(), w.server.Conns())
		}
		l.Close()
	})
}

func TestIdleTimeoutIsTheSmallerOfBoth(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(&quic.Config{MaxIdleTimeout: 20 * time.Second}, &quic.Config{MaxIdleTimeout: time.Minute})
		start := time.Now()
		for name, conn := range map[string]*quic.Conn{"client": c, "server": s} {
			_, err := conn.AcceptStream(context.Background())
			var idle *quic.IdleTimeoutError
			wantTimeout(t, name, err, &idle)
		}
		w.wantTook("silence", start, 20*time.Second-rtt, 21*time.Second)
	})
}

func TestKeepAliveKeepsAlive(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(&quic.Config{KeepAlivePeriod: 10 * time.Second}, nil)
		time.Sleep(10 * time.Minute)
		if c.Context().Err() != nil || s.Context().Err() != nil {
			t.Errorf("after ten minutes: client %v, server %v, want both alive", context.Cause(c.Context()), context.Cause(s.Context()))
		}
	})
}

func TestNegativeTimeoutsNeverEnd(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		conf := &quic.Config{MaxIdleTimeout: -1, HandshakeTimeout: -1}
		c, _ := w.pair(conf, conf)
		time.Sleep(24 * time.Hour)
		if err := context.Cause(c.Context()); err != nil {
			t.Errorf("after a day: got %v, want a live connection", err)
		}
	})
}

func TestCloseReachesEveryCall(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, &quic.Config{Limits: quic.Limits{MaxIncomingStreams: 1, MaxIncomingUniStreams: -1}})
		cs, _ := w.streams(c, s)
		ctx := context.Background()
		calls := map[string]func() error{
			"Read":           func() error { _, err := cs.Read(make([]byte, 1)); return err },
			"Write":          func() error { _, err := cs.Write(make([]byte, 64<<20)); return err },
			"AcceptStream":   func() error { _, err := c.AcceptStream(ctx); return err },
			"AcceptUni":      func() error { _, err := c.AcceptUniStream(ctx); return err },
			"OpenStreamSync": func() error { _, err := c.OpenStreamSync(ctx); return err },
			"OpenUniSync":    func() error { _, err := c.OpenUniStreamSync(ctx); return err },
			"Context":        func() error { <-c.Context().Done(); return context.Cause(c.Context()) },
		}
		ended := make(chan struct {
			name string
			err  error
		})
		for name, call := range calls {
			go func() {
				ended <- struct {
					name string
					err  error
				}{name, call()}
			}()
		}
		time.Sleep(time.Second)
		s.CloseWithError(7, "enough")
		for range calls {
			e := <-ended
			var app *quic.ApplicationError
			if !errors.As(e.err, &app) || app.Code != 7 || !app.Remote || app.Reason != "enough" || !errors.Is(e.err, net.ErrClosed) {
				t.Errorf("%s: got %v, want the peer's ApplicationError 7", e.name, e.err)
			}
			if err := calls[e.name](); !errors.As(err, &app) {
				t.Errorf("%s again: got %v, want the same", e.name, err)
			}
		}
		if _, err := s.OpenStream(); err == nil || errors.As(err, new(*quic.ApplicationError)) == false {
			t.Errorf("OpenStream of the side that closed: got %v, want its ApplicationError", err)
		}
		if c.UpdateKeys() {
			t.Error("UpdateKeys of a connection that ended reports true")
		}
		c.CloseWithError(8, "too late")
		if app := context.Cause(c.Context()).(*quic.ApplicationError); app.Code != 7 {
			t.Errorf("after a second close: code %d, want 7", app.Code)
		}
	})
}

func TestStatelessResetAfterRestart(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		key := [32]byte{1, 2, 3}
		w.server.StatelessResetKey = &key
		c, s := w.pair(nil, nil)
		cs, _ := w.streams(c, s)
		w.server.Conn.Close() // the server dies without a word
		synctest.Wait()
		if err := context.Cause(s.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("connection on a broken socket: got %v, want net.ErrClosed", err)
		}
		w.server.Close()
		w.server = w.transport(netsim.Right, netsim.ServerPort)
		w.server.StatelessResetKey = &key
		w.listen(nil)
		start := time.Now()
		cs.Write(make([]byte, 1000))
		_, err := cs.Read(make([]byte, 1))
		var reset *quic.StatelessResetError
		if !errors.As(err, &reset) || !errors.Is(err, net.ErrClosed) {
			t.Fatalf("read from a server that restarted: got %v, want a StatelessResetError", err)
		}
		w.wantTook("learning of it", start, rtt, 2*rtt)
	})
}

func TestVersionNegotiationNamesBothSides(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(nil)
		_, err := w.dialErr(&quic.Config{Versions: []quic.Version{0x1a2a3a4a}})
		var version *quic.VersionNegotiationError
		if !errors.As(err, &version) || version.Ours[0] != 0x1a2a3a4a || !errors.Is(err, net.ErrClosed) {
			t.Fatalf("dial with a version of our own: got %v, want a VersionNegotiationError", err)
		}
		found := false
		for _, v := range version.Theirs {
			found = found || v == quic.Version1
		}
		if !found {
			t.Errorf("server's versions: got %#x, want version 1 among them", version.Theirs)
		}
	})
}

func TestKeyUpdateIsInvisible(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		go echo(s)
		st, _ := c.OpenStream()
		for round := range 3 {
			msg := []byte{byte(round)}
			st.Write(msg)
			if _, err := io.ReadFull(st, msg); err != nil || msg[0] != byte(round) {
				t.Fatalf("round %d: got %v, error %v", round, msg, err)
			}
			time.Sleep(time.Second)
			if !c.UpdateKeys() {
				t.Errorf("round %d: no key update", round)
			}
		}
	})
}

func TestLargeCodesCountAsTheLargest(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, ss := w.streams(c, s)
		cs.CancelWrite(1 << 63)
		cs.CancelRead(1 << 63)
		c.CloseWithError(1<<63, string(make([]byte, 1000)))
		_, err := ss.Read(make([]byte, 1))
		var stream *quic.StreamError
		if !errors.As(err, &stream) || stream.Code != 1<<62-1 || !stream.Remote {
			t.Errorf("read: got %v, want the peer's StreamError 2^62-1", err)
		}
		var app *quic.ApplicationError
		<-s.Context().Done()
		if err := context.Cause(s.Context()); !errors.As(err, &app) || app.Code != 1<<62-1 || len(app.Reason) > 256 {
			t.Errorf("got %v, want code 2^62-1 and at most 256 bytes of reason", err)
		}
	})
}

// noRoute is a socket of a host that knows no way to anybody.
type noRoute struct{ net.PacketConn }

func (noRoute) WriteTo([]byte, net.Addr) (int, error) {
	return 0, &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("sendto", syscall.ENETUNREACH)}
}

func TestDialFailsAtOnceWithoutARoute(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.client.Conn = noRoute{w.client.Conn}
		began := time.Now()
		_, err := w.dialErr(nil)
		if !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("got %v, want ENETUNREACH", err)
		}
		w.wantTook("the refusal", began, 0, 0)
	})
}
