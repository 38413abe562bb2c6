//go:build unix

package udp

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func classOfErrno(errno syscall.Errno) error {
	switch errno {
	case unix.EMSGSIZE:
		return ErrTooBig
	case unix.ENETUNREACH, unix.ENETDOWN, // routes
		unix.EAFNOSUPPORT, unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO: // this socket has no such family, source address or interface
		return ErrUnreachable
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.EHOSTDOWN, // ICMP
		unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EACCES, unix.EPERM, // rarer ICMP codes; a packet filter
		unix.ENOBUFS, unix.ENOMEM: // a full queue
		return ErrTransient
	}
	return nil
}
