//go:build !unix && !windows

package udp

import "syscall"

func classOfErrno(syscall.Errno) error { return nil }
