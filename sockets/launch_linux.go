package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

// A launch is a program about to be started.
type launch struct {
	command []string
	files   []*os.File
	filter  *seccomp.Filter
	fabric  int  // the namespace to live in, or -1
	humble  bool // without the capabilities of this process, which are a supervisor's
}

// start starts the program, and returns with it the listener for the calls that its filter brings to us.
//
// The filter is put on a thread of ours, which starts the program and is then thrown away: what a thread has, its namespace, its filter
// and its capabilities, the program inherits, and nothing needs to be done between fork and exec.
func (l *launch) start() (*os.Process, *seccomp.Listener, error) {
	path, err := lookPath(l.command[0])
	if err != nil {
		return nil, nil, err
	}
	var p *os.Process
	var listener *seccomp.Listener
	err = seccomp.OnThread(func() (err error) {
		p, listener, err = l.startHere(path)
		return err
	})
	return p, listener, err
}

func (l *launch) startHere(path string) (*os.Process, *seccomp.Listener, error) {
	if l.fabric >= 0 {
		if err := unix.Setns(l.fabric, unix.CLONE_NEWNET); err != nil {
			return nil, nil, fmt.Errorf("enter the fabric: %w", err)
		}
	}
	listener, err := l.filter.Install(false)
	if err != nil {
		return nil, nil, err
	}
	if l.humble {
		if err := dropCapabilities(); err != nil {
			listener.Close()
			return nil, nil, fmt.Errorf("give up capabilities: %w", err)
		}
	}
	takeNoTurns()
	p, err := os.StartProcess(path, l.command, &os.ProcAttr{Files: l.files, Env: environment()})
	if err != nil {
		listener.Close()
		return nil, nil, &StartError{Program: l.command[0], Err: unwrapPath(err)}
	}
	return p, listener, nil
}

// environment is the program's: ours, but for what only a supervisor is told.
func environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, stageVariable+"=") {
			out = append(out, v)
		}
	}
	return out
}

// dropCapabilities takes all capabilities from the calling thread, also those that a program would inherit.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	var none [2]unix.CapUserData
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}

// lookPath finds the program as a shell does.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", &StartError{Program: name, Err: unwrapPath(err)}
	}
	return path, nil
}

// unwrapPath takes the name off an error, which the sentence around it has already.
func unwrapPath(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err
}
