package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// resumable gives the client a session, and a Dialer without connections.
func (w *world) resumable(opt Options) {
	w.Helper()
	w.clientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	near, far := w.pair()
	near.Close()
	far.Close()
	time.Sleep(rtt)
	w.dialer.Close(background)
	time.Sleep(rtt)
	w.dialer = w.newDialer(opt)
}

// refuseEarly makes the server forget that it can take early data.
func (w *world) refuseEarly() {
	w.Helper()
	w.ln.Close()
	<-w.served
	opt := Options{NoEarlyData: true}
	ln, err := w.server.Listen(w.serverTLS, opt.ListenConfig(nil))
	if err != nil {
		w.Fatal(err)
	}
	w.ln = ln
	go func() { w.served <- w.srv.Serve(background, ln, func(in *Incoming) { w.handler()(in) }) }()
}

func TestCloseWaitsForNobodyWhoNeverAnswered(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.resumable(Options{})
		w.server.Close()
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		if _, err := w.dialer.Dial(ctx, w.target()); !errors.Is(err, context.DeadlineExceeded) {
			w.Fatalf("dial to nobody: %v, want %v", err, context.DeadlineExceeded)
		}
		start := time.Now()
		w.dialer.Close(background)
		if took := time.Since(start); took > rtt {
			w.Errorf("closed after %v, want at once", took)
		}
	})
}

func TestOpenRidesEarlyData(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.resumable(Options{})
		early := make(chan bool, 1)
		w.handleBy(func(in *Incoming) {
			early <- in.Early()
			if s, err := in.Accept(); err == nil {
				w.accepted <- s
			}
		})
		start := time.Now()
		near, far := w.pair()
		if took := time.Since(start); took > rtt+rtt/5 {
			w.Errorf("dial took %v, want one round trip", took)
		}
		if !<-early || !near.Conn().ConnectionState().Used0RTT {
			w.Error("OPEN did not come early")
		}
		near.Close()
		far.Close()
	})
}

func TestRejectedOpenIsSentAgain(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		w.resumable(Options{})
		w.refuseEarly()
		near, far := w.pair()
		if near.Conn().ConnectionState().Used0RTT {
			w.Error("early data was taken")
		}
		near.Close()
		far.Close()
	})
}

// TestBytesLeaveEarlyOnlyIfAllowed asks when the first bytes of a program
// arrive, and that they arrive once, whatever becomes of 0-RTT.
func TestBytesLeaveEarlyOnlyIfAllowed(t *testing.T) {
	for _, tc := range []struct {
		name              string
		allowed, rejected bool
		size              int
		arrives           time.Duration
	}{
		{"allowed and taken", true, false, 1000, rtt / 2},
		{"allowed and rejected", true, true, 1000, rtt * 3 / 2},
		{"allowed, and more than is kept", true, false, maxEarly * 3, rtt / 2},
		{"allowed, rejected, and more than is kept", true, true, maxEarly * 3, rtt * 3 / 2},
		{"not allowed", false, false, 1000, rtt * 3 / 2},
		{"not allowed, and rejected", false, true, 1000, rtt * 3 / 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, calm, Options{}, func(w *world) {
				w.resumable(Options{})
				if tc.rejected {
					w.refuseEarly()
				}
				target, want := w.target(), randomBytes(tc.size)
				target.Optimistic, target.EarlyData = true, tc.allowed
				start := time.Now()
				near, err := w.dialer.Dial(background, target)
				if err != nil {
					w.Fatal(err)
				}
				wrote := make(chan struct{})
				go func() {
					defer close(wrote)
					near.Write(want)
					near.CloseWrite()
				}()
				answer := make(chan []byte)
				go func() {
					b, err := io.ReadAll(near)
					if err != nil {
						w.Errorf("the answer: %v", err)
					}
					answer <- b
				}()
				far := <-w.accepted
				if far.Open().Flags&tcpq.Optimistic == 0 {
					w.Error("OPEN does not say that it is optimistic")
				}
				first := make([]byte, 1)
				if _, err := io.ReadFull(far, first); err != nil {
					w.Fatal(err)
				}
				if took := time.Since(start); took < tc.arrives || took > tc.arrives+rtt/4 {
					w.Errorf("the first byte arrived after %v, want %v", took, tc.arrives)
				}
				rest, err := io.ReadAll(far)
				if got := append(first, rest...); !bytes.Equal(got, want) || err != nil {
					w.Errorf("%d bytes arrived, %v, want the %d written", len(got), err, len(want))
				}
				far.Write([]byte("thanks"))
				far.Close()
				if got := <-answer; string(got) != "thanks" {
					w.Errorf("the answer is %q", got)
				}
				<-wrote
				near.Close()
			})
		})
	}
}

func TestOptimisticStreamLearnsOfItsRefusal(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		warm, far := w.pair()
		w.handleBy(func(in *Incoming) { in.Refuse(tcpq.NoListener) })
		target := w.target()
		target.Optimistic = true
		start := time.Now()
		s, err := w.dialer.Dial(background, target)
		if err != nil || time.Since(start) != 0 {
			w.Fatalf("dial: %v after %v, want at once", err, time.Since(start))
		}
		s.Write([]byte("in good faith"))
		if _, err := s.Read(make([]byte, 1)); StatusOf(err) != tcpq.NoListener {
			w.Errorf("read: %v, want no listener", err)
		}
		if _, err := s.Write([]byte("still there?")); err == nil {
			w.Error("write to a refused stream: no error")
		}
		s.Close()
		warm.Close()
		far.Close()
	})
}
