package plugin_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/plugin"
)

// TestTheNeighboursOfAHostileConnectionTakeNoTimeMore: on a path without a bottleneck, where connections have nothing in common but the endpoints. What
// is left between them is the processor, and of that a plugin has what fuel gives it: checkHostile and BenchmarkNeighbour.
func TestTheNeighboursOfAHostileConnectionTakeNoTimeMore(t *testing.T) {
	alone := beside(t, nil, nil)
	for name := range hostile {
		t.Run(name, func(t *testing.T) {
			m := load(t, runtime(t), readHostile(t, name), plugin.Policy{})
			took := beside(t, m, begin(t, m).Config)
			if took < alone-alone/100 || took > alone+alone/100 { // connections draw from one source of luck, in another order
				t.Errorf("the neighbour's transfer took %v, %v without the plugin", took, alone)
			}
		})
	}
}

// beside has two connections transfer a megabyte each from one endpoint to another at the same time. The first has the plugin, at both ends. It
// returns how long the other one took.
func beside(t *testing.T, m *plugin.Module, config []byte) time.Duration {
	t.Helper()
	p := virtual.NewPair(7, virtual.Options{})
	defer p.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), transferred/16)
	p.Client.OnConn = func(c *virtual.Peer) {
		if len(p.Client.Conns) == 1 {
			extend(t, c, m, config)
		}
	}
	p.Server.OnConn = func(c *virtual.Peer) {
		if len(p.Server.Conns) == 1 {
			extend(t, c, m, config)
		}
		c.Serve(func([]byte) []byte { return body })
	}
	var conns [2]*virtual.Peer
	for i := range conns {
		var err error
		if conns[i], err = p.Dial(); err != nil {
			t.Fatal(err)
		}
		if !p.Run(10*time.Second, func() bool { return conns[i].Confirmed }) {
			t.Fatalf("no handshake: %v", p.Err())
		}
	}
	began := p.Clock.Since()
	conns[0].Get([]byte("all"))
	f := conns[1].Get([]byte("all"))
	if !p.Run(time.Minute, func() bool { return f.Done }) || !bytes.Equal(f.Body.Bytes(), body) {
		t.Fatalf("the transfer was not made: %d bytes, %v, %v", f.Body.Len(), f.Err, p.Err())
	}
	took := p.Clock.Since() - began
	if m != nil {
		if n := len(p.Server.Conns[0].ExtensionStats(nil)) + len(conns[0].ExtensionStats(nil)); n != 2 {
			t.Fatalf("%d plugins were attached to the first connection, want one at each end", n)
		}
		if n := len(p.Server.Conns[1].ExtensionStats(nil)) + len(conns[1].ExtensionStats(nil)); n != 0 {
			t.Fatalf("%d plugins were attached to the second connection", n)
		}
	}
	return took
}
