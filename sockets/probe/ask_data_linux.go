package main

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var dataQuestions = []question{
	{name: "data-fionread", about: "FIONREAD counts what can be read", ask: (*asker).dataUnread},
	{name: "data-siocoutq", about: "SIOCOUTQ counts what was not acknowledged", ask: (*asker).dataUnsent},
	{name: "data-peek", about: "MSG_PEEK, SO_PEEK_OFF", ask: (*asker).dataPeek},
	{name: "data-trunc", about: "MSG_TRUNC throws away", ask: (*asker).dataTrunc},
	{name: "data-waitall", about: "MSG_WAITALL, and an end before that", ask: (*asker).dataWaitall},
	{name: "data-dontwait", about: "MSG_DONTWAIT when there is nothing, and no room", ask: (*asker).dataDontwait},
	{name: "data-nonblock", about: "O_NONBLOCK by fcntl and FIONBIO", ask: (*asker).dataNonblock},
	{name: "data-rcvtimeo", about: "SO_RCVTIMEO bounds recv", ask: (*asker).dataRcvtimeo},
	{name: "data-sndtimeo", about: "SO_SNDTIMEO bounds send", ask: (*asker).dataSndtimeo},
	{name: "data-zero", about: "writes and reads of no bytes", ask: (*asker).dataZero},
	{name: "data-vectors", about: "readv, writev, sendmsg, recvmsg", ask: (*asker).dataVectors},
	{name: "data-mmsg", about: "sendmmsg, recvmmsg", ask: (*asker).dataMmsg},
	{name: "data-addresses", about: "sendto and recvfrom with addresses on a stream", ask: (*asker).dataAddresses},
	{name: "data-unconnected", about: "send and recv on a socket that is not connected", ask: (*asker).dataUnconnected},
	{name: "data-bad", about: "bad pointers, flags and descriptors", ask: (*asker).dataBad},
	{name: "data-cork", about: "TCP_CORK and MSG_MORE lose nothing", ask: (*asker).dataCork},
	{name: "data-errqueue", about: "the error queue is empty", ask: (*asker).dataErrqueue},
	{name: "data-zerocopy", about: "MSG_ZEROCOPY and its notification", ask: (*asker).dataZerocopy},
	{name: "oob-from-peer", about: "urgent data of the other end: POLLPRI, SIOCATMARK, MSG_OOB", ask: (*asker).oobFromPeer},
	{name: "oob-to-peer", about: "urgent data of ours, which the other end reads past", ask: (*asker).oobToPeer},
	{name: "oob-inline", about: "SO_OOBINLINE", ask: (*asker).oobInline},
}

func (q *asker) dataUnread() {
	fd := q.open("send 5;eof")
	q.say("unread %d", unread(fd, 5))
	q.recv("recv", fd, 2, 0)
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	q.count("unread", n, err)
	_, err = unix.IoctlGetInt(q.stream(q.four), unix.SIOCINQ)
	q.did("new", err)
	ln, _ := q.listen("127.0.0.1", 1)
	_, err = unix.IoctlGetInt(ln, unix.SIOCINQ)
	q.did("listener", err)
}

func (q *asker) dataUnsent() {
	fd, drain := q.unreadUntil()
	q.did("full", q.fill(fd))
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	q.did("SIOCOUTQ", err)
	q.is("something unsent", n > 0)
	drain()
	q.is("nothing in the end", until(func() bool {
		n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return n == 0
	}))
	_, err = unix.IoctlGetInt(q.stream(q.four), unix.SIOCOUTQ)
	q.did("new", err)
}

func (q *asker) dataPeek() {
	fd := q.open("say abcd;eof")
	q.say("unread %d", unread(fd, 5))
	q.recv("peek", fd, 2, unix.MSG_PEEK)
	q.recv("peek", fd, 10, unix.MSG_PEEK)
	q.recv("recv", fd, 2, 0)
	q.recv("peek", fd, 10, unix.MSG_PEEK)
	q.did("SO_PEEK_OFF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 1))
	q.recv("recv", fd, 10, 0)
	q.recv("peek", fd, 10, unix.MSG_PEEK|unix.MSG_DONTWAIT)
}

func (q *asker) dataTrunc() {
	fd := q.open("say abcd;eof")
	q.say("unread %d", unread(fd, 5))
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 3, unix.MSG_TRUNC, 0, 0)
	q.count("recv", int(n), errnoErr(errno))
	q.recv("rest", fd, 10, 0)
}

func (q *asker) dataWaitall() {
	fd := q.open("send 4;pause 50;send 6;eof")
	b := make([]byte, 10)
	n, err := recv(fd, b, unix.MSG_WAITALL)
	q.count("whole", n, err)
	fd = q.open("send 4;half;eof")
	n, err = recv(fd, b, unix.MSG_WAITALL)
	q.count("cut", n, err)
	fd = q.open("send 4;read 1;rst")
	unread(fd, 4)
	q.send("go", "x", fd)
	n, err = recv(fd, b, unix.MSG_WAITALL)
	q.count("reset", n, err)
}

