package quic_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// attacker is a stranger beside an honest client, at the same server.
type attacker struct {
	*world
	sock  net.PacketConn
	first []byte // the first datagram of the honest client
	stop  chan struct{}
}

// every calls do until the attack is over.
func (a *attacker) every(pause time.Duration, do func(n int)) {
	for n := 0; ; n++ {
		select {
		case <-a.stop:
			return
		case <-time.After(pause):
			do(n)
		}
	}
}

func (a *attacker) send(p []byte) { a.sock.WriteTo(p, a.server.LocalAddr()) }

// dial makes a connection of the attacker's own.
func (a *attacker) dial(tr *quic.Transport, conf *quic.Config) *quic.Conn {
	c, err := tr.Dial(background, a.server.LocalAddr(), a.clientTLS, conf)
	if err != nil {
		a.Errorf("the attacker cannot connect: %v", err)
	}
	return c
}

// attacks are what a stranger does for as long as it is let. Their rates leave
// room on the link, so that what an honest client loses is the server's doing.
var attacks = []struct {
	name string
	run  func(a *attacker, tr *quic.Transport)
}{
	{"Initials of forged addresses", func(a *attacker, _ *quic.Transport) {
		a.every(250*time.Microsecond, func(n int) { a.send(beginning(n)) })
	}},
	{"Initials that do not authenticate, with junk behind them", func(a *attacker, _ *quic.Transport) {
		a.every(250*time.Microsecond, func(n int) {
			p := beginning(n)
			p[500] ^= 1
			a.send(append(p, beginning(n + 1)[:200]...))
		})
	}},
	{"the honest client's first datagram again", func(a *attacker, _ *quic.Transport) {
		a.every(250*time.Microsecond, func(int) { a.send(a.first) })
	}},
	{"versions that nobody speaks", func(a *attacker, _ *quic.Transport) {
		p := beginning(1)
		binary.BigEndian.PutUint32(p[1:], 0x1a2a3a4a)
		a.every(250*time.Microsecond, func(int) { a.send(p) })
	}},
	{"packets of no connection", func(a *attacker, _ *quic.Transport) {
		a.every(100*time.Microsecond, func(n int) {
			p := make([]byte, 20+n%300)
			p[0] = wire.ShortFixedBit
			binary.BigEndian.PutUint64(p[1:], uint64(n))
			a.send(p)
		})
	}},
	{"empty datagrams", func(a *attacker, _ *quic.Transport) {
		a.every(50*time.Microsecond, func(int) { a.send(nil) })
	}},
	{"datagrams of 65000 bytes", func(a *attacker, _ *quic.Transport) {
		p := append(beginning(1), make([]byte, 65000-wire.MinInitialDatagram)...)
		a.every(20*time.Millisecond, func(int) { a.send(p) })
	}},
	{"streams that are reset at once", func(a *attacker, tr *quic.Transport) {
		c := a.dial(tr, nil)
		a.every(100*time.Microsecond, func(int) {
			if s, err := c.OpenStream(); err == nil {
				s.Write([]byte("x"))
				s.CancelWrite(1)
				s.CancelRead(1)
			}
		})
	}},
	{"a byte now and then on every stream", func(a *attacker, tr *quic.Transport) {
		c := a.dial(tr, nil)
		var streams []*quic.Stream
		for s, err := c.OpenStream(); err == nil; s, err = c.OpenStream() {
			streams = append(streams, s)
		}
		a.every(time.Millisecond, func(n int) { streams[n%len(streams)].Write([]byte("x")) })
	}},
	{"datagrams that nobody reads", func(a *attacker, tr *quic.Transport) {
		c := a.dial(tr, &quic.Config{EnableDatagrams: true})
		p := make([]byte, 1000)
		a.every(250*time.Microsecond, func(int) { c.SendDatagram(p) })
	}},
	{"connections without end", func(a *attacker, tr *quic.Transport) {
		a.every(20*time.Millisecond, func(int) {
			ctx, cancel := context.WithTimeout(background, 10*time.Millisecond) // less than a round trip
			defer cancel()
			tr.Dial(ctx, a.server.LocalAddr(), a.clientTLS, nil)
		})
	}},
}

