package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

func TestStreamCarriesBothDirections(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		near, far := w.pair()
		defer near.Close()
		defer far.Close()
		if far.Open() != w.target().Open {
			w.Errorf("acceptor got %+v, want %+v", far.Open(), w.target().Open)
		}
		for _, way := range [][2]*Stream{{near, far}, {far, near}} {
			way[0].Write([]byte("hello"))
			way[0].CloseWrite()
			if got, err := io.ReadAll(way[1]); string(got) != "hello" || err != nil {
				w.Errorf("read %q, %v", got, err)
			}
		}
	})
}

func TestIncomingSeesTheQUICPeerWithTheProgramsPort(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		from := make(chan netip.AddrPort, 1)
		w.handleBy(func(in *Incoming) { from <- in.From })
		_, err := w.dialer.Dial(background, w.target())
		want := netip.AddrPortFrom(addrPort(w.client.LocalAddr()).Addr(), 4000)
		if got := <-from; got != want {
			w.Errorf("From is %v, want %v", got, want)
		}
		var status *StatusError
		if !errors.As(err, &status) || status.Status != tcpq.Refused {
			w.Errorf("dial of what the handler forgot: %v, want refused", err)
		}
	})
}

func TestRefusalsReachTheDialer(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		for want := tcpq.Refused; want <= tcpq.Elsewhere+3; want++ {
			w.handleBy(func(in *Incoming) {
				if want == tcpq.Elsewhere {
					in.Elsewhere(4433)
				} else {
					in.Refuse(want)
				}
				in.Refuse(tcpq.Overloaded) // too late
			})
			_, err := w.dialer.Dial(background, w.target())
			var status *StatusError
			if !errors.As(err, &status) || status.Status != want || status.Dest != w.target().Open.Dest || (status.Port == 4433) != (want == tcpq.Elsewhere) {
				w.Errorf("status %v: dial says %v", want, err)
			}
			told := want
			if !want.Known() {
				told = tcpq.Refused
			}
			if got := StatusOf(err); got != told {
				w.Errorf("status %v: a program is told %v, want %v", want, got, told)
			}
		}
		time.Sleep(time.Second)
		if n := w.client.Stats().StreamsActive + w.server.Stats().StreamsActive; n != 0 {
			w.Errorf("%d streams are left of refusals, want none", n)
		}
	})
}

func TestDialsToOnePeerShareAConnection(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		var asked atomic.Int32
		target := w.target()
		target.TLS = func() (*tls.Config, error) {
			asked.Add(1)
			return w.clientTLS, nil
		}
		var wg sync.WaitGroup
		start := time.Now()
		for range 50 {
			wg.Go(func() {
				s, err := w.dialer.Dial(background, target)
				if err != nil {
					w.Error(err)
					return
				}
				s.Close()
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 4*rtt {
			w.Errorf("50 dials took %v, want about 3 round trips", took)
		}
		for range 50 {
			(<-w.accepted).Close()
		}
		if n := asked.Load(); n != 1 {
			w.Errorf("%d handshakes, want 1", n)
		}
		target.Key = "another identity"
		s, err := w.dialer.Dial(background, target)
		if err != nil {
			w.Fatal(err)
		}
		s.Close()
		(<-w.accepted).Close()
		if n := asked.Load(); n != 2 {
			w.Errorf("%d handshakes after a dial for another identity, want 2", n)
		}
	})
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.handleBy(func(in *Incoming) { <-in.Context().Done() }) // also when the dialer gives up
		nobody := w.target()
		nobody.Peer = netip.AddrPortFrom(nobody.Peer.Addr(), 9)
		own := nobody
		own.OwnConnection = true
		for _, target := range []Target{w.target(), nobody, own} {
			ctx, cancel := context.WithTimeout(background, time.Second)
			start := time.Now()
			_, err := w.dialer.Dial(ctx, target)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				w.Errorf("dial %v: %v after %v, want the context's error after 1s", target.Peer, err, took)
			}
			if got := StatusOf(err); got != tcpq.TimedOut {
				w.Errorf("a program is told %v, want %v", got, tcpq.TimedOut)
			}
			cancel()
		}
		time.Sleep(time.Minute) // the handshake that nobody waits for
		if n := w.server.Stats().StreamsActive; n != 0 {
			w.Errorf("%d streams are left, want none", n)
		}
	})
}

