package main

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

var connectQuestions = []question{
	{name: "connect-open-4", about: "blocking connect to a listener, IPv4", ask: func(q *asker) { q.connectOpen(q.four) }},
	{name: "connect-open-6", about: "the same, IPv6", ask: func(q *asker) { q.connectOpen(q.six) }},
	{name: "connect-closed-4", about: "blocking connect to a port without listener, and the socket used again", ask: func(q *asker) { q.connectClosed(q.four) }},
	{name: "connect-closed-6", about: "the same, IPv6", ask: func(q *asker) { q.connectClosed(q.six) }},
	{name: "connect-nb-open-4", about: "non-blocking connect to a listener", ask: func(q *asker) { q.connectLater(q.four) }},
	{name: "connect-nb-open-6", about: "the same, IPv6", ask: func(q *asker) { q.connectLater(q.six) }},
	{name: "connect-nb-closed-4", about: "non-blocking connect to a port without listener", ask: func(q *asker) { q.connectRefusedLater(q.four) }},
	{name: "connect-nb-closed-6", about: "the same, IPv6", ask: func(q *asker) { q.connectRefusedLater(q.six) }},
	{name: "connect-nb-closed-again", about: "the refusal fetched by a second connect instead of SO_ERROR", ask: (*asker).connectRefusedAgain},
	{name: "connect-pending", about: "what a socket says while its connect is under way", ask: (*asker).connectPending},
	{name: "connect-sndtimeo", about: "SO_SNDTIMEO bounds a blocking connect", ask: (*asker).connectSndtimeo},
	{name: "connect-close-pending", about: "a socket closed while its connect is under way, and the next one", ask: (*asker).connectClosePending},
	{name: "connect-twice", about: "connect on a connected socket", ask: (*asker).connectTwice},
	{name: "connect-unspec", about: "connect to AF_UNSPEC dissolves a connection", ask: (*asker).connectUnspec},
	{name: "connect-bad", about: "addresses that are none", ask: (*asker).connectBad},
	{name: "connect-port-0", about: "connect to port 0", ask: (*asker).connectPortZero},
	{name: "connect-unrouted-4", about: "an address to which there is no route", ask: func(q *asker) { q.connectUnrouted("203.0.113.1") }},
	{name: "connect-unrouted-6", about: "the same, IPv6", ask: func(q *asker) { q.connectUnrouted("2001:db8::1") }},
	{name: "connect-any", about: "connect to 0.0.0.0 and :: is to oneself", ask: (*asker).connectAny},
	{name: "connect-127.9.9.9", about: "any address of 127.0.0.0/8 is oneself", ask: (*asker).connectLoopback},
	{name: "connect-own-address", about: "connect to a listener of one's own by the address the counterpart sees", ask: (*asker).connectOwn},
	{name: "connect-broadcast", about: "connect to broadcast and multicast addresses", ask: (*asker).connectBroadcast},
	{name: "connect-mapped", about: "an IPv6 socket connects to IPv4", ask: (*asker).connectMapped},
	{name: "connect-scope", about: "a link-local address without a scope", ask: (*asker).connectScope},
	{name: "connect-self", about: "a socket connected to itself", ask: (*asker).connectSelf},
	{name: "connect-fastopen", about: "connect and data in one call: MSG_FASTOPEN, TCP_FASTOPEN_CONNECT", ask: (*asker).connectFastOpen},
}

