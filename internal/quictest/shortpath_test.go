package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

// TestSendBufferStaysInTheCacheOnShortPaths lets the congestion window grow
// without a loss, and asks how much a stream then takes at once.
func TestSendBufferStaysInTheCacheOnShortPaths(t *testing.T) {
	const cacheRoom, fastest, most = 2 << 20, 10, 8 << 20 // of the core, and the configuration
	for _, rtt := range []time.Duration{20 * time.Microsecond, 200 * time.Microsecond, 2 * time.Millisecond} {
		opts := bothWays(netsim.LinkConfig{Delay: rtt / 2})
		opts.Config = func(_ netsim.Side, cfg *core.Config) {
			cfg.MaxSendBuffer = most
			cfg.StreamWindow, cfg.MaxStreamWindow, cfg.ConnWindow, cfg.MaxConnWindow = 1<<30, 1<<30, 1<<30, 1<<30
		}
		p := NewPair(t, Seed(t, 1), opts)
		p.Server.OnConn = func(c *Peer) { c.Serve(answer) }
		c := p.Dial()
		if !p.Run(time.Second, func() bool { return c.Confirmed }) {
			t.Fatal("no handshake")
		}
		s, _ := c.Open(false)
		data := padding(64 << 20)
		p.Run(10*time.Second, func() bool {
			n, _ := c.Write(s, data[:min(len(data), 4<<20)])
			data = data[n:]
			if n > 0 {
				c.Flush()
			}
			return 2*c.Stats().CongestionWindow > most
		})
		other, _ := c.Open(false)
		got, _ := c.Write(other, padding(2*most))
		stats := c.Stats()
		if want := min(cacheRoom+int(stats.MinRTT)*fastest, most); got != want || 2*stats.CongestionWindow < got {
			t.Errorf("round trip of %v, window of %d bytes: a stream takes %d bytes, want %d", stats.MinRTT, stats.CongestionWindow, got, want)
		}
	}
}
