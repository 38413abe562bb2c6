package quictest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// TestObserverWithTheSecretsReadsEveryPacket is the dissector on what the core
// sends: versions that change, greased bits and key updates.
func TestObserverWithTheSecretsReadsEveryPacket(t *testing.T) {
	both, reverse := []wire.Version{v1, v2}, []wire.Version{v2, v1}
	for _, tt := range []struct {
		name           string
		first          wire.Version
		client, server []wire.Version
		retry          bool
		want           wire.Version
		conns          int
	}{
		{"v1", 0, both, both, false, v1, 1},
		{"v2", v2, both, reverse, false, v2, 1},
		{"an upgrade", 0, both, reverse, false, v2, 1},
		{"an upgrade after a Retry", 0, both, reverse, true, v2, 1},
		{"a way down", v2, both, both, false, v1, 1},
		{"Version Negotiation", v2, both, both[:1], false, v1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			capture, keys := dissecttest.NewCapture(), &bytes.Buffer{}
			var p *Pair
			tap := func(from netsim.Side, d []byte) []byte {
				pair := [2]netip.AddrPort{p.Client.Addr, p.Server.Addr}
				capture.UDP(p.Clock.Since(), pair[from], pair[1-from], 0, d)
				return d
			}
			p = NewPair(t, Seed(t, 14), Options{Retry: tt.retry, Tap: tap, Config: func(side netsim.Side, cfg *core.Config) {
				versionsOf(tt.first, tt.client, tt.server)(side, cfg)
				if side == netsim.Left {
					cfg.TLS = cfg.TLS.Clone()
					cfg.TLS.KeyLogWriter = keys
				}
			}})
			serve(p)
			runTransfer(t, p, []byte("10000"))
			for range 3 {
				for _, side := range []*Peer{p.Client.Conns[0], p.Server.Conns[0]} {
					p.Run(time.Second, func() bool { return false })
					p.Client.Conns[0].Get([]byte("1000")) // something to acknowledge in this phase
					p.Run(time.Second, func() bool { return false })
					side.UpdateKeys(p.Clock.Now())
					side.Flush()
					p.Run(time.Second, func() bool { return false }) // the next request is of the new phase
				}
			}
			p.Run(time.Second, func() bool { return false })
			trace, err := dissect.Read(capture.Bytes(), dissect.Options{KeyLogs: [][]byte{keys.Bytes()}, AnyPort: true})
			if err != nil {
				t.Fatal(err)
			}
			phases := map[bool]int{}
			for i := range trace.Datagrams {
				d := &trace.Datagrams[i]
				for j := range d.Packets {
					phases[d.Packets[j].KeyPhase]++
					if !d.Packets[j].Decrypted && d.Packets[j].Type != wire.PacketVersionNegotiation || d.Trailing > 0 {
						t.Errorf("frame %d is not read: %s %s", d.Frame, d.Line(j), d.Note)
					}
				}
			}
			if len(trace.Conns) != tt.conns || trace.Conns[tt.conns-1].Version != tt.want {
				t.Errorf("%d connections, the last in %v; want %d and %v", len(trace.Conns), trace.Conns[len(trace.Conns)-1].Version, tt.conns, tt.want)
			}
			if phases[true] < 10 || p.Client.Conns[0].Stats().KeyUpdates < 5 {
				t.Errorf("%d packets in the odd key phase, %d updates", phases[true], p.Client.Conns[0].Stats().KeyUpdates)
			}
		})
	}
}
