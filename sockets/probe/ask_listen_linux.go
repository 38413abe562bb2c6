package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var listenQuestions = []question{
	{name: "accept-flags", about: "accept4's flags, and what is not inherited from the listener", ask: (*asker).acceptFlags},
	{name: "accept-null", about: "accept without a place for the address, or a short one", ask: (*asker).acceptNull},
	{name: "accept-bad", about: "accept on what does not listen", ask: (*asker).acceptBad},
	{name: "accept-nb", about: "accept without anyone there, poll on a listener", ask: (*asker).acceptLater},
	{name: "accept-rcvtimeo", about: "SO_RCVTIMEO bounds accept", ask: (*asker).acceptTimeout},
	{name: "accept-after-reset", about: "a connection that was reset before it was accepted", ask: (*asker).acceptAfterReset},
	{name: "accept-inherits", about: "options of the listener that accepted sockets have", ask: (*asker).acceptInherits},
	{name: "accept-data-waits", about: "data and end of file that came before accept", ask: (*asker).acceptDataWaits},
	{name: "listen-states", about: "listen twice, unbound, connected; connect and recv on a listener", ask: (*asker).listenStates},
	{name: "listen-backlog", about: "a queue that is full", ask: (*asker).listenBacklog},
	{name: "listen-close", about: "a listener closed with connections in its queue", ask: (*asker).listenClose},
	{name: "listen-shutdown", about: "shutdown of a listener wakes accept", ask: (*asker).listenShutdown},
	{name: "listen-closed-refuses", about: "the port refuses the counterpart before listen and after close", ask: (*asker).listenClosedRefuses},
	{name: "listen-one-address", about: "a listener on 127.0.0.1 is not at other addresses", ask: (*asker).listenOneAddress},
	{name: "listen-defer-accept", about: "TCP_DEFER_ACCEPT waits for data", ask: (*asker).listenDeferAccept},
	{name: "listen-many", about: "30 connections of the counterpart at once, each with a name of its own", ask: (*asker).listenMany},
}

func (q *asker) acceptFlags() {
	ln, _ := q.listen("0.0.0.0", 8)
	q.must("O_NONBLOCK", unix.SetNonblock(ln, true))
	for _, flags := range []int{0, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC} {
		q.call(ln, "eof")
		wait(ln, unix.POLLIN, waitTime)
		fd, _, err := unix.Accept4(ln, flags)
		q.must("accept4", err)
		fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		fdfl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		q.say("nonblock %v cloexec %v", fl&unix.O_NONBLOCK != 0, fdfl&unix.FD_CLOEXEC != 0)
	}
	_, _, err := unix.Accept4(ln, 1)
	q.did("bad flag", err)
}

func (q *asker) acceptNull() {
	ln, _ := q.listen("0.0.0.0", 8)
	for range 3 {
		q.call(ln, "eof")
	}
	wait(ln, unix.POLLIN, waitTime)
	_, _, errno := unix.Syscall(unix.SYS_ACCEPT, uintptr(ln), 0, 0)
	q.did("no address", errnoErr(errno))
	b := []byte("################")
	wait(ln, unix.POLLIN, waitTime)
	_, size, err := rawName(unix.SYS_ACCEPT, ln, b, 4)
	q.did("short", err)
	q.say("size %d, rest %s", size, b[4:])
	wait(ln, unix.POLLIN, waitTime)
	_, _, err = rawName(unix.SYS_ACCEPT, ln, b, -1)
	q.did("negative", err)
}

func (q *asker) acceptBad() {
	try := func(what string, fd int) {
		_, _, err := unix.Accept4(fd, 0)
		q.did(what, err)
	}
	try("new", q.stream(q.four))
	fd := q.stream(q.four)
	q.must("bind", unix.Bind(fd, sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))))
	try("bound", fd)
	try("connected", q.open("echo"))
	try("UDP", q.socket(unix.AF_INET, unix.SOCK_DGRAM, 0))
	try("bad descriptor", 9999)
	file, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	q.must("memfd", err)
	try("a file", file)
}

func (q *asker) acceptLater() {
	ln, _ := q.listen("0.0.0.0", 8)
	q.must("O_NONBLOCK", unix.SetNonblock(ln, true))
	_, _, err := unix.Accept4(ln, 0)
	q.did("accept", err)
	q.say("poll %s", wait(ln, allEvents, 0))
	q.call(ln, "eof")
	q.say("poll %s", wait(ln, allEvents, waitTime))
	_, _, err = unix.Accept4(ln, 0)
	q.did("accept", err)
	q.say("poll %s", wait(ln, allEvents, 0))
	_, _, err = unix.Accept4(ln, 0)
	q.did("accept", err)
}

