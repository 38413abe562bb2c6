package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// legPatience is how long a program's socket may take to answer ours. Both are on this host: it does so at once, or it is gone.
const legPatience = 10 * time.Second

// portTries is how often another port is tried for a peer whose own is taken.
const portTries = 8

// connect makes a leg: a socket of ours at from, connected with the program's at to. On a taken four-tuple the error is
// unix.EADDRNOTAVAIL.
func (f *Fabric) connect(ctx context.Context, from, to netip.AddrPort) (*net.TCPConn, error) {
	fd, err := onCrew(f.crew, func() (int, error) { return openLeg(from, to) })
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "leg")
	defer file.Close()
	if err := await(ctx, file); err != nil {
		return nil, err
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// openLeg begins to connect, on the calling thread, which lives in the fabric.
func openLeg(from, to netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	if err := prepareLeg(fd, from, to); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepareLeg(fd int, from, to netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
		return fmt.Errorf("mark a socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := bindAnyway(fd, from); err != nil {
		return err
	}
	err := unix.Connect(fd, sockaddr(to))
	if err == unix.EINPROGRESS {
		return nil
	}
	return err
}

// bindAnyway binds to an address, whoever has it already. Sockets in repair mode may (TCP_REPAIR).
func bindAnyway(fd int, at netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1); err != nil {
		return fmt.Errorf("repair mode: %w", err)
	}
	err := unix.Bind(fd, sockaddr(at))
	if off := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, unix.TCP_REPAIR_OFF_NO_WP); err == nil && off != nil {
		err = fmt.Errorf("end repair mode: %w", off)
	}
	return err
}

// await waits until a socket that connects has done so.
func await(ctx context.Context, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	file.SetWriteDeadline(time.Now().Add(legPatience))
	var outcome error
	err = raw.Write(func(fd uintptr) bool {
		var errno int
		if errno, outcome = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); outcome != nil {
			return true
		}
		if errno != 0 {
			outcome = unix.Errno(errno)
			return true
		}
		_, err := unix.Getpeername(int(fd))
		return err == nil
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return unix.ETIMEDOUT
	case err != nil:
		return err
	}
	return outcome
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
