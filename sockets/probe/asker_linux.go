package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// asker is what a question is asked with, and takes down the answer: steps
// between commas, each "what: result" in few words.
type asker struct {
	name      string
	four, six netip.AddrPort // the counterpart; six may be missing
	w         io.Writer
	said      bool
}

func (q *asker) say(format string, args ...any) {
	if q.said {
		io.WriteString(q.w, ", ")
	}
	q.said = true
	fmt.Fprintf(q.w, format, args...)
}

// leave says that the question cannot be asked here.
func (q *asker) leave(why string) { q.say("%s%s", leftOut, why) }

// did takes down a call that has no other result than an error.
func (q *asker) did(what string, err error) { q.say("%s %s", what, errName(err)) }

// count takes down a call that returns a number.
func (q *asker) count(what string, n int, err error) {
	if err != nil {
		q.did(what, err)
		return
	}
	q.say("%s %d", what, n)
}

// is takes down a comparison.
func (q *asker) is(what string, same bool) {
	if same {
		q.say("%s yes", what)
		return
	}
	q.say("%s no", what)
}

// must ends the question if err is not nil.
func (q *asker) must(what string, err error) {
	if err != nil {
		panic(broken(what + " " + errName(err)))
	}
}

func errName(err error) string {
	if err == nil {
		return "ok"
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errnoName(errno)
	}
	return why(err)
}

// errnoName returns one name for each number.
func errnoName(errno syscall.Errno) string {
	switch errno {
	case unix.EAGAIN:
		return "EAGAIN"
	case unix.EOPNOTSUPP:
		return "EOPNOTSUPP"
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}

// socket makes one that is closed on exec.
func (q *asker) socket(family, typ, proto int) int {
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, proto)
	q.must("socket", err)
	return fd
}

// stream makes a TCP socket of the family of to.
func (q *asker) stream(to netip.AddrPort) int {
	return q.socket(familyOf(to.Addr()), unix.SOCK_STREAM, 0)
}

