//go:build !udpportable

package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendControlSize is the room for control messages in bytes: source address 40, traffic class 24, segment size 24.
const sendControlSize = 96

// quickSize is how many bytes a call sends, at most, of which Go's scheduler does not hear: docs/RATIONALE.md says what
// its hearing costs. No call of a socket waits; larger ones take long enough for others to have a turn meanwhile.
const quickSize = 16 << 10

// sender is the memory of one Write. A socket keeps those that it made, so each is made once.
type sender struct {
	socket *Socket
	next   *sender // in Socket.idle

	msg     unix.Msghdr
	iov     unix.Iovec
	name    unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	ctrl    [sendControlSize / 8]uint64
	ctrlLen int // bytes of ctrl without the segment size, which comes last

	batch *sendBatch     // made when datagrams of a train first go one by one
	rest  []unix.Mmsghdr // of batch: still to be sent; nil = msg is

	sent  int // messages of the last call, 0 with errno
	errno syscall.Errno
	try   func(fd uintptr)      // call as func values made once, since making one allocates
	wait  func(fd uintptr) bool // the same for the poller: false = wait until writable
}

// sendBatch is for sendmmsg: as many headers as a train has datagrams, all with the address and control of a sender.
type sendBatch struct {
	msgs [maxSegments]unix.Mmsghdr
	iovs [maxSegments]unix.Iovec
}

// Write implements Conn.
func (s *Socket) Write(buf []byte, segment int, to netip.AddrPort, from netip.Addr, ecn uint8) error {
	w := s.acquire()
	err := w.write(buf, segment, to, from, ecn)
	s.release(w)
	return err
}

func (s *Socket) acquire() *sender {
	s.mu.Lock()
	w := s.idle
	if w != nil {
		s.idle, w.next = w.next, nil
	}
	s.mu.Unlock()
	if w == nil {
		w = newSender(s)
	}
	return w
}

func (s *Socket) release(w *sender) {
	w.forget()
	s.mu.Lock()
	w.next, s.idle = s.idle, w
	s.mu.Unlock()
}

func newSender(s *Socket) *sender {
	w := &sender{socket: s}
	w.msg.Name = (*byte)(unsafe.Pointer(&w.name))
	w.msg.Iov = &w.iov
	w.msg.SetIovlen(1)
	w.msg.Control = (*byte)(unsafe.Pointer(&w.ctrl))
	w.try = w.call
	w.wait = func(fd uintptr) bool {
		w.call(fd)
		return w.errno != unix.EAGAIN
	}
	return w
}

// forget drops the references to the caller's buffer.
func (w *sender) forget() {
	w.iov.Base = nil
	w.rest = nil
	if w.batch != nil {
		for i := range w.batch.iovs {
			w.batch.iovs[i].Base = nil
		}
	}
}

func (w *sender) write(buf []byte, segment int, to netip.AddrPort, from netip.Addr, ecn uint8) error {
	if errno := w.address(to, from, ecn); errno != 0 {
		return sendError(len(buf), to, classOfErrno(errno), errno)
	}
	if segment <= 0 || segment >= len(buf) {
		return w.result(w.single(buf), len(buf), to, from)
	}
	most := segment * min(maxSegments, max(1, MaxTrainSize/segment))
	for len(buf) > 0 {
		n := min(most, len(buf))
		if err := w.train(buf[:n], segment); err != nil {
			return w.result(err, segment, to, from)
		}
		buf = buf[n:]
	}
	return nil
}

// result gives an errno its class and its words, and returns other errors as they are.
func (w *sender) result(err error, size int, to netip.AddrPort, from netip.Addr) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	class := classOfErrno(errno)
	if errno == unix.EINVAL && from.IsValid() {
		class = ErrTransient // from is no address of this host, or no longer
	}
	return sendError(size, to, class, errno)
}

// train sends buf, at most maxSegments datagrams, in one call if GSO works.
func (w *sender) train(buf []byte, segment int) error {
	if len(buf) <= segment || !w.socket.gso.Load() {
		return w.singles(buf, segment)
	}
	w.iov.Base = &buf[0]
	w.iov.SetLen(len(buf))
	w.msg.SetControllen(w.putSegmentSize(segment))
	w.rest = nil
	err := w.submit()
	if err != unix.EIO && err != unix.EINVAL {
		return err
	}
	// EIO: the device cannot checksum trains. EINVAL: some kernels mean a segment larger than the MTU by it, some a
	// bad source address, others that GSO cannot be had; only if the same datagrams leave by themselves was it GSO.
	resent := w.singles(buf, segment)
	if (err == unix.EIO || resent == nil) && w.socket.gso.CompareAndSwap(true, false) {
		w.socket.gsoErrno.Store(uint32(err.(syscall.Errno)))
	}
	return resent
}

// single sends buf as one datagram.
func (w *sender) single(buf []byte) error {
	w.iov.Base = unsafe.SliceData(buf)
	w.iov.SetLen(len(buf))
	w.msg.SetControllen(w.ctrlLen)
	w.rest = nil
	return w.submit()
}

// singles sends the datagrams of a train of at most maxSegments one by one, in one call if nothing goes wrong.
func (w *sender) singles(buf []byte, segment int) error {
	if len(buf) <= segment {
		return w.single(buf)
	}
	w.rest = w.fillBatch(buf, segment)
	for len(w.rest) > 0 {
		if err := w.submit(); err != nil {
			return err
		}
		w.rest = w.rest[w.sent:]
	}
	return nil
}

