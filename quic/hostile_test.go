package quic_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// tapped is a socket that shows what is sent on it.
type tapped struct {
	net.PacketConn
	sent func(datagram []byte)
}

func (c *tapped) WriteTo(p []byte, to net.Addr) (int, error) {
	c.sent(p)
	return c.PacketConn.WriteTo(p, to)
}

func TestTransferSurvivesCorruption(t *testing.T) {
	const noisy = "corrupt-rate --delay=5ms --bandwidth=100Mbps --queue=100 --rate_to_client=10 --rate_to_server=10"
	inWorld(t, noisy, func(w *world) {
		c, s := w.pair(nil, nil)
		go echo(s)
		st, _ := c.OpenStream()
		want := randomBytes(200 << 10)
		go func() {
			st.Write(want)
			st.CloseWrite()
		}()
		got, err := io.ReadAll(st)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes back, error %v, want %d", len(got), err, len(want))
		}
	})
}

func TestMangledDatagramsChangeNothing(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		rnd := rand.New(rand.NewPCG(quictest.Seed(t, 2), 0))
		var mu sync.Mutex
		var seen [][]byte
		w.client.Conn = &tapped{w.client.Conn, func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, bytes.Clone(p))
		}}
		c, s := w.pair(nil, nil)
		go echo(s)
		st, _ := c.OpenStream()
		st.Write(randomBytes(50 << 10))
		io.ReadFull(st, make([]byte, 50<<10))

		stranger, err := w.net.Listen(netsim.Left, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		mu.Lock()
		for _, p := range seen {
			for range 20 {
				q := bytes.Clone(p)
				for range 1 + rnd.IntN(4) {
					reach := len(q)
					if rnd.IntN(2) == 0 {
						reach = min(reach, 16) // the header
					}
					q[rnd.IntN(reach)] ^= 1 << rnd.IntN(8)
				}
				q = q[:len(q)-rnd.IntN(2)*rnd.IntN(len(q))]
				stranger.WriteTo(q, w.server.LocalAddr())
			}
		}
		mu.Unlock()
		time.Sleep(time.Second) // less than any timeout
		if err := context.Cause(c.Context()); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
		if n, half := w.server.Conns(), w.server.HalfOpen(); n != 1 || half != 0 {
			t.Errorf("server has %d connections, %d half open, want 1 and 0", n, half)
		}
		st.Write([]byte("x"))
		if _, err := io.ReadFull(st, make([]byte, 1)); err != nil {
			t.Errorf("echo after the storm: %v", err)
		}
	})
}

func TestConnectionsThatEndAnyhowLeaveNothing(t *testing.T) {
	inWorld(t, lossy, func(w *world) {
		seed := quictest.Seed(t, 3)
		l := w.listen(nil)
		go func() {
			for {
				c, err := l.Accept(background)
				if err != nil {
					return
				}
				go echo(c)
			}
		}()
		var wg sync.WaitGroup
		for i := range 60 {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			wg.Go(func() { w.liveAWhile(rnd) })
		}
		wg.Wait()
		time.Sleep(2 * time.Minute)
		for name, tr := range map[string]*quic.Transport{"client": w.client, "server": w.server} {
			if tr.Conns() != 0 || tr.IDs() != 0 || tr.HalfOpen() != 0 {
				t.Errorf("%s: %d connections, %d IDs, %d half open, want none", name, tr.Conns(), tr.IDs(), tr.HalfOpen())
			}
		}
	})
}

// liveAWhile dials, uses some streams, and ends one way or another.
func (w *world) liveAWhile(rnd *rand.Rand) {
	ctx, cancel := context.WithTimeout(background, time.Duration(rnd.IntN(100))*time.Millisecond)
	defer cancel()
	c, err := w.client.Dial(ctx, w.server.LocalAddr(), w.clientTLS, nil)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	for range rnd.IntN(4) {
		s, err := c.OpenStream()
		if err != nil {
			continue
		}
		size, how := rnd.IntN(20000), rnd.IntN(5)
		wg.Go(func() { s.Write(make([]byte, size)) })
		wg.Go(func() { io.Copy(io.Discard, s) })
		wg.Go(func() {
			time.Sleep(time.Duration(size) * time.Microsecond)
			switch how {
			case 0:
				s.Close()
			case 1:
				s.CancelRead(1)
				s.CancelWrite(2)
			case 2:
				s.SetDeadline(time.Now())
			default:
				s.CloseWrite()
			}
		})
	}
	time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
	if rnd.IntN(4) > 0 {
		c.CloseWithError(uint64(rnd.IntN(3)), "enough")
	}
	wg.Wait() // without a close: until the idle timeout
}
