//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deafThreads counts threads of this process on which all signals are masked that can be, or that have a filter.
func deafThreads() (n int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		status, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if strings.Contains(string(status), "SigBlk:\tfffffffffffbfeff") || strings.Contains(string(status), "Seccomp:\t2") {
			n++
		}
	}
	return n
}

// leftovers names what tests left behind, after having waited for it to go.
func leftovers(goroutines, files int) string {
	var left string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		left = ""
		if n := runtime.NumGoroutine(); n > goroutines {
			stack := make([]byte, 1<<16)
			left += fmt.Sprintf("%d goroutines, %d before\n%s\n", n, goroutines, stack[:runtime.Stack(stack, true)])
		}
		if n := openFiles(); n > files {
			left += fmt.Sprintf("%d descriptors, %d before: %v\n", n, files, openLinks())
		}
		if n := deafThreads(); n > 0 {
			left += fmt.Sprintf("%d threads with masked signals or a filter\n", n)
		}
		if left == "" {
			break
		}
	}
	return left
}

func openLinks() (links []string) {
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		link, _ := os.Readlink("/proc/self/fd/" + f.Name())
		links = append(links, link)
	}
	return links
}

func openFiles() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

func TestServeLeavesNoThreadBehind(t *testing.T) {
	supervised(t)
	for _, closed := range []bool{true, false} {
		goroutines, files := runtime.NumGoroutine(), openFiles()
		served, counted := make(chan error, 1), make(chan int, 1)
		err := OnThread(func() error {
			l, err := questions(1).Install(true)
			if err != nil {
				return err
			}
			go func() {
				served <- l.Serve(4, func(c *Call) { c.Return(7) })
				l.Close()
			}()
			if n, errno := ask(0); n != 7 {
				return fmt.Errorf("answer %d, %v, want 7", n, errno)
			}
			counted <- deafThreads()
			if closed {
				return l.Close()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := <-counted; n < 2 { // one that serves, and the one with the filter
			t.Errorf("%d threads are masked or filtered while Serve runs, want up to 5: the count sees nothing", n)
		}
		if err := <-served; err != nil && !(closed && errors.Is(err, net.ErrClosed)) {
			t.Errorf("Serve() = %v", err)
		}
		if left := leftovers(goroutines, files); left != "" {
			t.Errorf("closed %t: left behind: %s", closed, left)
		}
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	supervised(t)
	const rounds = 2000
	host, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(host)
	var problem error
	served := make(chan error, 1)
	err = OnThread(func() error {
		l, err := questions(4).Install(true)
		if err != nil {
			return err
		}
		go func() {
			defer l.Close()
			served <- l.Serve(2, func(c *Call) {
				switch c.Args[0] - magic {
				case 0:
					c.Continue()
				case 1:
					c.Errno(unix.EPERM)
				case 2:
					c.AddFD(host, true)
				case 3:
					var b [16]byte
					if err := errors.Join(c.Read(c.Args[1], b[:]), c.Write(c.Args[1], b[:])); err != nil {
						problem = err
					}
					c.Return(0)
				}
			})
		}()
		question := new([16]byte)
		all := func() {
			for what := range uintptr(4) {
				if r, errno := ask(what, addressOf(question)); what == 2 && errno == 0 {
					unix.Close(r)
				}
			}
		}
		all()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			all()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > rounds/10 { // the runtime has a life of its own
			t.Errorf("%d allocations in %d calls, want none", n, 4*rounds)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil || problem != nil {
		t.Errorf("Serve() = %v; memory: %v", err, problem)
	}
}
