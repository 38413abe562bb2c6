package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// prober runs path MTU discovery over a path that carries datagrams up to limit.
type prober struct {
	MTU
	t      *testing.T
	now    hook.Instant
	limit  int
	probes int
}

func newProber(t *testing.T, cfg MTUConfig, limit int) *prober {
	p := &prober{t: t, now: hook.Instant(time.Second), limit: limit}
	p.init(cfg)
	p.Start(p.now)
	return p
}

// search sends probes until there are no more.
func (p *prober) search() {
	p.t.Helper()
	for range 100 {
		size := p.Probe(p.now)
		if size == 0 {
			return
		}
		p.probes++
		if size <= p.base || size > p.MTU.limit {
			p.t.Fatalf("probe of %d bytes, want more than %d and at most %d", size, p.base, p.MTU.limit)
		}
		p.onSent(size)
		if size <= p.limit {
			p.onProbeAcked(size)
		} else {
			p.onProbeLost(size)
		}
	}
	p.t.Fatal("the search does not end")
}

func (p *prober) wantMTU(what string, low, high int) {
	p.t.Helper()
	if got := p.Current(); got < low || got > high {
		p.t.Errorf("%s: %d bytes, want %d to %d", what, got, low, high)
	}
}

func TestMTUFindsWhatThePathCarries(t *testing.T) {
	for _, tc := range []struct{ max, limit, low, high int }{
		{0, 65535, 1452, 1452}, // the default stops at Ethernet
		{1472, 1472, 1472, 1472},
		{65527, 1200, 1200, 1216},
		{65527, 1232, 1232, 1232},
		{65527, 1250, 1234, 1250},
		{65527, 1452, 1452, 1471},
		{65527, 1492, 1476, 1492},
		{65527, 8952, 8952, 8952},
		{65527, 9216, 9200, 9216},
		{65527, 65535, 65527, 65527},
		{1300, 65535, 1300, 1300},
		{-1, 65535, 1200, 1200},
		{1000, 65535, 1200, 1200},
	} {
		p := newProber(t, MTUConfig{Max: tc.max}, tc.limit)
		p.search()
		p.wantMTU("found", tc.low, tc.high)
		if p.probes > 50 {
			t.Errorf("max %d over %d: %d probes", tc.max, tc.limit, p.probes)
		}
	}
}

func TestMTUProbesWaitForStart(t *testing.T) {
	var m MTU
	m.init(MTUConfig{})
	if n := m.Probe(1); n != 0 {
		t.Errorf("probe of %d before Start", n)
	}
	m.Start(1)
	if n := m.Probe(1); n == 0 {
		t.Error("no probe after Start")
	}
}

func TestMTUKeepsOneProbeInFlightAndTriesThrice(t *testing.T) {
	p := newProber(t, MTUConfig{}, 0)
	first := p.Probe(p.now)
	for range mtuTries {
		if size := p.Probe(p.now); size != first {
			t.Fatalf("probe of %d, want %d again", size, first)
		}
		p.onSent(first)
		if size := p.Probe(p.now); size != 0 {
			t.Fatalf("second probe of %d while one is in flight", size)
		}
		p.onProbeLost(first)
	}
	if size := p.Probe(p.now); size >= first {
		t.Errorf("probe of %d after %d was lost thrice", size, first)
	}
}

func TestMTUSearchesAgainAfterTenMinutes(t *testing.T) {
	p := newProber(t, MTUConfig{}, 1250)
	p.search()
	p.wantMTU("narrow", 1234, 1250)
	p.limit = 1500
	p.now = p.now.Add(mtuRaiseAfter - 1)
	p.search()
	p.wantMTU("not yet", 1234, 1250)
	p.now = p.now.Add(1)
	p.search()
	p.wantMTU("raised", 1452, 1452)
}

