package fec_test

import (
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

func readPlugin() ([]byte, error) { return os.ReadFile("fec.wasm") }

// load reads the plugin as a host does.
func load(t testing.TB) *plugin.Module {
	t.Helper()
	b, err := readPlugin()
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
	idle   time.Duration // to wait after the last flow
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
	pair := virtual.NewPair(seed, virtual.Options{ToServer: x.net, ToClient: x.net})
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
	pair.Run(x.idle, func() bool { return false })
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

// flows are n downloads of size bytes, one after the other.
func flows(n int, size int64) []virtual.Flow { return slices.Repeat([]virtual.Flow{{Size: size}}, n) }

func TestEverySchemeAndPolicyCarriesEverything(t *testing.T) {
	m := load(t)
	seed := uint64(1)
	for _, scheme := range []string{"rlc", "rs", "xor"} {
		for _, policy := range []string{"tail", "full", "deadline"} {
			for _, rate := range []string{"auto", "fixed"} {
				t.Run(scheme+", "+policy+", "+rate, func(t *testing.T) {
					seed++
					x := transfer{net: lossy(0.05), flows: []virtual.Flow{{Size: 150_000}, {Size: 150_000, Upload: true}, {Size: 1}, {Size: 1, Upload: true}},
						module: m, config: map[string]string{"scheme": scheme, "policy": policy, "rate": rate, "k": "10", "r": "2", "deadline": "100"}}
					e := x.run(t, seed)
					for i, s := range e.ext {
						if s.Metrics[0].Value == 0 {
							t.Errorf("seed %d: end %d sent no repairs", seed, i)
						}
					}
				})
			}
		}
	}
}

// TestRecoveredPacketsAreNotSentAgainAndStillCountAsLost compares many downloads of one connection, so short that a loss is noticed late.
func TestRecoveredPacketsAreNotSentAgainAndStillCountAsLost(t *testing.T) {
	m := load(t)
	var plain, with ended
	var recovered, delivered, lost, resentPlain, resentWith uint64
	for seed := range uint64(10) {
		x := transfer{net: lossy(0.03), flows: flows(150, 3_000), idle: 2 * time.Second}
		plain = x.run(t, seed)
		x.module = m
		with = x.run(t, seed)
		recovered += with.ext[0].Recovered
		delivered += with.ext[1].Delivered
		lost += with.server.PacketsLost
		resentPlain += plain.server.BytesResent
		resentWith += with.server.BytesResent
	}
	t.Logf("%d recovered, %d delivered, %d lost, %d bytes sent again with, %d without", recovered, delivered, lost, resentWith, resentPlain)
	switch {
	case recovered < 50 || delivered < recovered*7/10:
		t.Errorf("%d packets recovered, the sender was told of %d", recovered, delivered)
	case lost < recovered:
		t.Errorf("%d packets counted as lost, but %d were recovered", lost, recovered)
	case resentWith > resentPlain/2:
		t.Errorf("%d bytes were sent again, %d without the plugin", resentWith, resentPlain)
	}
}

// quantile returns the q-th quantile of times.
func quantile(times []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(times))
	return s[int(q*float64(len(s)-1)+0.5)]
}

// compare returns how long n transfers take without the plugin and with it, seed by seed.
func compare(t *testing.T, x transfer, m *plugin.Module, n int) (plain, with []time.Duration) {
	for seed := range uint64(n) {
		x.module = nil
		plain = append(plain, x.run(t, seed).load.Transfers[0].Took())
		x.module = m
		with = append(with, x.run(t, seed).load.Transfers[0].Took())
	}
	return plain, with
}

func TestTheSlowestTwentiethOfTransfersIsFaster(t *testing.T) {
	m := load(t)
	for _, tc := range []struct {
		size int64
		loss float64
		p95  float64 // at most, of that without the plugin
	}{{10_000, 0.02, 0.85}, {10_000, 0.05, 0.9}, {50_000, 0.02, 1}} {
		plain, with := compare(t, transfer{net: lossy(tc.loss), flows: flows(1, tc.size)}, m, 300)
		p50, p95 := float64(quantile(with, 0.5))/float64(quantile(plain, 0.5)), float64(quantile(with, 0.95))/float64(quantile(plain, 0.95))
		t.Logf("%d bytes, %v %% lost: median %.3f, 95th percentile %.3f of that without", tc.size, 100*tc.loss, p50, p95)
		if p50 > 1.01 || p95 > tc.p95 {
			t.Errorf("%d bytes, %v %% lost: median %.3f, 95th percentile %.3f of that without; want at most 1.01 and %v", tc.size, 100*tc.loss, p50, p95, tc.p95)
		}
	}
}

func TestWithoutLossItCostsNextToNothing(t *testing.T) {
	m := load(t)
	for _, size := range []int64{10_000, 50_000, 2_000_000} {
		x := transfer{net: lossy(0), flows: flows(1, size), idle: time.Second}
		plain := x.run(t, 1)
		x.module = m
		with := x.run(t, 1)
		a, b := plain.load.Transfers[0].Took(), with.load.Transfers[0].Took()
		if b > a*101/100 {
			t.Errorf("%d bytes take %v, %v without the plugin", size, b, a)
		}
		if more := int64(with.server.BytesSent) - int64(plain.server.BytesSent); more > 6000+size/100 {
			t.Errorf("%d bytes cost %d bytes more than without the plugin", size, more)
		}
		if n := with.ext[0].Recovered; n != 0 {
			t.Errorf("%d recovered, nothing was lost", n)
		}
	}
}

func TestAnIdleConnectionIsLeftAlone(t *testing.T) {
	x := transfer{net: lossy(0.05), flows: flows(1, 50_000), module: load(t), idle: 5 * time.Second}
	a := x.run(t, 3)
	x.idle = 20 * time.Second
	b := x.run(t, 3)
	if a.client.PacketsSent != b.client.PacketsSent || a.server.PacketsSent != b.server.PacketsSent {
		t.Errorf("%d and %d packets in 15 s of silence", b.client.PacketsSent-a.client.PacketsSent, b.server.PacketsSent-a.server.PacketsSent)
	}
}