func (w *sender) fillBatch(buf []byte, segment int) []unix.Mmsghdr {
	if w.batch == nil {
		w.batch = new(sendBatch)
	}
	b := w.batch
	w.msg.SetControllen(w.ctrlLen)
	n := 0
	for ; len(buf) > 0; n++ {
		size := min(segment, len(buf))
		b.iovs[n].Base = &buf[0]
		b.iovs[n].SetLen(size)
		b.msgs[n].Hdr = w.msg
		b.msgs[n].Hdr.Iov = &b.iovs[n]
		buf = buf[size:]
	}
	return b.msgs[:n]
}

// submit makes the prepared call and waits for room in the send buffer if it must. The error is a syscall.Errno, or
// says that the socket is closed.
func (w *sender) submit() error {
	err := w.attempt()
	for tries := 1; err != nil && tries < asyncRetries && w.socket.async(); tries++ {
		// The call may have returned the ICMP error of an earlier datagram instead of sending this one. Once reported
		// it is gone; an error of this datagram comes every time.
		if errno, ok := err.(syscall.Errno); !ok || classOfErrno(errno) == nil {
			break
		}
		err = w.attempt()
	}
	return err
}

func (w *sender) attempt() error {
	// Control, unlike RawConn.Write, does not take the descriptor's write lock: writers run side by side.
	if err := w.socket.raw.Control(w.try); err != nil {
		return err
	}
	if w.errno == unix.EAGAIN {
		if err := w.socket.raw.Write(w.wait); err != nil {
			return err
		}
	}
	if w.errno != 0 {
		return w.errno
	}
	return nil
}

// call sends w.rest, or w.msg if that is nil.
func (w *sender) call(fd uintptr) {
	for {
		if w.rest == nil && w.iov.Len <= quickSize {
			_, _, w.errno = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&w.msg)), unix.MSG_DONTWAIT)
			w.sent = 1
		} else if w.rest == nil {
			_, _, w.errno = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&w.msg)), unix.MSG_DONTWAIT)
			w.sent = 1
		} else {
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.rest[0])),
				uintptr(len(w.rest)), unix.MSG_DONTWAIT, 0, 0)
			w.sent, w.errno = int(n), errno
		}
		if w.errno != unix.EINTR {
			return
		}
	}
}

// address prepares destination, source and ECN, and returns the errno for what this socket cannot send to or from.
func (w *sender) address(to netip.AddrPort, from netip.Addr, ecn uint8) syscall.Errno {
	s := w.socket
	addr := to.Addr().Unmap()
	if !addr.IsValid() || (!s.inet6 && !addr.Is4()) {
		return unix.EAFNOSUPPORT
	}
	if s.inet6 {
		w.name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: s.zones.index(addr.Zone())}
		putNetworkOrder(&w.name.Port, to.Port())
		w.msg.Namelen = unix.SizeofSockaddrInet6
	} else {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&w.name))
		*n4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.As4()}
		putNetworkOrder(&n4.Port, to.Port())
		w.msg.Namelen = unix.SizeofSockaddrInet4
	}
	w.ctrlLen = 0
	if from = from.Unmap(); from.IsValid() && !from.IsUnspecified() {
		if from.Is4() != addr.Is4() {
			return unix.EAFNOSUPPORT
		}
		w.putSource(from)
	}
	if ecn &= 3; ecn != 0 && s.granted.ECN {
		w.putECN(ecn, addr.Is4())
	}
	return 0
}

// The control messages of an IPv4 datagram are IPv4's also on an AF_INET6 socket.

func (w *sender) putSource(from netip.Addr) {
	if from.Is4() {
		addr := from.As4()
		copy(w.control(unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)[4:8], addr[:]) // in_pktinfo.ipi_spec_dst
		return
	}
	data := w.control(unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	addr := from.As16()
	copy(data, addr[:])
	binary.NativeEndian.PutUint32(data[16:], w.socket.zones.index(from.Zone()))
}

func (w *sender) putECN(ecn uint8, ip4 bool) {
	level, typ := unix.SOL_IPV6, unix.IPV6_TCLASS
	if ip4 {
		level, typ = unix.SOL_IP, unix.IP_TOS
	}
	binary.NativeEndian.PutUint32(w.control(level, typ, 4), uint32(ecn))
}

// putSegmentSize appends the GSO segment size behind the other control messages, leaves ctrlLen to those, and returns
// the length with it.
func (w *sender) putSegmentSize(segment int) int {
	without := w.ctrlLen
	binary.NativeEndian.PutUint16(w.control(unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(segment))
	with := w.ctrlLen
	w.ctrlLen = without
	return with
}

// control appends a control message and returns its data, zeroed.
func (w *sender) control(level, typ, size int) []byte {
	ctrl := unsafe.Slice((*byte)(unsafe.Pointer(&w.ctrl)), sendControlSize)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&ctrl[w.ctrlLen]))
	h.Level, h.Type = int32(level), int32(typ)
	h.SetLen(unix.CmsgLen(size))
	data := ctrl[w.ctrlLen+unix.CmsgLen(0):][:size]
	clear(data)
	w.ctrlLen += unix.CmsgSpace(size)
	return data
}

func putNetworkOrder(port *uint16, value uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(port))[:], value)
}
