//go:build amd64 || arm64

package seccomp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { roles["bench"] = roleBench }

// roleBench makes args[1] calls of args[0], with pauses of args[2], and prints the median in nanoseconds.
func roleBench(args []string) int {
	n, _ := strconv.Atoi(args[1])
	pause, _ := time.ParseDuration(args[2])
	took := make([]time.Duration, n)
	for i := range took {
		if pause > 0 {
			time.Sleep(pause)
		}
		at := time.Now()
		fd := -1
		var errno unix.Errno
		switch args[0] {
		case "socket":
			r, _, e := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			fd, errno = int(r), e
		case "getppid":
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		took[i] = time.Since(at)
		if errno != 0 {
			return complain("call %d: %v", i, errno)
		}
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	slices.Sort(took)
	fmt.Println(took[n/2].Nanoseconds(), took[n*9/10].Nanoseconds())
	return 0
}

// BenchmarkCall measures trapped calls as the program sees them, medians in nanoseconds.
func BenchmarkCall(b *testing.B) {
	host, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(host)
	hello := []Rule{{Nr: unix.SYS_GETPPID, Do: Notify}}
	for _, bm := range []struct {
		name, call, pause string
		calls             int
		filter            *Filter
		handle            func(*Call)
	}{
		{"untouched", "getppid", "0", 20000, sockets, nil},
		{"continue", "getppid", "0", 20000, &Filter{Rules: hello}, func(c *Call) { c.Continue() }},
		{"errno", "getppid", "0", 20000, &Filter{Rules: hello}, func(c *Call) { c.Errno(unix.EPERM) }},
		{"addfd", "socket", "0", 20000, sockets, func(c *Call) { c.AddFD(host, true) }},
		{"cold-continue", "getppid", "2ms", 500, &Filter{Rules: hello}, func(c *Call) { c.Continue() }},
		{"cold-addfd", "socket", "2ms", 500, sockets, func(c *Call) { c.AddFD(host, true) }},
	} {
		for _, threads := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/threads=%d", bm.name, threads), func(b *testing.B) {
				for range b.N {
					r := start(b, bm.filter, threads, bm.handle, "bench", bm.call, strconv.Itoa(bm.calls), bm.pause)
					r.wait()
					f := strings.Fields(r.out.String())
					p50, _ := strconv.ParseFloat(f[0], 64)
					p90, _ := strconv.ParseFloat(f[1], 64)
					b.ReportMetric(p50, "ns-p50")
					b.ReportMetric(p90, "ns-p90")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
