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
