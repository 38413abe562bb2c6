package fec_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin"
)

// load reads the plugin as a host does, without a limit of fuel for a second.
func load(t testing.TB) *plugin.Module {
	t.Helper()
	b, err := os.ReadFile("fec.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := plugin.Load(t.Context(), "fec.wasm", b, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// transfer is one connection over a network, on a virtual clock.
type transfer struct {
	net    netsim.LinkConfig // both ways
	flows  []virtual.Flow
	module *plugin.Module // nil = plain Quiver
	config map[string]string
}

// ended is what came of a transfer.
type ended struct {
	load           *virtual.Load
	client, server core.Stats
	ext            [2]hook.ExtensionStats // of the client, of the server
}

// run makes the transfer. Every byte is checked by internal/virtual.
func (x *transfer) run(t testing.TB, seed uint64) ended {
	t.Helper()
	pair := virtual.NewPair(seed, virtual.Options{ToServer: x.net, ToClient: x.net, Transcript: os.Getenv("TR") != ""})
	defer func() {
		if os.Getenv("TR") != "" {
			fmt.Println(pair.Transcript())
		}
	}()
	defer pair.Close()
	attach := func(p *virtual.Peer) {
		if x.module == nil {
			return
		}
		config, err := x.module.Manifest().Configure(x.config)
		if err != nil {
			t.Fatal(err)
		}
		e, err := x.module.New()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Attach(p.Now(), e, core.AttachOptions{Local: 0, TypeBase: 0x3a00, Config: config}); err != nil {
			t.Fatal(err)
		}
	}
	pair.Server.OnConn = attach
	load, err := pair.Start(x.flows, false)
	if err != nil {
		t.Fatal(err)
	}
	attach(load.Client)
	if !pair.Run(10*time.Minute, load.Done) || pair.Err() != nil {
		t.Fatalf("seed %d: not done: %v", seed, pair.Err())
	}
	for i := range load.Transfers {
		if err := load.Transfers[i].Err; err != nil {
			t.Fatalf("seed %d: transfer %d: %v", seed, i, err)
		}
	}
	e := ended{load: load, client: load.Client.Stats(), server: load.Server.Stats()}
	for i, p := range []*virtual.Peer{load.Client, load.Server} {
		if x.module == nil {
			break
		}
		list := p.ExtensionStats(nil)
		if len(list) != 1 || list[0].Detached {
			t.Fatalf("seed %d: end %d: %+v", seed, i, list)
		}
		e.ext[i] = list[0]
	}
	return e
}

func lossy(loss float64) netsim.LinkConfig {
	return netsim.LinkConfig{Delay: 50 * time.Millisecond, Bandwidth: 5e6, QueuePackets: 100, Loss: loss}
}

func TestExperiment(t *testing.T) {
	m := load(t)
	for _, loss := range []float64{0, 0.02, 0.05} {
		for _, size := range []int64{10_000, 50_000} {
			var plain, with []time.Duration
			rec, del, lost := uint64(0), uint64(0), uint64(0)
			for seed := range uint64(101) {
				x := transfer{net: lossy(loss), flows: []virtual.Flow{{Size: size}}}
				plain = append(plain, x.run(t, seed).load.Transfers[0].Took())
				x.module = m
				e := x.run(t, seed)
				with = append(with, e.load.Transfers[0].Took())
				rec += e.ext[0].Recovered
				del += e.ext[1].Delivered
				lost += e.server.PacketsLost
				if seed == 7 {
					fmt.Printf("%+v\n", e.ext)
				}
			}
			slices.Sort(plain)
			slices.Sort(with)
			fmt.Println(loss, size, plain[50], with[50], plain[95], with[95], rec, del, lost)
		}
	}
}
