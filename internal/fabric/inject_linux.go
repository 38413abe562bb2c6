package fabric

import (
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// rawSockets send packets that no socket of the kernel would. The zero value has none.
type rawSockets struct {
	mu       sync.RWMutex // guards the descriptors while they are used
	ip4, ip6 int          // for whole packets, marked as ours; 0 = none
}

// open opens them on the calling thread, which lives in the fabric.
func (r *rawSockets) open() (err error) {
	if r.ip4, err = openRaw(unix.AF_INET, unix.SOL_IP, unix.IP_HDRINCL); err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	if r.ip6, err = openRaw(unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_HDRINCL); err != nil && err != unix.EAFNOSUPPORT {
		return fmt.Errorf("open a raw socket for IPv6: %w", err)
	}
	return nil
}

func openRaw(family, level, whole int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err == nil {
		err = unix.SetsockoptInt(fd, level, whole, 1)
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func (r *rawSockets) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fd := range []int{r.ip4, r.ip6} {
		if fd > 0 {
			unix.Close(fd)
		}
	}
	r.ip4, r.ip6 = 0, 0
}

// send sends an IP packet, whose addresses say where from and where to.
func (r *rawSockets) send(packet []byte, to netip.Addr) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	fd := r.ip4
	if to.Is6() {
		fd = r.ip6
	}
	if fd == 0 {
		return unix.EAFNOSUPPORT
	}
	if err := unix.Sendto(fd, packet, 0, sockaddr(netip.AddrPortFrom(to, 0))); err != nil {
		return fmt.Errorf("send a packet to %v: %w", to, err)
	}
	return nil
}
