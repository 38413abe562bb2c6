package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var processQuestions = []question{
	{name: "dup", about: "dup, dup2 and F_DUPFD; the connection ends with the last", ask: (*asker).dup},
	{name: "exec-inherits", about: "a connected socket in another program", ask: (*asker).execInherits},
	{name: "exec-holds", about: "the connection lives as long as a child has it", ask: (*asker).execHolds},
	{name: "exec-cloexec", about: "SOCK_CLOEXEC is honoured, its absence too", ask: (*asker).execCloexec},
	{name: "exec-before-connect", about: "a socket made here is connected by another program", ask: (*asker).execConnects},
	{name: "exec-listener", about: "a listener made here, accept in another program", ask: (*asker).execAccepts},
	{name: "exec-inetd", about: "an accepted socket as standard input and output", ask: (*asker).execInetd},
	{name: "exec-prefork", about: "four programs accept from one listener", ask: (*asker).execPrefork},
	{name: "pass-connected", about: "a connected socket passed by SCM_RIGHTS", ask: (*asker).passConnected},
	{name: "pass-listening", about: "a listener passed by SCM_RIGHTS", ask: (*asker).passListening},
	{name: "threads-50", about: "50 threads connect and echo at once", limit: 20 * time.Second, ask: (*asker).threads},
	{name: "sigio", about: "F_SETOWN and O_ASYNC: SIGIO when data comes", ask: (*asker).sigio},
}

// inheritable is a duplicate of fd that other programs get, by its number.
func (q *asker) inheritable(fd int) int {
	dup, err := unix.Dup(fd)
	q.must("dup", err)
	return dup
}

// helper starts this program as a helper; the descriptors, which are
// inheritable, are closed here once it has them.
func (q *asker) helper(fds []int, args ...string) *exec.Cmd {
	cmd := exec.Command(self, append([]string{"helper"}, args...)...)
	cmd.Stderr = os.Stderr
	q.must("start", cmd.Start())
	closeAll(fds...)
	return cmd
}

func (q *asker) ended(cmd *exec.Cmd) {
	err := cmd.Wait()
	if err != nil {
		q.say("helper %v", err)
		return
	}
	q.say("helper ok")
}

// runHelper is another program, which a question started.
func runHelper(args []string) int {
	q := &asker{w: os.Stderr}
	var fd int
	fmt.Sscan(args[1], &fd)
	switch args[0] {
	case "has":
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return 1
		}
	case "write":
		if n, err := send(fd, []byte(args[2]), unix.MSG_NOSIGNAL); n != len(args[2]) || err != nil {
			return 1
		}
	case "hold":
		time.Sleep(100 * time.Millisecond)
	case "connect":
		to := netip.MustParseAddrPort(args[2])
		if unix.Connect(fd, sockaddr(to)) != nil {
			return 1
		}
		q.hand(fd, "read 5;eof")
		send(fd, []byte("child"), unix.MSG_NOSIGNAL)
	case "accept":
		var times int
		fmt.Sscan(args[2], &times)
		for range times {
			conn, _ := q.accept(fd)
			send(conn, []byte("hello\n"), unix.MSG_NOSIGNAL)
			unix.Close(conn)
		}
	case "cat":
		b := make([]byte, 1000)
		for {
			n, err := unix.Read(0, b)
			if n <= 0 || err != nil {
				return 0
			}
			unix.Write(1, b[:n])
		}
	case "passed":
		return q.helpPassed(fd, args[2])
	default:
		return 2
	}
	return 0
}

// helpPassed gets a descriptor over the socket and does what is asked with it.
func (q *asker) helpPassed(over int, what string) int {
	b, oob := make([]byte, 1), make([]byte, 100)
	_, n, _, _, err := unix.Recvmsg(over, b, oob, 0)
	q.must("recvmsg", err)
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	q.must("parse", err)
	fds, err := unix.ParseUnixRights(&msgs[0])
	q.must("rights", err)
	return runHelper([]string{what, fmt.Sprint(fds[0]), "1"})
}

func (q *asker) dup() {
	key := q.key()
	fd := q.open("note %s;echo", key)
	a, err := unix.Dup(fd)
	q.did("dup", err)
	b, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
	q.did("F_DUPFD", err)
	q.is("at least 100", b >= 100)
	q.did("dup3", unix.Dup3(fd, 77, unix.O_CLOEXEC))
	q.is("one name", sockname(77) == sockname(fd) && peername(b) == peername(a))
	unix.Close(fd)
	for _, fd := range []int{a, b, 77} {
		q.echo(fd)
	}
	q.must("fcntl", unix.SetNonblock(a, true))
	q.recv("recv on another", b, 1, 0)
	q.must("fcntl", unix.SetNonblock(a, false))
	q.did("shutdown", unix.Shutdown(a, unix.SHUT_WR))
	q.send("send on another", "x", b)
	closeAll(a, b, 77)
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) execInherits() {
	fd := q.open("echo")
	dup := q.inheritable(fd)
	q.ended(q.helper([]int{dup}, "write", fmt.Sprint(dup), "child"))
	unread(fd, 5)
	q.recv("recv", fd, 10, 0)
	q.echo(fd)
}

