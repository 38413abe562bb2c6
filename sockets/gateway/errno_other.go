//go:build !windows

package gateway

import "syscall"

// What connect says of a destination that cannot be reached.
const (
	hostUnreachable = syscall.EHOSTUNREACH
	netUnreachable  = syscall.ENETUNREACH
)
