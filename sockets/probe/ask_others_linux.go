package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is not TCP must be as it was.
var otherQuestions = []question{
	{name: "udp-local-4", about: "UDP on the loopback interface: sendto, recvfrom, connected", ask: func(q *asker) { q.udpLocal("127.0.0.1") }},
	{name: "udp-local-6", about: "the same, IPv6", ask: func(q *asker) { q.udpLocal("::1") }},
	{name: "udp-far-4", about: "UDP with the counterpart", ask: func(q *asker) { q.udpFar(q.four) }},
	{name: "udp-far-6", about: "the same, IPv6", ask: func(q *asker) { q.udpFar(q.six) }},
	{name: "udp-refused", about: "UDP to a closed port", ask: (*asker).udpRefused},
	{name: "udp-tcp-port", about: "TCP and UDP may have the same port", ask: (*asker).udpTCPPort},
	{name: "udp-bind-foreign", about: "UDP at an address that this host does not have", ask: (*asker).udpForeign},
	{name: "unix-path", about: "AF_UNIX by a path, SO_PEERCRED", ask: (*asker).unixPath},
	{name: "unix-abstract", about: "AF_UNIX by an abstract name", ask: (*asker).unixAbstract},
	{name: "unix-pair", about: "socketpair: stream, datagram, seqpacket", ask: (*asker).unixPair},
	{name: "unix-refused", about: "AF_UNIX where nobody listens", ask: (*asker).unixRefused},
	{name: "interfaces-netlink", about: "interfaces and addresses by netlink", ask: (*asker).interfacesNetlink},
	{name: "interfaces-udp", about: "interfaces by SIOCGIFCONF on a UDP socket", ask: func(q *asker) { q.interfaces(unix.SOCK_DGRAM) }},
	{name: "interfaces-tcp", about: "interfaces by SIOCGIFCONF on a TCP socket", ask: func(q *asker) { q.interfaces(unix.SOCK_STREAM) }},
}

func (q *asker) datagram(a netip.AddrPort) int {
	return q.socket(familyOf(a.Addr()), unix.SOCK_DGRAM, 0)
}

func (q *asker) udpLocal(host string) {
	a := local(host, 0)
	server, client := q.datagram(a), q.datagram(a)
	q.did("bind", unix.Bind(server, sockaddr(a)))
	at := sockname(server)
	q.did("sendto", unix.Sendto(client, []byte("question"), 0, sockaddr(at)))
	b := make([]byte, 100)
	n, sa, err := unix.Recvfrom(server, b, 0)
	q.text("recvfrom", b, n, err)
	from := nameOf(sa, nil)
	q.is("from its port", from.Port() == sockname(client).Port() && from.Addr() == a.Addr())
	q.did("connect", unix.Connect(client, sockaddr(at)))
	q.did("answer", unix.Sendto(server, []byte("answer"), 0, sockaddr(from)))
	q.recv("recv", client, 100, 0)
	q.send("send", "again", client)
	q.say("unread %d", unread(server, 5))
	q.did("nothing", unix.Sendto(server, nil, 0, sockaddr(from)))
	n, err = recv(client, b, 0)
	q.count("recv", n, err)
}