// TestAttackLeavesOthersTheirRate measures what an attack costs a client beside
// the attacker, in time of the network: its download takes at most a ninth
// longer. It does so on a virtual clock, which processing does not move: what
// can be lost here is what connections share, replies on the link, locks that
// wait, places in queues. That every single datagram of a stranger is answered
// with bounded work is for the budgets of the other tests. What the attack left
// is gone when its connections have timed out.
func TestAttackLeavesOthersTheirRate(t *testing.T) {
	const (
		heldMost = 80 << 20 // bytes of heap in the middle of an attack: 4096 handshakes, of which half may be forged
		leftMost = 6 << 20  // after it: buffers of the simulated network, and maps, which keep their size
	)
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			inWorld(t, "simple-p2p --delay=5ms --bandwidth=100Mbps --queue=1000", func(w *world) {
				a := &attacker{world: w, stop: make(chan struct{})}
				w.noteFirst(a)
				l := w.listen(&quic.Config{EnableDatagrams: true})
				go serveDownloads(l)
				honest := w.dial(nil)
				defer honest.CloseWithError(0, "")
				w.download(honest) // the window opens
				calm := w.download(honest)
				before := quictest.NewBudget(t)

				var err error
				if a.sock, err = w.net.Listen(netsim.Left, netip.AddrPort{}); err != nil {
					t.Fatal(err)
				}
				tr := w.transport(netsim.Left, 0)
				var wg sync.WaitGroup
				wg.Go(func() { attack.run(a, tr) })
				time.Sleep(50 * time.Millisecond)
				attacked := w.download(honest)
				if float64(attacked) > float64(calm)/0.9 {
					t.Errorf("a download took %v beside the attack, %v without, want at most a ninth more", attacked, calm)
				}
				grown := before.Grown()
				t.Logf("a download took %v, and %v beside the attack, which holds %d bytes", calm, attacked, grown)
				if grown > heldMost {
					t.Errorf("the attack holds %d bytes, want at most %d", grown, heldMost)
				}
				close(a.stop)
				wg.Wait()
				tr.Close()
				a.sock.Close()
				time.Sleep(time.Minute)
				if n, half := w.server.Conns(), w.server.HalfOpen(); n > 1 || half != 0 {
					t.Errorf("server has %d connections, %d half open, want the honest one at most", n, half)
				}
				before.WantBack(leftMost)
			})
		})
	}
}

// noteFirst keeps the first datagram that the honest client sends.
func (w *world) noteFirst(a *attacker) {
	w.client.Conn = &tapped{w.client.Conn, func(p []byte) {
		if a.first == nil {
			a.first = bytes.Clone(p)
		}
	}}
}

// downloadSize is how many bytes a stream of serveDownloads sends, if asked to.
const downloadSize = 4 << 20

// serveDownloads answers 'd' on a stream with many bytes, and reads anything else.
func serveDownloads(l *quic.Listener) {
	body := make([]byte, downloadSize)
	for {
		c, err := l.Accept(background)
		if err != nil {
			return
		}
		go func() {
			for {
				s, err := c.AcceptStream(background)
				if err != nil {
					return
				}
				go func() {
					defer s.Close()
					var what [1]byte
					if s.Read(what[:]); what[0] == 'd' {
						s.Write(body)
						return
					}
					io.Copy(io.Discard, s)
				}()
			}
		}()
	}
}

// download returns how long one takes.
func (w *world) download(c *quic.Conn) time.Duration {
	w.Helper()
	start := time.Now()
	s, err := c.OpenStream()
	if err != nil {
		w.Fatal(err)
	}
	s.Write([]byte("d"))
	s.CloseWrite()
	if n, err := io.Copy(io.Discard, s); err != nil || n != downloadSize {
		w.Fatalf("download: got %d bytes, %v, want %d", n, err, downloadSize)
	}
	return time.Since(start)
}
