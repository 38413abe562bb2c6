package netsim

import (
	"math"
	"testing"
	"time"
)

// losses sends total packets one by one and returns the share lost and the mean length of a run of losses.
func losses(t *testing.T, scenario string, total int) (share, run float64) {
	b := newBench(t, scenario, 1)
	lost, runs, before := 0, 0, false
	b.Observe = func(e Event) {
		if e.Dropped {
			lost++
			if !before {
				runs++
			}
		}
		before = e.Dropped
	}
	for i := range total {
		b.Send(b.clock.Now(), Left, packet(Left, 10, uint64(i)))
		b.clock.Advance(time.Millisecond)
		b.arrivals()
	}
	return float64(lost) / float64(total), float64(lost) / float64(runs)
}

func TestLossRunsHaveTheirMeanAndKeepTheShare(t *testing.T) {
	for _, tc := range []struct {
		scenario   string
		share, run float64
	}{
		{"link --loss=5", 0.05, 1 / 0.95},
		{"link --loss=5 --loss-run=4", 0.05, 4},
		{"link --loss=10 --loss-run=10", 0.1, 10},
		{"link --loss=30 --loss-run=2.5", 0.3, 2.5},
		{"link --loss=90 --loss-run=3", 0.75, 3}, // a packet at least gets through after each run
		{"link --loss=5 --loss-run=1", 0.05, 1},
	} {
		share, run := losses(t, tc.scenario, 200_000)
		if math.Abs(share-tc.share) > 0.05*tc.share || math.Abs(run-tc.run) > 0.05*tc.run {
			t.Errorf("%s: %.4f lost in runs of %.2f, want %.4f in runs of %.2f", tc.scenario, share, run, tc.share, tc.run)
		}
	}
}

func TestALossRunEndsAtTheCap(t *testing.T) {
	if _, run := losses(t, "link --loss=20 --loss-run=50 --loss-burst=2", 20_000); run > 2 {
		t.Errorf("runs of %.2f losses, want at most 2", run)
	}
}

func TestLossIsOfUDPUnlessAskedForAll(t *testing.T) {
	const total = 10_000
	for _, tc := range []struct {
		all   bool
		share float64
	}{{false, 0}, {true, 0.02}} {
		lossy := LinkConfig{Loss: 0.02, LossOfAll: tc.all}
		b := benchOf(t, NewScenario(lossy, lossy), 1)
		for i := range total {
			p := packet(Left, 10, uint64(i))
			p.UDP = false
			b.Send(b.clock.Now(), Left, p)
			b.clock.Advance(time.Millisecond)
		}
		got := 1 - float64(len(b.arrivals()))/total
		if math.Abs(got-tc.share) > 0.2*tc.share {
			t.Errorf("all %v: %.4f of the packets that are not UDP are lost, want %.4f", tc.all, got, tc.share)
		}
	}
}
