//go:build amd64 || arm64

package seccomp

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnThread calls f on a new goroutine that is locked to a thread, and returns what f returned. That thread is not the
// process's main thread, and ends with f, so that f may leave it in any state: with a filter, in other namespaces, with
// signals masked. What f starts with PR_SET_PDEATHSIG (syscall.SysProcAttr.Pdeathsig) ends with the thread too.
func OnThread(f func() error) error {
	end := make(chan error, 1)
	var run func(locked chan<- struct{})
	run = func(locked chan<- struct{}) {
		runtime.LockOSThread()
		close(locked)
		if unix.Gettid() != unix.Getpid() {
			end <- f()
			return // locked, so the thread ends
		}
		other := make(chan struct{}) // the runtime never ends the main thread: hold it until f has another
		go run(other)
		<-other
		runtime.UnlockOSThread()
	}
	go run(make(chan struct{}))
	return <-end
}
