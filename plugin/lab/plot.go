package lab

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Trace is a time series with a name.
type Trace struct {
	Name   string
	Series []Sample
}

// quantity is one of the things that a time series tells.
type quantity struct {
	name  string
	unit  Unit
	value func(s *Sample) float64
}

var quantities = []quantity{
	{"window", Bytes, func(s *Sample) float64 { return float64(s.Window) }},
	{"in flight", Bytes, func(s *Sample) float64 { return float64(s.InFlight) }},
	{"smoothed RTT", Time, func(s *Sample) float64 {
		if s.RTT == 0 {
			return math.NaN()
		}
		return s.RTT.Seconds()
	}},
	{"delivered", Bytes, func(s *Sample) float64 { return float64(s.Delivered) }},
}

// Places on a plot, in pixels.
const (
	plotWidth                       = 820
	marginLeft, marginRight         = 78, 24
	marginTop, marginBottom         = 56, 48
	panelHeight, panelGap           = 130, 22
	timesHeight, ratiosHeight       = 300, 340
	titleLine, legendLine, noteLine = 24, 20, 44
)

var errNothing = errors.New("lab: nothing to plot")

func tooMany(n int) error {
	return fmt.Errorf("lab: %d runs in one plot, want at most %d", n, maxLines)
}

// PlotSeries writes an SVG of congestion window, bytes in flight, round-trip time and delivered bytes over time, up to four runs on top of
// each other.
func PlotSeries(w io.Writer, title string, traces ...Trace) error {
	if len(traces) > maxLines {
		return tooMany(len(traces))
	}
	var end time.Duration
	var names []string
	for _, t := range traces {
		names = append(names, t.Name)
		if n := len(t.Series); n > 0 {
			end = max(end, t.Series[n-1].At)
		}
	}
	if end == 0 {
		return errNothing
	}
	height := marginTop + float64(len(quantities))*(panelHeight+panelGap) - panelGap + marginBottom
	d := newDrawing(plotWidth, height, title)
	d.text("title", "start", marginLeft, titleLine, title)
	d.legend(plotWidth-marginRight, legendLine, names)
	x := linear("time", Time, 0, end.Seconds(), true)
	x.hi = end.Seconds()
	for i, q := range quantities {
		top := 0.0
		for _, t := range traces {
			for j := range t.Series {
				if v := q.value(&t.Series[j]); v > top {
					top = v
				}
			}
		}
		f := &frame{d: d, left: marginLeft, top: marginTop - 8 + float64(i)*(panelHeight+panelGap), width: plotWidth - marginLeft - marginRight, height: panelHeight,
			x: x, y: linear(q.name, q.unit, 0, top, true), hideX: i < len(quantities)-1}
		f.draw()
		for j, t := range traces {
			d.path(fmt.Sprintf("line c%d d%[1]d", j), f.thin(t.Series, q.value))
		}
	}
	return d.writeTo(w)
}

// thin returns the points of a series, at most four for a column of pixels: the first, the least, the greatest and the last. Values that are NaN at the
// beginning are left out.
func (f *frame) thin(series []Sample, value func(*Sample) float64) (points []xy) {
	for len(series) > 0 && math.IsNaN(value(&series[0])) {
		series = series[1:]
	}
	at := func(i int) xy { return xy{f.px(series[i].At.Seconds()), f.py(value(&series[i]))} }
	for i := 0; i < len(series); {
		first := i
		column := math.Floor(at(i).x)
		low, high := i, i
		for ; i < len(series) && math.Floor(at(i).x) == column; i++ {
			if at(i).y < at(low).y {
				low = i
			}
			if at(i).y > at(high).y {
				high = i
			}
		}
		keep := []int{first, low, high, i - 1}
		slices.Sort(keep)
		for _, k := range slices.Compact(keep) {
			points = append(points, at(k))
		}
	}
	return points
}

// manyTimes is the ratio of the longest to the shortest time from which the axis is logarithmic.
const manyTimes = 30

// PlotTimes writes an SVG of the cumulative distribution of completion times, up to four results in one plot, with the 95th percentiles marked.
// Flows that failed are left out of the line: it ends below 1.
func PlotTimes(w io.Writer, title string, results ...*Result) error {
	if len(results) > maxLines {
		return tooMany(len(results))
	}
	least, most := math.Inf(1), 0.0
	var names []string
	for _, r := range results {
		names = append(names, r.Setup)
		for _, t := range r.completed() {
			least, most = min(least, t), max(most, t)
		}
	}
	if most == 0 {
		return errNothing
	}
	d := newDrawing(plotWidth, marginTop+timesHeight+marginBottom, title)
	d.text("title", "start", marginLeft, titleLine, title)
	d.legend(plotWidth-marginRight, legendLine, names)
	x := linear("completion time", Time, least, most, least < 0.25*most)
	if least > 0 && most > manyTimes*least {
		x = logarithmic("completion time", Time, least, most)
	}
	f := &frame{d: d, left: marginLeft, top: marginTop, width: plotWidth - marginLeft - marginRight, height: timesHeight,
		x: x, y: axis{lo: 0, hi: 1, name: "share of the flows"}}
	f.draw()
	for i, r := range results {
		f.steps(i, r)
	}
	for i, r := range results {
		f.markPercentile(i, r, len(results))
	}
	return d.writeTo(w)
}

// completed returns the times of the flows that were completed, sorted, in seconds.
func (r *Result) completed() (list []float64) {
	for i := range r.Repetitions {
		for _, f := range r.Repetitions[i].Flows {
			if f.Err == nil {
				list = append(list, f.Took.Seconds())
			}
		}
	}
	slices.Sort(list)
	return list
}

// steps draws the distribution of one result.
func (f *frame) steps(i int, r *Result) {
	times, all := r.completed(), len(r.Times())
	if len(times) == 0 {
		return
	}
	points := []xy{{f.px(times[0]), f.py(0)}}
	for j, t := range times {
		last := points[len(points)-1]
		next := xy{f.px(t), f.py(float64(j+1) / float64(all))}
		if next.x-last.x < 0.3 && last.y-next.y < 0.3 && j < len(times)-1 {
			continue // nobody would see it
		}
		points = append(points, xy{next.x, last.y}, next)
	}
	points = append(points, xy{f.left + f.width, points[len(points)-1].y})
	f.d.path(fmt.Sprintf("line c%d d%[1]d", i), points)
}

// markPercentile draws where 95 % of the flows are through, and writes the time.
func (f *frame) markPercentile(i int, r *Result, of int) {
	p95 := quantile(r.Times(), 0.95) / float64(time.Second)
	if r.failures() > 0 && p95 > f.x.hi {
		return // the percentile is a flow that was not completed
	}
	x, y := f.px(p95), f.py(0.95)
	f.d.line(fmt.Sprintf("mark c%d", i), x, y, x, f.top+f.height)
	f.d.dot(fmt.Sprintf("f%d", i), x, y, 3.5, "")
	anchor, dx := "start", 6.0
	if x > f.left+f.width-150 {
		anchor, dx = "end", -6
	}
	f.d.text("note", anchor, x+dx, f.top+f.height-10-18*float64(of-1-i), fmt.Sprintf("p95 %s: %s", r.Setup, Time.Format(p95)))
}
