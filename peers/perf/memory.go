package perf

import (
	"runtime"
	"runtime/debug"
)

// measure returns what this process holds; collect says that garbage is to be
// gone first.
func measure(collect bool) Memory {
	if collect {
		runtime.GC() // twice: what a sync.Pool holds survives once
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Heap: m.HeapAlloc, Stacks: m.StackInuse, RSS: residentBytes(), Goroutines: runtime.NumGoroutine(), Mallocs: m.Mallocs, GCs: m.NumGC}
}
