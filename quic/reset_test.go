package quic_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func TestCancelWriteDeliversUpToTheBoundary(t *testing.T) {
	both := &quic.Config{EnableStreamResetPartialDelivery: true}
	inWorld(t, lossy, func(w *world) {
		c, s := w.pair(both, both)
		if got := c.ConnectionState().SupportsStreamResetPartialDelivery; !got.Local || !got.Remote {
			t.Errorf("supported: %+v, want both sides", got)
		}
		out, err := c.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(make([]byte, 50_000))
		out.SetReliableBoundary()
		out.Write(make([]byte, 100_000))
		out.CancelWrite(9)
		in, err := s.AcceptUniStream(background)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		var se *quic.StreamError
		if !errors.As(err, &se) || !se.Remote || se.Code != 9 || len(data) < 50_000 {
			t.Errorf("read %d bytes and %v, want 50000 at least, and code 9", len(data), err)
		}
	})
}

func TestBoundaryNeedsThePeersConsent(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(&quic.Config{EnableStreamResetPartialDelivery: true}, nil)
		if got := c.ConnectionState().SupportsStreamResetPartialDelivery; !got.Local || got.Remote {
			t.Errorf("supported: %+v, want this side only", got)
		}
		out, _ := c.OpenUniStream()
		out.Write([]byte("hello"))
		out.SetReliableBoundary()
		out.CancelWrite(9)
		in, err := s.AcceptUniStream(background)
		if err != nil {
			t.Fatal(err)
		}
		var se *quic.StreamError
		if _, err := io.ReadAll(in); !errors.As(err, &se) || se.Code != 9 {
			t.Errorf("read: %v, want code 9", err)
		}
	})
}

func TestPeerResetIsKnownBeforeWhatItLeavesAloneIsRead(t *testing.T) {
	both := &quic.Config{EnableStreamResetPartialDelivery: true}
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(both, both)
		cs, ss := w.streams(c, s)
		cs.Write([]byte("last words"))
		cs.SetReliableBoundary()
		time.Sleep(rtt)
		if err := ss.PeerReset(); err != nil {
			t.Errorf("before the reset: %v, want none", err)
		}
		cs.CancelWrite(9)
		time.Sleep(rtt)
		var se *quic.StreamError
		if err := ss.PeerReset(); !errors.As(err, &se) || !se.Remote || se.Code != 9 {
			t.Errorf("after the reset: %v, want code 9 of the peer", err)
		}
		if got, err := io.ReadAll(ss); string(got) != "last words" || !errors.As(err, &se) {
			t.Errorf("read %q, %v, want what was protected, and then the reset", got, err)
		}
	})
}
