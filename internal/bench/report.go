package bench

import (
	"fmt"
	"io"
	"slices"
)

// Summary is one stack's result for a number of streams, compared with
// Quiver's of the same rounds.
type Summary struct {
	Stack   string  `json:"stack"`
	Streams int     `json:"streams"`
	PerGiB  float64 `json:"cpu_seconds_per_gib"` // median
	Mbit    float64 `json:"mbit_per_second"`     // median
	// Ratio is Quiver's CPU time divided by this stack's, round by round.
	Ratio, RatioMin, RatioMax float64
}

// Summarize compares the runs. Quiver's own lines have ratio 1.
func Summarize(runs []Run) []Summary {
	type key struct {
		stack   string
		streams int
	}
	var order []key
	groups := map[key][]Run{}
	for _, r := range runs {
		k := key{r.Stack, r.Streams}
		if _, seen := groups[k]; !seen {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	slices.SortStableFunc(order, func(a, b key) int { return a.streams - b.streams })
	var out []Summary
	for _, k := range order {
		s := Summary{Stack: k.stack, Streams: k.streams}
		var cost, rate, ratio []float64
		for _, r := range groups[k] {
			cost = append(cost, r.PerGiB())
			rate = append(rate, float64(r.Bytes)*8/r.Seconds/1e6)
			for _, ours := range groups[key{"quiver", k.streams}] {
				if ours.Round == r.Round {
					ratio = append(ratio, ours.PerGiB()/r.PerGiB())
				}
			}
		}
		s.PerGiB, s.Mbit = median(cost), median(rate)
		if len(ratio) > 0 {
			s.Ratio, s.RatioMin, s.RatioMax = median(ratio), slices.Min(ratio), slices.Max(ratio)
		}
		out = append(out, s)
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// Print writes the summaries as a table.
func Print(w io.Writer, sums []Summary) {
	fmt.Fprintf(w, "%-8s %8s %12s %9s   %s\n", "stack", "streams", "CPU-s/GiB", "Mbit/s", "quiver's CPU / this one's, median [range]")
	for _, s := range sums {
		ratio := ""
		if s.Stack != "quiver" {
			ratio = fmt.Sprintf("%.2f [%.2f-%.2f]", s.Ratio, s.RatioMin, s.RatioMax)
		}
		fmt.Fprintf(w, "%-8s %8d %12.2f %9.0f   %s\n", s.Stack, s.Streams, s.PerGiB, s.Mbit, ratio)
	}
}