func (q *asker) acceptTimeout() {
	ln, _ := q.listen("127.0.0.1", 8)
	tv := unix.NsecToTimeval(int64(silence))
	q.must("SO_RCVTIMEO", unix.SetsockoptTimeval(ln, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	start := time.Now()
	q.did("accept", again(func() error { _, _, err := unix.Accept4(ln, 0); return err }))
	q.is("after the time", time.Since(start) >= silence*9/10)
}

func (q *asker) acceptAfterReset() {
	ln, _ := q.listen("0.0.0.0", 8)
	key := q.key()
	q.call(ln, "note %s,send 3,rst", key)
	q.noted(key)
	conn, _ := q.accept(ln)
	q.say("poll %s", settle(conn, unix.POLLHUP))
	q.recv("recv", conn, 10, 0)
	q.recv("recv", conn, 10, 0)
	q.recv("recv", conn, 10, 0)
}

func (q *asker) acceptInherits() {
	ln, _ := q.listen("0.0.0.0", 8)
	set := func(level, opt, v int) { q.must("setsockopt", unix.SetsockoptInt(ln, level, opt, v)) }
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77)
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1234)
	set(unix.IPPROTO_IP, unix.IP_TTL, 33)
	conn, _ := q.called(ln, "eof")
	get := func(what string, level, opt int) {
		v, err := unix.GetsockoptInt(conn, level, opt)
		q.count(what, v, err)
	}
	get("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY)
	get("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	get("TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	get("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR)
	get("TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	get("IP_TTL", unix.IPPROTO_IP, unix.IP_TTL)
	get("SO_ACCEPTCONN", unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
}

func (q *asker) acceptDataWaits() {
	ln, _ := q.listen("0.0.0.0", 8)
	key := q.key()
	q.call(ln, "note %s,say early,half,eof", key)
	conn, _ := q.accept(ln)
	q.say("poll %s", settle(conn, unix.POLLRDHUP))
	q.recv("recv", conn, 10, 0)
	q.recv("recv", conn, 10, 0)
	q.send("send", "late", conn)
	unix.Close(conn)
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) listenStates() {
	ln, at := q.listen("127.0.0.1", 1)
	q.did("twice", unix.Listen(ln, 8))
	q.did("connect", unix.Connect(ln, sockaddr(q.four)))
	q.recv("recv", ln, 1, 0)
	q.send("send", "x", ln)
	fd := q.stream(at)
	q.did("unbound", unix.Listen(fd, 1))
	q.is("has a port", sockname(fd).Port() != 0)
	q.did("negative backlog", unix.Listen(fd, -1))
	q.did("connected", unix.Listen(q.open("echo"), 1))
	q.did("UDP", unix.Listen(q.socket(unix.AF_INET, unix.SOCK_DGRAM, 0), 1))
	q.did("bad descriptor", unix.Listen(9999, 1))
	q.did("bind again", unix.Bind(ln, sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))))
}

func (q *asker) listenBacklog() {
	_, at := q.listen("127.0.0.1", 2)
	var fds []int
	for range 6 {
		fd := q.pending(at)
		if err := unix.Connect(fd, sockaddr(at)); err != unix.EINPROGRESS {
			q.did("connect", err)
		}
		fds = append(fds, fd)
	}
	time.Sleep(silence)
	connected := 0
	for _, fd := range fds {
		if poll(fd, unix.POLLOUT, 0) == unix.POLLOUT {
			connected++
		}
	}
	q.say("of 6 with a backlog of 2 are connected %d", connected)
}

func (q *asker) listenClose() {
	ln, _ := q.listen("0.0.0.0", 8)
	key := q.key()
	q.call(ln, "mark %s-on,note %s,eof", key, key)
	q.noted(key + "-on")
	wait(ln, unix.POLLIN, waitTime)
	q.did("close", unix.Close(ln))
	q.say("the other end has %s", first(q.noted(key)))
}

func (q *asker) listenShutdown() {
	ln, at := q.listen("127.0.0.1", 8)
	q.did("shutdown", unix.Shutdown(ln, unix.SHUT_RD))
	_, _, err := unix.Accept4(ln, 0)
	q.did("accept", err)
	q.say("poll %s", wait(ln, allEvents, 0))
	q.did("connect", unix.Connect(q.stream(at), sockaddr(at)))
	q.did("listen again", unix.Listen(ln, 8))
	q.did("connect", unix.Connect(q.stream(at), sockaddr(at)))
}

func (q *asker) listenClosedRefuses() {
	ask := func(what string, port uint16) {
		key := q.key()
		unix.Close(q.open("back %d note %s,echo", port, key))
		q.say("%s %s", what, q.noted(key))
	}
	fd := q.stream(q.four)
	q.must("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))))
	port := sockname(fd).Port()
	ask("bound:", port)
	q.must("listen", unix.Listen(fd, 8))
	conn, _ := q.called(fd, "echo")
	q.echo(conn)
	closeAll(conn, fd)
	ask("closed:", port)
}

func (q *asker) listenOneAddress() {
	_, at := q.listen("127.0.0.1", 8)
	for _, host := range []string{"127.0.0.2", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(host), at.Port())
		q.did(host, unix.Connect(q.stream(to), sockaddr(to)))
	}
	q.did("127.0.0.1", unix.Connect(q.stream(at), sockaddr(at)))
}

func (q *asker) listenDeferAccept() {
	ln, at := q.listen("127.0.0.1", 8)
	q.did("set", unix.SetsockoptInt(ln, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 2))
	fd := q.stream(at)
	q.did("connect", unix.Connect(fd, sockaddr(at)))
	q.say("before data %s", wait(ln, unix.POLLIN, silence))
	q.send("send", "abc", fd)
	q.say("after data %s", wait(ln, unix.POLLIN, waitTime))
	conn, _ := q.accept(ln)
	q.recv("recv", conn, 10, 0)
}

func (q *asker) listenMany() {
	ln, at := q.listen("0.0.0.0", 200)
	const many = 30
	step := fmt.Sprintf("back %d say hello;", at.Port())
	unix.Close(q.open("%s", strings.TrimSuffix(strings.Repeat(step, many), ";")))
	froms := map[netip.AddrPort]bool{}
	for range many {
		conn, from := q.accept(ln)
		froms[from] = true
		if q.line(conn) != "hello" {
			q.say("no hello")
		}
		unix.Close(conn)
	}
	q.say("names %d", len(froms))
}
