package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
)

// heapSlack is how much larger the heap may be after the run than before it:
// maps that keep their size, and pools that nobody has emptied yet.
const heapSlack = 2 << 20 // bytes

// gauge is what a program that cleans up after itself gives back.
type gauge struct {
	goroutines, fds int
	heap            uint64 // bytes in use after a collection
}

// measure collects garbage first; two times, for what pools hold on to.
func measure() gauge {
	runtime.GC()
	runtime.GC()
	return glance()
}

// glance is measure without the collection.
func glance() gauge {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return gauge{runtime.NumGoroutine(), openFiles(), m.HeapAlloc}
}

// openPoller opens a socket and closes it: the descriptors that the runtime
// opens for itself with the first one stay.
func openPoller() {
	if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback}); err == nil {
		c.Close()
	}
}

// openFiles returns 0 where there is no /proc.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func (g gauge) String() string {
	return fmt.Sprintf("goroutines %d  heap %s  fds %d", g.goroutines, mebibytes(g.heap), g.fds)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20)) }

// covers reports whether now is no more than g.
func (g gauge) covers(now gauge) bool { return len(g.differences(now)) == 0 }

// differences names what is not back at g.
func (g gauge) differences(now gauge) (out []string) {
	if now.goroutines > g.goroutines {
		out = append(out, fmt.Sprintf("%d goroutines, want at most %d", now.goroutines, g.goroutines))
	}
	if now.fds != g.fds {
		out = append(out, fmt.Sprintf("%d descriptors, want %d", now.fds, g.fds))
	}
	if now.heap > g.heap+heapSlack {
		out = append(out, fmt.Sprintf("heap of %s, want at most %s", mebibytes(now.heap), mebibytes(g.heap+heapSlack)))
	}
	return out
}
