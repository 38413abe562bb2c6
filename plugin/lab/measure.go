package lab

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Measure is a number that a Result has, by name.
type Measure struct {
	Name, Text string
	Unit       Unit
	of         func(r *Result) float64
}

// Value returns the measure of r, NaN if r has none. Times are in seconds, rates in bit/s.
func (m *Measure) Value(r *Result) float64 { return m.of(r) }

// Measures lists what assertions can name. Besides, pNN is the NN-th percentile of the completion times, and metric.NAME is the sum of a
// number that an extension keeps, over both ends and all repetitions.
func Measures() []Measure { return slices.Clone(measures) }

var measures = []Measure{
	{"median", "half of the flows took no longer", Time, percentile(50)},
	{"p95", "95 % of the flows took no longer; so for p1 to p99", Time, percentile(95)},
	{"mean", "mean completion time of the flows", Time, meanTime},
	{"min", "least completion time", Time, percentile(0)},
	{"max", "largest completion time", Time, percentile(100)},
	{"first", "median time until the first byte of a flow", Time, firstByte},
	{"handshake", "median time until the handshake was complete", Time, handshake},
	{"rtt", "mean round-trip time that the sender saw, if there are samples", Time, meanRTT},
	{"goodput", "median over repetitions: bytes of the flows by the time from the first's beginning to the last's end", Rate, goodput},
	{"failed", "flows that were not completed", Number, func(r *Result) float64 { return float64(r.failures()) }},

	{"sent", "bytes that both ends sent, mean of a repetition", Bytes, perRun(func(e *EndResult) uint64 { return e.BytesSent })},
	{"retransmitted", "bytes of streams and handshake sent more than once, mean of a repetition", Bytes, perRun(func(e *EndResult) uint64 { return e.BytesResent })},
	{"packets", "packets that both ends sent, mean of a repetition", Number, perRun(func(e *EndResult) uint64 { return e.PacketsSent })},
	{"lost", "packets declared lost, mean of a repetition", Number, perRun(func(e *EndResult) uint64 { return e.PacketsLost })},
	{"spurious", "packets declared lost that arrived, mean of a repetition", Number, perRun(func(e *EndResult) uint64 { return e.PacketsSpurious })},
	{"timeouts", "probe timeouts, mean of a repetition", Number, perRun(func(e *EndResult) uint64 { return e.ProbeTimeouts })},

	{"faults", "faults of extensions, in all repetitions", Number, sum(func(x *hook.ExtensionStats) uint64 { return x.Faults })},
	{"detached", "extensions that were over before the connection was, in all repetitions", Number, sum(detachedEarly)},
	{"calls", "calls of extensions, in all repetitions", Number, sum(func(x *hook.ExtensionStats) uint64 { return x.Calls })},
	{"fuel.max", "instructions of the most expensive call", Number, most(func(x *hook.ExtensionStats) uint64 { return x.MaxFuel })},
	{"fuel.mean", "mean instructions of a call", Number, fuelMean},
	{"fuel", "instructions, mean of a repetition", Number, perRun(ofExtensions(func(x *hook.ExtensionStats) uint64 { return x.Fuel }))},
	{"memory", "most bytes that an extension held", Bytes, most(func(x *hook.ExtensionStats) uint64 { return uint64(max(x.Memory, 0)) })},
	{"frames", "frames that extensions wrote, mean of a repetition", Number, perRun(ofExtensions(func(x *hook.ExtensionStats) uint64 { return x.FramesWritten }))},
	{"frames.lost", "of these, those whose packet was lost, mean of a repetition", Number, perRun(ofExtensions(func(x *hook.ExtensionStats) uint64 { return x.FramesLost }))},
	{"frames.bytes", "bytes of these frames, mean of a repetition", Bytes, perRun(ofExtensions(func(x *hook.ExtensionStats) uint64 { return x.BytesWritten }))},
	{"recovered", "packets that extensions recovered, mean of a repetition", Number, perRun(ofExtensions(func(x *hook.ExtensionStats) uint64 { return x.Recovered }))},
	{"starved", "longest time that reservations waited while packets left", Time, starved},
}

// metricPrefix begins the name of an extension's own number.
const metricPrefix = "metric."

// FindMeasure finds a measure by its name.
func FindMeasure(name string) (Measure, bool) {
	for _, m := range measures {
		if m.Name == name {
			return m, true
		}
	}
	if p, ok := strings.CutPrefix(name, "p"); ok {
		if n, err := strconv.Atoi(p); err == nil && n >= 1 && n <= 99 && p == strconv.Itoa(n) {
			return Measure{name, fmt.Sprintf("%d %% of the flows took no longer", n), Time, percentile(n)}, true
		}
	}
	if id, ok := strings.CutPrefix(name, metricPrefix); ok && id != "" {
		return Measure{name, "a number that an extension keeps, in all repetitions", Number, metric(id)}, true
	}
	return Measure{}, false
}

