package quic_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// source is a BuffersReader of so many bytes, which count up from 0, at most
// most of them at once. pauses is how often it has nothing first.
type source struct {
	left, most, pauses int
	next               byte
	waited             func() // in WaitReadable
	err                error  // instead of io.EOF
}

func (s *source) Read([]byte) (int, error) { panic("BUG: a copy") }

func (s *source) ReadBuffers(b [][]byte) (n int, err error) {
	if s.left == 0 {
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	if s.pauses > 0 {
		s.pauses--
		return 0, nil
	}
	most := s.left
	if s.most > 0 {
		most = min(most, s.most)
	}
	for _, p := range b {
		p = p[:min(len(p), most-n)]
		for i := range p {
			p[i] = s.next
			s.next++
		}
		n += len(p)
	}
	s.left -= n
	return n, nil
}

func (s *source) WaitReadable() error {
	if s.waited != nil {
		s.waited()
	}
	time.Sleep(time.Millisecond)
	return nil
}

// sink is a BuffersWriter that takes its time with pieces and looks at all.
type sink struct {
	n    int
	slow time.Duration
	bad  bool // other bytes came than those of source
	err  error
}

func (s *sink) Write([]byte) (int, error) { panic("BUG: a copy") }

func (s *sink) WriteBuffers(b [][]byte) (n int64, err error) {
	time.Sleep(s.slow)
	for _, p := range b {
		for _, c := range p {
			s.bad = s.bad || c != byte(s.n)
			s.n++
		}
		n += int64(len(p))
		clear(p) // they are ours
	}
	return n, s.err
}

func TestLentBuffersCarryWhatCopiesDo(t *testing.T) {
	for _, tc := range []struct {
		name, scenario string
		from           source
		to             sink
	}{
		{"large pieces", calm, source{left: 3 << 20}, sink{}},
		{"small pieces", calm, source{left: 300_000, most: 777}, sink{}},
		{"pauses", calm, source{left: 300_000, pauses: 100, most: 20_000}, sink{}},
		{"loss", lossy, source{left: 1 << 20}, sink{}},
		{"loss, and a slow reader", lossy, source{left: 1 << 20, most: 100_000}, sink{slow: 30 * time.Millisecond}},
		{"nothing", calm, source{}, sink{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, tc.scenario, func(w *world) {
				c, s := w.pair(nil, nil)
				cs, ss := w.streams(c, s)
				size := tc.from.left
				done := make(chan struct{})
				go func() {
					defer close(done)
					if n, err := cs.ReadFrom(&tc.from); n != int64(size) || err != nil {
						w.Errorf("ReadFrom = %d, %v, want %d", n, err, size)
					}
					cs.CloseWrite()
				}()
				if n, err := ss.WriteTo(&tc.to); n != int64(size) || err != nil || tc.to.n != size || tc.to.bad {
					w.Errorf("WriteTo = %d, %v, of which %d arrived, others than were sent: %v; want %d", n, err, tc.to.n, tc.to.bad, size)
				}
				<-done
				time.Sleep(time.Second)
				if n := c.Chunks() + s.Chunks(); n != 0 {
					w.Errorf("%d chunks of memory are still lent", n)
				}
			})
		})
	}
}

func TestWaitingForAReaderHoldsNoMemory(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, ss := w.streams(c, s)
		time.Sleep(time.Second)
		waits := 0
		from := &source{left: 1, pauses: 5}
		from.waited = func() {
			waits++
			if n := c.Chunks(); n != 0 && from.left > 0 {
				w.Errorf("%d chunks are lent to a reader that waits, want none", n)
			}
		}
		cs.ReadFrom(from)
		if waits < 5 {
			w.Errorf("it waited %d times, want 5", waits)
		}
		go ss.WriteTo(new(sink))
		time.Sleep(time.Second)
		if n := s.Chunks(); n != 0 {
			w.Errorf("%d chunks are lent to a writer that waits, want none", n)
		}
		ss.Close()
	})
}

func TestErrorsOfLentBuffersAreTheirOwners(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, ss := w.streams(c, s)
		broken := errors.New("broken")
		if n, err := cs.ReadFrom(&source{left: 100, err: broken}); n != 100 || err != broken {
			w.Errorf("ReadFrom a broken reader = %d, %v", n, err)
		}
		if n, err := ss.WriteTo(&sink{err: broken}); n != 100 || err != broken {
			w.Errorf("WriteTo a broken writer = %d, %v", n, err)
		}
		ss.CancelRead(5)
		time.Sleep(rtt)
		var stopped *quic.StreamError
		if _, err := cs.ReadFrom(&source{left: 100}); !errors.As(err, &stopped) || stopped.Code != 5 {
			w.Errorf("ReadFrom to a stream that the peer stopped: %v", err)
		}
		cs.Close()
		ss.Close()
		time.Sleep(time.Second)
		if n := c.Chunks() + s.Chunks(); n != 0 {
			w.Errorf("%d chunks of memory are still lent", n)
		}
	})
}

func TestLentTransferDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	c, s := loopbackPair(t, nil)
	cs, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	go cs.ReadFrom(&source{left: 1 << 40})
	ss, err := s.AcceptStream(background)
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 20, 8 << 20
	step, more := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(step)
		ss.WriteTo(&meter{each: each, step: step, more: more})
	}()
	next := func() {
		<-step
		more <- struct{}{}
	}
	for range 20 { // windows, path MTU and buffers find their size
		next()
	}
	allocs := testing.AllocsPerRun(rounds, next)
	c.CloseWithError(0, "")
	for range step {
		more <- struct{}{}
	}
	const pieces, most = each / (16 << 10), 64 // memory grows now and then with what is in flight
	if allocs > most {
		t.Errorf("%d pieces allocate %v times, want at most %d: none for each piece", pieces, allocs, most)
	}
}

// meter is a BuffersWriter that stops after every so many bytes.
type meter struct {
	n, each    int
	step, more chan struct{}
}

func (m *meter) Write([]byte) (int, error) { panic("BUG: a copy") }

func (m *meter) WriteBuffers(b [][]byte) (n int64, err error) {
	for _, p := range b {
		n += int64(len(p))
	}
	if m.n += int(n); m.n >= m.each {
		m.n = 0
		m.step <- struct{}{}
		<-m.more
	}
	return n, nil
}

var (
	_ quic.BuffersReader = (*source)(nil)
	_ quic.BuffersWriter = (*sink)(nil)
)