// pending makes one that does not block.
func (q *asker) pending(to netip.AddrPort) int {
	return q.socket(familyOf(to.Addr()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// nameOf turns what getsockname and its like return into an address; that of an
// error, or of another family, is not valid.
func nameOf(sa unix.Sockaddr, err error) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func sockname(fd int) netip.AddrPort { return nameOf(unix.Getsockname(fd)) }
func peername(fd int) netip.AddrPort { return nameOf(unix.Getpeername(fd)) }

// unmapped is a without ::ffff:.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// closed is a port of the counterpart's host on which nobody listens.
func closed(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 1) }

// dial connects to a, blocking, and hands over the script.
func (q *asker) dial(a netip.AddrPort, script string, args ...any) int {
	fd := q.stream(a)
	q.must("connect", unix.Connect(fd, sockaddr(a)))
	q.hand(fd, script, args...)
	return fd
}

// open is dial over IPv4.
func (q *asker) open(script string, args ...any) int { return q.dial(q.four, script, args...) }

func (q *asker) hand(fd int, script string, args ...any) {
	line := fmt.Sprintf(script, args...) + "\n"
	n, err := send(fd, []byte(line), 0)
	q.must("script", err)
	if n != len(line) {
		panic(broken("script cut short"))
	}
}

// tell has the script's answer, a line, from a connection of its own.
func (q *asker) tell(script string, args ...any) string {
	fd := q.open(script, args...)
	defer unix.Close(fd)
	return q.line(fd)
}

// line reads one, byte by byte.
func (q *asker) line(fd int) string {
	var line []byte
	var b [1]byte
	for {
		n, err := recv(fd, b[:], 0)
		q.must("line", err)
		if n == 0 || b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// key is one for a note of this run of the question.
func (q *asker) key() string {
	return fmt.Sprintf("%s-%d-%d", q.name, os.Getpid(), time.Now().UnixNano())
}

// noted is what became of the script that notes under key.
func (q *asker) noted(key string) string { return q.tell("get %s", key) }

// echo sends text over a connection whose other end echoes, and takes down whether it came back.
func (q *asker) echo(fd int) {
	text := []byte("quiver")
	if _, err := send(fd, text, unix.MSG_NOSIGNAL); err != nil {
		q.did("echo", err)
		return
	}
	got := make([]byte, len(text))
	n, err := recv(fd, got, unix.MSG_WAITALL)
	switch {
	case err != nil:
		q.did("echo", err)
	case string(got[:n]) != string(text):
		q.say("echo %q", got[:n])
	default:
		q.say("echo ok")
	}
}

// listen makes a listener on a free port of host.
func (q *asker) listen(host string, backlog int) (fd int, at netip.AddrPort) {
	a := netip.AddrPortFrom(netip.MustParseAddr(host), 0)
	fd = q.stream(a)
	q.must("bind", unix.Bind(fd, sockaddr(a)))
	q.must("listen", unix.Listen(fd, backlog))
	return fd, sockname(fd)
}

// accept waits for a connection, at most as long as wait does.
func (q *asker) accept(fd int) (conn int, from netip.AddrPort) {
	if wait(fd, unix.POLLIN, waitTime) != "IN" {
		panic(broken("nobody came to accept"))
	}
	conn, sa, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	q.must("accept", err)
	return conn, nameOf(sa, nil)
}

// called has the counterpart connect to a listener of ours and do the script
// there, its steps between commas; it returns our end and the other's name.
func (q *asker) called(ln int, script string, args ...any) (conn int, from netip.AddrPort) {
	q.call(ln, script, args...)
	return q.accept(ln)
}

func (q *asker) call(ln int, script string, args ...any) {
	unix.Close(q.open("back %d "+script, append([]any{sockname(ln).Port()}, args...)...))
}

// stuck returns the address of a listener of the counterpart to which connects
// neither succeed nor fail, as long as the returned descriptors are open.
func (q *asker) stuck() (at netip.AddrPort, hold [2]int) {
	hold[0] = q.open("full")
	var port uint16
	if _, err := fmt.Sscan(q.line(hold[0]), &port); err != nil {
		panic(broken("no full listener"))
	}
	at = netip.AddrPortFrom(q.four.Addr(), port)
	hold[1] = q.stream(at)
	q.must("first connect", unix.Connect(hold[1], sockaddr(at)))
	return at, hold
}

// soError asks for SO_ERROR, which clears it.
func soError(fd int) string {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return errName(err)
	case v == 0:
		return "0"
	}
	return errName(syscall.Errno(v))
}

func (q *asker) soError(fd int) { q.say("SO_ERROR %s", soError(fd)) }

// send and recv are the calls without an address; they go on after signals that
// the runtime of Go sends itself.
func send(fd int, b []byte, flags int) (n int, err error) {
	err = again(func() error { n, err = unix.SendmsgN(fd, b, nil, nil, flags); return err })
	return n, err
}

func recv(fd int, b []byte, flags int) (n int, err error) {
	err = again(func() error { n, _, err = unix.Recvfrom(fd, b, flags); return err })
	return n, err
}

func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// sendText sends it without SIGPIPE.
func (q *asker) send(what, text string, fd int) {
	n, err := send(fd, []byte(text), unix.MSG_NOSIGNAL)
	q.count(what, n, err)
}

// recv takes down what is read: its text, EOF or the error.
func (q *asker) recv(what string, fd, size, flags int) {
	b := make([]byte, size)
	n, err := recv(fd, b, flags)
	q.text(what, b, n, err)
}

func (q *asker) text(what string, b []byte, n int, err error) {
	switch {
	case err != nil:
		q.did(what, err)
	case n == 0:
		q.say("%s EOF", what)
	default:
		q.say("%s %q", what, printable(b[:n]))
	}
}

// printable makes the bytes of the pattern letters, so that answers are text.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '.'
		}
		return r
	}, string(latin(b)))
}

func latin(b []byte) []rune {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return out
}
