package quictest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestConnectionGoesOnAfterARest(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, false)
		want := strings.Repeat("still here", 100)
		r.Send(App, stream(id, 0, want[:500], false))
		for i := range 5 {
			r.Advance(3 * time.Second)
			r.Send(App, challenge(byte(i)))
			r.WantFrame("a packet wakes it", wire.FramePathResponse)
			r.Advance(3 * time.Second)
			s, ok := r.Conn.Open(true)
			if !ok {
				t.Fatal("open: the limit is reached")
			}
			r.Conn.Write(s, []byte(want))
			r.Replies = nil
			r.Flush()
			r.WantFrame("a write wakes it", wire.FrameStream)
			r.Send(App, ack(r.Ranges(App)...))
			if i == 2 {
				r.Advance(3 * time.Second)
				r.updateKeys(true)
			}
		}
		r.Send(App, stream(id, 500, want[500:], true))
		got := make([]byte, len(want)+1)
		n, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], got)
		if n != len(want) || err != nil || string(got[:n]) != want {
			t.Errorf("read %d bytes, error %v, want the %d from before and after the rests", n, err, len(want))
		}
		r.WantOpen("after five rests")
	})
}

func TestForgedPacketsAfterARestAreDropped(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for range 10 {
			r.Advance(2 * time.Second)
			forged := r.Packet(App, r.NextNumber(App), challenge(1))
			forged[len(forged)-1] ^= 1
			r.Replies = nil
			r.SendDatagram(forged)
			if len(r.Replies) > 0 {
				t.Fatalf("a forged packet is answered: %v", r.Replies)
			}
		}
		r.Send(App, challenge(2))
		r.WantFrame("the next good one is not", wire.FramePathResponse)
	})
}

func TestDrainedConnectionTakesEveryCall(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, stream(r.peerStream(0, false), 0, "unread", true))
		s := r.Opened[0]
		c, now := r.Conn, r.Clock.Now()
		c.Write(s, []byte("unsent"))
		opened := c.Stats().StreamsAccepted
		c.Abandon(now, errTest)
		r.Flush()
		r.Send(App, challenge(1))
		c.Tick(now.Add(time.Hour))
		c.UpdateKeys(now)
		c.Close(now, 1, "")
		c.Reset(s, 1)
		if _, err := c.Write(s, []byte("x")); err == nil {
			t.Error("write: no error")
		}
		if _, ok := c.Open(true); ok {
			t.Error("open: a stream")
		}
		if c.AckDue(now) || c.NeedsTransmit() && c.Transmit(now, &core.Batch{Buf: make([]byte, 0, 2000), MaxSegments: 1}) || !c.Deadline().IsZero() {
			t.Error("there is something left to do")
		}
		buf := make([]byte, 10)
		if n, err := c.Read(now, s, buf); string(buf[:n]) != "unread" || err != nil {
			t.Errorf("read %q, error %v, want what had arrived", buf[:n], err)
		}
		if got := c.Stats().StreamsAccepted; got != opened || got == 0 {
			t.Errorf("%d streams were accepted, was %d", got, opened)
		}
		c.Stop(now, s, 1)
	})
}

var errTest = errors.New("the test is over")
