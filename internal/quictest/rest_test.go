package quictest

import (
	"strings"
	"testing"
	"time"

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