func percentile(n int) func(*Result) float64 {
	return func(r *Result) float64 { return quantile(r.Times(), float64(n)/100) / float64(time.Second) }
}

func meanTime(r *Result) float64 {
	times := r.Times()
	total := 0.0
	for _, t := range times {
		total += t.Seconds()
	}
	return total / float64(len(times))
}

func firstByte(r *Result) float64 {
	var list []float64
	for i := range r.Repetitions {
		for _, f := range r.Repetitions[i].Flows {
			if f.First > 0 {
				list = append(list, f.First.Seconds())
			}
		}
	}
	return median(list)
}

func handshake(r *Result) float64 {
	var list []float64
	for i := range r.Repetitions {
		if t := r.Repetitions[i].Handshake; t > 0 {
			list = append(list, t.Seconds())
		}
	}
	return median(list)
}

func goodput(r *Result) float64 {
	var list []float64
	for i := range r.Repetitions {
		list = append(list, r.Repetitions[i].Goodput())
	}
	return median(list)
}

// meanRTT is the mean over the time series of all repetitions; NaN without one.
func meanRTT(r *Result) float64 {
	total, n := 0.0, 0
	for i := range r.Repetitions {
		for _, s := range r.Repetitions[i].Series {
			if s.RTT > 0 {
				total, n = total+s.RTT.Seconds(), n+1
			}
		}
	}
	return total / float64(n)
}

// Goodput returns the bytes of the flows by the time that they took, in bit/s.
func (r *Repetition) Goodput() float64 {
	if r.Busy <= 0 {
		return 0
	}
	return 8 * float64(r.Delivered) / r.Busy.Seconds()
}

// perRun is a count of both ends, as the mean over the repetitions.
func perRun(of func(*EndResult) uint64) func(*Result) float64 {
	return func(r *Result) float64 {
		total := 0.0
		for _, e := range r.ends() {
			total += float64(of(e))
		}
		return total / float64(len(r.Repetitions))
	}
}

func ofExtensions(of func(*hook.ExtensionStats) uint64) func(*EndResult) uint64 {
	return func(e *EndResult) (n uint64) {
		for i := range e.Extensions {
			n += of(&e.Extensions[i])
		}
		return n
	}
}

func sum(of func(*hook.ExtensionStats) uint64) func(*Result) float64 {
	return func(r *Result) (n float64) {
		for _, e := range r.ends() {
			n += float64(ofExtensions(of)(e))
		}
		return n
	}
}

func most(of func(*hook.ExtensionStats) uint64) func(*Result) float64 {
	return func(r *Result) (n float64) {
		for _, e := range r.ends() {
			for i := range e.Extensions {
				n = max(n, float64(of(&e.Extensions[i])))
			}
		}
		return n
	}
}

func detachedEarly(x *hook.ExtensionStats) uint64 {
	if x.Detached && x.Why != hook.DetachClosed {
		return 1
	}
	return 0
}

func fuelMean(r *Result) float64 {
	calls := sum(func(x *hook.ExtensionStats) uint64 { return x.Calls })(r)
	if calls == 0 {
		return 0
	}
	return sum(func(x *hook.ExtensionStats) uint64 { return x.Fuel })(r) / calls
}

func starved(r *Result) float64 {
	return most(func(x *hook.ExtensionStats) uint64 { return uint64(max(x.Starved, 0)) })(r) / float64(time.Second)
}

// metric returns the sum of an extension's number; NaN if no extension keeps one of that name.
func metric(name string) func(*Result) float64 {
	return func(r *Result) float64 {
		total, found := 0.0, false
		for _, e := range r.ends() {
			for i := range e.Extensions {
				for _, m := range e.Extensions[i].Metrics {
					if m.Name == name {
						total, found = total+float64(m.Value), true
					}
				}
			}
		}
		if !found {
			return math.NaN()
		}
		return total
	}
}

// Value is a measure of a Result, for programs.
type Value struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"` // s, B, bit/s
	Value float64 `json:"value"`
}

// Values returns all measures of Measures that r has.
func (r *Result) Values() []Value {
	var list []Value
	for i := range measures {
		if x := measures[i].Value(r); !math.IsNaN(x) && !math.IsInf(x, 0) {
			list = append(list, Value{measures[i].Name, [...]string{"", "s", "B", "bit/s"}[measures[i].Unit], x})
		}
	}
	return list
}
