package quictest

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"time"
)

// Budget is what a test used before an attack: bytes of heap, goroutines and
// open files.
type Budget struct {
	t                 testing.TB
	heap              int64
	goroutines, files int
}

// NewBudget takes stock.
func NewBudget(t testing.TB) *Budget {
	return &Budget{t, liveHeap(), runtime.NumGoroutine(), openFiles()}
}

// WantBack checks that the heap is at most limit bytes larger than it was, and
// that no goroutine and no file stays. Goroutines that are about to end get a
// moment to do so.
func (b *Budget) WantBack(limit int64) {
	b.t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= b.goroutines {
			break
		}
		time.Sleep(time.Millisecond)
		runtime.Gosched() // in a bubble, the sleep takes no time
	}
	// The world stands still for the stacks: who is on its way out is out.
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if n := bytes.Count(stacks, []byte("\n\n")) + 1; n > b.goroutines {
		b.t.Errorf("%d goroutines stay, had %d before:\n%s", n, b.goroutines, stacks)
	}
	if n := openFiles(); n > b.files {
		b.t.Errorf("%d files stay open, had %d before", n, b.files)
	}
	if grown := b.Grown(); grown > limit {
		b.t.Errorf("the heap grew by %d bytes, limit %d", grown, limit)
	}
}

// Grown returns how many bytes the heap is larger than it was.
func (b *Budget) Grown() int64 { return liveHeap() - b.heap }

// liveHeap returns the bytes that are in use after a collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool keeps survives the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// openFiles returns 0 where there is no /proc.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
