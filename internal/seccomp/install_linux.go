//go:build amd64 || arm64

package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// native is the ABI of this program.
func native() Arch {
	if runtime.GOARCH == "arm64" {
		return ARM64
	}
	return AMD64
}

// Install puts the filter on the calling thread, to which the caller has locked its goroutine and which it throws away
// (see OnThread), and returns the listener; every process that the thread starts inherits the filter. noNewPrivs gives
// up setuid programs, for the thread and its children, and is what a thread without CAP_SYS_ADMIN must do.
//
// Where the kernel knows how (5.19), a caller whose notification was received waits deaf to all but fatal signals. So
// an answer is never lost on it, and socket(2), which no program expects to be interrupted, is not, once received.
// It is right only because a handler answers at once.
//
// Errors are *InstallError: ErrNested, EACCES (neither noNewPrivs nor CAP_SYS_ADMIN), EINVAL and ENOSYS (the kernel is
// too old), or what another filter answers for this call, such as a container's EPERM.
func (f *Filter) Install(noNewPrivs bool) (*Listener, error) { return f.install(noNewPrivs, true) }

// install is Install, for older kernels too if killable is not set.
func (f *Filter) install(noNewPrivs, killable bool) (*Listener, error) {
	prog, err := f.Assemble(native())
	if err != nil {
		return nil, err
	}
	l, err := newListener()
	if err != nil {
		return nil, err
	}
	if noNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			l.Close()
			return nil, fmt.Errorf("seccomp: no_new_privs: %w", err)
		}
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	fd, errno := -1, unix.EINVAL
	if killable {
		fd, errno = setFilter(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog)
	}
	l.killable = errno == 0
	if errno == unix.EINVAL {
		fd, errno = setFilter(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, &fprog)
	}
	if errno != 0 {
		l.Close()
		return nil, installError(errno)
	}
	l.fd = fd
	l.syncWakeUp() // or not, before 6.6
	return l, nil
}

// setFilter installs a program, or with none asks whether the kernel knows the flags: EFAULT if so, EINVAL if not.
func setFilter(flags uintptr, prog *unix.SockFprog) (int, unix.Errno) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(prog)))
	return int(fd), errno
}

func installError(errno unix.Errno) *InstallError {
	e := &InstallError{Errno: errno}
	switch errno {
	case unix.EBUSY:
		e.nest, e.Hint = true, "start the program outside of it, or leave it to the outer one: what runs under quiver stays under quiver"
	case unix.EACCES:
		e.Hint = "it needs no_new_privs or CAP_SYS_ADMIN"
	case unix.EINVAL:
		e.Hint = "it needs Linux 5.0, with CONFIG_SECCOMP_FILTER"
	case unix.ENOSYS:
		e.Hint = "it needs Linux 5.0; in a container, its seccomp profile may hide the call"
	case unix.EPERM:
		e.Hint = "a filter that is there already forbids it, as the seccomp profiles of containers do"
	default:
		e.Hint = "see seccomp(2)"
	}
	return e
}
