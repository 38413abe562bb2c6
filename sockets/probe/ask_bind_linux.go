package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var bindQuestions = []question{
	{name: "bind-zero", about: "port 0 is a free port, each time another", ask: (*asker).bindZero},
	{name: "bind-in-use", about: "a port that is taken", ask: (*asker).bindInUse},
	{name: "bind-in-use-any", about: "0.0.0.0, :: and one address at the same port", ask: (*asker).bindInUseAny},
	{name: "bind-rebind", about: "a port bound again right after its listener and connections were closed", ask: (*asker).bindRebind},
	{name: "bind-reuseport", about: "two listeners on one port share the connections", ask: (*asker).bindReuseport},
	{name: "bind-foreign-4", about: "an address that this host does not have", ask: func(q *asker) { q.bindForeign("203.0.113.9", unix.IPPROTO_IP, unix.IP_FREEBIND) }},
	{name: "bind-foreign-6", about: "the same, IPv6", ask: func(q *asker) { q.bindForeign("2001:db8::9", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND) }},
	{name: "bind-own", about: "the address the counterpart sees", ask: (*asker).bindOwn},
	{name: "bind-bad", about: "addresses that are none, and a second bind", ask: (*asker).bindBad},
	{name: "bind-low", about: "ports below 1024 need the right", ask: (*asker).bindLow},
	{name: "bind-v6only", about: "one port for each family", ask: (*asker).bindV6only},
	{name: "bind-multicast", about: "addresses of groups and broadcasts", ask: (*asker).bindMulticast},
	{name: "bind-device", about: "SO_BINDTODEVICE lo", ask: (*asker).bindDevice},
	{name: "bind-device-uplink", about: "SO_BINDTODEVICE to the interface that has the address the counterpart sees", ask: (*asker).bindDeviceUplink},
}

func local(host string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), port)
}

func (q *asker) bindZero() {
	a, b := q.stream(q.four), q.stream(q.four)
	q.did("one", unix.Bind(a, sockaddr(local("127.0.0.1", 0))))
	q.did("two", unix.Bind(b, sockaddr(local("127.0.0.1", 0))))
	q.is("ports", sockname(a).Port() != 0 && sockname(a).Port() != sockname(b).Port())
}

func (q *asker) bindInUse() {
	a, b, c := q.stream(q.four), q.stream(q.four), q.stream(q.four)
	q.must("bind", unix.Bind(a, sockaddr(local("127.0.0.1", 0))))
	at := sockname(a)
	q.did("bound", unix.Bind(b, sockaddr(at)))
	for _, fd := range []int{a, b, c} {
		q.must("SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	}
	q.did("both with SO_REUSEADDR", unix.Bind(b, sockaddr(at)))
	q.did("one listens", unix.Listen(a, 1))
	q.did("the other", unix.Listen(b, 1))
	q.did("a third binds", unix.Bind(c, sockaddr(at)))
	closeAll(a, b)
	q.did("after close", unix.Bind(c, sockaddr(at)))
}

func (q *asker) bindInUseAny() {
	_, at := q.listen("127.0.0.1", 1)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:127.0.0.3"} {
		a := local(host, at.Port())
		fd := q.stream(a)
		q.did(host, unix.Bind(fd, sockaddr(a)))
		unix.Close(fd)
	}
}

func (q *asker) bindRebind() {
	for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
		at := local(host, 0)
		ln := q.stream(at)
		q.must("SO_REUSEADDR", unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		q.must("bind", unix.Bind(ln, sockaddr(at)))
		q.must("listen", unix.Listen(ln, 8))
		at = sockname(ln)
		var conn int
		if host == "0.0.0.0" {
			conn, _ = q.called(ln, "echo")
		} else {
			fd := q.stream(at)
			q.must("connect", unix.Connect(fd, sockaddr(at)))
			conn, _ = q.accept(ln)
		}
		q.must("shutdown", unix.Shutdown(conn, unix.SHUT_WR)) // ours ends first: it is the one that waits
		if host == "0.0.0.0" {
			q.recv("recv", conn, 1, 0)
		}
		closeAll(conn, ln)
		fd := q.stream(at)
		q.did("plainly", unix.Bind(fd, sockaddr(at)))
		q.must("SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		q.did("with SO_REUSEADDR", unix.Bind(fd, sockaddr(at)))
		q.did("listen", unix.Listen(fd, 8))
		if host == "0.0.0.0" {
			conn, _ = q.called(fd, "echo")
			q.echo(conn)
		}
	}
}

func (q *asker) bindReuseport() {
	shared := func(a netip.AddrPort) int {
		fd := q.stream(a)
		q.must("SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		return fd
	}
	any4 := local("0.0.0.0", 0)
	a := shared(any4)
	q.did("one", unix.Bind(a, sockaddr(any4)))
	at := sockname(a)
	b := shared(at)
	q.did("two", unix.Bind(b, sockaddr(at)))
	q.did("without", unix.Bind(q.stream(at), sockaddr(at)))
	q.did("listen", unix.Listen(a, 200))
	q.did("listen", unix.Listen(b, 200))
	const many = 40
	step := fmt.Sprintf("back %d eof;", at.Port())
	unix.Close(q.open("%s", strings.TrimSuffix(strings.Repeat(step, many), ";")))
	var got [2]int
	for range many {
		p := []unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}}
		again(func() error { _, err := unix.Poll(p, int(waitTime.Milliseconds())); return err })
		for i := range p {
			if p[i].Revents != 0 {
				conn, _, err := unix.Accept4(int(p[i].Fd), 0)
				q.must("accept", err)
				unix.Close(conn)
				got[i]++
				break
			}
		}
	}
	q.is("all came", got[0]+got[1] == many)
	q.is("to both", got[0] > 0 && got[1] > 0)
}

func (q *asker) bindForeign(host string, level, freebind int) {
	a := local(host, 0)
	fd := q.stream(a)
	q.did("bind", unix.Bind(fd, sockaddr(a)))
	q.did("port 7777", unix.Bind(fd, sockaddr(local(host, 7777))))
	q.did("FREEBIND", unix.SetsockoptInt(fd, level, freebind, 1))
	q.did("bind", unix.Bind(fd, sockaddr(a)))
}

func (q *asker) bindOwn() {
	own := sockname(q.open("echo")).Addr()
	a := netip.AddrPortFrom(own, 0)
	ln := q.stream(a)
	q.did("bind", unix.Bind(ln, sockaddr(a)))
	q.is("address", sockname(ln).Addr() == own)
	q.did("listen", unix.Listen(ln, 8))
	conn, _ := q.called(ln, "echo")
	q.echo(conn)
	fd := q.stream(a)
	q.did("bind", unix.Bind(fd, sockaddr(a)))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.is("address", sockname(fd).Addr() == own)
	q.hand(fd, "echo")
	q.echo(fd)
}

func (q *asker) bindBad() {
	four := func() int { return q.stream(q.four) }
	inet := rawSockaddr(netip.MustParseAddrPort("127.0.0.1:0"))
	inet6 := rawSockaddr(netip.MustParseAddrPort("[::1]:0"))
	q.did("short", rawBind(four(), inet, 8))
	q.did("empty", rawBind(four(), inet, 0))
	q.did("negative", rawBind(four(), inet, -1))
	q.did("6 on 4", rawBind(four(), inet6, 28))
	q.did("4 on 6", rawBind(q.socket(unix.AF_INET6, unix.SOCK_STREAM, 0), inet, 16))
	q.did("bad pointer", rawBind(four(), nil, 16))
	q.did("bad descriptor", rawBind(9999, inet, 16))
	q.did("no family, any address", rawBind(four(), make([]byte, 16), 16))
	fd := four()
	q.did("once", rawBind(fd, inet, 16))
	q.did("twice", rawBind(fd, inet, 16))
	q.did("connected", rawBind(q.open("echo"), inet, 16))
}

// may reports whether this process has the capability.
func may(capability int) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:\t")
	var have uint64
	fmt.Sscanf(rest, "%x", &have)
	return have>>capability&1 != 0
}

