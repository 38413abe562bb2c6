package netsim

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// alarm lets one goroutine sleep until a time, a wake-up call or input, with the precision of the kernel's
// timers: the runtime's own are a millisecond coarse when the process is idle.
type alarm struct{ fd int }

func newAlarm() (*alarm, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &alarm{fd}, nil
}

func (a *alarm) close() { unix.Close(a.fd) }

// ring wakes the sleeper, or lets the next sleep end at once. Safe for concurrent use.
func (a *alarm) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(a.fd, one[:])
}

// sleep returns after d, or earlier when ring was called.
func (a *alarm) sleep(d time.Duration) {
	fds := [1]unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}
	a.poll(fds[:], d)
}

// poll is sleep that also ends when one of fds, the first of which is the alarm's own, has events. It
// reports whether the alarm rang.
func (a *alarm) poll(fds []unix.PollFd, d time.Duration) (rang bool) {
	timeout := unix.NsecToTimespec(int64(max(d, 0)))
	if n, err := unix.Ppoll(fds, &timeout, nil); n <= 0 || err != nil {
		for i := range fds {
			fds[i].Revents = 0
		}
		return false
	}
	if fds[0].Revents == 0 {
		return false
	}
	var count [8]byte
	unix.Read(a.fd, count[:])
	return true
}

// sharpen asks the kernel to wake the calling thread on time and soon: a timer slack of a nanosecond instead
// of 50 µs, and short turns on the processor, which come earlier. undo takes the first back. Both are wishes:
// an error changes nothing but the lateness, which is counted anyway.
func sharpen() (undo func()) {
	old, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_TIMERSLACK, 0, 0)
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if attr, err := unix.SchedGetAttr(0, 0); err == nil && attr.Policy == unix.SCHED_NORMAL {
		attr.Runtime = uint64(turn)
		unix.SchedSetAttr(0, attr, 0)
	}
	return func() {
		if errno == 0 {
			unix.Prctl(unix.PR_SET_TIMERSLACK, old, 0, 0, 0)
		}
	}
}

const turn = 200 * time.Microsecond // the kernel takes 100 µs to 100 ms, from Linux 6.12
