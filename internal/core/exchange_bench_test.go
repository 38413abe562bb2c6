package core_test

import (
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
)

// trading makes both ends of a pipe take part in the exchange of plugins.
func trading(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true }

// agreeOn makes plugins active that nothing runs, as many as there may be.
func (p *pipe) agreeOn(n int) {
	must := func(err error) {
		if err != nil {
			p.t.Fatal(err)
		}
	}
	for range n {
		o, err := p.server.Offer(p.now, hook.Offer{ID: "org.example.p", Version: "1.0.0", Mode: hook.Negotiated, Frames: 2})
		must(err)
		p.round()
		must(p.client.Answer(p.now, o.Local, hook.Answer{Status: hook.AnswerReady}))
		must(p.client.Ready(p.now, o.Local, nil))
		p.round()
		must(p.server.Ready(p.now, o.Local, nil))
		p.round()
	}
}

func TestExchangeAllocatesNothingForOtherPackets(t *testing.T) {
	p := newPipe(t, 44, trading)
	p.agreeOn(8)
	for range 100 {
		p.round()
	}
	if n := testing.AllocsPerRun(100, p.round); n > 0 {
		t.Errorf("a train allocates %v times beside plugins that are agreed on, want 0", n)
	}
}

// BenchmarkTransmitWithExchange is BenchmarkTransmit of a connection on which as
// many plugins are agreed on as there may be, and nothing runs them.
func BenchmarkTransmitWithExchange(b *testing.B) {
	p := newPipe(b, 44, trading)
	p.agreeOn(8)
	p.transmit, p.datagrams = 0, 0
	b.ReportAllocs()
	for b.Loop() {
		p.round()
	}
	b.ReportMetric(float64(p.transmit.Nanoseconds())/float64(p.datagrams), "ns/dgram")
}
