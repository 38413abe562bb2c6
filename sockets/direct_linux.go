package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/seed51309289/quiver/internal/fabric"
	"golang.org/x/sys/unix"
)

// overTCP connects to the destination as the program would have: from its address and port, if they can be had.
func overTCP(ctx context.Context, held *fabric.Held) (far, error) {
	var err error
	for _, d := range direct(held.App, clientPorts()) {
		d.SetMultipathTCP(false)
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", held.Dest.String()); err == nil {
			return tcpFar{c.(*net.TCPConn)}, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EACCES) {
			break
		}
	}
	return nil, err
}

// direct are the ways to connect from app, the best first: its port, its address, any address. A port that the kernel gives to clients is
// asked for as they get theirs: then the four-tuple must be free. Bound to, the port must be, and those of connections that wait for late
// packets are not.
func direct(app netip.AddrPort, clients portRange) []net.Dialer {
	bound := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(app)}
	ways := []net.Dialer{bound, unbound(app.Addr(), 0), {}}
	if !clients.has(app.Port()) {
		return ways
	}
	return append([]net.Dialer{unbound(app.Addr(), app.Port())}, ways...)
}

// unbound connects from an address, and from this port if it is not 0, but binds to no port (ip(7), IP_BIND_ADDRESS_NO_PORT, and
// IP_LOCAL_PORT_RANGE, Linux 6.3).
func unbound(from netip.Addr, port uint16) net.Dialer {
	control := func(_, _ string, raw syscall.RawConn) error {
		var err error
		ended := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			if err == nil && port != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_LOCAL_PORT_RANGE, int(port)<<16|int(port))
			}
		})
		if err == unix.ENOPROTOOPT { // an older kernel
			err = unix.EADDRNOTAVAIL
		}
		return errors.Join(ended, err)
	}
	return net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Control: control}
}

// A portRange has both its ends.
type portRange struct{ low, high uint16 }

func (r portRange) has(port uint16) bool { return r.low <= port && port <= r.high && port != 0 }

// clientPorts are the ports that the host's kernel gives to clients; none if that cannot be read.
func clientPorts() (r portRange) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return portRange{}
	}
	if _, err := fmt.Sscan(string(text), &r.low, &r.high); err != nil {
		return portRange{}
	}
	return r
}
