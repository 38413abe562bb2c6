package main

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var readyQuestions = []question{
	{name: "epoll-level", about: "events from connect to the end, level-triggered, registered before connect", ask: (*asker).epollLevel},
	{name: "epoll-edge", about: "the same, edge-triggered", ask: (*asker).epollEdge},
	{name: "epoll-refused", about: "a refusal, edge-triggered", ask: (*asker).epollRefused},
	{name: "epoll-reset", about: "a reset, edge-triggered", ask: (*asker).epollReset},
	{name: "epoll-oneshot", about: "EPOLLONESHOT is armed again by EPOLL_CTL_MOD", ask: (*asker).epollOneshot},
	{name: "epoll-listener", about: "connections at a listener, level and edge", ask: (*asker).epollListener},
	{name: "epoll-close", about: "a closed descriptor leaves the set, a duplicate keeps it", ask: (*asker).epollClose},
	{name: "epoll-full", about: "no EPOLLOUT while the buffers are full, and again when they are not", ask: (*asker).epollFull},
	{name: "poll-states", about: "poll on sockets in each state", ask: (*asker).pollStates},
	{name: "select-states", about: "select on the same", ask: (*asker).selectStates},
	{name: "poll-rcvlowat", about: "SO_RCVLOWAT", ask: (*asker).pollLowat},
}

// eventSet is an epoll set with one socket.
type eventSet struct{ ep, fd int }

func (q *asker) watch(fd int, events uint32) eventSet {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	q.must("epoll_create", err)
	q.must("epoll_ctl", unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
	return eventSet{ep, fd}
}

func (s eventSet) once(timeout time.Duration) (events uint32) {
	list := make([]unix.EpollEvent, 1)
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.EpollWait(s.ep, list, int(max(0, time.Until(deadline)).Milliseconds()))
		switch {
		case err == unix.EINTR:
		case n == 1:
			return list[0].Events
		default:
			return 0
		}
	}
}

// level waits until all of want are there.
func (s eventSet) level(want uint32) string {
	var got uint32
	until(func() bool {
		got = s.once(0)
		return got&want == want
	})
	return eventNames(got)
}

// edges lists the events one after the other, until all of want came and then
// nothing for a while. Of the same twice in a row one is enough: the kernel may
// wake a reader more than once for one segment, and whether that is seen is luck.
func (s eventSet) edges(want uint32) string {
	var all uint32
	var list []string
	for {
		timeout := waitTime
		if all&want == want {
			timeout = silence
		}
		got := s.once(timeout)
		if got == 0 {
			break
		}
		all |= got
		if name := eventNames(got); list == nil || list[len(list)-1] != name {
			list = append(list, name)
		}
	}
	if list == nil {
		return "nothing"
	}
	return strings.Join(list, " then ")
}

const everything = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI

// stages is a script whose steps the client starts with a byte each.
const stages = "read 1;send 5;read 1;half;eof"

func (q *asker) epollLevel() { q.life(everything, eventSet.level) }

func (q *asker) epollEdge() { q.life(everything|unix.EPOLLET, eventSet.edges) }

func (q *asker) life(events uint32, wait func(eventSet, uint32) string) {
	fd := q.pending(q.four)
	s := q.watch(fd, events)
	q.say("new %s", wait(s, unix.EPOLLHUP))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.say("connected %s", wait(s, unix.EPOLLOUT))
	q.hand(fd, stages)
	q.send("go", "x", fd)
	q.say("data %s", wait(s, unix.EPOLLIN))
	q.recv("recv", fd, 10, 0)
	q.send("go", "x", fd)
	q.say("half %s", wait(s, unix.EPOLLRDHUP))
	q.recv("recv", fd, 10, 0)
	q.did("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	q.say("end %s", wait(s, unix.EPOLLHUP))
}

func (q *asker) epollRefused() {
	fd := q.pending(q.four)
	s := q.watch(fd, everything|unix.EPOLLET)
	s.edges(unix.EPOLLHUP)
	q.did("connect", unix.Connect(fd, sockaddr(closed(q.four))))
	q.say("%s", s.edges(unix.EPOLLERR))
	q.soError(fd)
	q.say("%s", eventNames(s.once(0)))
}

func (q *asker) epollReset() {
	fd := q.open("read 1;rst")
	s := q.watch(fd, everything|unix.EPOLLET)
	q.say("connected %s", s.edges(unix.EPOLLOUT))
	q.send("go", "x", fd)
	q.say("reset %s", s.edges(unix.EPOLLERR))
	q.recv("recv", fd, 1, 0)
}

func (q *asker) epollOneshot() {
	fd := q.open("send 5;eof")
	s := q.watch(fd, unix.EPOLLIN|unix.EPOLLONESHOT)
	q.say("%s", eventNames(s.once(waitTime)))
	q.say("%s", eventNames(s.once(silence)))
	q.must("epoll_ctl", unix.EpollCtl(s.ep, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}))
	q.say("%s", eventNames(s.once(waitTime)))
}