func TestDeadConnectionIsForgotten(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		near, far := w.pair()
		near.Conn().CloseWithError(7, "broken")
		if _, err := near.Read(make([]byte, 1)); !lost(err) {
			w.Errorf("read on a lost connection: %v", err)
		}
		near.Close()
		far.Close()
		near, far = w.pair()
		near.Close()
		far.Close()
	})
}

func TestUnusedConnectionIsClosed(t *testing.T) {
	inWorld(t, calm, Options{Unused: 10 * time.Second}, func(w *world) {
		near, far := w.pair()
		far.Close()
		near.Close()
		time.Sleep(9 * time.Second)
		again, farAgain := w.pair()
		if again.Conn() != near.Conn() {
			w.Error("a second dial made another connection")
		}
		time.Sleep(11 * time.Second)
		if err := context.Cause(again.Conn().Context()); err != nil {
			w.Errorf("a connection with a stream was closed: %v", err)
		}
		again.Close()
		farAgain.Close()
		time.Sleep(11 * time.Second)
		var app *quic.ApplicationError
		if err := context.Cause(again.Conn().Context()); !errors.As(err, &app) || app.Code != tcpq.CodeNone || app.Remote {
			w.Errorf("an unused connection: %v, want closed with code 0", err)
		}
		w.dialer.links.mu.Lock()
		defer w.dialer.links.mu.Unlock()
		if len(w.dialer.peers) != 0 || len(w.dialer.links.all) != 0 {
			w.Errorf("%d peers and %d links are left", len(w.dialer.peers), len(w.dialer.links.all))
		}
	})
}

func TestOwnConnectionEndsWithItsStream(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		shared, sharedFar := w.pair()
		target := w.target()
		target.OwnConnection = true
		own, err := w.dialer.Dial(background, target)
		if err != nil {
			w.Fatal(err)
		}
		far := <-w.accepted
		if own.Conn() == shared.Conn() {
			w.Error("it has no connection of its own")
		}
		own.Write([]byte("last words"))
		own.CloseWrite()
		far.CloseWrite()
		io.ReadAll(own)
		own.Close()
		if got, err := io.ReadAll(far); string(got) != "last words" || err != nil {
			w.Errorf("read %q, %v", got, err)
		}
		far.Close()
		time.Sleep(time.Second)
		if own.Conn().Context().Err() == nil || shared.Conn().Context().Err() != nil {
			w.Error("want its own connection closed, and the other open")
		}
		shared.Close()
		sharedFar.Close()
	})
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		near, far := w.pair()
		want := make([]byte, 1<<20)
		got := make(chan int, 1)
		go func() {
			b, _ := io.ReadAll(far)
			far.Close()
			got <- len(b)
		}()
		near.Write(want)
		near.CloseWrite()
		go func() {
			io.ReadAll(near)
			near.Close()
		}()
		w.dialer.Close(background)
		if n := <-got; n != len(want) {
			w.Errorf("%d bytes arrived, want %d", n, len(want))
		}
		if _, err := w.dialer.Dial(background, w.target()); !errors.Is(err, ErrClosed) {
			w.Errorf("dial after Close: %v, want %v", err, ErrClosed)
		}
	})
}

func TestAConnectionIsConfirmedOnceBeforeItsFirstStream(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		var asked, opened atomic.Int32
		w.handleBy(func(in *Incoming) {
			opened.Add(1)
			in.Accept()
		})
		target, no := w.target(), errors.New("no")
		target.Confirm = func(state tls.ConnectionState) error {
			asked.Add(1)
			if !state.HandshakeComplete || len(state.PeerCertificates) == 0 || opened.Load() != 0 {
				w.Errorf("asked after %d streams, handshake complete %v, with %d certificates", opened.Load(), state.HandshakeComplete, len(state.PeerCertificates))
			}
			return no
		}
		var peer *PeerError
		if _, err := w.dialer.Dial(background, target); !errors.Is(err, no) || !errors.As(err, &peer) {
			w.Errorf("dial that is not confirmed: %v, want %v", err, no)
		}
		time.Sleep(rtt)
		if opened.Load() != 0 || len(w.srv.Snapshot()) != 0 {
			w.Errorf("%d streams and %d connections to somebody else", opened.Load(), len(w.srv.Snapshot()))
		}
		no = nil
		for range 2 {
			s, err := w.dialer.Dial(background, target)
			if err != nil {
				w.Fatal(err)
			}
			s.Close()
		}
		if asked.Load() != 2 {
			w.Errorf("asked %d times, want once for each connection", asked.Load())
		}
	})
}
