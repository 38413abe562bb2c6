package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

func TestManyStreamsShareTheSendBuffers(t *testing.T) {
	const (
		crowded, crowdedShare = 2 << 20, 32 << 10 // of the core
		one                   = 1 << 20           // more than the buffer of one stream
		chunk                 = 16 << 10
	)
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	first, streams, total := 0, 0, 0
	for ; ; streams++ {
		s, ok := r.Conn.Open(true)
		if !ok {
			break
		}
		n, err := r.Conn.Write(s, padding(one))
		if err != nil {
			t.Fatal(err)
		}
		if streams == 0 {
			first = n
		}
		if n < crowdedShare {
			t.Fatalf("stream %d takes %d bytes, want at least %d", streams, n, crowdedShare)
		}
		total += n
	}
	if most := 3*first + crowded + streams*(crowdedShare+chunk); total > most || total < crowded {
		t.Errorf("%d streams took %d bytes together, want %d at most; the first took %d", streams, total, most, first)
	}
	if streams < 20 || total > streams*first*3/4 {
		t.Errorf("%d streams took %d bytes, the first %d: this is no crowd", streams, total, first)
	}
}

// TestStreamsThatThePeerStopsLeaveTheBuffersToOthers fills the buffers of many
// streams whose peer does not read, and asks that another one may still fill the
// congestion window.
func TestStreamsThatThePeerStopsLeaveTheBuffersToOthers(t *testing.T) {
	const window = 64 << 10
	r := NewRawClient(t, RawOptions{Params: func(p *wire.Params) {
		p.MaxStreamsBidi, p.MaxData, p.MaxStreamRemote = 200, 1<<30, window
	}}).Connect()
	first := 0
	for streams := 0; ; streams++ {
		s, ok := r.Conn.Open(false)
		if !ok {
			t.Fatalf("%d streams fill no buffers", streams)
		}
		n, err := r.Conn.Write(s, padding(8<<20))
		if err != nil {
			t.Fatal(err)
		}
		r.Advance(time.Second) // all that may leaves, and is acknowledged
		if first = max(first, n); n < first {
			if n != window {
				t.Errorf("beside %d streams that are stuck another one takes %d bytes, want the %d that the peer lets it send", streams, n, window)
			}
			return
		}
	}
}
