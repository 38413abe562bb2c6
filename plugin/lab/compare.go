package lab

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Comparison is what Compare found.
type Comparison struct {
	A, B  string // names of the setups
	Pairs []Pair // in the order of the scenarios
}

// Pair is one scenario with both setups.
type Pair struct {
	Scenario *Scenario
	A, B     *Result
	// Ratio is the median completion time with B divided by that with A. A value below 1 says that B was faster. NaN if there is none.
	Ratio float64
}

// Compare carries every scenario out with both setups, in pairs of the same seed: packets of the same numbers are lost in both. It uses all
// processors, and ends with ctx's error when ctx does.
func Compare(ctx context.Context, scenarios []*Scenario, a, b Setup, opts Options) (*Comparison, error) {
	if len(scenarios) == 0 {
		return nil, fmt.Errorf("lab: no scenario to compare %s and %s with", a.Title(), b.Title())
	}
	work, err := newBatch(scenarios, []Setup{a, b})
	if err != nil {
		return nil, err
	}
	if err := work.run(ctx, opts); err != nil {
		return nil, err
	}
	c := &Comparison{A: a.Title(), B: b.Title()}
	for i, s := range scenarios {
		p := Pair{Scenario: s, A: work.results[i][0], B: work.results[i][1]}
		p.Ratio = percentile(50)(p.B) / percentile(50)(p.A)
		c.Pairs = append(c.Pairs, p)
	}
	return c, nil
}

// Ratios returns for each repetition how long the flows took with B divided by how long they took with A, with the same seed.
func (p *Pair) Ratios() []float64 {
	var list []float64
	for i := range p.A.Repetitions {
		a, b := p.A.Repetitions[i].total(), p.B.Repetitions[i].total()
		if a > 0 {
			list = append(list, float64(b)/float64(a))
		}
	}
	return list
}

// total returns the sum of the times of all flows.
func (r *Repetition) total() (sum time.Duration) {
	for _, f := range r.Flows {
		sum += f.Took
	}
	return sum
}

// Summary says how B did against A over all scenarios.
type Summary struct {
	Scenarios            int
	Faster, Same, Slower int // scenarios in which the ratio is below, within and above 1 ± SameWithin
	P10, Median, P90     float64
}

// SameWithin is how far a ratio may be from 1 to count as the same.
const SameWithin = 0.001

// Share returns the part of the scenarios in which B was faster, 0..1.
func (s *Summary) Share() float64 { return float64(s.Faster) / float64(max(s.Scenarios, 1)) }

// Summary sums up the ratios of all pairs.
func (c *Comparison) Summary() Summary {
	var list []float64
	var s Summary
	for i := range c.Pairs {
		r := c.Pairs[i].Ratio
		if math.IsNaN(r) {
			continue
		}
		list = append(list, r)
		switch {
		case r < 1-SameWithin:
			s.Faster++
		case r > 1+SameWithin:
			s.Slower++
		default:
			s.Same++
		}
	}
	slices.Sort(list)
	s.Scenarios = len(list)
	s.P10, s.Median, s.P90 = quantile(list, 0.1), quantile(list, 0.5), quantile(list, 0.9)
	return s
}