func (q *asker) udpFar(to netip.AddrPort) {
	fd := q.datagram(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	q.send("send", "far away", fd)
	q.say("poll %s", wait(fd, unix.POLLIN, waitTime))
	q.recv("recv", fd, 100, unix.MSG_DONTWAIT)
	q.is("peer as asked", peername(fd) == to)
}

func (q *asker) udpRefused() {
	fd := q.datagram(q.four)
	q.did("connect", unix.Connect(fd, sockaddr(closed(q.four))))
	q.send("send", "x", fd)
	q.say("poll %s", settle(fd, unix.POLLERR))
	q.recv("recv", fd, 100, unix.MSG_DONTWAIT)
	q.recv("recv", fd, 100, unix.MSG_DONTWAIT)
}

func (q *asker) udpTCPPort() {
	_, at := q.listen("0.0.0.0", 8)
	fd := q.datagram(at)
	q.did("UDP", unix.Bind(fd, sockaddr(at)))
	q.is("same port", sockname(fd).Port() == at.Port())
}

func (q *asker) udpForeign() {
	a := local("203.0.113.9", 0)
	q.did("bind", unix.Bind(q.datagram(a), sockaddr(a)))
	a = local("127.0.0.77", 0)
	q.did("bind", unix.Bind(q.datagram(a), sockaddr(a)))
}

func (q *asker) unixPath() {
	dir, err := os.MkdirTemp("", "probe")
	q.must("mkdir", err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	q.unixStream(&unix.SockaddrUnix{Name: path})
	_, err = os.Stat(path)
	q.did("stat", err)
	q.did("bind again", unix.Bind(q.socket(unix.AF_UNIX, unix.SOCK_STREAM, 0), &unix.SockaddrUnix{Name: path}))
}

func (q *asker) unixAbstract() {
	q.unixStream(&unix.SockaddrUnix{Name: fmt.Sprintf("@quiver-probe-%d", os.Getpid())})
}

func (q *asker) unixStream(sa *unix.SockaddrUnix) {
	ln := q.socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	q.did("bind", unix.Bind(ln, sa))
	q.did("listen", unix.Listen(ln, 8))
	fd := q.socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	q.did("connect", unix.Connect(fd, sa))
	conn, _ := q.accept(ln)
	q.send("send", "abc", fd)
	q.recv("recv", conn, 10, 0)
	cred, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	q.must("SO_PEERCRED", err)
	q.is("peer is this process", int(cred.Pid) == os.Getpid() && int(cred.Uid) == os.Getuid() && int(cred.Gid) == os.Getgid())
	name, err := unix.Getpeername(fd)
	q.must("getpeername", err)
	other, ok := name.(*unix.SockaddrUnix)
	q.is("name", ok && other.Name == sa.Name)
}

func (q *asker) unixPair() {
	for _, k := range []struct {
		name string
		typ  int
	}{{"stream", unix.SOCK_STREAM}, {"datagram", unix.SOCK_DGRAM}, {"seqpacket", unix.SOCK_SEQPACKET}} {
		p, err := unix.Socketpair(unix.AF_UNIX, k.typ|unix.SOCK_CLOEXEC, 0)
		q.did(k.name, err)
		q.send("send", "abc", p[0])
		q.recv("recv", p[1], 2, 0)
		q.recv("rest", p[1], 10, unix.MSG_DONTWAIT)
	}
}

func (q *asker) unixRefused() {
	fd := q.socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	q.did("no file", unix.Connect(fd, &unix.SockaddrUnix{Name: "/nonexistent/socket"}))
	q.did("abstract", unix.Connect(fd, &unix.SockaddrUnix{Name: "@quiver-probe-nobody"}))
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
}

// interfacesNetlink lists them as "name address address", without those of the link.
func (q *asker) interfacesNetlink() {
	all, err := net.Interfaces()
	q.must("interfaces", err)
	for _, i := range all {
		words := []string{i.Name}
		addrs, err := i.Addrs()
		q.must("addresses", err)
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; !ip.IsLinkLocalUnicast() {
				words = append(words, ip.String())
			}
		}
		q.say("%s", strings.Join(words, " "))
	}
}

// deviceOf names the interface with that address.
func deviceOf(addr netip.Addr) string {
	all, _ := net.Interfaces()
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if a.(*net.IPNet).IP.Equal(addr.Unmap().AsSlice()) || addr.Is4() && addr.IsLoopback() && i.Flags&net.FlagLoopback != 0 {
				return i.Name
			}
		}
	}
	return "none"
}

// ifreq is struct ifreq with an address.
type ifreq struct {
	name [16]byte
	addr unix.RawSockaddrInet4
	_    [8]byte
}

func (q *asker) interfaces(typ int) {
	fd := q.socket(unix.AF_INET, typ, 0)
	list := make([]ifreq, 32)
	conf := struct {
		size int32
		_    int32
		list *ifreq
	}{int32(len(list)) * int32(unsafe.Sizeof(ifreq{})), 0, &list[0]}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFCONF, uintptr(unsafe.Pointer(&conf)))
	q.must("SIOCGIFCONF", errnoErr(errno))
	for _, i := range list[:conf.size/int32(unsafe.Sizeof(ifreq{}))] {
		q.say("%s %s", unix.ByteSliceToString(i.name[:]), netip.AddrFrom4(i.addr.Addr))
	}
}