func TestMTUObeysThePeersLimit(t *testing.T) {
	p := newProber(t, MTUConfig{Max: 65527}, 65535)
	p.SetLimit(1350)
	p.search()
	p.wantMTU("found", 1350, 1350)
	p.SetLimit(1250)
	p.wantMTU("lowered later", 1250, 1250)
	p.SetLimit(100)
	p.wantMTU("never below the base", 1200, 1200)
	p.SetLimit(60000)
	p.search()
	p.wantMTU("never raised", 1200, 1200)
}

// Security 22: a local error, or a forged ICMP message behind it, never goes below the base.
func TestMTULocalTooBig(t *testing.T) {
	p := newProber(t, MTUConfig{Max: 1472}, 1452)
	for p.Current() < 1452 {
		size := p.Probe(p.now)
		p.onSent(size)
		p.onProbeAcked(size)
	}
	p.onSent(p.Probe(p.now))
	p.LocalTooBig(p.now, 1472)
	p.search()
	p.wantMTU("a refused probe is not tried again", 1452, 1471)
	p.LocalTooBig(p.now, 1452)
	p.wantMTU("a refused packet goes back to the base", 1200, 1200)
	p.LocalTooBig(p.now, 600)
	p.wantMTU("never below it", 1200, 1200)
	p.search()
	p.wantMTU("and nothing above is possible", 1200, 1200)
}

func TestMTUOfALateProbeDoesNotContradictTheSocket(t *testing.T) {
	p := newProber(t, MTUConfig{}, 65535)
	size := p.Probe(p.now)
	p.onSent(size)
	p.LocalTooBig(p.now, size)
	if p.onProbeAcked(size) {
		t.Errorf("grew to %d, which the socket refused", p.Current())
	}
}

// Security 23, by losses.
func TestMTUBlackHoleIsFoundByLosses(t *testing.T) {
	r := newRig(t, true)
	r.p.MTU.Start(r.now)
	for r.p.MTU.Current() < 1452 {
		pn := r.sendSize(uint16(r.p.MTU.Probe(r.now)), AckEliciting, MTUProbe)
		r.ack(pn, pn)
	}
	wantVar(r, "the controller knows", r.cc().mtu, 1452)
	lossOf := func(size uint16) {
		r.sendSize(size, AckEliciting)
		for range 3 {
			r.sendSize(300, AckEliciting)
		}
		next := r.d.NextNumber(AppData)
		r.ack(next-3, next-1)
	}
	lossOf(1452)
	lossOf(1452)
	big := r.sendSize(1452, AckEliciting)
	r.ack(big, big)
	lossOf(1200)
	lossOf(1452)
	lossOf(1452)
	wantVar(r, "a large packet arrived in between", r.p.MTU.Current(), 1452)
	lossOf(1452)
	wantVar(r, "three detections in a row", r.p.MTU.Current(), 1200)
	wantVar(r, "the controller knows that too", r.cc().mtu, 1200)
	if size := r.p.MTU.Probe(r.now); size == 0 || size >= 1452 {
		t.Errorf("next probe %d, want one below 1452", size)
	}
}

// Security 23, when every packet is large and no acknowledgment comes at all.
func TestMTUBlackHoleIsFoundByLossesAndTimeouts(t *testing.T) {
	r := newRig(t, true)
	r.p.MTU.current, r.p.MTU.low = 1452, 1452
	for range mtuBlackHole - 1 {
		r.sendSize(1452, AckEliciting)
		for range 3 {
			r.sendSize(300, AckEliciting)
		}
		next := r.d.NextNumber(AppData)
		r.ack(next-3, next-1)
	}
	r.sendSize(1452, AckEliciting)
	wantVar(r, "two detections", r.p.MTU.Current(), 1452)
	r.timeout()
	wantVar(r, "and the first probe timeout", r.p.MTU.Current(), 1200)
}

func TestMTUBlackHoleIsFoundByTimeouts(t *testing.T) {
	r := newRig(t, true)
	r.p.MTU.current, r.p.MTU.low = 1452, 1452
	r.send(1)
	for range mtuBlackHole {
		wantVar(r, "still large", r.p.MTU.Current(), 1452)
		r.timeout()
		r.send(1)
	}
	wantVar(r, "back at the base", r.p.MTU.Current(), 1200)
}
