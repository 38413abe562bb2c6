package quic_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// TestUnreadStreamsStopOthersOnlyWithoutBudget fills streams that nobody reads
// until their connection's own window is used up many times over, and transfers
// on another stream.
func TestUnreadStreamsStopOthersOnlyWithoutBudget(t *testing.T) {
	const window, unread = 256 << 10, 20
	for _, tc := range []struct {
		name   string
		budget uint64
		moves  bool
	}{
		{"none", 0, false},
		{"enough", 64 << 20, true},
		{"used up", 1 << 20, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				conf := &quic.Config{Limits: quic.Limits{InitialStreamReceiveWindow: window / 2, MaxStreamReceiveWindow: window,
					InitialConnectionReceiveWindow: window, MaxConnectionReceiveWindow: window, MaxIncomingStreams: 1000}}
				if tc.budget > 0 {
					conf.Limits.ReceiveBudget = quic.NewReceiveBudget(tc.budget)
				}
				conf.MaxIdleTimeout = -1
				c, s := w.pair(&quic.Config{MaxIdleTimeout: -1}, conf)
				for range unread {
					cs, err := c.OpenStream()
					if err != nil {
						w.Fatal(err)
					}
					go cs.Write(make([]byte, 2*window))
				}
				time.Sleep(time.Minute)
				cs, err := c.OpenStream()
				if err != nil {
					w.Fatal(err)
				}
				go cs.Write(make([]byte, 2<<20))
				moved := make(chan bool, 1)
				go func() {
					for { // the streams came in order
						ss, err := s.AcceptStream(background)
						if err != nil {
							return
						}
						if ss.StreamID() == cs.StreamID() {
							n, _ := io.ReadFull(ss, make([]byte, 2<<20))
							moved <- n == 2<<20
							return
						}
					}
				}()
				select {
				case m := <-moved:
					if m != tc.moves {
						w.Errorf("it moved: %v, want %v", m, tc.moves)
					}
				case <-time.After(time.Minute):
					if tc.moves {
						w.Errorf("beside %d streams that nobody reads another one does not move", unread)
					}
				}
				if b := conf.Limits.ReceiveBudget; b != nil && b.Used() > tc.budget {
					w.Errorf("%d bytes of the budget are in use, want at most %d", b.Used(), tc.budget)
				}
				c.CloseWithError(0, "")
				time.Sleep(time.Second)
				if b := conf.Limits.ReceiveBudget; b != nil && b.Used() != 0 {
					w.Errorf("%d bytes of the budget are in use after the end, want none", b.Used())
				}
			})
		})
	}
}

// TestBudgetComesBackWhenStreamsAreReadOrGivenUp asks that nothing of it leaks.
func TestBudgetComesBackWhenStreamsAreReadOrGivenUp(t *testing.T) {
	for name, end := range map[string]func(cs, ss *quic.Stream){
		"read":              func(cs, ss *quic.Stream) { cs.CloseWrite(); io.ReadAll(ss) },
		"given up":          func(_, ss *quic.Stream) { ss.CancelRead(1) },
		"reset by the peer": func(cs, ss *quic.Stream) { cs.CancelWrite(1); time.Sleep(time.Second); ss.Read(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, lossy, func(w *world) {
				budget := quic.NewReceiveBudget(1 << 20)
				conf := &quic.Config{Limits: quic.Limits{InitialStreamReceiveWindow: 64 << 10, MaxStreamReceiveWindow: 64 << 10,
					InitialConnectionReceiveWindow: 64 << 10, MaxConnectionReceiveWindow: 96 << 10, ReceiveBudget: budget}}
				c, s := w.pair(nil, conf)
				var all [][2]*quic.Stream
				for range 10 {
					cs, ss := w.streams(c, s)
					go cs.Write(make([]byte, 60<<10))
					all = append(all, [2]*quic.Stream{cs, ss})
				}
				time.Sleep(10 * time.Second)
				if budget.Used() == 0 {
					w.Error("nothing of the budget is in use: the test tests nothing")
				}
				for _, st := range all {
					end(st[0], st[1])
				}
				time.Sleep(time.Second)
				// A window ahead of what arrived is lent at most, and the connection's own.
				if used := budget.Used(); used > 64<<10 {
					w.Errorf("%d bytes of the budget are in use, want at most a window", used)
				}
				c.CloseWithError(0, "")
				time.Sleep(time.Second)
				if used := budget.Used(); used != 0 {
					w.Errorf("%d bytes of the budget are in use after the end, want none", used)
				}
			})
		})
	}
}

// One budget for all connections of a process.
func ExampleReceiveBudget() {
	budget := quic.NewReceiveBudget(512 << 20)
	c := &quic.Config{Limits: quic.Limits{ReceiveBudget: budget}}
	fmt.Println(c.Validate(), budget.Used())
	// Output: <nil> 0
}
