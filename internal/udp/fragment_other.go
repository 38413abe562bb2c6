//go:build (!linux && !darwin && !windows) || (linux && udpportable)

package udp

import "syscall"

// forbidFragments does nothing: these systems have no portable way, and path MTU probes may arrive in fragments.
func forbidFragments(syscall.RawConn) error { return nil }
