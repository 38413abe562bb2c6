package udp

import (
	"syscall"

	"golang.org/x/sys/windows"
)

func classOfErrno(errno syscall.Errno) error {
	switch errno {
	case windows.WSAEMSGSIZE:
		return ErrTooBig
	case windows.WSAENETUNREACH, windows.WSAENETDOWN, windows.WSAEADDRNOTAVAIL:
		return ErrUnreachable
	case windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAEHOSTUNREACH,
		windows.WSAENETRESET, windows.WSAEHOSTDOWN, windows.WSAEACCES, windows.WSAENOBUFS:
		return ErrTransient
	}
	return nil
}
