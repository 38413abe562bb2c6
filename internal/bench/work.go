package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/peers/perf"
)

// Sizes says how much a work of each kind does in one run.
type Sizes struct {
	Bytes      uint64 // of a transfer
	Ops        uint64 // of pingpong and rr
	Handshakes uint64
	Conns      uint64 // of idle
}

// Work is one kind of load.
type Work struct {
	Name string // as on the command line
	perf.Work
}

// handshakesAtOnce is how many handshakes run side by side.
const handshakesAtOnce = 8

// All are the works of the table.
var All = []string{"down", "down100", "up", "pingpong", "rr1", "rr32", "handshake", "resumed", "idle"}

// WorkNames is how a list of works is written.
const WorkNames = "down[STREAMS], up[STREAMS], pingpong, rr[IN-FLIGHT], handshake, resumed, idle, all"

// ParseWorks makes works of their names.
func ParseWorks(names []string, s Sizes) ([]Work, error) {
	var out []Work
	for _, name := range names {
		if name == "all" {
			all, err := ParseWorks(All, s)
			if err != nil {
				return nil, err
			}
			out = append(out, all...)
			continue
		}
		w, err := parseWork(name, s)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func parseWork(name string, s Sizes) (Work, error) {
	kind := strings.TrimRight(name, "0123456789")
	w := Work{name, perf.Work{Kind: kind, Streams: 1}}
	if digits := name[len(kind):]; digits != "" {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > perf.MaxStreams || !slices.Contains([]string{perf.Down, perf.Up, perf.Request}, kind) {
			return w, fmt.Errorf("workload %q: want one of %s, with 1 to %d", name, WorkNames, perf.MaxStreams)
		}
		w.Streams = n
	}
	switch kind {
	case perf.Down, perf.Up:
		w.N = s.Bytes
	case perf.PingPong, perf.Request:
		w.N = s.Ops
	case perf.Handshake, perf.Resumed:
		w.N, w.Streams = s.Handshakes, handshakesAtOnce
	case perf.Idle:
		w.N = s.Conns
	default:
		return w, fmt.Errorf("unknown workload %q; there are: %s", name, WorkNames)
	}
	if w.N == 0 {
		return w, fmt.Errorf("workload %q: nothing to do, want at least 1 of what it counts", name)
	}
	return w, nil
}

// bulk reports whether N counts bytes.
func bulk(work string) bool {
	return strings.HasPrefix(work, perf.Down) || strings.HasPrefix(work, perf.Up)
}
