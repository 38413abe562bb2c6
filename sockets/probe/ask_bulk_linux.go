package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

var bulkQuestions = []question{
	{name: "bulk-10MB", about: "10 MB sent and echoed at once, both ways hashed", limit: 30 * time.Second, ask: (*asker).bulkEcho},
	{name: "bulk-ping-pong", about: "a byte there and back, 1,000 times", limit: 30 * time.Second, ask: (*asker).bulkPingPong},
	{name: "bulk-200", about: "200 connections at once, each with words of its own", limit: 30 * time.Second, ask: (*asker).bulkMany},
	{name: "bulk-short", about: "300 connections one after the other", limit: 30 * time.Second, ask: (*asker).bulkShort},
	{name: "bulk-unread", about: "ten connections that nobody reads do not hold up another", limit: 30 * time.Second, ask: (*asker).bulkUnread},
	{name: "bulk-sendfile", about: "sendfile of 100 kB", ask: (*asker).bulkSendfile},
	{name: "bulk-splice", about: "splice from a pipe and to a pipe", ask: (*asker).bulkSplice},
}

// sendPattern sends n bytes and takes down how many went.
func (q *asker) sendPattern(what string, fd, n int) {
	b := make([]byte, n)
	pattern(b, 0)
	sent := 0
	for sent < n {
		m, err := send(fd, b[sent:], unix.MSG_NOSIGNAL)
		if err != nil {
			q.did(fmt.Sprintf("%s at %d", what, sent), err)
			return
		}
		sent += m
	}
	q.say("%s %d", what, sent)
}

// recvPattern reads n bytes and takes down whether they are right.
func (q *asker) recvPattern(what string, fd, n int) {
	b, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for got := 0; got < n; {
		m, err := recv(fd, b[:min(len(b), n-got)], 0)
		if err != nil || m == 0 {
			q.count(fmt.Sprintf("%s at %d", what, got), m, err)
			return
		}
		pattern(want[:m], got)
		if string(b[:m]) != string(want[:m]) {
			q.say("%s at %d: other bytes", what, got)
			return
		}
		got += m
	}
	q.say("%s %d", what, n)
}

func (q *asker) bulkEcho() {
	const size = 10_000_000
	key := q.key()
	fd := q.open("note %s;echo", key)
	done := make(chan error, 1)
	go func() {
		b := make([]byte, size)
		pattern(b, 0)
		for len(b) > 0 {
			n, err := send(fd, b[:min(len(b), 64<<10)], unix.MSG_NOSIGNAL)
			if err != nil {
				done <- err
				return
			}
			b = b[n:]
		}
		done <- unix.Shutdown(fd, unix.SHUT_WR)
	}()
	q.recvPattern("recv", fd, size)
	q.did("send", <-done)
	q.recv("recv", fd, 1, 0)
	q.say("the other end has %s", q.noted(key))
}

func (q *asker) bulkPingPong() {
	fd := q.open("echo")
	q.must("TCP_NODELAY", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	b := make([]byte, 1)
	for i := range 1000 {
		n, err := send(fd, []byte{byte(i)}, unix.MSG_NOSIGNAL)
		if n == 1 && err == nil {
			n, err = recv(fd, b, 0)
		}
		if n != 1 || err != nil || b[0] != byte(i) {
			q.count(fmt.Sprintf("at %d", i), n, err)
			return
		}
	}
	q.say("1000 times")
}

func (q *asker) bulkMany() {
	const many = 200
	fds := make([]int, many)
	now := 0
	for i := range fds {
		fds[i] = q.pending(q.four)
		switch err := unix.Connect(fds[i], sockaddr(q.four)); err {
		case nil, unix.EINPROGRESS:
			now++
		default:
			q.did("connect", err)
		}
	}
	q.say("started %d", now)
	connected := 0
	for i, fd := range fds {
		if wait(fd, unix.POLLOUT, 10*time.Second) == "OUT" && soError(fd) == "0" {
			connected++
		}
		q.hand(fd, "echo")
		fmt.Fprintf(fdWriter(fd), "I am %d", i)
	}
	q.say("connected %d", connected)
	right := 0
	for i, fd := range fds {
		want := fmt.Sprintf("I am %d", i)
		b := make([]byte, len(want))
		unix.SetNonblock(fd, false)
		if n, err := recv(fd, b, unix.MSG_WAITALL); err == nil && string(b[:n]) == want {
			right++
		}
	}
	q.say("right %d", right)
}

// fdWriter writes to a descriptor.
type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) { return send(int(w), b, unix.MSG_NOSIGNAL) }

func (q *asker) bulkShort() {
	right := 0
	for i := range 300 {
		fd := q.open("say %d", i)
		if q.line(fd) == fmt.Sprint(i) {
			right++
		}
		unix.Close(fd)
	}
	q.say("right %d", right)
}

func (q *asker) bulkUnread() {
	for range 10 {
		q.open("send 5000000")
	}
	fd := q.open("send 1000000")
	q.recvPattern("recv", fd, 1_000_000)
	fd = q.open("echo")
	q.echo(fd)
}

func (q *asker) bulkSendfile() {
	const size = 100_000
	file, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	q.must("memfd", err)
	b := make([]byte, size)
	pattern(b, 0)
	_, err = unix.Write(file, b)
	q.must("write", err)
	key := q.key()
	fd := q.open("note %s;echo", key)
	offset, sent := int64(0), 0
	for sent < size {
		n, err := unix.Sendfile(fd, file, &offset, size-sent)
		if err != nil || n == 0 {
			q.count("sendfile", n, err)
			return
		}
		sent += n
	}
	q.say("sendfile %d, offset %d", sent, offset)
	q.recvPattern("recv", fd, size)
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("the other end has %s", q.noted(key))
}

func (q *asker) bulkSplice() {
	var p [2]int
	q.must("pipe", unix.Pipe2(p[:], unix.O_CLOEXEC))
	fd := q.open("echo")
	n, err := unix.Write(p[1], []byte("through a pipe"))
	q.must("write", err)
	moved, err := unix.Splice(p[0], nil, fd, nil, n, 0)
	q.count("to the socket", int(moved), err)
	unread(fd, n)
	moved, err = unix.Splice(fd, nil, p[1], nil, 100, 0)
	q.count("from the socket", int(moved), err)
	b := make([]byte, 100)
	n, err = unix.Read(p[0], b)
	q.text("pipe", b, n, err)
	unix.SetNonblock(fd, true)
	_, err = unix.Splice(fd, nil, p[1], nil, 100, 0)
	q.did("nothing there", err)
	unix.SetNonblock(fd, false)
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	moved, err = unix.Splice(fd, nil, p[1], nil, 100, 0)
	q.count("at the end", int(moved), err)
}
