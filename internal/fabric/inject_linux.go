package fabric

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rawSockets send packets that no socket of the kernel would.
type rawSockets struct {
	ip4, ip6 int // whole packets, with IPPROTO_RAW
	open_    bool
}

// open opens them on the calling thread, which lives in the fabric.
func (r *rawSockets) open() (err error) {
	r.ip4, r.ip6 = -1, -1
	r.open_ = true
	if r.ip4, err = openRaw(unix.AF_INET); err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	if r.ip6, err = openRaw(unix.AF_INET6); err != nil && err != unix.EAFNOSUPPORT {
		return fmt.Errorf("open a raw socket for IPv6: %w", err)
	}
	return nil
}

func openRaw(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_HDRINCL, 1)
	}
	return fd, err
}

func (r *rawSockets) close() {
	if !r.open_ {
		return
	}
	for _, fd := range []int{r.ip4, r.ip6} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// again sends a SYN as the program sent it.
func (r *rawSockets) again(s *syn) error { return r.send(s.whole(), s.dest.Addr()) }

// tcp sends a TCP packet back to who sent s.
func (r *rawSockets) tcp(s *syn, segment []byte) error {
	return r.send(s.answer(protoTCP, segment), s.app.Addr())
}

// icmp sends word that s did not get through: code4 in ICMP, code6 in ICMPv6.
func (r *rawSockets) icmp(s *syn, code4, code6 byte) error {
	proto := byte(unix.IPPROTO_ICMP)
	if s.app.Addr().Is6() {
		proto = protoICMPv6
	}
	return r.send(s.answer(proto, s.unreachable(code4, code6)), s.app.Addr())
}

func (r *rawSockets) send(packet []byte, to netip.Addr) error {
	fd := r.ip4
	if to.Is6() {
		fd = r.ip6
	}
	return unix.Sendto(fd, packet, 0, sockaddr(netip.AddrPortFrom(to, 0)))
}
