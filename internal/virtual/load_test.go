package virtual

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// lossy is a link of 10 Mbit/s and 50 ms each way that loses every twentieth packet.
func lossy() Options {
	way := netsim.LinkConfig{Delay: 50 * time.Millisecond, Bandwidth: 10e6, QueuePackets: 80, Loss: 0.05}
	return Options{ToServer: way, ToClient: way}
}

func run(t testing.TB, seed uint64, opts Options, parallel bool, flows ...Flow) *Load {
	t.Helper()
	p := NewPair(seed, opts)
	defer p.Close()
	l, err := p.Start(flows, parallel)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Run(10*time.Minute, l.Done) {
		t.Fatalf("seed %d: not done at %v: %+v, %v", seed, p.Clock.Since(), l.Transfers, p.Err())
	}
	for i, tr := range l.Transfers {
		if tr.Err != nil || tr.Received != tr.Size {
			t.Fatalf("seed %d: transfer %d got %d of %d bytes: %v", seed, i, tr.Received, tr.Size, tr.Err)
		}
	}
	return l
}

func TestAllBytesArriveInBothDirections(t *testing.T) {
	flows := []Flow{{Size: 50_000}, {Size: 300_000, Upload: true}, {Size: 0}, {Size: 1, Upload: true}, {Size: 200_000}}
	for _, parallel := range []bool{false, true} {
		for seed := range uint64(4) {
			run(t, seed, lossy(), parallel, flows...)
		}
	}
}

func TestFlowsOneAfterTheOtherDoNotOverlap(t *testing.T) {
	l := run(t, 1, lossy(), false, Flow{Size: 50_000}, Flow{Size: 50_000, Upload: true}, Flow{Size: 50_000})
	for i := 1; i < len(l.Transfers); i++ {
		if l.Transfers[i].Began < l.Transfers[i-1].Ended {
			t.Errorf("transfer %d began at %v, the one before ended at %v", i, l.Transfers[i].Began, l.Transfers[i-1].Ended)
		}
	}
	p := run(t, 1, lossy(), true, Flow{Size: 50_000}, Flow{Size: 50_000, Upload: true})
	if a, b := p.Transfers[0], p.Transfers[1]; a.Began != b.Began {
		t.Errorf("parallel flows began at %v and %v", a.Began, b.Began)
	}
}

func TestMoreFlowsThanStreamsAllComeToTheirTurn(t *testing.T) {
	flows := make([]Flow, 300)
	for i := range flows {
		flows[i].Size = 1000
	}
	run(t, 1, lossy(), true, flows...)
}

// outline is a run without its bytes: when which side sent how much, and the transfers.
func outline(t *testing.T, seed uint64) (all []time.Duration) {
	opts := lossy()
	var p *Pair
	opts.Tap = func(from netsim.Side, d []byte) []byte {
		all = append(all, p.Clock.Since(), time.Duration(from), time.Duration(len(d)))
		return d
	}
	p = NewPair(seed, opts)
	defer p.Close()
	l, err := p.Start([]Flow{{Size: 200_000}, {Size: 20_000, Upload: true}}, false)
	if err != nil {
		t.Fatal(err)
	}
	p.Run(time.Minute, l.Done)
	return append(all, l.Transfers[0].Ended, l.Transfers[1].Ended)
}

func TestASeedReplaysTimesAndSizesOfAllPackets(t *testing.T) {
	for seed := range uint64(5) {
		one, two := outline(t, seed), outline(t, seed)
		if len(one) < 100 || len(one) != len(two) {
			t.Fatalf("seed %d: %d and %d values", seed, len(one), len(two))
		}
		for i := range one {
			if one[i] != two[i] {
				t.Fatalf("seed %d: value %d of %d is %v and %v", seed, i, len(one), one[i], two[i])
			}
		}
	}
	if a, b := outline(t, 1), outline(t, 2); a[len(a)-1] == b[len(b)-1] {
		t.Error("two seeds give the same times: the seed decides nothing")
	}
}

func TestARunEndsWhenTheConnectionDoes(t *testing.T) {
	opts := lossy()
	opts.ToClient.Blackhole = netsim.Blackhole{On: 300 * time.Millisecond, Off: time.Hour, Repeat: 1}
	p := NewPair(1, opts)
	defer p.Close()
	l, err := p.Start([]Flow{{Size: 1 << 20}, {Size: 1}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Run(time.Hour, l.Done) || l.Transfers[0].Err == nil || l.Transfers[1].Err == nil {
		t.Errorf("a dead path: %+v", l.Transfers)
	}
}

func TestTheAgendaRunsAtItsTimes(t *testing.T) {
	p := NewPair(1, Options{})
	var at []time.Duration
	for _, d := range []time.Duration{30, 10, 20} {
		p.At(netsim.Epoch.Add(d*time.Millisecond), func() { at = append(at, p.Clock.Since()) })
	}
	if p.Run(15*time.Millisecond, func() bool { return len(at) == 3 }) || len(at) != 1 {
		t.Errorf("after 15ms %v have run, want one", at)
	}
	p.Run(time.Second, func() bool { return len(at) == 3 })
	if len(at) != 3 || at[0] != 10*time.Millisecond || at[2] != 30*time.Millisecond {
		t.Errorf("ran at %v, want 10ms, 20ms, 30ms", at)
	}
}

// BenchmarkTransfer is a whole run: certificates are there, the rest is made anew.
func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int64{1_000, 50_000, 1_000_000} {
		b.Run(map[int64]string{1_000: "1kB", 50_000: "50kB", 1_000_000: "1MB"}[size], func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				run(b, uint64(i), lossy(), false, Flow{Size: size})
			}
		})
	}
}
