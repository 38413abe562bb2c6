package fabric

import (
	"fmt"
	"net"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// workers is how many threads live in a fabric. They make sockets, which takes microseconds.
const workers = 2

// A crew is threads that live in one network namespace and do there what they are given.
type crew struct {
	jobs chan job // bounded by its size, 0
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup
}

type job struct {
	do   func() error
	done chan error // bounded by its size, 1
}

// newCrew makes a network namespace and threads that live in it, and returns a descriptor of it.
func newCrew() (*crew, int, error) {
	c := &crew{jobs: make(chan job), quit: make(chan struct{})}
	fds := make(chan int)
	errs := make(chan error)
	c.done.Go(func() {
		offMain(func() {
			fd, err := enterNew()
			if err != nil {
				errs <- err
				return
			}
			fds <- fd
			c.work()
		})
	})
	var ns int
	select {
	case ns = <-fds:
	case err := <-errs:
		return nil, -1, err
	}
	for range workers - 1 {
		c.done.Go(func() {
			offMain(func() {
				errs <- unix.Setns(ns, unix.CLONE_NEWNET)
				c.work()
			})
		})
		if err := <-errs; err != nil {
			c.close()
			unix.Close(ns)
			return nil, -1, fmt.Errorf("enter the new namespace: %w", err)
		}
	}
	return c, ns, nil
}

// enterNew moves the calling thread into a new network namespace.
func enterNew() (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the new namespace: %w", err)
	}
	return fd, nil
}

// offMain calls f on a thread that ends afterwards. The first thread of a process cannot end.
func offMain(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // locked: the thread ends with its goroutine
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		offMain(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

func (c *crew) work() {
	for {
		select {
		case j := <-c.jobs:
			j.done <- j.do()
		case <-c.quit:
			return
		}
	}
}

// do calls f on a thread of the namespace and returns its error.
func (c *crew) do(f func() error) error {
	j := job{f, make(chan error, 1)}
	select {
	case c.jobs <- j:
		return <-j.done
	case <-c.quit:
		return net.ErrClosed
	}
}

// close ends the threads.
func (c *crew) close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.quit)
		err = nil
	})
	c.done.Wait()
	return err
}

// onCrew is do for a function that returns a value.
func onCrew[T any](c *crew, f func() (T, error)) (T, error) {
	var v T
	err := c.do(func() (err error) {
		v, err = f()
		return err
	})
	return v, err
}
