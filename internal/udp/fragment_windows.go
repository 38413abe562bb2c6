package udp

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// Option names of ws2ipdef.h that x/sys does not list.
const (
	ipDontFragment   = 14
	ipv6DontFragment = 14
)

// forbidFragments sets DF. A socket has one family or both, so one success is enough.
func forbidFragments(raw syscall.RawConn) error {
	var err4, err6 error
	if err := raw.Control(func(fd uintptr) {
		err4 = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, ipDontFragment, 1)
		err6 = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6DontFragment, 1)
	}); err != nil {
		return err
	}
	if err4 != nil && err6 != nil {
		return errors.Join(err4, err6)
	}
	return nil
}
