package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const trapRounds = 20000

// trap measures calls of listen(2) on a UNIX socket, which fail, and which a supervisor looks at and lets go on; and of socket(2) for what
// a supervisor makes. It prints both medians in microseconds.
func trap(args []string) int {
	domain, typ := unix.AF_UNIX, unix.SOCK_DGRAM
	if args[0] == "outside" {
		domain, typ = unix.AF_INET, unix.SOCK_STREAM
	}
	fmt.Println(repeated(func() {
		unix.Bind(-1, &unix.SockaddrInet4{}) // EBADF after a supervisor has let it go on
	}), repeated(func() {
		if fd, err := unix.Socket(domain, typ, 0); err == nil {
			unix.Close(fd)
		}
	}))
	return 0
}

func repeated(call func()) float64 {
	took := make([]time.Duration, trapRounds)
	for i := range took {
		start := time.Now()
		call()
		took[i] = time.Since(start)
	}
	return micros(took)
}
