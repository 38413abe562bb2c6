package tunnel

import (
	"io"
	"testing"
	"time"
)

// TestStuckReadersStarveNobody lets a hundred streams fill up that nobody reads,
// and asks that another one on the same connection is as fast as before.
func TestStuckReadersStarveNobody(t *testing.T) {
	inWorld(t, calm, Options{}, func(w *world) {
		const stuck, size = 100, 4 << 20
		transfer := func() time.Duration {
			near, far := w.pair()
			defer near.Close()
			defer far.Close()
			start := time.Now()
			go near.Write(make([]byte, size))
			if _, err := io.ReadFull(far, make([]byte, size)); err != nil {
				w.Fatal(err)
			}
			return time.Since(start)
		}
		alone := transfer()
		var all []*Stream
		for range stuck {
			near, far := w.pair()
			all = append(all, near, far)
			go near.Write(make([]byte, maxStreamWindow))
		}
		time.Sleep(time.Minute) // their windows are full
		if got := w.dialer.Snapshot()[0].Sent; got > connWindow {
			w.Errorf("%d bytes were sent, want at most %d", got, connWindow)
		}
		if took := transfer(); took > alone*3/2 {
			w.Errorf("beside %d stuck readers a transfer takes %v, alone %v", stuck, took, alone)
		}
		for _, s := range all {
			s.Reset(1)
			s.Close()
		}
	})
}