func (q *asker) connectOpen(to netip.AddrPort) {
	fd := q.stream(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	q.soError(fd)
	q.is("peer as asked", peername(fd) == to)
	q.hand(fd, "echo")
	q.echo(fd)
}

func (q *asker) connectClosed(to netip.AddrPort) {
	fd := q.stream(to)
	q.did("connect", unix.Connect(fd, sockaddr(closed(to))))
	q.soError(fd)
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
	q.did("again", unix.Connect(fd, sockaddr(closed(to))))
	q.did("to a listener", unix.Connect(fd, sockaddr(to)))
	q.hand(fd, "echo")
	q.echo(fd)
}

func (q *asker) connectLater(to netip.AddrPort) {
	fd := q.pending(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	q.say("poll %s", wait(fd, allEvents, waitTime))
	q.soError(fd)
	q.did("second", unix.Connect(fd, sockaddr(to)))
	q.did("third", unix.Connect(fd, sockaddr(to)))
	unix.SetNonblock(fd, false)
	q.hand(fd, "echo")
	q.echo(fd)
}

func (q *asker) connectRefusedLater(to netip.AddrPort) {
	fd := q.pending(to)
	q.did("connect", unix.Connect(fd, sockaddr(closed(to))))
	q.say("poll %s", wait(fd, allEvents, waitTime))
	q.soError(fd)
	q.soError(fd)
	q.say("poll %s", wait(fd, allEvents, 0))
	q.send("send", "x", fd)
	q.recv("recv", fd, 1, 0)
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
}

func (q *asker) connectRefusedAgain() {
	fd := q.pending(q.four)
	q.did("connect", unix.Connect(fd, sockaddr(closed(q.four))))
	q.say("poll %s", wait(fd, allEvents, waitTime))
	q.did("second", unix.Connect(fd, sockaddr(closed(q.four))))
	q.did("third", unix.Connect(fd, sockaddr(closed(q.four))))
	q.say("poll %s", wait(fd, allEvents, waitTime))
	q.recv("recv", fd, 1, 0)
}

func (q *asker) connectPending() {
	at, hold := q.stuck()
	fd := q.pending(at)
	q.did("connect", unix.Connect(fd, sockaddr(at)))
	q.did("again", unix.Connect(fd, sockaddr(at)))
	q.say("poll %s", wait(fd, allEvents, silence))
	q.soError(fd)
	q.is("has a name", sockname(fd).Port() != 0)
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
	q.send("send", "x", fd)
	q.recv("recv", fd, 1, 0)
	q.did("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))))
	q.did("listen", unix.Listen(fd, 1))
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.did("connect elsewhere", unix.Connect(fd, sockaddr(q.four)))
	q.say("poll %s", wait(fd, allEvents, waitTime))
	unix.SetNonblock(fd, false)
	q.hand(fd, "echo")
	q.echo(fd)
	closeAll(hold[:]...)
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func (q *asker) connectSndtimeo() {
	at, hold := q.stuck()
	fd := q.stream(at)
	tv := unix.NsecToTimeval(int64(60 * time.Millisecond))
	q.did("SO_SNDTIMEO", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
	q.did("connect", unix.Connect(fd, sockaddr(at)))
	q.did("again", unix.Connect(fd, sockaddr(at)))
	closeAll(hold[:]...)
}

func (q *asker) connectClosePending() {
	at, hold := q.stuck()
	for range 20 {
		fd := q.pending(at)
		if err := unix.Connect(fd, sockaddr(at)); err != unix.EINPROGRESS {
			q.did("connect", err)
		}
		unix.Close(fd)
	}
	q.connectOpen(q.four)
	closeAll(hold[:]...)
}

func (q *asker) connectTwice() {
	fd := q.open("echo")
	q.did("same", unix.Connect(fd, sockaddr(q.four)))
	q.did("other", unix.Connect(fd, sockaddr(closed(q.four))))
	q.echo(fd)
}

func (q *asker) connectUnspec() {
	key := q.key()
	fd := q.open("note %s;eof", key)
	q.did("dissolve", dissolve(fd))
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
	q.say("the other end has %s", first(q.noted(key)))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.hand(fd, "echo")
	q.echo(fd)
	q.did("dissolve a new one", dissolve(q.stream(q.four)))
}

// dissolve connects to no address at all.
func dissolve(fd int) error {
	return rawConnect(fd, make([]byte, 16), 16)
}

func (q *asker) connectBad() {
	four := func() int { return q.stream(q.four) }
	six := func() int { return q.socket(unix.AF_INET6, unix.SOCK_STREAM, 0) }
	inet := rawSockaddr(netip.MustParseAddrPort("127.0.0.1:1"))
	inet6 := rawSockaddr(netip.MustParseAddrPort("[::1]:1"))
	q.did("short", rawConnect(four(), inet, 8))
	q.did("empty", rawConnect(four(), inet, 0))
	q.did("negative", rawConnect(four(), inet, -1))
	q.did("long", rawConnect(four(), append(inet, make([]byte, 200)...), 200))
	q.did("6 on 4", rawConnect(four(), inet6, 28))
	q.did("4 on 6", rawConnect(six(), inet, 16))
	q.did("bad pointer", rawConnect(four(), nil, 16))
	q.did("bad descriptor", rawConnect(9999, inet, 16))
	q.did("no socket", rawConnect(1, inet, 16))
}

func (q *asker) connectPortZero() {
	to := netip.AddrPortFrom(q.four.Addr(), 0)
	q.did("connect", unix.Connect(q.stream(to), sockaddr(to)))
}

func (q *asker) connectUnrouted(host string) {
	to := netip.AddrPortFrom(netip.MustParseAddr(host), 7)
	q.did("connect", unix.Connect(q.stream(to), sockaddr(to)))
	fd := q.pending(to)
	q.did("non-blocking", unix.Connect(fd, sockaddr(to)))
	q.soError(fd)
	q.say("poll %s", wait(fd, allEvents, 0))
}

func (q *asker) connectAny() {
	for _, host := range []string{"0.0.0.0", "::"} {
		ln, at := q.listen(host, 8)
		fd := q.stream(at)
		q.did(host, unix.Connect(fd, sockaddr(at)))
		q.say("peer %s", peername(fd).Addr())
		conn, from := q.accept(ln)
		q.say("from %s", from.Addr().Unmap())
		q.is("accepted its own", from == sockname(fd) && sockname(conn) == peername(fd))
	}
}

func (q *asker) connectLoopback() {
	ln, at := q.listen("0.0.0.0", 8)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), at.Port())
	fd := q.stream(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	q.say("peer %s", peername(fd).Addr())
	conn, from := q.accept(ln)
	q.say("from %s", from.Addr())
	q.say("accepted at %s", sockname(conn).Addr())
	q.did("nobody there", unix.Connect(q.stream(to), sockaddr(netip.AddrPortFrom(to.Addr(), 1))))
}

func (q *asker) connectOwn() {
	fd := q.open("echo")
	own := sockname(fd).Addr()
	ln, at := q.listen("0.0.0.0", 8)
	to := netip.AddrPortFrom(own, at.Port())
	fd = q.stream(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	_, from := q.accept(ln)
	q.is("from the same address", from.Addr() == own)
	q.is("from its name", from == sockname(fd))
	q.did("closed port", unix.Connect(q.stream(to), sockaddr(netip.AddrPortFrom(own, 1))))
}

func (q *asker) connectBroadcast() {
	for _, host := range []string{"255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(host), 7)
		q.did(host, unix.Connect(q.stream(to), sockaddr(to)))
	}
	fd := q.stream(q.four)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
	q.did("with SO_BROADCAST", unix.Connect(fd, sockaddr(netip.MustParseAddrPort("255.255.255.255:7"))))
}

func (q *asker) connectMapped() {
	to := netip.AddrPortFrom(netip.AddrFrom16(q.four.Addr().As16()), q.four.Port())
	fd := q.stream(to)
	q.did("connect", unix.Connect(fd, sockaddr(to)))
	q.is("peer as asked", peername(fd) == to)
	q.is("name is mapped", sockname(fd).Addr().Is4In6())
	q.hand(fd, "echo")
	q.echo(fd)
	q.did("closed port", unix.Connect(q.stream(to), sockaddr(closed(to))))
	fd = q.stream(to)
	q.must("IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
	q.did("with IPV6_V6ONLY", unix.Connect(fd, sockaddr(to)))
}

func (q *asker) connectScope() {
	to := netip.MustParseAddrPort("[fe80::1]:7")
	q.did("connect", unix.Connect(q.stream(to), sockaddr(to)))
}

func (q *asker) connectSelf() {
	fd := q.stream(q.four)
	q.must("bind", unix.Bind(fd, sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))))
	q.did("connect", unix.Connect(fd, sockaddr(sockname(fd))))
	q.is("peer is itself", peername(fd) == sockname(fd))
	q.echo(fd)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.recv("recv", fd, 1, 0)
}

func (q *asker) connectFastOpen() {
	fd := q.stream(q.four)
	err := unix.Sendto(fd, []byte("echo\n"), unix.MSG_FASTOPEN, sockaddr(q.four))
	q.did("sendto", err)
	q.is("peer as asked", peername(fd) == q.four)
	q.echo(fd)
	fd = q.stream(q.four)
	q.did("TCP_FASTOPEN_CONNECT", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.hand(fd, "echo")
	q.echo(fd)
	err = unix.Sendto(q.stream(q.four), []byte("x"), unix.MSG_FASTOPEN, sockaddr(closed(q.four)))
	q.did("closed port", err)
}
