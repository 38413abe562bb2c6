package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

const (
	// receivers is how many threads answer trapped calls. With one a call takes two thirds of the time that it takes with two, which wake
	// each other; no answer waits for anything.
	receivers = 1
	// typeMask takes the flags off the type of a socket.
	typeMask = 0xf
)

// traps answers the calls that the filter brings to us. It decides from copies of what the program says, and acts on them itself.
type traps struct {
	s      *supervisor
	asking []int         // the protocol numbers by which a program asks for QUIC itself
	home   uint64        // the number of the network namespace in which the program was started
	count  atomic.Uint64 // of calls
}

func (t *traps) init(s *supervisor) error {
	t.s, t.asking = s, s.conf.Policy.Protocols()
	at := "/proc/self/ns/net"
	if s.mode == Inside {
		at = "/proc/self/fd/" + strconv.Itoa(s.fabric.NS())
	}
	var st unix.Stat_t
	if err := unix.Stat(at, &st); err != nil {
		return fmt.Errorf("look at %s: %w", at, err)
	}
	t.home = st.Ino
	return nil
}

// handle answers one call, at once.
func (t *traps) handle(c *seccomp.Call) {
	t.count.Add(1)
	switch c.Nr {
	case unix.SYS_SOCKET:
		t.socket(c)
	case unix.SYS_BIND:
		t.bind(c)
	case unix.SYS_LISTEN:
		t.listen(c)
	case unix.SYS_IOCTL:
		t.interfaces(c)
	default:
		c.Continue()
	}
}

// socket gives the program a socket of the namespace that it does not live in.
//
// A program may have left the one that it was started in: then its sockets are those of where it is.
func (t *traps) socket(c *seccomp.Call) {
	if at, err := networkOf(c.PID); err != nil || at != t.home {
		c.Continue()
		return
	}
	domain, typ, proto := int(int32(c.Args[0])), int(int32(c.Args[1])), int(int32(c.Args[2]))
	fd, err := t.makeSocket(c, domain, typ, proto)
	if err != nil {
		t.s.shortage(err)
		c.Errno(errnoOf(err))
		return
	}
	defer unix.Close(fd)
	if err := c.AddFD(fd, typ&unix.SOCK_CLOEXEC != 0); err != nil {
		t.s.log.Debug("a socket did not reach the program", "pid", c.PID, "error", err)
	}
}

// networkOf returns the number of the network namespace of a thread.
func networkOf(tid uint32) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/"+strconv.FormatUint(uint64(tid), 10)+"/ns/net", &st)
	return st.Ino, err
}

// makeSocket makes it: of the fabric, if it is TCP, and of the host otherwise. MPTCP becomes the TCP that it falls back to: its connect
// never learns that a simultaneous open, which ours are, has succeeded (Linux 6.18).
func (t *traps) makeSocket(c *seccomp.Call, domain, typ, proto int) (int, error) {
	if isInet(domain) && typ&typeMask == unix.SOCK_STREAM {
		switch {
		case slices.Contains(t.asking, proto):
			return t.s.fabric.Socket(domain, typ|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP, fabric.MarkProto)
		case proto == 0, proto == unix.IPPROTO_TCP, proto == unix.IPPROTO_MPTCP:
			return t.s.fabric.Socket(domain, typ|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP, 0)
		}
	}
	if needsRaw(domain, typ) && !holds(c.PID, unix.CAP_NET_RAW) {
		return -1, deny(domain, typ, proto)
	}
	return unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto)
}

func isInet(domain int) bool { return domain == unix.AF_INET || domain == unix.AF_INET6 }

// needsRaw reports whether the kernel would ask the caller for CAP_NET_RAW. It would ask us, who have it.
func needsRaw(domain, typ int) bool {
	switch domain {
	case unix.AF_PACKET, unix.AF_XDP, unix.AF_KEY:
		return true
	case unix.AF_UNIX, unix.AF_NETLINK, unix.AF_CAN, unix.AF_BLUETOOTH:
		return false // these judge what is done with a socket, and who does it
	}
	return typ&typeMask == unix.SOCK_RAW || typ&typeMask == unix.SOCK_PACKET
}

