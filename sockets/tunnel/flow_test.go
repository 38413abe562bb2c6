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
		if used := unread.Used(); used < stuck*streamWindow-maxConnWindow || used > processBudget {
			w.Errorf("%d bytes of the budget are in use, want what %d streams hold, and at most %d", used, stuck, processBudget)
		}
		if took := transfer(); took > alone*3/2 {
			w.Errorf("beside %d stuck readers a transfer takes %v, alone %v", stuck, took, alone)
		}
		for _, s := range all {
			s.Reset(1)
			s.Close()
		}
		w.dialer.Close(background)
		time.Sleep(time.Second)
		if used := unread.Used(); used != 0 {
			w.Errorf("%d bytes of the budget are in use after the end, want none", used)
		}
	})
}
