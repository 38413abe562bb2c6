package main

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

var nameQuestions = []question{
	{name: "names-new", about: "names of a socket that is neither bound nor connected", ask: (*asker).namesNew},
	{name: "names-bound", about: "names after bind", ask: (*asker).namesBound},
	{name: "names-short", about: "names into buffers that are too short, or none", ask: (*asker).namesShort},
	{name: "names-connected-4", about: "both ends agree on their names", ask: func(q *asker) { q.namesConnected(q.four) }},
	{name: "names-connected-6", about: "the same, IPv6", ask: func(q *asker) { q.namesConnected(q.six) }},
	{name: "names-called", about: "they agree when the counterpart connects to us", ask: (*asker).namesCalled},
	{name: "names-called-any", about: "the same through a listener of both families", ask: (*asker).namesCalledAny},
	{name: "names-later", about: "names after half close, after a reset", ask: (*asker).namesLater},
	{name: "names-from-bound", about: "a connection from a port that was bound before", ask: (*asker).namesFromBound},
	{name: "names-local", about: "accept tells the name that getsockname told the client", ask: (*asker).namesLocal},
}

func (q *asker) namesNew() {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		fd := q.socket(family, unix.SOCK_STREAM, 0)
		q.say("%s", sockname(fd))
		_, err := unix.Getpeername(fd)
		q.did("getpeername", err)
	}
}

func (q *asker) namesBound() {
	fd := q.stream(q.four)
	q.must("bind", unix.Bind(fd, sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))))
	q.say("%s", sockname(fd).Addr())
	q.is("has a port", sockname(fd).Port() != 0)
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
	q.must("listen", unix.Listen(fd, 1))
	_, err = unix.Getpeername(fd)
	q.did("of a listener", err)
}

func (q *asker) namesShort() {
	fd := q.open("echo")
	for _, size := range []int32{0, 4, 8, 16, 100} {
		b := []byte(strings.Repeat("#", 110))
		_, after, err := rawName(unix.SYS_GETPEERNAME, fd, b, size)
		q.must("getpeername", err)
		q.say("%d: %d and %d untouched", size, after, strings.Count(string(b), "#"))
	}
	b := make([]byte, 16)
	_, _, err := rawName(unix.SYS_GETSOCKNAME, fd, b, -1)
	q.did("negative", err)
	_, _, err = rawName(unix.SYS_GETSOCKNAME, fd, nil, 16)
	q.did("no buffer", err)
	_, _, err = rawName(unix.SYS_GETSOCKNAME, 9999, b, 16)
	q.did("bad descriptor", err)
}

func (q *asker) namesConnected(to netip.AddrPort) {
	fd := q.dial(to, "names;eof")
	q.agree(q.line(fd), sockname(fd), peername(fd))
	q.is("peer as asked", peername(fd) == to)
}

// agree takes down whether the other end's names, "remote local", are ours crossed.
func (q *asker) agree(line string, ours, theirs netip.AddrPort) {
	remote, local, _ := strings.Cut(line, " ")
	q.is("it sees our name", remote == unmapped(ours).String())
	q.is("we see its name", local == unmapped(theirs).String())
}

func (q *asker) namesCalled() {
	ln, at := q.listen("0.0.0.0", 8)
	conn, from := q.called(ln, "names,eof")
	q.is("peer of accept and getpeername", from == peername(conn))
	q.is("our port", sockname(conn).Port() == at.Port())
	q.is("its address", from.Addr() == q.four.Addr())
	q.agree(q.line(conn), sockname(conn), from)
}

func (q *asker) namesCalledAny() {
	ln, _ := q.listen("::", 8)
	conn, from := q.called(ln, "names,eof")
	q.is("mapped", from.Addr().Is4In6() && sockname(conn).Addr().Is4In6())
	q.agree(q.line(conn), sockname(conn), from)
}

func (q *asker) namesLater() {
	fd := q.open("eof;pause 500")
	name, peer := sockname(fd), peername(fd)
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.is("same after shutdown", sockname(fd) == name && peername(fd) == peer)
	fd = q.open("rst")
	name = sockname(fd)
	settle(fd, unix.POLLHUP)
	q.is("same after a reset", sockname(fd) == name)
	_, err := unix.Getpeername(fd)
	q.did("getpeername", err)
}

func (q *asker) namesFromBound() {
	fd := q.stream(q.four)
	q.must("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))))
	port := sockname(fd).Port()
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.is("same port", sockname(fd).Port() == port)
	q.is("an address", !sockname(fd).Addr().IsUnspecified())
	q.hand(fd, "names;eof")
	q.agree(q.line(fd), sockname(fd), peername(fd))
	fd = q.stream(q.four)
	q.did("IP_BIND_ADDRESS_NO_PORT", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	q.must("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))))
	q.is("no port yet", sockname(fd).Port() == 0)
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.is("port now", sockname(fd).Port() != 0)
}

func (q *asker) namesLocal() {
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, at := q.listen(host, 8)
		fd := q.stream(at)
		q.must("connect", unix.Connect(fd, sockaddr(at)))
		conn, from := q.accept(ln)
		q.is(host, from == sockname(fd) && sockname(conn) == at && peername(fd) == at)
	}
}
