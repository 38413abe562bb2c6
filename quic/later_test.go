package quic_test

import (
	"io"
	"math"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// counted counts the datagrams that leave a socket.
type counted struct {
	net.PacketConn
	sent atomic.Int64
}

func (c *counted) WriteTo(p []byte, to net.Addr) (int, error) {
	c.sent.Add(1)
	return c.PacketConn.WriteTo(p, to)
}

func TestAnswersToManyRequestsShareDatagrams(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // who flushes later runs when this goroutine waits
	inWorld(t, calm, func(w *world) {
		out := &counted{PacketConn: w.server.Conn}
		w.server.Conn = out
		c, s := w.pair(nil, nil)
		const requests = 20
		var streams [requests]*quic.Stream
		for i := range streams {
			cs, ss := w.streams(c, s)
			cs.WriteFinal([]byte("request"))
			streams[i] = ss
		}
		synctest.Wait()
		time.Sleep(rtt)
		before := out.sent.Load()
		buf := make([]byte, 100)
		for _, ss := range streams {
			if n, err := io.ReadFull(ss, buf[:7]); err != nil {
				t.Fatal(n, err)
			}
			if _, err := ss.WriteFinal(buf); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		// 20 answers of 100 bytes fill two datagrams; the acknowledgments go with them.
		if sent := out.sent.Load() - before; sent > 3 {
			t.Errorf("%d answers left in %d datagrams, want 2 or 3", requests, sent)
		}
	})
}

func TestASmallWriteIsNotHeldByWhatNobodyReads(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		ignored, _ := w.streams(c, s)
		cs, ss := w.streams(c, s)
		ignored.Write([]byte("nobody reads this"))
		time.Sleep(rtt)
		from := time.Now()
		if _, err := ss.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(cs, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		w.wantTook("the answer", from, rtt/2, rtt/2+time.Millisecond)
	})
}

func TestAcknowledgmentsAreNotHeldByWhatNobodyReads(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		cs, _ := w.streams(c, s)
		time.Sleep(rtt)
		if _, err := cs.Write(make([]byte, 10_000)); err != nil { // many packets: acknowledged at once
			t.Fatal(err)
		}
		time.Sleep(rtt + 10*time.Millisecond)
		// RFC 9000 §13.2.2: only the last packet may still wait for a second one.
		if left := c.ConnectionStats().InFlight; left > 1500 {
			t.Errorf("%d bytes are unacknowledged a round trip after they were sent, want a packet at most", left)
		}
	})
}

func TestWhatWaitsForOthersLeavesBeforeTheClose(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s := w.pair(nil, nil)
		ignored, _ := w.streams(c, s)
		cs, ss := w.streams(c, s)
		ignored.Write([]byte("nobody reads this"))
		time.Sleep(rtt)
		ss.Write([]byte("last words"))
		s.CloseWithError(7, "")
		if got, err := io.ReadAll(cs); string(got) != "last words" {
			t.Errorf("read %q, %v; want what was written before the close", got, err)
		}
	})
}

// Dial's caller writes before anybody flushes, but for about one time in a hundred: so there are several.
func TestTheEndOfTheHandshakeCarriesTheFirstRequest(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := int64(math.MaxInt64)
	for range 5 {
		inWorld(t, calm, func(w *world) {
			out := &counted{PacketConn: w.client.Conn}
			w.client.Conn = out
			l := w.listen(nil)
			c := w.dial(nil)
			cs, err := c.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			cs.WriteFinal([]byte("request"))
			synctest.Wait()
			least = min(least, int64(out.sent.Load()))
			w.accept(l)
		})
	}
	// Two for the ClientHello, an acknowledgment of the first answer, and one for the rest.
	if least > 4 {
		t.Errorf("at least %d datagrams left, want 4", least)
	}
}

// gate is a BuffersReader that has a little whenever it is opened.
type gate struct {
	open chan struct{} // bounded by its users
	have bool
}

func (g *gate) Read([]byte) (int, error) { panic("BUG: a copy") }

func (g *gate) ReadBuffers(b [][]byte) (int, error) {
	if !g.have {
		return 0, nil
	}
	g.have = false
	return copy(b[0], "fifty bytes of what a program may have to say now."), nil
}

func (g *gate) WaitReadable() error {
	if _, ok := <-g.open; !ok {
		return io.EOF
	}
	g.have = true
	return nil
}

// TestReadersThatHaveALittleAtOnceShareDatagrams wakes the readers of twenty
// streams together, and one of them alone.
func TestReadersThatHaveALittleAtOnceShareDatagrams(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // who flushes later runs when all have had their turn
	inWorld(t, calm, func(w *world) {
		out := &counted{PacketConn: w.client.Conn}
		w.client.Conn = out
		c, s := w.pair(nil, nil)
		const readers = 20
		gates := make([]*gate, readers)
		for i := range gates {
			gates[i] = &gate{open: make(chan struct{}, 1)}
			cs, _ := w.streams(c, s)
			go cs.ReadFrom(gates[i])
		}
		time.Sleep(time.Second)
		before := out.sent.Load()
		for _, g := range gates {
			g.open <- struct{}{}
		}
		synctest.Wait()
		if sent := out.sent.Load() - before; sent > 3 {
			t.Errorf("50 bytes of each of %d readers left in %d datagrams, want 2 or 3", readers, sent)
		}
		time.Sleep(time.Second)
		for range 3 {
			before = out.sent.Load()
			gates[0].open <- struct{}{}
			synctest.Wait()
			if sent := out.sent.Load() - before; sent != 1 {
				t.Errorf("50 bytes of one reader left in %d datagrams, want 1", sent)
			}
			time.Sleep(time.Second)
		}
		for _, g := range gates {
			close(g.open)
		}
	})
}
