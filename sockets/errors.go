package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
)

// A StartError says that the program could not be started.
type StartError struct {
	Program string
	Err     error
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot run %s: %v", e.Program, e.Err) }

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// ExitStatus is that of a shell: 127 for a program that is not there, 126 for one that does not run.
func (e *StartError) ExitStatus() int {
	if errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, exec.ErrNotFound) {
		return 127
	}
	return 126
}