// deny returns what the kernel says of a socket to whom lacks CAP_NET_RAW: it looks at the flags first, and in families of the Internet at
// all that is asked for.
func deny(domain, typ, proto int) error {
	if typ&^(typeMask|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != 0 {
		return unix.EINVAL
	}
	if isInet(domain) {
		fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return unix.EPERM
}

// bind refuses addresses that the host does not have: in the fabric every address is local.
func (t *traps) bind(c *seccomp.Call) {
	addr, ok := readAddress(c, c.Args[1], c.Args[2])
	if !ok || addr.Addr().IsUnspecified() || addr.Addr().IsMulticast() || addr.Addr() == broadcast || t.s.fabric.Local(addr.Addr()) {
		c.Continue()
		return
	}
	sock, err := c.Socket(int(int32(c.Args[0])))
	if err != nil {
		c.Continue()
		return
	}
	defer unix.Close(sock)
	if !isTCP(sock) || bindsAnywhere(sock) {
		c.Continue()
		return
	}
	c.Errno(unix.EADDRNOTAVAIL)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// readAddress reads an Internet address out of the program's memory.
func readAddress(c *seccomp.Call, at, size uint64) (netip.AddrPort, bool) {
	var raw [unix.SizeofSockaddrInet6]byte
	b := raw[:min(size, uint64(len(raw)))]
	if len(b) < unix.SizeofSockaddrInet4 || c.Read(at, b) != nil {
		return netip.AddrPort{}, false
	}
	return parseAddress(b)
}

// parseAddress parses a struct sockaddr_in or sockaddr_in6. An address of a link is none without the link: the kernel says so itself.
func parseAddress(b []byte) (netip.AddrPort, bool) {
	if len(b) < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}, false
	}
	family := uint16(b[0]) | uint16(b[1])<<8 // the order of this machine, which is little-endian on all that Quiver runs on
	port := uint16(b[2])<<8 | uint16(b[3])
	switch {
	case family == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), true
	case family == unix.AF_INET6 && len(b) >= 24:
		addr := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		noScope := len(b) < unix.SizeofSockaddrInet6 || [4]byte(b[24:28]) == [4]byte{}
		if addr.Is6() && addr.IsLinkLocalUnicast() && noScope {
			return netip.AddrPort{}, false
		}
		return netip.AddrPortFrom(addr, port), true
	}
	return netip.AddrPort{}, false
}

// markOf returns the mark of a socket.
func markOf(fd int) uint32 {
	mark, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK)
	return uint32(mark)
}

// isTCP reports whether a socket is TCP.
func isTCP(fd int) bool {
	proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && (proto == unix.IPPROTO_TCP || proto == unix.IPPROTO_MPTCP)
}

// canListen reports whether a socket is in one of the states in which listen succeeds; the kernel says no in all others.
func canListen(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err != nil || info.State == unix.BPF_TCP_CLOSE || info.State == unix.BPF_TCP_LISTEN
}

// isIPv6Only reports whether a socket leaves IPv4 to others.
func isIPv6Only(fd int) bool {
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err == nil && v != 0
}

// bindsAnywhere reports whether a socket may bind to addresses that the host lacks, because its program asked for that.
func bindsAnywhere(fd int) bool {
	for _, o := range [][2]int{{unix.SOL_IP, unix.IP_FREEBIND}, {unix.SOL_IP, unix.IP_TRANSPARENT}, {unix.SOL_IPV6, unix.IPV6_FREEBIND}, {unix.SOL_IPV6, unix.IPV6_TRANSPARENT}} {
		if v, err := unix.GetsockoptInt(fd, o[0], o[1]); err == nil && v != 0 {
			return true
		}
	}
	return false
}

// listen opens the way to a listener before the program has it.
func (t *traps) listen(c *seccomp.Call) {
	sock, err := c.Socket(int(int32(c.Args[0])))
	if t.s.shortage(err) {
		c.Errno(unix.ENOBUFS) // rather than a listener that nobody reaches
		return
	}
	if err != nil {
		t.s.log.Debug("a listener was not looked at", "pid", c.PID, "error", err)
		c.Continue()
		return
	}
	defer unix.Close(sock)
	if !isTCP(sock) || !canListen(sock) || !t.s.fabric.Owns(sock) {
		c.Continue()
		return
	}
	at, err := boundTo(sock)
	if err == nil {
		err = t.s.ports.listen(at, markOf(sock) == fabric.MarkProto, isIPv6Only(sock))
	}
	if err != nil {
		c.Errno(errnoOf(err))
		return
	}
	c.Continue()
}

// boundTo returns where a socket will listen. One that is not bound yet gets the port that listen would give it.
func boundTo(fd int) (netip.AddrPort, error) {
	at, err := nameOf(fd)
	if err != nil || at.Port() != 0 {
		return at, err
	}
	var any unix.Sockaddr = &unix.SockaddrInet4{}
	if at.Addr().Is6() {
		any = &unix.SockaddrInet6{}
	}
	if err := unix.Bind(fd, any); err != nil {
		return at, err
	}
	return nameOf(fd)
}

func nameOf(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}

// errnoOf is what the program is told of an error of ours.
func errnoOf(err error) unix.Errno {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.ENOBUFS
}
