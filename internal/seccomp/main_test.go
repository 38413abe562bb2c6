package seccomp

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
)

// TestMain fails the run if tests left goroutines, descriptors or threads of Serve behind.
func TestMain(m *testing.M) {
	if status, ok := runRole(); ok {
		os.Exit(status)
	}
	if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		c.Close() // the poller opens its own descriptors with the first socket
	}
	if flag.Parse(); flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // fuzzing listens for signals from then on
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	if left := leftovers(goroutines, files); left != "" {
		fmt.Println("left behind:", left)
		code = 1
	}
	os.Exit(code)
}
