//go:build !linux

package udp

import (
	"errors"
	"fmt"
	"syscall"
)

// ReusePort is the Control of a net.ListenConfig whose sockets share one
// address. It works on Linux alone: elsewhere a shared address gives every
// datagram to the same socket.
func ReusePort(_, address string, _ syscall.RawConn) error {
	return fmt.Errorf("udp: share %s: %w", address, errors.ErrUnsupported)
}
