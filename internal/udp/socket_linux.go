//go:build !udpportable

package udp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is the batch UDP socket of Linux. It is a Conn: one reader, any number of writers.
type Socket struct {
	conn      *net.UDPConn
	raw       syscall.RawConn
	local     netip.AddrPort
	inet6     bool // AF_INET6: IPv4 addresses travel as IPv4-mapped ones
	connected bool // the kernel hands this socket ICMP errors, with whatever call comes next
	granted   Stats

	gso      atomic.Bool
	gsoErrno atomic.Uint32 // why a Write turned gso off, 0 = none did

	unreachable func(*Unreachable) // nil = nobody is told
	watch       watch

	zones    zoneTable
	receiver receiver // of the one reader

	closed    atomic.Bool
	truncated atomic.Uint64
	overflow  atomic.Uint64

	mu   sync.Mutex // guards idle
	idle *sender    // senders no Write is using; as many exist as Writes ever ran at once
}

// New makes a Socket of c, which it then owns: it sets options on it, and nobody else may read it. It fails only if
// the kernel refuses to leave fragmentation and path MTU to us; c is open then and still the caller's.
func New(c *net.UDPConn, cfg Config) (*Socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	s := &Socket{conn: c, raw: raw, connected: c.RemoteAddr() != nil, unreachable: cfg.Unreachable}
	s.local, _ = addrPort(c.LocalAddr())
	var setupErr error
	err = raw.Control(func(fd uintptr) { setupErr = s.setup(int(fd), cfg.withEnv()) })
	if err = cmp.Or(err, setupErr); err != nil {
		return nil, fmt.Errorf("udp: set up %v: %w", s.local, err)
	}
	s.receiver.init(s)
	return s, nil
}

func (s *Socket) setup(fd int, cfg Config) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return fmt.Errorf("read SO_DOMAIN: %w", err)
	}
	s.inet6 = domain == unix.AF_INET6
	if err := forbidFragments(fd, s.inet6); err != nil {
		return err
	}
	g := &s.granted
	g.PacketInfo = enablePacketInfo(fd, s.inet6)
	g.ECN = !cfg.DisableECN && enableECN(fd, s.inet6)
	g.GRO = !cfg.DisableGRO && enableGRO(fd)
	s.gso.Store(!cfg.DisableGSO && hasGSO(fd))
	setFlag(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL)
	if want := wantBuffer(cfg.ReceiveBuffer); want > 0 {
		g.ReceiveBuffer = growBuffer(fd, want, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	}
	if want := wantBuffer(cfg.SendBuffer); want > 0 {
		g.SendBuffer = growBuffer(fd, want, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	}
	return nil
}

// forbidFragments sets DF and makes the kernel ignore the path MTU that ICMP messages claim: with PMTUDISC_DO a
// forged "packet too big" would stop all sends (CVE-2024-53259), with PMTUDISC_PROBE only the link's MTU counts.
func forbidFragments(fd int, inet6 bool) error {
	if inet6 {
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
			return fmt.Errorf("set IPV6_MTU_DISCOVER to probe: %w", err)
		}
	}
	// An AF_INET6 socket needs it too, for its IPv4-mapped peers.
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil {
		return fmt.Errorf("set IP_MTU_DISCOVER to probe: %w", err)
	}
	return nil
}

// enablePacketInfo asks for destination addresses. An AF_INET6 socket reports those of its IPv4 peers as mapped ones.
func enablePacketInfo(fd int, inet6 bool) bool {
	if inet6 {
		return setFlag(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO)
	}
	return setFlag(fd, unix.SOL_IP, unix.IP_PKTINFO)
}

// enableECN asks for the IP header's TOS or traffic class; an AF_INET6 socket gets either, by family of the packet.
func enableECN(fd int, inet6 bool) bool {
	if inet6 && !setFlag(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS) {
		return false
	}
	return setFlag(fd, unix.SOL_IP, unix.IP_RECVTOS)
}

// enableGRO reads the option back, which kernels before 5.12 cannot, and theirs is not worth trusting.
func enableGRO(fd int) bool {
	if !setFlag(fd, unix.SOL_UDP, unix.UDP_GRO) {
		return false
	}
	on, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO)
	return err == nil && on != 0
}

// hasGSO asks whether the kernel knows the option (4.18); a driver may still refuse a train, which Write notices.
func hasGSO(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func setFlag(fd, level, option int) bool {
	return unix.SetsockoptInt(fd, level, option, 1) == nil
}

// growBuffer raises a socket buffer to want bytes, beyond the system's limit where CAP_NET_ADMIN allows it (force),
// never lowers it, and returns what it is now. The kernel counts, and reports, twice what was asked for.
func growBuffer(fd, want, force, option int) int {
	now, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	if err == nil && now/2 >= want {
		return now / 2
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, want) != nil {
		// A refusal leaves the old size, with which everything works, if slower.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, want)
	}
	now, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	if err != nil {
		return 0
	}
	return now / 2
}

// async reports whether a call may return the error of an earlier datagram.
func (s *Socket) async() bool { return s.connected || s.watch.on.Load() }

// LocalAddr implements Conn.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// MaxSegments implements Conn.
func (s *Socket) MaxSegments() int {
	if s.gso.Load() {
		return maxSegments
	}
	return 1
}

// SetReadDeadline implements Conn.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Close implements Conn.
func (s *Socket) Close() error {
	s.closed.Store(true)
	return s.conn.Close()
}

// Stats returns what the socket got, and what happened to it since. Any goroutine may call it.
func (s *Socket) Stats() Stats {
	st := s.granted
	st.GSO = s.gso.Load()
	if errno := s.gsoErrno.Load(); errno != 0 {
		st.GSOError = syscall.Errno(errno)
	}
	st.Truncated = s.truncated.Load()
	st.Overflow = s.overflow.Load()
	return st
}
