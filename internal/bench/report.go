package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row compares one figure of Quiver with that of another stack.
type Row struct {
	Work    string  `json:"work"`
	Over    string  `json:"over"`
	Pinned  bool    `json:"pinned"`
	Metric  string  `json:"metric"`
	Against string  `json:"against"` // a stack, "own full", or empty: nothing
	Ours    float64 `json:"ours"`    // median
	Theirs  float64 `json:"theirs"`  // median; 0 = none
	// Ratio is ours divided by theirs, round by round: median, least and most.
	Ratio  float64 `json:"ratio"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"` // in which both ran
	Target string  `json:"target,omitempty"`
	Met    bool    `json:"met"`
}

// Setting is where and how a run takes place.
type Setting struct {
	Over   string `json:"over"`
	Pinned bool   `json:"pinned"`
}

// group is the runs of one stack under the same conditions.
type group struct {
	Setting
	work, stack string
}

// Compare makes the table of all runs that succeeded.
func Compare(runs []Run) []Row {
	groups := map[group][]Run{}
	type load struct {
		Setting
		work string
	}
	var loads []load
	stacks := []string{absolute}
	for _, r := range runs {
		if r.Err != "" {
			continue
		}
		g := group{r.Setting, r.Work, r.Stack}
		groups[g] = append(groups[g], r)
		if l := (load{r.Setting, r.Work}); !slices.Contains(loads, l) {
			loads = append(loads, l)
		}
		if r.Stack != Quiver && !slices.Contains(stacks, r.Stack) {
			stacks = append(stacks, r.Stack)
		}
	}
	var rows []Row
	for _, l := range loads {
		ours := groups[group{l.Setting, l.work, Quiver}]
		for _, stack := range append(stacks, ownHandshake) {
			theirs := groups[group{l.Setting, l.work, stack}]
			if stack == ownHandshake && l.work == "resumed" {
				theirs = groups[group{l.Setting, "handshake", Quiver}]
			}
			for _, m := range metricsOf(l.work) {
				row := Row{Work: l.work, Over: l.Over, Pinned: l.Pinned, Metric: m.name, Against: stack}
				if row.fill(m, ours, theirs) {
					rows = append(rows, row)
				}
			}
		}
	}
	return rows
}

// fill computes the row; false says that there is nothing in it worth a line.
func (row *Row) fill(m metric, ours, theirs []Run) bool {
	values := func(runs []Run) (out []float64) {
		for i := range runs {
			out = append(out, m.of(&runs[i]))
		}
		return out
	}
	row.Ours, row.Theirs = median(values(ours)), median(values(theirs))
	t := targetOf(row)
	if row.Against == absolute {
		row.Rounds = len(ours)
		if t != nil {
			row.Target, row.Met = t.String(), t.met(row.Ours)
		}
		return len(ours) > 0
	}
	var ratios []float64
	for i := range ours {
		for j := range theirs {
			if v := m.of(&theirs[j]); ours[i].Round == theirs[j].Round && v != 0 {
				ratios = append(ratios, m.of(&ours[i])/v)
			}
		}
	}
	if len(ratios) == 0 {
		return false
	}
	row.Rounds = len(ratios)
	row.Ratio, row.Min, row.Max = median(ratios), slices.Min(ratios), slices.Max(ratios)
	if t != nil {
		row.Target, row.Met = t.String(), t.met(row.Ratio)
	}
	return true
}

// median returns 0 for no values.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// Print writes the table.
func Print(w io.Writer, rows []Row) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\tover\tcpus\tfigure\tquiver\tagainst\ttheirs\tratio [min-max]\ttarget\tmet")
	for _, r := range rows {
		cpus := "shared"
		if r.Pinned {
			cpus = "apart"
		}
		against, theirs, ratio, target, met := "-", "-", "-", "-", "-"
		if r.Against != absolute {
			against, theirs = r.Against, number(r.Theirs)
			ratio = fmt.Sprintf("%.2f [%.2f-%.2f]", r.Ratio, r.Min, r.Max)
		}
		if r.Target != "" {
			target, met = r.Target, "no"
			if r.Met {
				met = "yes"
			}
		}
		fmt.Fprintln(t, strings.Join([]string{r.Work, r.Over, cpus, r.Metric, number(r.Ours), against, theirs, ratio, target, met}, "\t"))
	}
	t.Flush()
	_, err := io.WriteString(w, text.String())
	return err
}

// number writes three digits, or all before the point.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
