package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/netsim"
)

// keepers attaches as many extensions as there may be, which all keep free what they may.
func (e *ends) keepers(c *quictest.Peer, n int) {
	for i := range n {
		p := newProbe(fmt.Sprint("org.example.keeper", i), hook.OpPacketBegin)
		p.begin = func(p *hook.PacketPlan) { p.Reserve = hook.MaxReserve }
		e.attachTo(c, p)
	}
}

// TestTheLargestDatagramLeavesWhateverIsKeptFree sends what MaxDatagram says: it is
// not cut, so a packet that keeps room for others would never have enough.
func TestTheLargestDatagramLeavesWhateverIsKeptFree(t *testing.T) {
	e := connect(t, quictest.Seed(t, 50), quictest.Options{Config: func(side netsim.Side, cfg *core.Config) {
		smallDatagrams(side, cfg)
		cfg.MaxDatagramFrame = 65535
	}})
	e.keepers(e.client, hook.MaxExtensions)
	const n = 10
	for range n {
		if err := e.client.SendDatagram(make([]byte, e.client.MaxDatagram())); err != nil {
			t.Fatal(err)
		}
	}
	e.client.Flush()
	e.wait(time.Second)
	if s := e.client.Stats(); s.DatagramsSent != n {
		t.Errorf("%d of %d datagrams of the largest size left", s.DatagramsSent, n)
	}
	e.wantAlive()
}
