package seccomp

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrNested is wrapped by the error of an Install on a thread that is supervised already: the kernel allows one
// listener in a chain of filters (EBUSY).
var ErrNested = errors.New("another supervisor answers system calls of this process already")

// ErrGone is returned by what is done for a caller that is no more, or that a signal called away. There is nobody left
// to answer; that is normal.
var ErrGone = errors.New("seccomp: the caller of the system call is gone")

// errUnsupported is what Support and other systems say.
var errUnsupported = errors.ErrUnsupported

// InstallError says why a filter could not be installed.
type InstallError struct {
	Errno syscall.Errno
	Hint  string // what to do about it
	nest  bool
}

func (e *InstallError) Error() string {
	if e.nest {
		return fmt.Sprintf("seccomp: %v; %s", ErrNested, e.Hint)
	}
	return fmt.Sprintf("seccomp: install the filter: %v; %s", e.Errno, e.Hint)
}

// Is tells a nested supervisor by ErrNested.
func (e *InstallError) Is(target error) bool { return e.nest && target == ErrNested }

// Unwrap returns the kernel's error number.
func (e *InstallError) Unwrap() error { return e.Errno }
