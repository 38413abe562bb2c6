package udp

import (
	"syscall"

	"golang.org/x/sys/windows"
)

func classOfErrno(errno syscall.Errno) error {
	switch errno {
	case windows.WSAEMSGSIZE:
		return ErrTooBig
	case windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH,
		windows.WSAENETRESET, windows.WSAEHOSTDOWN, windows.WSAENETDOWN, windows.WSAEACCES,
		windows.WSAEADDRNOTAVAIL, windows.WSAENOBUFS:
		return ErrTransient
	}
	return nil
}