func (q *asker) execHolds() {
	key := q.key()
	fd := q.open("note %s;eof", key)
	dup := q.inheritable(fd)
	cmd := q.helper([]int{dup}, "hold", fmt.Sprint(dup))
	start := time.Now()
	unix.Close(fd)
	q.say("the other end has %s", brief(q.noted(key)))
	q.ended(cmd)
	q.is("not before", time.Since(start) > silence)
}

func (q *asker) execCloexec() {
	for _, flags := range []int{0, unix.SOCK_CLOEXEC} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|flags, 0)
		q.must("socket", err)
		q.is("inherited", q.helper(nil, "has", fmt.Sprint(fd)).Wait() == nil)
	}
	ln, _ := q.listen("0.0.0.0", 8)
	for _, flags := range []int{0, unix.SOCK_CLOEXEC} {
		q.call(ln, "eof")
		wait(ln, unix.POLLIN, waitTime)
		fd, _, err := unix.Accept4(ln, flags)
		q.must("accept", err)
		q.is("accepted, inherited", q.helper(nil, "has", fmt.Sprint(fd)).Wait() == nil)
	}
}

func (q *asker) execConnects() {
	fd := q.stream(q.four)
	dup := q.inheritable(fd)
	q.ended(q.helper([]int{dup}, "connect", fmt.Sprint(dup), q.four.String()))
	q.is("peer as asked", peername(fd) == q.four)
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
}

func (q *asker) execAccepts() {
	ln, _ := q.listen("0.0.0.0", 8)
	dup := q.inheritable(ln)
	key := q.key()
	q.call(ln, "note %s,eof", key)
	q.ended(q.helper([]int{dup}, "accept", fmt.Sprint(dup), "1"))
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) execInetd() {
	ln, _ := q.listen("0.0.0.0", 8)
	key := q.key()
	conn, _ := q.called(ln, "note %s,say through a child,half,eof", key)
	cmd := exec.Command(self, "helper", "cat", "0")
	file := os.NewFile(uintptr(conn), "connection")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, os.Stderr
	q.must("start", cmd.Start())
	file.Close()
	q.ended(cmd)
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) execPrefork() {
	ln, at := q.listen("0.0.0.0", 50)
	key := q.key()
	var cmds []*exec.Cmd
	for range 4 {
		dup := q.inheritable(ln)
		cmds = append(cmds, q.helper([]int{dup}, "accept", fmt.Sprint(dup), "5"))
	}
	var steps []string
	for i := range 20 {
		steps = append(steps, fmt.Sprintf("back %d note %s%d,eof", at.Port(), key[len(key)-6:], i))
	}
	unix.Close(q.open("%s", strings.Join(steps, ";")))
	right := 0
	for i := range 20 {
		if brief(q.noted(fmt.Sprintf("%s%d", key[len(key)-6:], i))) == "EOF after 6 bytes" {
			right++
		}
	}
	q.say("right %d", right)
	for _, cmd := range cmds {
		q.ended(cmd)
	}
}

// pass starts a helper that does what is asked with fd, which it is passed.
func (q *asker) pass(fd int, what string) *exec.Cmd {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	q.must("socketpair", err)
	dup := q.inheritable(p[1])
	cmd := q.helper([]int{dup, p[1]}, "passed", fmt.Sprint(dup), what)
	q.did("pass", unix.Sendmsg(p[0], []byte("x"), unix.UnixRights(fd), nil, 0))
	unix.Close(p[0])
	return cmd
}

func (q *asker) passConnected() {
	fd := q.open("echo")
	q.ended(q.pass(fd, "write"))
	unread(fd, 1)
	q.recv("recv", fd, 10, 0)
}

func (q *asker) passListening() {
	ln, _ := q.listen("0.0.0.0", 8)
	cmd := q.pass(ln, "accept")
	key := q.key()
	q.call(ln, "note %s,eof", key)
	unix.Close(ln)
	q.ended(cmd)
	q.say("the other end has %s", brief(q.noted(key)))
}

func (q *asker) threads() {
	var wg sync.WaitGroup
	var right atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			runtime.LockOSThread()
			for j := range 4 {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err != nil || unix.Connect(fd, sockaddr(q.four)) != nil {
					return
				}
				text := fmt.Sprintf("%d of %d", j, i)
				send(fd, []byte("echo\n"+text), unix.MSG_NOSIGNAL)
				b := make([]byte, len(text))
				if n, _ := recv(fd, b, unix.MSG_WAITALL); string(b[:max(n, 0)]) == text {
					right.Add(1)
				}
				unix.Close(fd)
			}
		})
	}
	wg.Wait()
	q.say("right %d", right.Load())
}

func (q *asker) sigio() {
	got := make(chan os.Signal, 10)
	signal.Notify(got, unix.SIGIO)
	fd := q.open("read 1;send 5;eof")
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, unix.Getpid())
	q.did("F_SETOWN", err)
	owner, err := unix.FcntlInt(uintptr(fd), unix.F_GETOWN, 0)
	q.must("F_GETOWN", err)
	q.is("owner", owner == unix.Getpid())
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_ASYNC|unix.O_NONBLOCK)
	q.did("O_ASYNC", err)
	q.send("go", "x", fd)
	select {
	case <-got:
		q.say("SIGIO")
	case <-time.After(waitTime):
		q.say("no signal")
	}
	q.say("unread %d", unread(fd, 5))
}
