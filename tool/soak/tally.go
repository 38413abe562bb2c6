package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxFaultLines bounds how many faults are told one by one.
const maxFaultLines = 50

// tally counts what happens in a run. It is safe for concurrent use.
type tally struct {
	made, open, ops, bytes, faults atomic.Int64

	mu   sync.Mutex       // guards all below
	ends map[string]int64 // how connections and dials ended, by side and kind
	log  io.Writer
	told int
}

func newTally(log io.Writer) *tally { return &tally{ends: make(map[string]int64), log: log} }

// count enters one end, or another thing worth a number.
func (t *tally) count(kind string) {
	t.mu.Lock()
	t.ends[kind]++
	t.mu.Unlock()
}

// fault enters something that must not happen.
func (t *tally) fault(format string, args ...any) {
	t.faults.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told++; t.told > maxFaultLines {
		return
	}
	fmt.Fprintf(t.log, "soak: fault: "+format+"\n", args...)
}

// progress writes one line.
func (t *tally) progress(w io.Writer, since time.Duration) {
	t.mu.Lock()
	var ends []string
	for _, kind := range slices.Sorted(maps.Keys(t.ends)) {
		ends = append(ends, fmt.Sprintf("%s %d", kind, t.ends[kind]))
	}
	t.mu.Unlock()
	fmt.Fprintf(w, "%-7v connections %d  open %d  ops %d  verified %s  faults %d  %v  (%s)\n", since.Round(100*time.Millisecond),
		t.made.Load(), t.open.Load(), t.ops.Load(), mebibytes(uint64(t.bytes.Load())), t.faults.Load(), glance(), strings.Join(ends, ", "))
}
