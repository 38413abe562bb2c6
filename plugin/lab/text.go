package lab

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/seed51309289/quiver/hook"
)

// bars are what a sparkline consists of.
var bars = []rune("▁▂▃▄▅▆▇█")

// Sparkline writes values as a row of at most width bars, from 0 to the greatest value. Where several values share a bar it shows the greatest
// of them. NaN is a space.
func Sparkline(values []float64, width int) string {
	width = min(width, len(values))
	top := 0.0
	for _, v := range values {
		if v > top {
			top = v
		}
	}
	var b strings.Builder
	for i := range width {
		peak := math.NaN()
		for _, v := range values[i*len(values)/width : (i+1)*len(values)/width] {
			if !(peak >= v) {
				peak = v
			}
		}
		switch {
		case math.IsNaN(peak):
			b.WriteByte(' ')
		case top == 0:
			b.WriteRune(bars[0])
		default:
			b.WriteRune(bars[max(0, min(len(bars)-1, int(peak/top*float64(len(bars)))))])
		}
	}
	return b.String()
}

// sparkWidth is that of the sparklines in tables.
const sparkWidth = 60

// shown are the measures that WriteResults shows of every result; those of extensions only where there are some.
var shown = []string{"median", "p95", "max", "first", "handshake", "rtt", "goodput", "sent", "retransmitted", "lost", "timeouts", "failed",
	"frames", "frames.bytes", "frames.lost", "recovered", "calls", "fuel.mean", "fuel.max", "memory", "faults", "detached"}

// firstOfExtensions is where in shown those of extensions begin.
const firstOfExtensions = 12

// WriteResults writes a table of measures, a column for each result, all of one scenario. With two, a third column has the change.
func WriteResults(w io.Writer, results ...*Result) error {
	t := newTable(w)
	t.cell("")
	for _, r := range results {
		t.cell(r.Setup)
	}
	if len(results) == 2 {
		t.cell("change")
	}
	t.end()
	for i, name := range shown {
		if i >= firstOfExtensions && !anyExtension(results) {
			break
		}
		m, _ := FindMeasure(name)
		t.cell(name)
		for _, r := range results {
			t.cell(m.Unit.Format(m.Value(r)))
		}
		if len(results) == 2 {
			t.cell(change(m.Value(results[0]), m.Value(results[1])))
		}
		t.end()
	}
	return t.flush()
}

func anyExtension(results []*Result) bool {
	for _, r := range results {
		for _, e := range r.ends() {
			if len(e.Extensions) > 0 {
				return true
			}
		}
	}
	return false
}

// change writes b as a difference from a, in percent.
func change(a, b float64) string {
	if a == b || math.IsNaN(a) || math.IsNaN(b) || a == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f%%", 100*(b/a-1))
}

// WriteSeries writes a time series as sparklines, a row for each of window, bytes in flight, round-trip time and delivered bytes.
func WriteSeries(w io.Writer, traces ...Trace) error {
	t := newTable(w)
	for _, q := range quantities {
		for _, tr := range traces {
			values := make([]float64, len(tr.Series))
			top := math.NaN()
			for i := range tr.Series {
				values[i] = q.value(&tr.Series[i])
				if !(top >= values[i]) {
					top = values[i]
				}
			}
			t.cell(q.name)
			t.cell(tr.Name)
			t.cell(Sparkline(values, sparkWidth))
			t.cell("max " + q.unit.Format(top))
			t.end()
		}
	}
	return t.flush()
}

