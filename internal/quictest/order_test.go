package quictest

import (
	"errors"
	"testing"

	"github.com/seed51309289/quiver/internal/core"
)

func TestStreamsLearnOfTheEndInOrder(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for range 40 {
			r.Conn.Open(false)
			r.Conn.Open(true)
		}
		r.Flush()
		r.Events = nil
		r.Conn.Abandon(r.Clock.Now(), errors.New("enough"))
		r.Flush()
		last, n := int64(-1), 0
		for _, e := range r.Events {
			if e.Kind != core.EventReadable {
				continue
			}
			if n++; int64(e.Stream.ID()) <= last {
				t.Fatalf("stream %d after stream %d: another run would do otherwise", e.Stream.ID(), last)
			}
			last = int64(e.Stream.ID())
		}
		if n != 80 {
			t.Errorf("%d of 80 streams learned of the end", n)
		}
	})
}
