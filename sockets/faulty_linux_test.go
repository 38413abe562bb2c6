package sockets

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	for name, f := range map[string]func(args []string) int{"talk": talk, "crowd": crowd, "full": full, "nest": nest} {
		programs[name] = f
	}
}

// talk sends a word every now and then to an address and reads it back, until that ends.
func talk(args []string) int {
	c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
	if err != nil {
		fmt.Println("dial:", plain(err))
		return 1
	}
	for n := 1; ; n++ {
		if _, err = c.Write([]byte("word")); err == nil {
			_, err = io.ReadFull(c, make([]byte, 4))
		}
		if err != nil {
			fmt.Println("ended:", plain(err))
			return 0
		}
		fmt.Println("echoed", n)
		time.Sleep(20 * time.Millisecond)
	}
}

// crowdPatience is how long each connection of a crowd may take: much, where the race detector and other tests run beside it.
const crowdPatience = 6 * time.Second

// crowd makes connections that are open all at once, as far as possible, and says how many it had. Each has a while.
func crowd(args []string) int {
	n, _ := strconv.Atoi(args[2])
	var ok atomic.Int64
	var all, tried sync.WaitGroup
	tried.Add(n)
	for range n {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", args[1], crowdPatience)
			if err == nil {
				defer c.Close()
				c.SetDeadline(time.Now().Add(crowdPatience))
				c.Write([]byte("x"))
				if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
					ok.Add(1)
				}
			}
			tried.Done()
			tried.Wait()
		})
	}
	all.Wait()
	fmt.Println("had", ok.Load(), "of", n)
	return 0
}

// full opens sockets while it has no room for them.
func full([]string) int {
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64})
	var open []int
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			break
		}
		open = append(open, fd)
	}
	_, tcp := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	_, udp := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	for _, fd := range open {
		unix.Close(fd)
	}
	_, then := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	fmt.Printf("tcp: %v\nudp: %v\nthen: %v\n", tcp, udp, then)
	return 0
}

// nest starts a run under this one.
func nest([]string) int {
	cmd := exec.Command(os.Args[0])
	cmd.Args = os.Args[:1]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cmd.Run() != nil {
		return 1
	}
	return 0
}
