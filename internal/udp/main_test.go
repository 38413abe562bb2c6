package udp

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/nstest"
)

// TestMain fails the run if tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	if nstest.Inside() {
		os.Exit(m.Run())
	}
	if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		c.Close() // the poller opens its own descriptors with the first socket
	}
	goroutines, fds := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	deadline := time.Now().Add(2 * time.Second)
	for runtime.NumGoroutine() > goroutines && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stack := make([]byte, 1<<16)
		fmt.Printf("%d goroutines left, had %d before:\n%s\n", n, goroutines, stack[:runtime.Stack(stack, true)])
		code = 1
	}
	if n := openFiles(); n > fds {
		fmt.Printf("%d descriptors left open, had %d before\n", n, fds)
		code = 1
	}
	os.Exit(code)
}

// openFiles returns 0 where there is no /proc.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
