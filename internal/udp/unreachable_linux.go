//go:build !udpportable

package udp

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	quoteSize = 128 // bytes of a quoted datagram that are kept: its headers are what matters
	maxDrain  = 64  // messages that one look at the queue takes: datagrams have their turn between

	// asyncRetries is how many sends of one message may fail for what ICMP said of others: with each message that the reader takes from the
	// queue the kernel brings up the error of the next, for whoever calls then.
	asyncRetries = 2 * maxDrain
)

// watch asks the kernel for ICMP messages while somebody waits for a peer's first answer. It is off otherwise: with it,
// the error of one datagram fails the next call, whatever that is about, and a look at the queue takes a call.
type watch struct {
	on    atomic.Bool
	mu    sync.Mutex // guards users
	users int
	queue *errorQueue // of the one reader; nil = it never looked
}

// Watch(true) asks for ICMP messages of unreachable destinations, which Config.Unreachable is then told; as many
// Watch(false) end it. Without that callback, or where the kernel refuses, it does nothing. Any goroutine may call it.
func (s *Socket) Watch(on bool) {
	w := &s.watch
	if s.unreachable == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case on:
		if w.users++; w.users == 1 {
			w.on.Store(true) // first: an error may come with the option
			s.receiveErrors(1)
		}
	case w.users > 0:
		if w.users--; w.users == 0 {
			s.receiveErrors(0) // which empties the queue
			w.on.Store(false)
		}
	}
}

func (s *Socket) receiveErrors(on int) {
	s.raw.Control(func(fd uintptr) {
		if s.inet6 {
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVERR, on)
		}
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, on) // of mapped peers, if inet6
		if on == 0 {
			unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) // what the last message left for the next call
		}
	})
}

// errorQueue is the memory for reading the error queue of a socket, made when that is first looked at.
type errorQueue struct {
	msg  unix.Msghdr
	iov  unix.Iovec
	name unix.RawSockaddrInet6
	ctrl [controlSize / 8]uint64
	buf  [quoteSize]byte
}

// drain tells the callback what waits in the error queue, and returns how much that was. Only the reader calls it.
func (s *Socket) drain(fd uintptr) (n int) {
	if s.watch.queue == nil {
		s.watch.queue = new(errorQueue)
	}
	q := s.watch.queue
	for ; n < maxDrain && !s.closed.Load(); n++ {
		q.iov.Base = &q.buf[0]
		q.iov.SetLen(len(q.buf))
		q.msg = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&q.name)), Namelen: uint32(unsafe.Sizeof(q.name)), Iov: &q.iov, Control: (*byte)(unsafe.Pointer(&q.ctrl))}
		q.msg.SetIovlen(1)
		q.msg.SetControllen(controlSize)
		size, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&q.msg)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno != 0 {
			break
		}
		ctrl := unsafe.Slice((*byte)(unsafe.Pointer(&q.ctrl)), controlSize)
		if why := icmpReason(ctrl[:min(int(q.msg.Controllen), controlSize)]); why != 0 {
			s.unreachable(&Unreachable{To: s.receiver.address(&q.name), Reason: why, Quote: q.buf[:size]})
		}
	}
	return n
}

// icmpReason finds the extended error of an ICMP message among control messages: struct sock_extended_err of
// <linux/errqueue.h>, which is errno, origin, type, code and more. 0 = none that matters, such as one of this host.
func icmpReason(b []byte) syscall.Errno {
	for h, data, rest := nextControl(b); h != nil; h, data, rest = nextControl(rest) {
		recvErr := h.Level == unix.SOL_IP && h.Type == unix.IP_RECVERR || h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_RECVERR
		if !recvErr || len(data) < 16 {
			continue
		}
		switch origin := data[4]; origin {
		case unix.SO_EE_ORIGIN_ICMP:
			return reason(false, data[5], data[6])
		case unix.SO_EE_ORIGIN_ICMP6:
			return reason(true, data[5], data[6])
		}
	}
	return 0
}
