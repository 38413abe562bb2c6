package bench

import (
	"fmt"

	"github.com/seed51309289/quiver/peers/perf"
)

// metric is one figure of a run.
type metric struct {
	name string
	of   func(*Run) float64
}

const (
	cpuPerGiB  = "CPU-s/GiB"
	cpuPerOp   = "CPU us/op"
	rate       = "Mbit/s"
	medianTime = "p50 us"
	tailTime   = "p99 us"
	heap       = "heap B"
	goroutines = "goroutines"
	resident   = "RSS B"
)

// metricsOf returns what counts in a work.
func metricsOf(work string) []metric {
	switch {
	case bulk(work):
		return []metric{
			{cpuPerGiB, func(r *Run) float64 { return (r.ServerCPU + r.ClientCPU) / float64(r.N) * (1 << 30) }},
			{rate, func(r *Run) float64 { return float64(r.N) * 8 / r.Seconds / 1e6 }},
		}
	case work == perf.Idle:
		return []metric{
			{heap, func(r *Run) float64 { return r.perConn(r.Idle.Heap, r.Empty.Heap) }},
			{goroutines, func(r *Run) float64 {
				// One is the application's own: it waits for streams.
				return r.perConn(uint64(r.Idle.Goroutines), uint64(r.Empty.Goroutines)) - 1
			}},
			{resident, func(r *Run) float64 { return r.perConn(r.Idle.RSS, r.Empty.RSS) }},
		}
	}
	return []metric{
		{cpuPerOp, func(r *Run) float64 { return (r.ServerCPU + r.ClientCPU) / float64(r.N) * 1e6 }},
		{medianTime, func(r *Run) float64 { return r.P50 }},
		{tailTime, func(r *Run) float64 { return r.P99 }},
	}
}

// perConn returns how much more there is with connections than without, for each.
func (r *Run) perConn(with, without uint64) float64 {
	return (float64(with) - float64(without)) / float64(r.N)
}

// own is what a target compares with where it is no other stack.
const (
	ownHandshake = "own full" // Quiver's full handshakes of the same round
	absolute     = ""
)

// target is a figure that Quiver wants to reach: a ratio to another stack's, or
// with absolute the figure itself.
type target struct {
	work, over string
	pinned     bool
	metric     string
	against    string
	bound      float64
	least      bool // bound is the least, not the most
}

var targets = []target{
	{work: "down", over: Loopback, pinned: true, metric: cpuPerGiB, against: QuicGo, bound: 0.38},
	{work: "down", over: Loopback, pinned: true, metric: cpuPerGiB, against: TLS, bound: 1.0},
	{work: "down", over: Loopback, pinned: true, metric: rate, against: QuicGo, bound: 2.5, least: true},
	{work: "down", over: Loopback, pinned: false, metric: cpuPerGiB, against: QuicGo, bound: 0.30},
	{work: "down100", over: Loopback, pinned: true, metric: cpuPerGiB, against: QuicGo, bound: 0.40},
	{work: "up", over: Loopback, pinned: true, metric: cpuPerGiB, against: QuicGo, bound: 0.40},
	{work: "down", over: Veth, pinned: true, metric: cpuPerGiB, against: QuicGo, bound: 0.58},
	{work: "down", over: Veth, pinned: true, metric: cpuPerGiB, against: TLS, bound: 0.87},
	{work: "rr32", over: Loopback, pinned: true, metric: cpuPerOp, against: QuicGo, bound: 0.40},
	{work: "rr1", over: Loopback, pinned: true, metric: cpuPerOp, against: QuicGo, bound: 0.60},
	{work: "pingpong", over: Loopback, pinned: true, metric: medianTime, against: TLS, bound: 1.0},
	{work: "handshake", over: Loopback, pinned: true, metric: cpuPerOp, against: QuicGo, bound: 0.85},
	{work: "resumed", over: Loopback, pinned: true, metric: cpuPerOp, against: ownHandshake, bound: 0.75},
	{work: "idle", over: Loopback, pinned: true, metric: heap, against: absolute, bound: 6000},
	{work: "idle", over: Loopback, pinned: true, metric: goroutines, against: absolute, bound: 0},
	{work: "idle", over: Loopback, pinned: true, metric: resident, against: QuicGo, bound: 0.2},
}

// slack is what rounding, and a goroutine of the program itself, may add to a
// figure that shall be zero.
const slack = 0.01

func (t *target) met(v float64) bool {
	if t.least {
		return v >= t.bound
	}
	return v <= max(t.bound, slack)
}

func (t *target) String() string {
	sign := "<="
	if t.least {
		sign = ">="
	}
	return fmt.Sprintf("%s %.4g", sign, t.bound)
}

// targetOf returns the target of a row, nil if it has none.
func targetOf(r *Row) *target {
	for i := range targets {
		t := &targets[i]
		if t.work == r.Work && t.over == r.Over && t.pinned == r.Pinned && t.metric == r.Metric && t.against == r.Against {
			return t
		}
	}
	return nil
}
