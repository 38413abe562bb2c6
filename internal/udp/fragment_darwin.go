package udp

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// forbidFragments sets DF. A socket has one family or both, so one success is enough.
func forbidFragments(raw syscall.RawConn) error {
	var err4, err6 error
	if err := raw.Control(func(fd uintptr) {
		err4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, 1)
		err6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
	}); err != nil {
		return err
	}
	if err4 != nil && err6 != nil {
		return errors.Join(err4, err6)
	}
	return nil
}
