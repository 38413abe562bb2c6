package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

// shortage reports whether an error is want of descriptors in this process, and tells the user which limit it is.
func (s *supervisor) shortage(err error) bool {
	if !isShortage(err) {
		return false
	}
	text := "this run has no descriptors left: connections wait or fail until others end; " + limitHint()
	if s.alarms.first(alarm{netip.AddrPort{}, text}, time.Now()) {
		s.log.Warn(text)
	}
	return true
}

func isShortage(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// limitHint names the limit of descriptors.
func limitHint() string {
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return fmt.Sprintf("the limit is %d (ulimit -n): a run needs one for each connection, and 40 besides", limit.Cur)
}

// A hinted error says also what to do.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string { return e.hint }

func (e *hinted) Unwrap() error { return e.error }

// explain adds what to do to an error that keeps a program from being started.
func explain(err error) error {
	switch {
	case isShortage(err):
		return &hinted{err, limitHint()}
	case errors.Is(err, seccomp.ErrNested):
		return &hinted{
			errors.New("this runs under a supervisor of system calls already, and the kernel allows one"),
			"what a program starts under quiver run is under quiver run; anything else is to be started beside it",
		}
	}
	return err
}
