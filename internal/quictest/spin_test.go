package quictest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

// Commands at random, with faults at random, as FuzzConnOps runs them from bytes.
func TestRandomCommandsHarmNothing(t *testing.T) {
	seeds(t, 150, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newOpsRun(t)
		kinds := []byte{0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 7, 8, 9, 14}
		for range 300 {
			r.do(kinds[random.IntN(len(kinds))]<<4|byte(random.IntN(2)), byte(random.Uint32()), byte(random.Uint32())>>random.IntN(4))
			r.check()
		}
		if random.IntN(10) == 0 {
			r.do(10<<4|byte(random.IntN(2)), 1, 255)
		}
		r.settle()
	})
}

// anyNetwork is a link that chance made: from good to hardly usable.
func anyNetwork(random *rand.Rand) netsim.LinkConfig {
	link := netsim.LinkConfig{
		Delay: time.Duration(random.IntN(200)) * time.Millisecond, Jitter: time.Duration(random.IntN(20)) * time.Millisecond,
		Loss: random.Float64() * 0.25, Duplicate: random.Float64() * 0.1, Reorder: random.Float64() * 0.2, Corrupt: random.Float64() * 0.05,
		CEMark: random.Float64() * 0.05,
	}
	switch random.IntN(3) {
	case 0:
		link.Bandwidth, link.QueuePackets = 500_000+random.Int64N(20_000_000), 5+random.IntN(100)
	case 1:
		link.MTU = 1228 + random.IntN(300)
	}
	return link
}

func TestAnyNetworkDeliversEveryByte(t *testing.T) {
	seeds(t, 100, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		opts := Options{ToServer: anyNetwork(random), ToClient: anyNetwork(random), Retry: random.IntN(4) == 0}
		opts.Config = func(_ netsim.Side, cfg *core.Config) {
			cfg.IdleTimeout, cfg.HandshakeTimeout = 0, 0
			cfg.Congestion = congestion([]string{"cubic", "newreno"}[seed%2])
			cfg.StreamWindow, cfg.ConnWindow = 16<<10, 24<<10
		}
		p := NewPair(t, seed, opts)
		serve(p)
		c := p.Dial()
		if !p.Run(time.Hour, func() bool { return c.Established || c.Closed }) || c.Closed {
			t.Fatalf("no handshake: %v", c.Err())
		}
		var fetches []*Fetch
		for i := range 1 + random.IntN(8) {
			fetches = append(fetches, c.Get(fmt.Appendf(nil, "%d", random.IntN(20_000)*(i+1))))
		}
		updates := p.Clock.Now()
		done := func() bool {
			if now := p.Clock.Now(); now.Sub(updates) > time.Second {
				updates = now
				c.UpdateKeys(now)
				c.Flush()
			}
			for _, f := range fetches {
				if !f.Done {
					return c.Closed
				}
			}
			return true
		}
		if !p.Run(3*time.Hour, done) || c.Closed {
			t.Fatalf("not everything arrived: %v", c.Err())
		}
		for _, f := range fetches {
			if want := answer(f.Request); f.Err != nil || !bytes.Equal(f.Body.Bytes(), want) {
				t.Fatalf("got %d bytes, want the %d sent; %v", f.Body.Len(), len(want), f.Err)
			}
		}
	})
}
