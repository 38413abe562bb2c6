package lab

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

func mustScenario(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := ParseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAScenarioIsANameAndWhatDiffers(t *testing.T) {
	s := mustScenario(t, "loss-5 --rtt=200ms --loss_to_server=1 --size=10kB,1MiB --times=2 --both --parallel --repeat=20 --seed=7 --sample=10ms --limit=1m")
	if s.Name != "loss-5" || s.RTT() != 200*time.Millisecond || s.Rate() != 10_000_000 || s.Loss() != 0.05 || s.Network.Link[netsim.Left].Loss != 0.01 {
		t.Errorf("network %+v", s.Network)
	}
	want := []Flow{{10_000, false}, {1 << 20, true}, {10_000, false}, {1 << 20, true}}
	if len(s.Flows) != 4 || s.Flows[0] != want[0] || s.Flows[3] != want[3] || !s.Parallel {
		t.Errorf("flows %+v, parallel %v; want %v", s.Flows, s.Parallel, want)
	}
	if s.Repeat != 20 || s.Seed != 7 || s.Sample != 10*time.Millisecond || s.Limit != time.Minute {
		t.Errorf("repeat %d seed %d sample %v limit %v", s.Repeat, s.Seed, s.Sample, s.Limit)
	}
}

func TestTheTextOfAScenarioMakesItAgain(t *testing.T) {
	texts := []string{"satellite --size=1kB,2kB --times=3 --upload --repeat=3", "droplist --delay=1ms --bandwidth=1Mbps --queue=5 --drops_to_client=3,4 --both --times=4"}
	for _, n := range Named() {
		texts = append(texts, n.Name+" --parallel --sample=5ms")
	}
	for _, text := range texts {
		s := mustScenario(t, text)
		again := mustScenario(t, s.String())
		if s.String() != again.String() || len(s.Flows) != len(again.Flows) || s.Flows[len(s.Flows)-1] != again.Flows[len(again.Flows)-1] {
			t.Errorf("%s\nbecame %s\nand then %s", text, s, again)
		}
	}
}

func TestBadScenariosSayWhatIsWrongAndWhatThereIs(t *testing.T) {
	for _, tc := range []struct{ text, problem, known string }{
		{"", "no scenario named", "clean, lan, loss-1"},
		{"los-5", `unknown scenario "los-5"`, "loss-5"},
		{"los-5", `unknown scenario "los-5"`, "droplist"},
		{"loss-5 --sise=3", `unknown parameter "--sise=3"`, "--size=BYTES,…"},
		{"loss-5 --sise=3", `unknown parameter "--sise=3"`, "[--loss=PERCENT]"},
		{"loss-5 --size=3pc", `parameter --size: got "3pc", want a comma list of sizes`, "--times=COUNT"},
		{"loss-5 --size=5GiB", `want a comma list of sizes such as 10kB, 1MiB, at most 4GiB each`, ""},
		{"loss-5 --size", "parameter --size has no value, want --size=BYTES,…", ""},
		{"loss-5 --loss=101", `parameter --loss: got "101", want a percentage`, ""},
		{"loss-5 --repeat=0", "want a whole number from 1 to 100000", ""},
		{"loss-5 --seed=-1", "want a whole number below 2^64", ""},
		{"loss-5 --limit=3parsec", "want a time such as", ""},
		{"loss-5 --sample=1us", "want a time of at least 1ms", ""},
		{"loss-5 --upload=perhaps", "want no value, true or false", ""},
		{"loss-5 --size=1,2,3 --times=5000", "15000 flows, want at most 10000", ""},
	} {
		_, err := ParseScenario(tc.text)
		var bad *ScenarioError
		if !errors.As(err, &bad) || !strings.Contains(bad.Problem, tc.problem) || !strings.Contains(err.Error(), tc.known) {
			t.Errorf("ParseScenario(%q) = %v\nwant %q and %q", tc.text, err, tc.problem, tc.known)
		}
	}
}

func TestTheGridFillsItsRangesEvenly(t *testing.T) {
	grid := Grid(1, GridPoints)
	if len(grid) != GridPoints {
		t.Fatalf("%d points, want %d", len(grid), GridPoints)
	}
	seeds := map[uint64]bool{}
	const bins = 10
	var rate, rtt, loss [bins]int
	bin := func(x, lo, hi float64) int { return min(bins-1, int(bins*(x-lo)/(hi-lo))) }
	for _, s := range grid {
		if s.Rate() < gridMinRate || s.Rate() > gridMaxRate || s.RTT() < gridMinRTT || s.RTT() > gridMaxRTT || s.Loss() < gridMinLoss || s.Loss() > gridMaxLoss {
			t.Errorf("%s is outside of the ranges: %s", s.Name, s)
		}
		if s.Network.Link[netsim.Left].Loss != s.Loss() || s.Network.Link[netsim.Right].QueuePackets < gridQueue {
			t.Errorf("%s: %s", s.Name, s)
		}
		seeds[s.Seed] = true
		rate[bin(float64(s.Rate()), gridMinRate, gridMaxRate)]++
		rtt[bin(float64(s.RTT()), float64(gridMinRTT), float64(gridMaxRTT))]++
		loss[bin(s.Loss(), gridMinLoss, gridMaxLoss)]++
	}
	for _, h := range [][bins]int{rate, rtt, loss} {
		for _, n := range h {
			if n < GridPoints/bins-1 || n > GridPoints/bins+2 {
				t.Errorf("a tenth of a range holds %v points, want %d each", h, GridPoints/bins)
			}
		}
	}
	if len(seeds) != GridPoints {
		t.Errorf("%d seeds for %d points", len(seeds), GridPoints)
	}
	if a, b := Grid(1, 20), Grid(1, 20); a[7].String() != b[7].String() {
		t.Error("one seed gives two grids")
	}
	if a, b := Grid(1, 20), Grid(2, 20); a[7].String() == b[7].String() {
		t.Error("two seeds give one grid")
	}
}

func TestImprovementSpreadsThePoints(t *testing.T) {
	least := func(points []point) float64 {
		all := math.Inf(1)
		for i := range points {
			all = min(all, clearance(points, i))
		}
		return math.Sqrt(all)
	}
	for seed := range uint64(5) {
		// 139 points chosen without care come about 0.02 near to each other.
		if d := least(spread(seed, GridPoints)); d < 0.1 {
			t.Errorf("seed %d: two points are %.3f apart, want 0.1", seed, d)
		}
	}
	if len(spread(1, 0)) != 0 || len(spread(1, 1)) != 1 {
		t.Error("a grid of no and of one point")
	}
}

func TestQuantitiesReadAsTheyAreWritten(t *testing.T) {
	for _, tc := range []struct {
		unit Unit
		x    float64
		want string
	}{
		{Time, 0, "0s"}, {Time, 0.4, "400ms"}, {Time, 0.0123456, "12.35ms"}, {Time, 2.5, "2.5s"}, {Time, 71, "71s"}, {Time, 3e-10, "0.3ns"}, {Time, 0.9999, "1s"},
		{Bytes, 0, "0B"}, {Bytes, 10240, "10KiB"}, {Bytes, 1000, "1000B"}, {Bytes, 3 << 20, "3MiB"},
		{Rate, 9.4e6, "9.4Mbit/s"}, {Rate, 380_000, "380kbit/s"}, {Number, 20_000, "20000"}, {Number, 0.123456, "0.123"}, {Number, 12.3456, "12.35"},
		{Number, -3.5, "-3.5"}, {Time, math.NaN(), "none"},
	} {
		got := tc.unit.Format(tc.x)
		if got != tc.want {
			t.Errorf("%v of %v = %q, want %q", tc.unit, tc.x, got, tc.want)
		}
		if tc.x <= 0 || math.IsNaN(tc.x) {
			continue
		}
		x, s, err := parseQuantity(got)
		if err != nil || s.unit != tc.unit || math.Abs(x-tc.x) > 0.005*tc.x {
			t.Errorf("parseQuantity(%q) = %v %v, %v", got, x, s.unit, err)
		}
	}
}
