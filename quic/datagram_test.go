package quic_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

var datagrams = &quic.Config{EnableDatagrams: true}

func TestDatagramsGoBothWays(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(datagrams, datagrams)
		for from, to := range map[*quic.Conn]*quic.Conn{c: s, s: c} {
			p := []byte("hello")
			if err := from.SendDatagram(p); err != nil {
				t.Fatal(err)
			}
			clear(p) // it was copied
			if got, err := to.ReceiveDatagram(background); err != nil || string(got) != "hello" {
				t.Errorf("received %q, %v", got, err)
			}
			if st := from.ConnectionState().SupportsDatagrams; !st.Local || !st.Remote {
				t.Errorf("supports datagrams: %+v, want both", st)
			}
		}
	})
}

func TestDatagramsNeedThePeersConsent(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(datagrams, nil)
		if err := c.SendDatagram(nil); !errors.Is(err, quic.ErrNoDatagrams) {
			t.Errorf("to a peer without datagrams: %v, want %v", err, quic.ErrNoDatagrams)
		}
		if err := s.SendDatagram([]byte("x")); err != nil {
			t.Errorf("from it: %v", err)
		}
		if st := s.ConnectionState().SupportsDatagrams; st.Local || !st.Remote {
			t.Errorf("supports datagrams: %+v, want the peer only", st)
		}
	})
}

func TestDatagramThatDoesNotFitTellsWhatWould(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(datagrams, datagrams)
		time.Sleep(5 * time.Second) // path MTU discovery ends
		var large *quic.DatagramTooLargeError
		if err := c.SendDatagram(make([]byte, 20_000)); !errors.As(err, &large) || large.Size != 20_000 || large.Max < 1100 {
			t.Fatalf("20000 bytes: %v, want a *DatagramTooLargeError", err)
		}
		if err := c.SendDatagram(make([]byte, large.Max)); err != nil {
			t.Fatalf("%d bytes: %v", large.Max, err)
		}
		if got, err := s.ReceiveDatagram(background); err != nil || len(got) != large.Max {
			t.Errorf("received %d bytes, %v, want %d", len(got), err, large.Max)
		}
		if err := c.SendDatagramWait(background, make([]byte, large.Max+1)); !errors.As(err, &large) {
			t.Errorf("a byte more, waiting: %v", err)
		}
	})
}

func TestSendDatagramWaitLosesNothingToItself(t *testing.T) {
	inWorld(t, "simple-p2p --delay=15ms --bandwidth=5Mbps --queue=200", func(w *world) {
		c, s := w.pair(datagrams, datagrams)
		const n = 500
		go func() {
			for i := range n {
				if err := c.SendDatagramWait(background, bytes.Repeat([]byte{byte(i)}, 1000)); err != nil {
					t.Error(err)
				}
			}
		}()
		for range n {
			if _, err := s.ReceiveDatagram(background); err != nil {
				t.Fatal(err)
			}
		}
		if st := c.ConnectionStats(); st.DatagramsSent != n || st.DatagramsDropped != 0 {
			t.Errorf("%d sent, %d dropped, want %d, 0", st.DatagramsSent, st.DatagramsDropped, n)
		}
	})
}

func TestDatagramCallsEndWithTheirContextOrTheConnection(t *testing.T) {
	inWorld(t, "simple-p2p --delay=1000ms --bandwidth=100Mbps --queue=200", func(w *world) {
		c, _ := w.pair(datagrams, datagrams)
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		if _, err := c.ReceiveDatagram(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the context: %v", err)
		}
		ctx, cancel = context.WithTimeout(background, 500*time.Millisecond) // a quarter of a round trip
		defer cancel()
		var err error
		for err == nil { // until 64 wait
			err = c.SendDatagramWait(ctx, make([]byte, 1000))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a full window: %v", err)
		}
		ends := make(chan error, 2)
		go func() { _, err := c.ReceiveDatagram(background); ends <- err }()
		go func() { ends <- c.SendDatagramWait(background, make([]byte, 1000)) }()
		synctest.Wait()
		c.CloseWithError(7, "done")
		for range 2 {
			var app *quic.ApplicationError
			if err := <-ends; !errors.As(err, &app) || app.Code != 7 {
				t.Errorf("after the end: %v", err)
			}
		}
		if err := c.SendDatagram(nil); err == nil {
			t.Error("a datagram after the end of the connection")
		}
	})
}

func TestSendingDatagramsDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	c, s := loopbackPair(t, datagrams)
	out := make([]byte, 1000)
	round := func() {
		if err := c.SendDatagram(out); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReceiveDatagram(background); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		round()
	}
	// The one is what ReceiveDatagram gives away.
	if allocs := testing.AllocsPerRun(1000, round); allocs > 1 {
		t.Errorf("a datagram allocates %v times, want 1", allocs)
	}
}
