package drive

import (
	"context"
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Cost is what the calls at one operation took.
type Cost struct {
	Op       hook.Op
	Calls    int
	Time     time.Duration // median of a call, with the way there and back
	FuelMean float64
	FuelMax  uint64
}

// rounds is how many round trips Bench drives.
const rounds = 3000

// Bench drives an extension through some thousand round trips and tells what each of its hooks costs, in the order of their numbers.
func Bench(ctx context.Context, s Subject) ([]Cost, error) {
	samples := map[hook.Op]*samples{}
	d, err := start(&s, 1, false, func(op hook.Op, took time.Duration, fuel uint64) {
		if samples[op] == nil {
			samples[op] = newSamples()
		}
		samples[op].add(took, fuel)
	})
	if err != nil {
		return nil, err
	}
	d.control()
	for range rounds {
		d.pass()
		d.roundTrip()
		if d.conn.fault != nil || ctx.Err() != nil {
			break
		}
	}
	d.stop()
	if d.conn.fault != nil {
		return nil, d.conn.fault
	}
	empty := overhead()
	var list []Cost
	for op, x := range samples {
		list = append(list, x.cost(op, empty))
	}
	slices.SortFunc(list, func(a, b Cost) int { return int(a.Op) - int(b.Op) })
	return list, ctx.Err()
}

// roundTrip lets everything happen once that the extension wants to know of, in a connection's order.
func (d *driver) roundTrip() {
	for i := range events {
		if d.conn.fault != nil {
			return
		}
		if d.hooked(events[i].op) {
			events[i].let(d)
		}
	}
}

// samples are the calls at one operation.
type samples struct {
	times []time.Duration
	calls uint64
	fuel  uint64
	most  uint64
}

func newSamples() *samples { return &samples{times: make([]time.Duration, 0, rounds)} }

func (s *samples) add(took time.Duration, fuel uint64) {
	s.times = append(s.times, took)
	s.fuel += fuel
	s.most = max(s.most, fuel)
}

func (s *samples) cost(op hook.Op, empty time.Duration) Cost {
	slices.Sort(s.times)
	n := len(s.times)
	return Cost{op, n, max(s.times[n/2]-empty, 0), float64(s.fuel) / float64(n), s.most}
}

// overhead is what looking at the clock twice takes.
func overhead() time.Duration {
	times := make([]time.Duration, 1000)
	for i := range times {
		began := time.Now()
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
