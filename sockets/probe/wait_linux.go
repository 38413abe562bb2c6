package main

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// waitTime is how long an event is waited for that must come. It is less than a
// question has, so that the answer tells which did not.
const waitTime = 3 * time.Second

// silence is how long is waited for an event that must not come.
// It is a whole number of the kernel's ticks, however long they are.
const silence = 60 * time.Millisecond

// bits are the events of poll, which are those of epoll.
var bits = []struct {
	bit  uint32
	name string
}{
	{unix.POLLIN, "IN"}, {unix.POLLPRI, "PRI"}, {unix.POLLOUT, "OUT"}, {unix.POLLERR, "ERR"},
	{unix.POLLHUP, "HUP"}, {unix.POLLNVAL, "NVAL"}, {unix.POLLRDHUP, "RDHUP"},
}

func eventNames(events uint32) string {
	var names []string
	for _, b := range bits {
		if events&b.bit != 0 {
			names = append(names, b.name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, "|")
}

// poll asks once, and waits at most that long.
func poll(fd int, events int16, timeout time.Duration) uint32 {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	deadline := time.Now().Add(timeout)
	for {
		_, err := unix.Poll(p, int(max(0, time.Until(deadline)).Milliseconds()))
		if err != unix.EINTR {
			return uint32(uint16(p[0].Revents))
		}
	}
}

func wait(fd int, events int16, timeout time.Duration) string {
	return eventNames(poll(fd, events, timeout))
}

const allEvents = unix.POLLIN | unix.POLLPRI | unix.POLLOUT | unix.POLLRDHUP

// settle polls for everything until all of want are there, and returns what there is then.
func settle(fd int, want uint32) string {
	var got uint32
	until(func() bool {
		got = poll(fd, allEvents, 0)
		return got&want == want
	})
	return eventNames(got)
}

// until asks again and again whether something is so, for waitTime.
func until(so func() bool) bool {
	for deadline := time.Now().Add(waitTime); ; time.Sleep(time.Millisecond) {
		if so() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// unread waits until n bytes can be read, and returns how many can.
func unread(fd, n int) (got int) {
	until(func() bool {
		got, _ = unix.IoctlGetInt(fd, unix.SIOCINQ)
		return got >= n
	})
	return got
}
