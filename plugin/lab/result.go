package lab

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/netsim"
)

// Result is what came of one scenario with one setup.
type Result struct {
	Scenario    *Scenario
	Setup       string
	Repetitions []Repetition // in the order of their seeds
}

// Repetition is one connection, from the first packet to the last byte of the last flow.
type Repetition struct {
	Seed           uint64
	Handshake      time.Duration // until it was complete at the client; 0 = never
	Flows          []FlowResult
	Busy           time.Duration // from the beginning of the first flow to the end of the last
	Delivered      int64         // bytes of flows that were completed
	Client, Server EndResult
	Network        netsim.Stats
	Series         []Sample // of the end that sends the first flow
}

// FlowResult is what came of one flow.
type FlowResult struct {
	Flow
	Began time.Duration // since the first packet of the connection
	First time.Duration // until the first byte arrived; 0 = none did
	Took  time.Duration // until the last byte arrived; the scenario's limit if Err is set
	Err   error
}

// EndResult is what one end of a connection counted.
type EndResult struct {
	PacketsSent, PacketsLost, PacketsSpurious uint64
	BytesSent                                 uint64 // UDP payload
	BytesResent                               uint64 // stream and handshake data sent more than once
	ProbeTimeouts                             uint64
	Extensions                                []hook.ExtensionStats
}

// Sample is a point of a time series.
type Sample struct {
	At               time.Duration // since the first packet of the connection
	Window, InFlight int           // bytes
	RTT              time.Duration // smoothed; 0 = nothing was measured yet
	Pacing           uint64        // bit/s, 0 = not limited
	Delivered        int64         // bytes of all flows at their receivers
	Lost             uint64        // packets declared lost so far
}

// Times returns how long each flow of each repetition took, in order.
func (r *Result) Times() []time.Duration {
	var list []time.Duration
	for i := range r.Repetitions {
		for _, f := range r.Repetitions[i].Flows {
			list = append(list, f.Took)
		}
	}
	slices.Sort(list)
	return list
}

// quantile returns the value below which the share q of sorted lies, between two values in proportion; NaN if there is none.
func quantile[T ~int64 | ~float64](sorted []T, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return float64(sorted[len(sorted)-1])
	}
	return float64(sorted[i]) + (at-float64(i))*float64(sorted[i+1]-sorted[i])
}

// median sorts list and returns its median, NaN if it is empty.
func median(list []float64) float64 {
	slices.Sort(list)
	return quantile(list, 0.5)
}

// failures counts the flows that were not completed.
func (r *Result) failures() (n int) {
	for i := range r.Repetitions {
		for _, f := range r.Repetitions[i].Flows {
			if f.Err != nil {
				n++
			}
		}
	}
	return n
}

// FirstFault returns why the first extension ended before its connection did, nil if none did.
func (r *Result) FirstFault() error {
	for _, e := range r.ends() {
		for i := range e.Extensions {
			if x := &e.Extensions[i]; detachedEarly(x) != 0 {
				return fmt.Errorf("%s %s: %s", x.ID, x.Version, ended(x))
			}
		}
	}
	return nil
}

// FirstError returns why the first flow that failed did, nil if none did.
func (r *Result) FirstError() error {
	for i := range r.Repetitions {
		for _, f := range r.Repetitions[i].Flows {
			if f.Err != nil {
				return f.Err
			}
		}
	}
	return nil
}

// ends returns the counts of both ends of all repetitions.
func (r *Result) ends() []*EndResult {
	var list []*EndResult
	for i := range r.Repetitions {
		list = append(list, &r.Repetitions[i].Client, &r.Repetitions[i].Server)
	}
	return list
}
