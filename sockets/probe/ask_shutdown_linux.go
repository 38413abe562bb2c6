package main

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

var shutdownQuestions = []question{
	{name: "shutdown-wr", about: "half close: the other end reads to the end and answers", ask: (*asker).shutdownWrite},
	{name: "shutdown-rd", about: "SHUT_RD ends reading, not what is sent", ask: (*asker).shutdownRead},
	{name: "shutdown-rdwr", about: "SHUT_RDWR", ask: (*asker).shutdownBoth},
	{name: "shutdown-bad", about: "shutdown of what is not connected, and ways that there are not", ask: (*asker).shutdownBad},
	{name: "shutdown-wakes", about: "shutdown of a socket wakes who reads it", ask: (*asker).shutdownWakes},
	{name: "half-closed-by-peer", about: "the other end has ended, we go on sending", ask: (*asker).halfClosedByPeer},
	{name: "half-closed-long", about: "a connection half closed and silent, used again", ask: (*asker).halfClosedLong},
	{name: "closed-by-peer", about: "writing to who has closed", ask: (*asker).closedByPeer},
	{name: "sigpipe", about: "SIGPIPE, and how it is avoided", ask: (*asker).sigpipe},
	{name: "reset-by-peer", about: "SO_LINGER 0 of the other end", ask: (*asker).resetByPeer},
	{name: "reset-after-data", about: "what was sent before a reset can still be read", ask: (*asker).resetAfterData},
	{name: "reset-by-unread", about: "the other end closes with unread data", ask: (*asker).resetByUnread},
	{name: "reset-wakes", about: "a reset wakes who blocks in read", ask: (*asker).resetWakes},
	{name: "reset-while-sending", about: "a reset while our buffers are full", ask: (*asker).resetWhileSending},
	{name: "reset-ours", about: "our SO_LINGER 0 at the other end", ask: (*asker).resetOurs},
	{name: "reset-ours-unread", about: "our close with unread data at the other end", ask: (*asker).resetOursUnread},
	{name: "reset-accepted", about: "the same two from the accepting side", ask: (*asker).resetAccepted},
	{name: "close-flushes", about: "close right after a megabyte", ask: (*asker).closeFlushes},
	{name: "close-lingers", about: "SO_LINGER waits in close", ask: (*asker).closeLingers},
	{name: "close-both", about: "both ends close at once", ask: (*asker).closeBoth},
}

func (q *asker) shutdownWrite() {
	fd := q.open("eof;tell")
	q.send("send", "abc", fd)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.send("send", "d", fd)
	q.say("the other end has %s", brief(q.line(fd)))
	q.recv("recv", fd, 1, 0)
	q.recv("recv", fd, 1, 0)
	q.did("again", unix.Shutdown(fd, unix.SHUT_WR))
}

func (q *asker) shutdownRead() {
	key := q.key()
	fd := q.open("note %s;read 1;say later;eof", key)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
	q.recv("recv", fd, 10, 0)
	q.say("poll %s", wait(fd, allEvents, 0))
	q.send("send", "x", fd)
	q.say("unread %d", unread(fd, 6))
	q.recv("recv", fd, 10, 0)
	q.recv("recv", fd, 10, 0)
	q.send("send", "yz", fd)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) shutdownBoth() {
	key := q.key()
	fd := q.open("note %s;eof", key)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_RDWR))
	q.recv("recv", fd, 1, 0)
	q.send("send", "x", fd)
	q.say("poll %s", settle(fd, unix.POLLHUP))
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) shutdownBad() {
	q.did("new", unix.Shutdown(q.stream(q.four), unix.SHUT_WR))
	fd := q.open("eof")
	q.did("way 3", unix.Shutdown(fd, 3))
	q.did("way -1", unix.Shutdown(fd, -1))
	q.did("bad descriptor", unix.Shutdown(9999, unix.SHUT_WR))
	q.did("no socket", unix.Shutdown(1, unix.SHUT_WR))
}

func (q *asker) shutdownWakes() {
	fd := q.open("silent")
	go func() {
		time.Sleep(silence)
		unix.Shutdown(fd, unix.SHUT_RD)
	}()
	q.recv("recv", fd, 1, 0)
}

func (q *asker) halfClosedByPeer() {
	fd := q.open("half;eof;tell")
	q.recv("recv", fd, 1, 0)
	q.say("poll %s", settle(fd, unix.POLLRDHUP))
	key := q.key()
	unix.Close(fd)
	fd = q.open("note %s;half;eof", key)
	q.recv("recv", fd, 1, 0)
	q.sendPattern("send", fd, 300_000)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("poll %s", settle(fd, unix.POLLHUP))
	q.say("the other end has %s", q.noted(key))
}

func (q *asker) halfClosedLong() {
	fd := q.open("eof;pause 1500;say still here")
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("poll %s", wait(fd, unix.POLLIN, time.Second))
	q.recv("recv", fd, 11, unix.MSG_WAITALL)
	q.recv("recv", fd, 1, 0)
}

func (q *asker) closedByPeer() {
	fd := q.open("close")
	q.recv("recv", fd, 1, 0)
	q.say("poll %s", wait(fd, allEvents, 0))
	q.send("first", "x", fd)
	q.say("poll %s", settle(fd, unix.POLLHUP|unix.POLLERR))
	q.send("second", "x", fd)
	q.recv("recv", fd, 1, 0)
	q.soError(fd)
}

