package lab

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// RatioGroup is a column of PlotRatios.
type RatioGroup struct {
	Name string // "50 kB"
	*Comparison
}

// PlotRatios writes an SVG with a column for each group and in it a point for each scenario: the median completion time with B divided by
// that with A. In a column the points lie from the least loss to the greatest. A bar marks the median, a band the 10th to the 90th percentile.
func PlotRatios(w io.Writer, title string, groups ...RatioGroup) error {
	least, most := 1.0, 1.0
	points := 0
	for _, g := range groups {
		for i := range g.Pairs {
			if r := g.Pairs[i].Ratio; r > 0 && !math.IsInf(r, 0) {
				least, most = min(least, r), max(most, r)
				points++
			}
		}
	}
	if points == 0 {
		return errNothing
	}
	a, b := groups[0].A, groups[0].B
	d := newDrawing(plotWidth, marginTop+ratiosHeight+marginBottom+34, title)
	d.text("title", "start", marginLeft, titleLine, title)
	d.text("note", "start", marginLeft, noteLine, fmt.Sprintf("a point is a scenario, from the least loss (left) to the greatest; below 1, %s is faster than %s", b, a))
	f := &frame{d: d, left: marginLeft, top: marginTop, width: plotWidth - marginLeft - marginRight, height: ratiosHeight,
		y: logarithmic(fmt.Sprintf("median time with %s / with %s", b, a), Number, least, most), inPlace: true}
	f.draw()
	d.line("even", f.left, f.py(1), f.left+f.width, f.py(1))
	column := f.width / float64(len(groups))
	for i, g := range groups {
		f.ratios(g, f.left+column*float64(i), column)
	}
	return d.writeTo(w)
}

// ratios draws one column.
func (f *frame) ratios(g RatioGroup, left, width float64) {
	const pad = 14.0
	s := g.Summary()
	if s.Scenarios > 0 {
		f.d.rect("band f0", left+pad, f.py(s.P90), width-2*pad, max(f.py(s.P10)-f.py(s.P90), 1))
		f.d.line("mid c0", left+pad, f.py(s.Median), left+width-pad, f.py(s.Median))
	}
	order := make([]*Pair, 0, len(g.Pairs))
	for i := range g.Pairs {
		if r := g.Pairs[i].Ratio; r > 0 && !math.IsInf(r, 0) {
			order = append(order, &g.Pairs[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *Pair) int {
		switch la, lb := a.Scenario.Loss(), b.Scenario.Loss(); {
		case la < lb:
			return -1
		case la > lb:
			return 1
		}
		return 0
	})
	for i, p := range order {
		x := left + 1.5*pad + (width-3*pad)*(float64(i)+0.5)/float64(len(order))
		class := "dot same"
		switch {
		case p.Ratio < 1-SameWithin:
			class = "dot f2"
		case p.Ratio > 1+SameWithin:
			class = "dot f1"
		}
		sc := p.Scenario
		f.d.dot(class, x, f.py(p.Ratio), 3, fmt.Sprintf("%s: %s (%s, RTT %s, loss %s%%)", sc.Name, digits(roundTo(p.Ratio, 3)),
			Rate.Format(float64(sc.Rate())), Time.Format(sc.RTT().Seconds()), digits(roundTo(100*sc.Loss(), 2))))
	}
	middle := left + width/2
	if s.Scenarios > 0 {
		f.d.text("note", "middle", middle, f.top+f.height+36, fmt.Sprintf("median %s", digits(roundTo(s.Median, 3))))
		f.d.text("note", "middle", middle, f.top+f.height+52, fmt.Sprintf("%.0f %% faster, %.0f %% slower", 100*s.Share(), 100*float64(s.Slower)/float64(s.Scenarios)))
	}
	f.d.text("name", "middle", middle, f.top+f.height+18, g.Name)
}
