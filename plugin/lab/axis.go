package lab

import (
	"fmt"
	"math"
)

// axis maps values to 0..1.
type axis struct {
	lo, hi float64
	log    bool
	unit   Unit
	name   string
}

// linear returns an axis from 0, or from near the least value if from0 is false, to a round value at or above hi.
func linear(name string, unit Unit, lo, hi float64, from0 bool) axis {
	if from0 {
		lo = 0
	}
	if !(hi > lo) {
		hi = lo + 1
	}
	a := axis{lo: lo, hi: hi, unit: unit, name: name}
	step := a.step()
	a.lo, a.hi = math.Floor(lo/step+1e-9)*step, math.Ceil(hi/step-1e-9)*step
	return a
}

// logarithmic returns an axis that has lo and hi within; both are above 0.
func logarithmic(name string, unit Unit, lo, hi float64) axis {
	if !(hi > lo) {
		lo, hi = lo/1.1, lo*1.1
	}
	margin := math.Pow(hi/lo, 0.03)
	return axis{lo: lo / margin, hi: hi * margin, log: true, unit: unit, name: name}
}

func (a *axis) at(x float64) float64 {
	if a.log {
		return math.Log(x/a.lo) / math.Log(a.hi/a.lo)
	}
	return (x - a.lo) / (a.hi - a.lo)
}

// wantTicks is about how many ticks an axis gets.
const wantTicks = 5

// step returns the distance of ticks: 1, 2 or 5 times a power of ten, in the unit that the axis is labelled in.
func (a *axis) step() float64 {
	factor := a.scale().factor
	raw := (a.hi - a.lo) / wantTicks / factor
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power*1.0001 {
			return m * power * factor
		}
	}
	return 10 * power * factor
}

func (a *axis) scale() scale { return a.unit.scaleFor(a.hi) }

// ticks returns the values that get a label.
func (a *axis) ticks() (list []float64) {
	if !a.log {
		step := a.step()
		for i := math.Ceil(a.lo/step - 1e-9); i*step <= a.hi+step*1e-6; i++ {
			list = append(list, i*step)
		}
		return list
	}
	for _, steps := range [][]float64{{1}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}, {1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 9.5}} {
		list = list[:0]
		for power := math.Pow(10, math.Floor(math.Log10(a.lo))); power <= a.hi; power *= 10 {
			for _, m := range steps {
				if x := m * power; x >= a.lo && x <= a.hi {
					list = append(list, x)
				}
			}
		}
		if len(list) >= 4 {
			break
		}
	}
	return list
}

// label writes a tick without its unit, which the title of the axis tells.
func (a *axis) label(x float64) string { return digits(roundTo(x/a.scale().factor, 4)) }

func roundTo(x float64, decimals int) float64 {
	p := math.Pow(10, float64(decimals))
	return math.Round(x*p) / p
}

func (a *axis) title() string {
	if s := a.scale().name; s != "" {
		return fmt.Sprintf("%s, %s", a.name, s)
	}
	return a.name
}

// frame is a rectangle of a drawing with its axes.
type frame struct {
	d              *drawing
	left, top      float64
	width, height  float64
	x, y           axis
	hideX, inPlace bool // hideX: the axis is that of the frame below
}

func (f *frame) px(x float64) float64 { return f.left + f.width*f.x.at(x) }
func (f *frame) py(y float64) float64 { return f.top + f.height*(1-f.y.at(y)) }

// draw writes grid, ticks and titles.
func (f *frame) draw() {
	for _, v := range f.y.ticks() {
		f.d.line("grid", f.left, f.py(v), f.left+f.width, f.py(v))
		f.d.text("note", "end", f.left-6, f.py(v)+4, f.y.label(v))
	}
	f.d.upright("", f.left-52, f.top+f.height/2, f.y.title())
	f.d.line("axis", f.left, f.top, f.left, f.top+f.height)
	f.d.line("axis", f.left, f.top+f.height, f.left+f.width, f.top+f.height)
	if f.inPlace {
		return
	}
	for _, v := range f.x.ticks() {
		f.d.line("grid", f.px(v), f.top, f.px(v), f.top+f.height)
		if !f.hideX {
			f.d.text("note", "middle", f.px(v), f.top+f.height+16, f.x.label(v))
		}
	}
	if !f.hideX {
		f.d.text("", "middle", f.left+f.width/2, f.top+f.height+36, f.x.title())
	}
}
