// Package leaktest fails the tests of a package that leave goroutines or
// descriptors behind.
package leaktest

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

// patience is how long what is about to end may take: sockets close when their
// connections are drained.
const patience = 5 * time.Second

// Main runs the tests of m, a *testing.M, and returns the status to exit with: that
// of the tests, or 1 if they left something, which it prints. While a target is
// fuzzed nothing is looked for, since the machinery leaves goroutines of its own.
func Main(m interface{ Run() int }) int { return run(m, patience) }

func run(m interface{ Run() int }, patience time.Duration) int {
	if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		c.Close() // the poller opens its own descriptors with the first socket
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	if code == 0 && !fuzzing() && left(goroutines, files, patience) {
		return 1
	}
	return code
}

// fuzzing asks after m.Run, which has read the flags.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// left waits for what is about to end, and tells what does not.
func left(goroutines, files int, patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= goroutines && openFiles() <= files {
			return false
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%d goroutines left, had %d before:\n%s\n", n, goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if n := openFiles(); n > files {
		fmt.Printf("%d descriptors left open, had %d before\n", n, files)
	}
	return true
}

// openFiles returns 0 where there is no /proc.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
