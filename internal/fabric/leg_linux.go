package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// legPatience is how long a program's socket may take to answer ours. Both are on this host: it does so at once, or it is gone.
const legPatience = 10 * time.Second

// legBuffer is how much a leg holds in each direction, in bytes. The other end is on this host, so more would only leave the
// processor's cache. A system that allows no more than the usual 208 KiB had better choose itself.
const legBuffer = 512 << 10

// mayOf returns whether the system allows sockets a legBuffer.
func mayOf(sysctl string) bool {
	text, err := os.ReadFile("/proc/sys/net/core/" + sysctl)
	most, bad := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && bad == nil && most >= legBuffer
}

// The system is asked once: for what legs receive, and for what they send.
var mayReceive, maySend = sync.OnceValue(func() bool { return mayOf("rmem_max") }), sync.OnceValue(func() bool { return mayOf("wmem_max") })

// sizeBuffers gives a leg its buffers. An error means that it has others, which is no harm.
func sizeBuffers(fd int) {
	if mayReceive() {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, legBuffer)
	}
	if maySend() {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, legBuffer)
	}
}

// legController is the congestion controller of legs: the one that every kernel has, and that computes least. There is nothing between
// both ends that could be full. That of the host, which the program's own sockets keep, may pace, by a timer of the kernel (BBR).
const legController = "reno"

// portTries is how often another port is tried for a peer whose own is taken.
const portTries = 8

// makeLeg makes a socket that a leg can become, on the calling thread, which lives in the fabric. It stays in repair mode until it is bound
// (TCP_REPAIR): then it may bind to what others have.
func makeLeg(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("open a socket: %w", err)
	}
	for _, o := range legOptions {
		if o.only != 0 && o.only != family {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("%s: %w", o.what, err)
		}
	}
	sizeBuffers(fd)
	unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, legController) // an error means that it has the host's, which is no harm
	return fd, nil
}

var legOptions = []struct {
	what               string
	level, name, value int
	only               int // family; 0 = both
}{
	{what: "mark a socket", level: unix.SOL_SOCKET, name: unix.SO_MARK, value: int(mark)},
	{what: "take urgent data in line", level: unix.SOL_SOCKET, name: unix.SO_OOBINLINE, value: 1},
	{what: "bind to addresses of others", level: unix.SOL_IPV6, name: unix.IPV6_FREEBIND, value: 1, only: unix.AF_INET6},
	{what: "be as near as can be", level: unix.SOL_IP, name: unix.IP_TTL, value: nearest, only: unix.AF_INET},
	{what: "be as near as can be", level: unix.SOL_IPV6, name: unix.IPV6_UNICAST_HOPS, value: nearest, only: unix.AF_INET6},
	{what: "repair mode", level: unix.IPPROTO_TCP, name: unix.TCP_REPAIR, value: unix.TCP_REPAIR_ON},
}

// connect makes a leg: a socket of ours at from, connected with the program's at to. On a taken four-tuple the error is
// unix.EADDRNOTAVAIL.
func (f *Fabric) connect(ctx context.Context, from, to netip.AddrPort) (*net.TCPConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	legs := &f.legs4
	if to.Addr().Is6() {
		legs = &f.legs6
	}
	fd, err := legs.take()
	if err != nil {
		return nil, err
	}
	if err := beginLeg(fd, from, to); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return finishLeg(ctx, fd)
}

// beginLeg binds fd to from and begins to connect it with to.
func beginLeg(fd int, from, to netip.AddrPort) error {
	if err := unix.Bind(fd, sockaddr(from)); err != nil {
		return fmt.Errorf("bind to %v: %w", from, err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, unix.TCP_REPAIR_OFF_NO_WP); err != nil {
		return fmt.Errorf("end repair mode: %w", err)
	}
	// The program may listen at this port later, as it could if we were another host.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("share a port: %w", err)
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return nil
}

// finishLeg waits until fd, which connects, has done so, and returns it as a connection of package net. It owns fd.
func finishLeg(ctx context.Context, fd int) (*net.TCPConn, error) {
	// Mostly the kernel has carried all packets of the handshake before connect returned.
	outcome := connected(fd)
	if outcome != nil && outcome != unix.EALREADY {
		unix.Close(fd)
		return nil, outcome
	}
	if outcome == nil {
		unix.SetNonblock(fd, false) // package os does not wait for such files, and saves what that costs
	}
	file := os.NewFile(uintptr(fd), "leg")
	defer file.Close()
	if outcome != nil {
		if err := await(ctx, file); err != nil {
			return nil, err
		}
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	leg := c.(*net.TCPConn)
	leg.SetKeepAlive(false) // the program's own says when it is gone; package net asks every 15 s
	return leg, nil
}

// connected returns what came of the connect of a socket: nil when it has its connection, unix.EALREADY as long as that is not known.
//
// A second connect(2) would say as much, but if the program has sent something and reset its end meanwhile, that call throws away what
// has arrived. So would SO_ERROR take the reset, which is for who reads.
func connected(fd int) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	switch {
	case err != nil:
		return err
	case info.State == unix.BPF_TCP_SYN_SENT, info.State == unix.BPF_TCP_SYN_RECV:
		return unix.EALREADY
	case info.State != unix.BPF_TCP_CLOSE, info.Bytes_acked > 0: // the first of those is SYN
		return nil
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil {
		err = unix.ECONNABORTED
		if errno != 0 {
			err = unix.Errno(errno)
		}
	}
	return err
}

// await waits until a socket that connects has done so.
func await(ctx context.Context, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var outcome error
	err = raw.Write(func(fd uintptr) bool {
		outcome = connected(int(fd))
		return outcome != unix.EALREADY
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	return outcome
}

// withDeadline gives ctx one, if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, legPatience, unix.ETIMEDOUT)
}

// Deliver connects from the address of a peer to the program's listener at to. The error is unix.ECONNREFUSED if nobody listens. If the
// program talks with that very port already, the leg has another. A listener whose backlog is full is waited for until ctx ends.
func (f *Fabric) Deliver(ctx context.Context, from, to netip.AddrPort) (*net.TCPConn, error) {
	from, to = plain(from), plain(to)
	if from.Addr().Is4() != to.Addr().Is4() {
		return nil, fmt.Errorf("from %v to %v: %w", from, to, unix.EAFNOSUPPORT)
	}
	at := from
	for range portTries {
		c, err := f.connect(ctx, at, to)
		if err == nil {
			f.stats.delivered.Add(1)
			return c, nil
		}
		if !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("deliver from %v to %v: %w", from, to, err)
		}
		at = netip.AddrPortFrom(from.Addr(), 0)
	}
	return nil, fmt.Errorf("no free port of %v: %w", from.Addr(), unix.EADDRNOTAVAIL)
}

// plain is a as the kernel's tables have it: IPv4 as such, and no zone, since there is one interface only.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
