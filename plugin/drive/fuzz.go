package drive

import (
	"context"
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// FuzzOptions say how Fuzz works.
type FuzzOptions struct {
	Seed uint64
	Time time.Duration // how long to look
	// Progress, if set, is told now and then how much of the time is over, and how many calls were made.
	Progress func(elapsed time.Duration, calls int)
}

// Report is what Fuzz found.
type Report struct {
	Episodes int // attached and detached so often
	Calls    int
	Costs    []Cost // without times
	Failures []Failure
}

// Failure is a fault of the extension. Fuzz with the same seed meets it in its first episode.
type Failure struct {
	Seed uint64
	Call int // the number of the call in the episode, from 1
	Op   hook.Op
	Told string // what the call was told
	Err  error
}

// episode is how many calls an extension gets before it is attached anew.
const episode = 400

// Fuzz calls the hooks of an extension in any order with anything that a connection might tell, until the time is over, ctx is done, or the
// extension may not be attached any more for its faults. Episode i is decided by the seed plus i.
func Fuzz(ctx context.Context, s Subject, o FuzzOptions) (*Report, error) {
	f := &fuzzer{report: &Report{}, costs: map[hook.Op]*samples{}}
	began := time.Now()
	for seed := o.Seed; ; seed++ {
		if err := f.episode(&s, seed); err != nil {
			if len(f.report.Failures) > 0 {
				break
			}
			return nil, err
		}
		elapsed := time.Since(began)
		if o.Progress != nil {
			o.Progress(elapsed, f.report.Calls)
		}
		if elapsed >= o.Time || ctx.Err() != nil {
			break
		}
	}
	for op, x := range f.costs {
		f.report.Costs = append(f.report.Costs, Cost{op, int(x.calls), 0, float64(x.fuel) / float64(x.calls), x.most})
	}
	slices.SortFunc(f.report.Costs, func(a, b Cost) int { return int(a.Op) - int(b.Op) })
	return f.report, nil
}

type fuzzer struct {
	report *Report
	costs  map[hook.Op]*samples
	call   int // of this episode
	op     hook.Op
}

// watch counts a call.
func (f *fuzzer) watch(op hook.Op, _ time.Duration, fuel uint64) {
	f.report.Calls++
	f.call++
	f.op = op
	if f.costs[op] == nil {
		f.costs[op] = &samples{}
	}
	c := f.costs[op]
	c.calls++
	c.fuel += fuel
	c.most = max(c.most, fuel)
}

// episode drives one instance. The error says that it could not be attached.
func (f *fuzzer) episode(s *Subject, seed uint64) error {
	f.call = 0
	d, err := start(s, seed, true, f.watch)
	if err != nil {
		return err
	}
	f.report.Episodes++
	d.control()
	var declared []event
	for i := range events {
		if d.hooked(events[i].op) {
			declared = append(declared, events[i])
		}
	}
	for range episode {
		if len(declared) == 0 || d.conn.fault != nil {
			break
		}
		d.pass()
		if d.chance(20) {
			d.makePayload()
		}
		declared[d.rng.IntN(len(declared))].let(d)
	}
	f.end(d, seed)
	return nil
}

// end detaches, and takes a fault down.
func (f *fuzzer) end(d *driver, seed uint64) {
	told := d.told()
	d.stop()
	if d.conn.fault != nil {
		f.report.Failures = append(f.report.Failures, Failure{seed, f.call, f.op, told, d.conn.fault})
	}
}