// Write writes a table with a row for each scenario, and a line that sums up.
func (c *Comparison) Write(w io.Writer) error {
	t := newTable(w)
	for _, head := range []string{"scenario", "rate", "RTT", "loss", "bytes", "median " + c.A, "median " + c.B, "p95 " + c.A, "p95 " + c.B, "ratio"} {
		t.cell(head)
	}
	t.end()
	med, p95 := percentile(50), percentile(95)
	for i := range c.Pairs {
		p := &c.Pairs[i]
		s := p.Scenario
		t.cell(s.Name)
		t.cell(Rate.Format(float64(s.Rate())))
		t.cell(Time.Format(s.RTT().Seconds()))
		t.cell(digits(roundTo(100*s.Loss(), 2)) + "%")
		t.cell(fmt.Sprint(s.Bytes()))
		for _, of := range []func(*Result) float64{med, p95} {
			t.cell(Time.Format(of(p.A)))
			t.cell(Time.Format(of(p.B)))
		}
		t.cell(fmt.Sprintf("%.3f", p.Ratio))
		t.end()
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", c.Line())
	return err
}

// Line sums a comparison up in one sentence.
func (c *Comparison) Line() string {
	s := c.Summary()
	return fmt.Sprintf("%s / %s over %d scenarios: p10 %.3f, median %.3f, p90 %.3f; faster in %d (%.0f%%), same in %d, slower in %d",
		c.B, c.A, s.Scenarios, s.P10, s.Median, s.P90, s.Faster, 100*s.Share(), s.Same, s.Slower)
}

// WriteExtensions writes a table of what the extensions of each end did and cost, summed over the repetitions.
func WriteExtensions(w io.Writer, r *Result) error {
	t := newTable(w)
	for _, head := range []string{"end", "extension", "frames", "acked", "lost", "received", "bytes", "recovered", "calls", "fuel", "fuel.max", "memory", "faults", "ended"} {
		t.cell(head)
	}
	t.end()
	for _, end := range []struct {
		name string
		of   func(*Repetition) []hook.ExtensionStats
	}{
		{"client", func(r *Repetition) []hook.ExtensionStats { return r.Client.Extensions }},
		{"server", func(r *Repetition) []hook.ExtensionStats { return r.Server.Extensions }},
	} {
		for _, x := range sumExtensions(r, end.of) {
			t.cell(end.name)
			t.cell(strings.TrimSpace(x.ID + " " + x.Version))
			for _, n := range []uint64{x.FramesWritten, x.FramesAcked, x.FramesLost, x.FramesReceived, x.BytesWritten, x.Recovered, x.Calls, x.Fuel, x.MaxFuel, uint64(max(x.Memory, 0)), x.Faults} {
				t.cell(fmt.Sprint(n))
			}
			t.cell(ended(&x))
			t.end()
		}
	}
	return t.flush()
}

// ended says why an extension was over before its connection.
func ended(x *hook.ExtensionStats) string {
	if detachedEarly(x) == 0 {
		return ""
	}
	if x.Err != nil {
		return fmt.Sprintf("%s: %v", x.Why, x.Err)
	}
	return x.Why.String()
}

// sumExtensions adds up what each extension of an end did in all repetitions. Of those that ended early it keeps the first reason.
func sumExtensions(r *Result, of func(*Repetition) []hook.ExtensionStats) (list []hook.ExtensionStats) {
	at := map[string]int{}
	for i := range r.Repetitions {
		for _, x := range of(&r.Repetitions[i]) {
			j, ok := at[x.ID]
			if !ok {
				at[x.ID] = len(list)
				list = append(list, x)
				continue
			}
			s := &list[j]
			s.FramesWritten += x.FramesWritten
			s.FramesAcked += x.FramesAcked
			s.FramesLost += x.FramesLost
			s.FramesReceived += x.FramesReceived
			s.BytesWritten += x.BytesWritten
			s.Recovered += x.Recovered
			s.Calls += x.Calls
			s.Fuel += x.Fuel
			s.Faults += x.Faults
			s.MaxFuel = max(s.MaxFuel, x.MaxFuel)
			s.Memory = max(s.Memory, x.Memory)
			if detachedEarly(s) == 0 {
				s.Detached, s.Why, s.Err = x.Detached, x.Why, x.Err
			}
		}
	}
	return list
}

// table aligns cells.
type table struct {
	w    io.Writer
	rows [][]string
	row  []string
}

func newTable(w io.Writer) *table { return &table{w: w} }

func (t *table) cell(text string) { t.row = append(t.row, text) }

func (t *table) end() {
	t.rows = append(t.rows, t.row)
	t.row = nil
}

// columnGap is between columns.
const columnGap = 2

// flush writes the rows; what would be spaces at the end of one is left out.
func (t *table) flush() error {
	var widths []int
	for _, row := range t.rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, text := range row {
			b.WriteString(text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+columnGap))
		}
		if _, err := fmt.Fprintln(t.w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
