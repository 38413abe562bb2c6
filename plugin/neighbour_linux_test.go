package plugin_test

import (
	"context"
	"crypto/tls"
	"io"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/quic"
)

// BenchmarkNeighbour is what a hostile plugin on one connection of an endpoint takes from another one there. Both transfer the same at the same time
// over loopback, as fast as they can, in rounds with the plugin and without. It reports how many times longer the other one takes with it, by the
// medians, and how many times more processor time both take, ends and all: on a busy machine that is the one to look at, and the most that the
// other one can lose. "plain" has no plugin in either round: it tells what the machine does to the numbers.
func BenchmarkNeighbour(b *testing.B) {
	for _, name := range []string{"plain", "busy", "storm", "timers"} {
		b.Run(name, func(b *testing.B) {
			h := &plugin.Host{}
			if name != "plain" {
				h.Attach = []plugin.Use{{Plugin: load(b, runtime(b), readHostile(b, name), plugin.Policy{})}}
			}
			n := newNeighbours(b)
			var took, cpu [2][]time.Duration
			for turn := 0; b.Loop(); turn++ {
				for i := range 2 {
					who := (i + turn) % 2 // each goes first in turn
					t, c := n.round(b, []*plugin.Host{{}, h}[who])
					took[who], cpu[who] = append(took[who], t), append(cpu[who], c)
				}
			}
			b.ReportMetric(median(took[1]).Seconds()/median(took[0]).Seconds(), "times-longer")
			b.ReportMetric(median(cpu[1]).Seconds()/median(cpu[0]).Seconds(), "times-cpu")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// neighbours is one endpoint that serves connections; what extends the next one is set before it is dialled.
type neighbours struct {
	ln     *quic.Listener
	next   atomic.Pointer[plugin.Host]
	client *tls.Config
}

const neighbourBytes = 8 << 20

func newNeighbours(b *testing.B) *neighbours {
	n := &neighbours{}
	n.next.Store(&plugin.Host{})
	var server *tls.Config
	n.client, server = quictest.TLSConfigs(time.Now(), "neighbour")
	var err error
	if n.ln, err = quic.ListenAddr("localhost:0", server, &quic.Config{Extensions: n}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.ln.Close() })
	return n
}

func (n *neighbours) Exchange() (accept, offer bool) { return false, false }

func (n *neighbours) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	return n.next.Load().Extend(c)
}

// round transfers over two connections, of which h extends the first at the server. It returns how long the second took, and how much processor
// time all of it.
func (n *neighbours) round(b *testing.B, h *plugin.Host) (took, cpu time.Duration) {
	n.next.Store(h)
	c1, s1 := n.dial(b)
	n.next.Store(&plugin.Host{})
	c2, s2 := n.dial(b)
	defer c1.CloseWithError(0, "")
	defer c2.CloseWithError(0, "")
	cpu, began := processorTime(b), time.Now()
	first := make(chan bool)
	go func() { first <- transfers(s1, c1) }()
	ok := transfers(s2, c2)
	took = time.Since(began)
	if ok = <-first && ok; !ok {
		b.Fatal("a transfer was not made")
	}
	cpu = processorTime(b) - cpu
	for _, x := range s1.ConnectionStats().Extensions {
		if x.Detached {
			b.Fatalf("the plugin failed, and harms nobody any more: %v", x.Err)
		}
	}
	return took, cpu
}

// processorTime returns how long processors have worked for this process.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (n *neighbours) dial(b *testing.B) (client, server *quic.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := quic.DialAddr(ctx, n.ln.Addr().String(), n.client, nil)
	if err != nil {
		b.Fatal(err)
	}
	if server, err = n.ln.Accept(ctx); err != nil {
		b.Fatal(err)
	}
	return client, server
}

// transfers sends some megabytes and reports whether they arrive.
func transfers(from, to *quic.Conn) bool {
	go func() {
		s, err := from.OpenUniStream()
		if err != nil {
			return
		}
		for part, sent := make([]byte, 64<<10), 0; sent < neighbourBytes; sent += len(part) {
			if _, err := s.Write(part); err != nil {
				return
			}
		}
		s.Close()
	}()
	s, err := to.AcceptUniStream(context.Background())
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, s)
	return err == nil && n == neighbourBytes
}
