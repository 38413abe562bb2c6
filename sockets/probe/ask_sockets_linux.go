package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var socketQuestions = []question{
	{name: "socket-types", about: "flags of socket, protocols 0 and 6, both families", ask: (*asker).socketTypes},
	{name: "socket-262", about: "MPTCP, which Go asks for", ask: (*asker).socketMPTCP},
	{name: "socket-262-protocol", about: "SO_PROTOCOL of it", ask: (*asker).socketMPTCPProtocol},
	{name: "socket-261", about: "a protocol that the kernel does not know", ask: (*asker).socketOurs},
	{name: "socket-bad", about: "families, types and protocols that there are not", ask: (*asker).socketBad},
	{name: "socket-raw", about: "raw and packet sockets need the right", ask: (*asker).socketRaw},
	{name: "socket-lowest", about: "socket takes the lowest free descriptor, 0 too", ask: (*asker).socketLowest},
	{name: "socket-emfile", about: "no descriptor left: socket, accept", ask: (*asker).socketEmfile},
	{name: "socket-thousand", about: "a thousand sockets made and closed, a thousand kept", limit: 20e9, ask: (*asker).socketThousand},
}

func (q *asker) socketTypes() {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, proto := range []int{0, unix.IPPROTO_TCP} {
			for _, flags := range []int{0, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK} {
				fd, err := unix.Socket(family, unix.SOCK_STREAM|flags, proto)
				q.must("socket", err)
				fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
				fdfl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				if fl != unix.O_RDWR|flags&unix.SOCK_NONBLOCK || (fdfl == 1) != (flags&unix.SOCK_CLOEXEC != 0) {
					q.say("%d %d %#x has %#x %#x", family, proto, flags, fl, fdfl)
				}
			}
		}
	}
	q.say("16 kinds")
}

func (q *asker) socketMPTCP() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err == unix.EPROTONOSUPPORT || err == unix.ENOPROTOOPT {
		q.leave("this kernel has no MPTCP")
		return
	}
	q.did("socket", err)
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.is("peer as asked", peername(fd) == q.four)
	q.hand(fd, "echo")
	q.echo(fd)
	fd = q.socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	q.did("refused", unix.Connect(fd, sockaddr(closed(q.four))))
	ln := q.socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	q.did("bind", unix.Bind(ln, sockaddr(local("::", 0))))
	q.did("listen", unix.Listen(ln, 8))
	conn, from := q.called(ln, "echo")
	q.is("its address", from.Addr().Unmap() == q.four.Addr())
	q.echo(conn)
}

func (q *asker) socketMPTCPProtocol() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err == unix.EPROTONOSUPPORT || err == unix.ENOPROTOOPT {
		q.leave("this kernel has no MPTCP")
		return
	}
	q.get("protocol", fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
}

func (q *asker) socketOurs() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 261)
	q.did("socket", err)
	if err == nil {
		q.did("connect", unix.Connect(fd, sockaddr(q.four)))
		q.hand(fd, "echo")
		q.echo(fd)
	}
}

func (q *asker) socketBad() {
	try := func(what string, family, typ, proto int) {
		_, err := unix.Socket(family, typ, proto)
		q.did(what, err)
	}
	try("family 99", 99, unix.SOCK_STREAM, 0)
	try("family -1", -1, unix.SOCK_STREAM, 0)
	try("type 9", unix.AF_INET, 9, 0)
	try("type 99", unix.AF_INET, 99, 0)
	try("flag", unix.AF_INET, unix.SOCK_STREAM|0x10000, 0)
	try("protocol 999", unix.AF_INET, unix.SOCK_STREAM, 999)
	try("protocol -1", unix.AF_INET, unix.SOCK_STREAM, -1)
	try("stream UDP", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP)
	try("datagram TCP", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_TCP)
	try("six stream UDP", unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_UDP)
	_, err := unix.Socketpair(unix.AF_INET, unix.SOCK_STREAM, 0)
	q.did("pair", err)
}

func (q *asker) socketRaw() {
	_, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	q.rightly("raw", unix.CAP_NET_RAW, err, unix.EPERM)
	_, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	q.rightly("six raw", unix.CAP_NET_RAW, err, unix.EPERM)
	_, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	q.rightly("packet", unix.CAP_NET_RAW, err, unix.EPERM)
}

func (q *asker) socketLowest() {
	a, b, c := q.stream(q.four), q.stream(q.four), q.stream(q.four)
	q.is("rising", a < b && b < c)
	unix.Close(b)
	q.is("the gap", q.stream(q.four) == b)
	unix.Close(a)
	unix.Close(b)
	q.is("the lower", q.stream(q.four) == a)
	q.must("close 0", unix.Close(0))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	q.count("after closing 0", fd, err)
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.hand(fd, "echo")
	q.echo(fd)
	unix.Close(fd)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	q.count("UDP", fd, err)
}

func (q *asker) socketEmfile() {
	ln, at := q.listen("127.0.0.1", 8)
	client := q.stream(at)
	q.must("connect", unix.Connect(client, sockaddr(at)))
	wait(ln, unix.POLLIN, waitTime)
	next, err := unix.Dup(ln)
	q.must("dup", err)
	unix.Close(next)
	var before unix.Rlimit
	q.must("getrlimit", unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	q.must("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: before.Max}))
	_, tcp := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	_, udp := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	_, local := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	_, _, accept := unix.Accept4(ln, 0)
	q.must("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	q.did("tcp", tcp)
	q.did("udp", udp)
	q.did("unix", local)
	q.did("accept", accept)
	_, _, accept = unix.Accept4(ln, 0)
	q.did("then accept", accept)
	_, tcp = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	q.did("tcp", tcp)
}

func (q *asker) socketThousand() {
	wrong := 0
	next := q.stream(q.four)
	unix.Close(next)
	for range 1000 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil || fd != next {
			wrong++
		}
		unix.Close(fd)
	}
	q.say("wrong %d", wrong)
	kept := map[int]bool{}
	for range 900 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			q.did(fmt.Sprintf("after %d", len(kept)), err)
			break
		}
		kept[fd] = true
	}
	q.say("kept %d", len(kept))
}