func (q *asker) epollListener() {
	ln, _ := q.listen("0.0.0.0", 8)
	level, edge := q.watch(ln, unix.EPOLLIN), q.watch(ln, unix.EPOLLIN|unix.EPOLLET)
	q.say("none %s", eventNames(level.once(0)))
	for range 2 {
		q.call(ln, "eof")
		q.say("edge %s", eventNames(edge.once(waitTime)))
		q.say("level %s", eventNames(level.once(waitTime)))
	}
	q.accept(ln)
	q.say("one left %s", eventNames(level.once(0)))
	q.accept(ln)
	q.say("none left %s", eventNames(level.once(0)))
}

func (q *asker) epollClose() {
	fd := q.open("send 5;eof")
	s := q.watch(fd, unix.EPOLLIN)
	dup, err := unix.Dup(fd)
	q.must("dup", err)
	q.say("open %s", eventNames(s.once(waitTime)))
	unix.Close(fd)
	q.say("one closed %s", eventNames(s.once(waitTime)))
	unix.Close(dup)
	q.say("both closed %s", eventNames(s.once(0)))
}

func (q *asker) epollFull() {
	fd, drain := q.unreadUntil()
	unix.SetNonblock(fd, true)
	s := q.watch(fd, unix.EPOLLOUT|unix.EPOLLET)
	q.say("connected %s", s.edges(unix.EPOLLOUT))
	q.did("full", q.fill(fd))
	q.say("%s", eventNames(s.once(silence)))
	drain()
	q.say("drained %s", eventNames(s.once(waitTime)))
}

// unreadUntil is a connection whose other end reads nothing until it is told.
func (q *asker) unreadUntil() (fd int, drain func()) {
	key := q.key()
	return q.open("read 1;get %s;eof", key), func() { unix.Close(q.open("mark %s", key)) }
}

// fill sends until there is no room, for a while, and returns the error that says so.
func (q *asker) fill(fd int) error {
	b := make([]byte, 64<<10)
	for {
		if _, err := send(fd, b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil {
			if err != unix.EAGAIN || poll(fd, unix.POLLOUT, 2*silence) == 0 {
				return err
			}
		}
	}
}

// states are sockets in each state, by name.
func (q *asker) states() []struct {
	name string
	fd   int
} {
	ln, _ := q.listen("127.0.0.1", 8)
	idle := q.open("silent")
	data := q.open("send 5;silent")
	unread(data, 5)
	half := q.open("half;silent")
	settle(half, unix.POLLRDHUP)
	ended := q.open("half;silent")
	q.must("shutdown", unix.Shutdown(ended, unix.SHUT_WR))
	settle(ended, unix.POLLHUP)
	reset := q.open("rst")
	settle(reset, unix.POLLHUP)
	return []struct {
		name string
		fd   int
	}{{"new", q.stream(q.four)}, {"listener", ln}, {"idle", idle}, {"data", data}, {"half", half}, {"ended", ended}, {"reset", reset}}
}

func (q *asker) pollStates() {
	for _, s := range q.states() {
		q.say("%s %s", s.name, wait(s.fd, allEvents, 0))
		q.say("asked for nothing %s", wait(s.fd, 0, 0))
	}
	q.say("closed %s", wait(9999, allEvents, 0))
}

func (q *asker) selectStates() {
	for _, s := range q.states() {
		var r, w, x unix.FdSet
		r.Set(s.fd)
		w.Set(s.fd)
		x.Set(s.fd)
		_, err := unix.Select(s.fd+1, &r, &w, &x, &unix.Timeval{})
		q.must("select", err)
		var is []string
		for _, set := range []struct {
			name string
			set  *unix.FdSet
		}{{"read", &r}, {"write", &w}, {"except", &x}} {
			if set.set.IsSet(s.fd) {
				is = append(is, set.name)
			}
		}
		q.say("%s %s", s.name, strings.Join(append(is, "."), " "))
	}
}

func (q *asker) pollLowat() {
	fd := q.open("send 5;read 1;send 5;eof")
	q.did("set", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 10))
	q.say("unread %d", unread(fd, 5))
	q.say("poll %s", wait(fd, unix.POLLIN, silence))
	q.send("go", "x", fd)
	q.say("poll %s", wait(fd, unix.POLLIN, waitTime))
	q.say("unread %d", unread(fd, 10))
}