// rightly takes down whether a call that needs a capability does as it should without it, or with it.
func (q *asker) rightly(what string, capability int, err, without error) {
	switch {
	case may(capability) && err == nil, !may(capability) && err == without:
		q.say("%s as its rights are", what)
	default:
		q.say("%s %s with the right %v", what, errName(err), may(capability))
	}
}

func (q *asker) bindLow() {
	a := local("127.0.0.1", 611)
	q.rightly("bind", unix.CAP_NET_BIND_SERVICE, unix.Bind(q.stream(a), sockaddr(a)), unix.EACCES)
}

func (q *asker) bindV6only() {
	only := func() int {
		fd := q.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		q.must("IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
		return fd
	}
	ln, at := q.listen("0.0.0.0", 8)
	six := only()
	q.did("6", unix.Bind(six, sockaddr(local("::", at.Port()))))
	q.did("listen", unix.Listen(six, 8))
	for _, host := range []string{"127.0.0.1", "::1"} {
		fd := q.stream(local(host, 0))
		q.did(host, unix.Connect(fd, sockaddr(local(host, at.Port()))))
	}
	_, from := q.accept(ln)
	q.say("from %s", from.Addr())
	_, from = q.accept(six)
	q.say("from %s", from.Addr())
	q.did("after bind", unix.SetsockoptInt(six, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
}

func (q *asker) bindMulticast() {
	for _, host := range []string{"224.0.0.1", "255.255.255.255", "127.255.255.255", "127.77.0.1", "ff02::1", "::ffff:203.0.113.9"} {
		a := local(host, 0)
		q.did(host, unix.Bind(q.stream(a), sockaddr(a)))
	}
}

func (q *asker) bindDevice() {
	ln, at := q.listen("127.0.0.1", 8)
	q.did("listener", unix.BindToDevice(ln, "lo"))
	fd := q.stream(at)
	q.did("lo", unix.BindToDevice(fd, "lo"))
	name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	q.did("get "+name, err)
	q.did("connect", unix.Connect(fd, sockaddr(at)))
	q.did("none of that name", unix.BindToDevice(q.stream(at), "none0"))
}

func (q *asker) bindDeviceUplink() {
	device := deviceOf(sockname(q.open("echo")).Addr())
	fd := q.stream(q.four)
	q.did("bind", unix.BindToDevice(fd, device))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.hand(fd, "echo")
	q.echo(fd)
}
