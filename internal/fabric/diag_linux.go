package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A diag asks the kernel about the sockets of the fabric (sock_diag(7)). The zero value is closed.
type diag struct {
	mu  sync.Mutex // held from question to answer
	fd  int        // 0 = none
	buf []byte     // bounded by diagBuffer

	ends *os.File // tells of sockets that end; nil = not
}

const (
	diagBuffer   = 32 << 10 // bytes of one answer; the kernel's are at most so long
	diagPatience = 5        // seconds; the kernel answers at once
	endsBuffer   = 1 << 20  // bytes of what has not been read yet
)

// open opens it on the calling thread, which lives in the fabric.
func (d *diag) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("open a socket to ask about sockets: %w", err)
	}
	d.fd, d.buf = fd, make([]byte, diagBuffer)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: diagPatience}); err != nil {
		return fmt.Errorf("limit the wait for answers: %w", err)
	}
	d.ends, err = openEnds()
	return err
}

// openEnds opens what tells of TCP sockets that end.
func openEnds() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open a socket to hear of sockets: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, endsBuffer)
	const groups = 1<<(unix.SKNLGRP_INET_TCP_DESTROY-1) | 1<<(unix.SKNLGRP_INET6_TCP_DESTROY-1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("hear of sockets that end: %w", err)
	}
	return os.NewFile(uintptr(fd), "ends"), nil
}

func (d *diag) close() {
	if d.ends != nil {
		d.ends.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd > 0 {
		unix.Close(d.fd)
		d.fd = 0
	}
}

// ask sends a request and hands on the answers.
func (d *diag) ask(request []byte, found func(s Socket, state byte)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd == 0 {
		return net.ErrClosed
	}
	if err := unix.Sendto(d.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask for sockets: %w", err)
	}
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("hear of sockets: %w", err)
		}
		done, code, err := parseDiag(d.buf[:n], found)
		switch {
		case err != nil:
			return err
		case code != 0:
			return unix.Errno(code)
		case done, !isDump(request): // a question about one socket has one answer
			return nil
		}
	}
}

func isDump(request []byte) bool { return request[7]&(netlinkDump>>8) != 0 }

// Listeners lists the sockets at which the program listens.
func (f *Fabric) Listeners() ([]Socket, error) {
	var out []Socket
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		err := f.diag.ask(appendDiagRequest(nil, true, netip.AddrPortFrom(any, 0), netip.AddrPort{}), func(s Socket, _ byte) { out = append(out, s) })
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Listening reports whether a listener of the program takes connections to an address: the kernel decides, as it does about a SYN.
func (f *Fabric) Listening(to netip.AddrPort) (bool, error) {
	to = plain(to)
	nobody := netip.IPv4Unspecified()
	if to.Addr().Is6() {
		nobody = netip.IPv6Unspecified()
	}
	s, state, err := f.lookup(to, netip.AddrPortFrom(nobody, 0))
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && state == tcpListen && s.Cookie != 0, err
}

// Lookup finds the socket of the program at local that talks with remote, or wants to. The error is unix.ENOENT if there is none.
func (f *Fabric) Lookup(local, remote netip.AddrPort) (Socket, error) {
	s, state, err := f.lookup(plain(local), plain(remote))
	if err == nil && state == tcpListen {
		return Socket{}, unix.ENOENT
	}
	return s, err
}

func (f *Fabric) lookup(local, remote netip.AddrPort) (s Socket, state byte, err error) {
	err = f.diag.ask(appendDiagRequest(nil, false, local, remote), func(found Socket, st byte) { s, state = found, st })
	return s, state, err
}

// hearEnds looks at sockets that end, until the fabric is closed: whoever thinks about a connect of one need not, and others may want to
// know of listeners.
func (f *Fabric) hearEnds(listenerEnded func(Socket)) {
	raw, err := f.diag.ends.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, diagBuffer)
	for {
		n := 0
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, _, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != syscall.EAGAIN
		})
		if err != nil {
			return
		}
		if failed != nil {
			continue // ENOBUFS: too many at once, and some are not told of
		}
		parseDiag(buf[:n], func(s Socket, _ byte) { f.ended(s, listenerEnded) })
	}
}

// ended is called with a socket that has ended.
func (f *Fabric) ended(s Socket, listenerEnded func(Socket)) {
	if !s.Remote.IsValid() {
		if listenerEnded != nil && s.Local.Port() != 0 {
			listenerEnded(s)
		}
		return
	}
	h := f.pending.at(flow{plain(s.Local), plain(s.Remote)})
	if h == nil {
		return
	}
	if _, err := f.Lookup(h.App, h.Dest); errors.Is(err, unix.ENOENT) { // and the program has no new one there
		f.pending.forget(h)
	}
}