func (q *asker) dataDontwait() {
	fd := q.open("silent")
	q.recv("recv", fd, 1, unix.MSG_DONTWAIT)
	fd, _ = q.unreadUntil()
	q.did("full", q.fill(fd))
}

func (q *asker) dataNonblock() {
	fd := q.open("silent")
	flag := func() bool {
		fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		return fl&unix.O_NONBLOCK != 0
	}
	q.is("at first", flag())
	q.did("FIONBIO", unix.IoctlSetPointerInt(fd, fionbio, 1))
	q.is("flag", flag())
	q.recv("recv", fd, 1, 0)
	q.did("FIONBIO", unix.IoctlSetPointerInt(fd, fionbio, 0))
	q.is("flag", flag())
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	q.must("fcntl", err)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, fl|unix.O_NONBLOCK)
	q.did("F_SETFL", err)
	q.recv("recv", fd, 1, 0)
	q.is("readable and writable", fl&unix.O_ACCMODE == unix.O_RDWR)
}

func (q *asker) dataRcvtimeo() {
	fd := q.open("silent")
	tv := unix.NsecToTimeval(int64(silence))
	q.did("set", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	start := time.Now()
	q.recv("recv", fd, 1, 0)
	q.is("after the time", time.Since(start) >= silence*9/10)
	got, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	q.must("get", err)
	q.say("kept %dms", got.Nano()/1e6)
}

func (q *asker) dataSndtimeo() {
	fd, _ := q.unreadUntil()
	tv := unix.NsecToTimeval(int64(silence))
	q.did("set", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
	b := make([]byte, 64<<10)
	var err error
	for err == nil {
		_, err = send(fd, b, unix.MSG_NOSIGNAL)
	}
	q.did("send", err)
}

func (q *asker) dataZero() {
	fd := q.open("eof;tell")
	n, err := unix.Write(fd, nil)
	q.count("write", n, err)
	n, err = send(fd, nil, unix.MSG_NOSIGNAL)
	q.count("send", n, err)
	n, err = recv(fd, nil, unix.MSG_DONTWAIT)
	q.count("recv", n, err)
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("the other end has %s", brief(q.line(fd)))
}

func (q *asker) dataVectors() {
	fd := q.open("echo")
	n, err := unix.Writev(fd, [][]byte{[]byte("ab"), nil, []byte("cde")})
	q.count("writev", n, err)
	unread(fd, 5)
	a, b := make([]byte, 2), make([]byte, 10)
	n, err = unix.Readv(fd, [][]byte{a, b})
	q.count("readv", n, err)
	q.say("%s %s", a, b[:3])
	n, err = unix.SendmsgBuffers(fd, [][]byte{[]byte("fg"), []byte("h")}, nil, nil, 0)
	q.count("sendmsg", n, err)
	unread(fd, 3)
	oob := make([]byte, 100)
	n, oobn, flags, from, err := unix.RecvmsgBuffers(fd, [][]byte{a, b}, oob, 0)
	q.count("recvmsg", n, err)
	q.say("%s %s, control %d, flags %d", a, b[:1], oobn, flags)
	q.is("without address", from == nil)
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

func (q *asker) dataMmsg() {
	fd := q.open("echo")
	texts := [][]byte{[]byte("ab"), []byte("cde"), []byte("f")}
	msgs, iovs := make([]mmsghdr, 3), make([]unix.Iovec, 3)
	fill := func() {
		for i := range msgs {
			iovs[i].Base = &texts[i][0]
			iovs[i].SetLen(len(texts[i]))
			msgs[i].hdr.Iov = &iovs[i]
			msgs[i].hdr.SetIovlen(1)
		}
	}
	fill()
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), 3, 0, 0, 0)
	q.count("sendmmsg", int(n), errnoErr(errno))
	q.say("of %d %d %d", msgs[0].n, msgs[1].n, msgs[2].n)
	unread(fd, 6)
	fill()
	n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), 3, unix.MSG_DONTWAIT, 0, 0)
	q.count("recvmmsg", int(n), errnoErr(errno))
	q.say("of %d %d %d", msgs[0].n, msgs[1].n, msgs[2].n)
	q.say("%s %s %s", texts[0], texts[1], texts[2])
}

func (q *asker) dataAddresses() {
	fd := q.open("echo")
	q.did("sendto", unix.Sendto(fd, []byte("abc"), unix.MSG_NOSIGNAL, sockaddr(closed(q.four))))
	unread(fd, 3)
	b := make([]byte, 10)
	n, from, err := unix.Recvfrom(fd, b, 0)
	q.count("recvfrom", n, err)
	q.is("without address", from == nil)
}