func (q *asker) sigpipe() {
	got := make(chan os.Signal, 10)
	signal.Notify(got, unix.SIGPIPE)
	came := func() string {
		select {
		case <-got:
			return "SIGPIPE"
		case <-time.After(silence):
			return "no signal"
		}
	}
	fd := q.open("eof")
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	n, err := unix.Write(fd, []byte("x"))
	q.count("write", n, err)
	q.say("%s", came())
	n, err = send(fd, []byte("x"), 0)
	q.count("send", n, err)
	q.say("%s", came())
	q.send("MSG_NOSIGNAL", "x", fd)
	q.say("%s", came())
}

func (q *asker) resetByPeer() {
	fd := q.open("rst")
	q.say("poll %s", settle(fd, unix.POLLHUP))
	q.recv("recv", fd, 1, 0)
	q.recv("recv", fd, 1, 0)
	q.soError(fd)
	q.send("send", "x", fd)
	q.say("poll %s", wait(fd, allEvents, 0))
	fd = q.open("rst")
	settle(fd, unix.POLLHUP)
	q.soError(fd)
	q.recv("recv", fd, 1, 0)
	fd = q.open("rst")
	settle(fd, unix.POLLHUP)
	q.send("send", "x", fd)
	q.send("send", "x", fd)
}

func (q *asker) resetAfterData() {
	fd := q.open("send 5;rst")
	q.say("poll %s", settle(fd, unix.POLLHUP))
	q.recv("recv", fd, 10, 0)
	q.recv("recv", fd, 10, 0)
	q.recv("recv", fd, 10, 0)
	fd = q.open("send 100000;read 1;rst") // so much has to be read before the reset
	q.recvPattern("recv", fd, 100_000)
	q.send("send", "x", fd)
	q.recv("recv", fd, 1, 0)
}

func (q *asker) resetByUnread() {
	fd := q.open("unread")
	q.send("send", "abc", fd)
	q.say("poll %s", settle(fd, unix.POLLHUP))
	q.recv("recv", fd, 1, 0)
	q.recv("recv", fd, 1, 0)
}

func (q *asker) resetWakes() {
	fd := q.open("pause 50;rst")
	q.recv("recv", fd, 1, 0)
}

func (q *asker) resetWhileSending() {
	fd := q.open("pause 100;rst")
	b := make([]byte, 64<<10)
	var err error
	for err == nil {
		_, err = send(fd, b, unix.MSG_NOSIGNAL)
	}
	q.did("send", err)
	q.recv("recv", fd, 1, 0)
	q.send("send", "x", fd)
}

// lingerZero makes close reset.
func (q *asker) lingerZero(fd int) {
	q.must("SO_LINGER", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
}

func (q *asker) resetOurs() {
	key := q.key()
	fd := q.open("note %s;read 3;eof", key)
	q.send("send", "abc", fd)
	q.lingerZero(fd)
	q.did("close", unix.Close(fd))
	q.say("the other end has %s", first(q.noted(key)))
}

func (q *asker) resetOursUnread() {
	key := q.key()
	fd := q.open("note %s;send 5;eof", key)
	q.say("unread %d", unread(fd, 5))
	q.did("close", unix.Close(fd))
	q.say("the other end has %s", first(q.noted(key)))
}

func (q *asker) resetAccepted() {
	ln, _ := q.listen("0.0.0.0", 8)
	key := q.key()
	conn, _ := q.called(ln, "say connected,note %s,eof", key)
	q.line(conn) // so that the reset does not meet its connect
	q.lingerZero(conn)
	unix.Close(conn)
	q.say("SO_LINGER %s", first(q.noted(key)))
	key = q.key()
	conn, _ = q.called(ln, "note %s,send 5,eof", key)
	unread(conn, 5)
	unix.Close(conn)
	q.say("unread %s", first(q.noted(key)))
	key = q.key()
	conn, _ = q.called(ln, "note %s,eof", key)
	unix.Close(conn)
	q.say("close %s", brief(q.noted(key)))
}

func (q *asker) closeFlushes() {
	key := q.key()
	fd := q.open("note %s;pause 50;eof", key)
	q.sendPattern("send", fd, 1_000_000)
	q.did("close", unix.Close(fd))
	q.say("the other end has %s", q.noted(key))
}

func (q *asker) closeLingers() {
	key := q.key()
	fd := q.open("note %s;pause 50;eof", key)
	q.must("SO_LINGER", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 5}))
	q.sendPattern("send", fd, 200_000)
	q.did("close", unix.Close(fd))
	q.say("the other end has %s", q.noted(key))
}

func (q *asker) closeBoth() {
	for range 20 {
		key := q.key()
		fd := q.open("note %s;read 1;half;eof", key)
		q.must("send", again(func() error { _, err := unix.Write(fd, []byte("x")); return err }))
		q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
		var b [1]byte
		if n, err := recv(fd, b[:], 0); n != 0 || err != nil {
			q.count("recv", n, err)
		}
		unix.Close(fd)
		if got := brief(q.noted(key)); got != "EOF after 0 bytes" {
			q.say("the other end has %s", got)
		}
	}
	q.say("20 times")
}
