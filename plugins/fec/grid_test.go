package fec_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/lab"
)

// gridRuns is how the plots of README.md are made.
var gridRuns = flag.Int("grid", 0, "go over the whole grid so often, and write grid.svg and times.svg")

// gridSizes are the transfers, in bytes.
var gridSizes = []int64{10_000, 20_000, 30_000, 40_000, 50_000}

// setup attaches the plugin, with its default settings, to both ends.
func setup(t testing.TB, m *plugin.Module) lab.Setup {
	t.Helper()
	b, err := m.Manifest().Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	x := lab.Extension{New: func() (hook.Extension, error) { return m.New() }, Config: b}
	end := lab.End{Extensions: []lab.Extension{x}}
	return lab.Setup{Name: "fec", Client: end, Server: end}
}

// grid compares transfers of one size over points networks.
func grid(t *testing.T, m *plugin.Module, size int64, points, runs int) *lab.Comparison {
	t.Helper()
	var list []*lab.Scenario
	for _, s := range lab.Grid(1, points) {
		s = s.With(size)
		s.Repeat = runs
		list = append(list, s)
	}
	c, err := lab.Compare(t.Context(), list, lab.Setup{}, setup(t, m), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestShortTransfersAreFasterInMostNetworks takes 40 networks that fill the ranges over which PQUIC's forward erasure correction was measured.
func TestShortTransfersAreFasterInMostNetworks(t *testing.T) {
	for size, least := range map[int64]float64{30_000: 0.66, 50_000: 0.66} {
		if s := grid(t, load(t), size, 40, 7).Summary(); s.Share() < least {
			t.Errorf("%d bytes are faster in %d of %d networks, want %v of them", size, s.Faster, s.Scenarios, least)
		}
	}
}

// hurts reports whether loss shows in the median without the plugin: beyond the time that a transfer takes without any.
func hurts(t *testing.T, p *lab.Pair) bool {
	t.Helper()
	network := *p.Scenario.Network
	for side := range network.Link {
		network.Link[side].Loss = 0
	}
	s := *p.Scenario
	s.Network, s.Repeat = &network, 1
	r, err := lab.Run(t.Context(), &s, lab.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	return float64(quantile(p.A.Times(), 0.5)) > float64(r.Times()[0])*(1+lab.SameWithin)
}

// TestTheGrid goes over the whole grid and writes the plots.
func TestTheGrid(t *testing.T) {
	if *gridRuns == 0 {
		t.Skip("takes minutes: -grid 41 makes the plots of README.md")
	}
	m := load(t)
	var groups []lab.RatioGroup
	faster, all := 0, 0
	for _, size := range gridSizes {
		c := grid(t, m, size, lab.GridPoints, *gridRuns)
		s := c.Summary()
		hurt, tails := 0, 0
		for i := range c.Pairs {
			p := &c.Pairs[i]
			if hurts(t, p) {
				hurt++
			}
			if quantile(p.B.Times(), 0.95) < quantile(p.A.Times(), 0.95) {
				tails++
			}
		}
		faster, all = faster+s.Faster, all+s.Scenarios
		fmt.Printf("%d bytes: median faster in %d, same in %d, slower in %d of %d; loss shows in %d; ratio %.3f %.3f %.3f; 95th percentile faster in %d\n",
			size, s.Faster, s.Same, s.Slower, s.Scenarios, hurt, s.P10, s.Median, s.P90, tails)
		groups = append(groups, lab.RatioGroup{Name: fmt.Sprintf("%d kB", size/1000), Comparison: c})
	}
	fmt.Printf("all: %d of %d, %.0f %%\n", faster, all, 100*float64(faster)/float64(all))
	var b bytes.Buffer
	if err := lab.PlotRatios(&b, "Forward error correction on short transfers", groups...); err != nil {
		t.Fatal(err)
	}
	write(t, "grid.svg", &b)
}

// TestTheTimes draws the completion times of short transfers when 5 % are lost on a path of 100 ms.
func TestTheTimes(t *testing.T) {
	if *gridRuns == 0 {
		t.Skip("takes a minute: -grid 41 makes the plots of README.md")
	}
	m := load(t)
	s, err := lab.ParseScenario("link --delay=50ms --bandwidth=10Mbps --queue=100 --loss=5 --size=20kB --repeat=1000")
	if err != nil {
		t.Fatal(err)
	}
	c, err := lab.Compare(t.Context(), []*lab.Scenario{s}, lab.Setup{}, setup(t, m), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Pairs[0].A, c.Pairs[0].B
	for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
		fmt.Printf("%s: quantile %v: %v without, %v with\n", s, q, quantile(a.Times(), q), quantile(b.Times(), q))
	}
	var out bytes.Buffer
	if err := lab.PlotTimes(&out, "20 kB over 100 ms with 5 % loss", a, b); err != nil {
		t.Fatal(err)
	}
	write(t, "times.svg", &out)
}

func write(t *testing.T, name string, b *bytes.Buffer) {
	t.Helper()
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
