package udp

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReusePort is the Control of a net.ListenConfig whose sockets share one
// address: the kernel gives every datagram to one of them, those of one peer to
// the same.
func ReusePort(_, address string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if err == nil {
		err = set
	}
	if err != nil {
		return fmt.Errorf("udp: share %s: set SO_REUSEPORT: %w", address, err)
	}
	return nil
}