func (q *asker) dataUnconnected() {
	fd := q.stream(q.four)
	q.send("send", "x", fd)
	q.did("sendto", unix.Sendto(fd, []byte("x"), unix.MSG_NOSIGNAL, sockaddr(q.four)))
	q.recv("recv", fd, 1, 0)
	q.recv("peek", fd, 1, unix.MSG_PEEK)
	_, err := unix.Write(fd, nil)
	q.did("write nothing", err)
}

func (q *asker) dataBad() {
	fd := q.open("send 5;eof")
	unread(fd, 5)
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), 1, 10, unix.MSG_NOSIGNAL, 0, 0)
	q.did("send from nowhere", errnoErr(errno))
	_, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 1, 10, 0, 0, 0)
	q.did("recv to nowhere", errnoErr(errno))
	q.recv("recv", fd, 10, 0)
	q.recv("no urgent data", fd, 1, unix.MSG_OOB)
	q.send("bad descriptor", "x", 9999)
	q.send("no socket", "x", 1)
	_, err := unix.Seek(fd, 0, 0)
	q.did("seek", err)
	_, err = unix.Pread(fd, make([]byte, 1), 0)
	q.did("pread", err)
	q.did("fsync", unix.Fsync(fd))
	q.did("ftruncate", unix.Ftruncate(fd, 0))
	q.did("fchmod", unix.Fchmod(fd, 0o600))
	var st unix.Stat_t
	q.must("fstat", unix.Fstat(fd, &st))
	q.is("fstat says socket", st.Mode&unix.S_IFMT == unix.S_IFSOCK)
}

func (q *asker) dataCork() {
	fd := q.open("echo")
	b := make([]byte, 6)
	q.did("cork", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1))
	q.send("send", "abc", fd)
	q.send("send", "def", fd)
	q.did("uncork", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 0))
	n, err := recv(fd, b, unix.MSG_WAITALL)
	q.text("recv", b, n, err)
	_, err = send(fd, []byte("ghi"), unix.MSG_MORE)
	q.did("more", err)
	q.send("send", "jkl", fd)
	n, err = recv(fd, b, unix.MSG_WAITALL)
	q.text("recv", b, n, err)
}

func (q *asker) dataErrqueue() {
	fd := q.open("echo")
	q.recv("recv", fd, 10, unix.MSG_ERRQUEUE)
	q.did("IP_RECVERR", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	q.recv("recv", fd, 10, unix.MSG_ERRQUEUE)
	q.echo(fd)
}

func (q *asker) dataZerocopy() {
	fd := q.open("echo")
	q.did("SO_ZEROCOPY", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))
	b := make([]byte, 20_000)
	pattern(b, 0)
	n, err := send(fd, b, unix.MSG_ZEROCOPY)
	q.count("send", n, err)
	q.recvPattern("recv", fd, len(b))
	q.say("poll %s", settle(fd, unix.POLLERR))
	oob := make([]byte, 200)
	_, oobn, _, _, err := unix.Recvmsg(fd, nil, oob, unix.MSG_ERRQUEUE)
	q.did("notification", err)
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	q.must("parse", err)
	for _, m := range msgs {
		// struct sock_extended_err: errno, origin, type, code, pad, first, last.
		e := (*struct {
			errno                  uint32
			origin, typ, code, pad uint8
			first, last            uint32
		})(unsafe.Pointer(&m.Data[0]))
		q.say("errno %d, origin %d, from %d to %d", e.errno, e.origin, e.first, e.last)
	}
}

func (q *asker) atMark(fd int) {
	v, err := unix.IoctlGetInt(fd, unix.SIOCATMARK)
	q.count("at mark", v, err)
}

func (q *asker) oobFromPeer() {
	fd := q.open("send 3;oob !;send 2;eof")
	q.say("poll %s", wait(fd, unix.POLLPRI, time.Second))
	q.atMark(fd)
	q.recv("recv", fd, 10, 0)
	q.atMark(fd)
	q.recv("urgent", fd, 1, unix.MSG_OOB)
	b := make([]byte, 2)
	n, err := recv(fd, b, unix.MSG_WAITALL)
	q.count("recv", n, err)
	q.atMark(fd)
}

func (q *asker) oobToPeer() {
	fd := q.open("eof;tell")
	q.send("send", "abc", fd)
	n, err := send(fd, []byte("!"), unix.MSG_OOB)
	q.count("urgent", n, err)
	q.send("send", "de", fd)
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("the other end has %s", brief(q.line(fd)))
}

func (q *asker) oobInline() {
	fd := q.open("read 1;say abc;oob !;say def;eof")
	q.did("SO_OOBINLINE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1))
	q.send("go", "x", fd)
	unread(fd, 4)
	b := make([]byte, 4)
	n, err := recv(fd, b, unix.MSG_WAITALL)
	q.text("recv", b, n, err)
	q.say("poll %s", wait(fd, unix.POLLPRI, time.Second))
	q.atMark(fd)
	b = make([]byte, 5)
	n, err = recv(fd, b, unix.MSG_WAITALL)
	q.text("recv", b, n, err)
}
