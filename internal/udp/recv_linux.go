//go:build !udpportable

package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readSlots is how many trains one recvmmsg may return. BenchmarkSendReceive says why not one.
	readSlots = 8

	// controlSize is the room for control messages in bytes: destination, traffic class, segment size and overflow
	// take at most 112, the rest is for options that whoever made the net.UDPConn may have set.
	controlSize = 256
)

// receiver is the memory of Read, made once. Its pointers into itself are why it must not be copied.
type receiver struct {
	socket *Socket
	msgs   [readSlots]unix.Mmsghdr
	iovs   [readSlots]unix.Iovec
	names  [readSlots]unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	ctrls  [readSlots][controlSize / 8]uint64
	bufs   [readSlots][]byte // readBuffer bytes each, made when a Read first has room for so many trains

	want, got int // trains
	size      int // bytes that the last call brought
	errno     syscall.Errno
	poll      func(fd uintptr) bool // recvmmsg as a func value made once, since making one allocates
}

func (r *receiver) init(s *Socket) {
	r.socket = s
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Control = (*byte)(unsafe.Pointer(&r.ctrls[i]))
	}
	r.poll = r.recvmmsg
}

// Read implements Conn.
func (s *Socket) Read(trains []Train) (int, error) {
	if len(trains) == 0 {
		return 0, nil
	}
	r := &s.receiver
	for soft := 0; ; {
		r.reset(min(len(trains), readSlots))
		if err := s.raw.Read(r.poll); err != nil {
			return 0, err
		}
		if r.errno != 0 {
			// What ICMP says about something sent earlier is no failure of reading (RFC 9000 §14.2.1 wants it
			// validated before it is believed). The error is gone from the socket once read.
			if soft++; classOfErrno(r.errno) != nil && soft < maxSoftErrors {
				continue
			}
			return 0, fmt.Errorf("udp: receive on %v: %w", s.local, r.errno)
		}
		if n := r.collect(trains); n > 0 {
			return n, nil
		}
	}
}

// burst is how many bytes one call must bring, at least, for it to be likely that more is there already.
const burst = 16 << 10

// serve implements server. It stays in one call of the poller: there, nothing is lost between a read that took all
// there was and the wait for more, so that the read that finds nothing can be left out. It would stand between a
// question and its answer.
func (s *Socket) serve(trains []Train, handle func(arrived []Train)) error {
	r, want, soft := &s.receiver, min(len(trains), readSlots), 0
	all := func(fd uintptr) bool {
		for {
			// The descriptor stays open until this function returns: who floods the socket must not keep it open.
			if s.closed.Load() {
				return false
			}
			r.reset(want)
			if !r.recvmmsg(fd) {
				return false
			}
			if r.errno != 0 {
				return true
			}
			soft = 0
			n := r.collect(trains)
			if n > 0 {
				handle(trains[:n])
			}
			// Where ICMP errors come with any call, this one may have stopped early for one instead of for want of datagrams.
			if r.got < want && r.size < burst && !s.async() {
				return false
			}
		}
	}
	for {
		r.errno = 0
		if err := s.raw.Read(all); err != nil {
			return err
		}
		if soft++; classOfErrno(r.errno) == nil || soft >= maxSoftErrors {
			return fmt.Errorf("udp: receive on %v: %w", s.local, r.errno)
		}
	}
}

// reset makes the slots ready that the next call will use: it undoes what the kernel wrote into their headers.
func (r *receiver) reset(want int) {
	r.want, r.got, r.errno = want, 0, 0
	for i := range want {
		if r.bufs[i] == nil {
			r.bufs[i] = make([]byte, readBuffer)
			r.iovs[i].Base = &r.bufs[i][0]
			r.iovs[i].SetLen(readBuffer)
		}
		h := &r.msgs[i].Hdr
		h.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		h.SetControllen(controlSize)
		h.Flags = 0
	}
}

// recvmmsg returns false where there is nothing to read and the poller shall wait. While somebody watches it looks at
// the error queue before that, since a sender may have taken the error that tells of it.
func (r *receiver) recvmmsg(fd uintptr) bool {
	for looks := 0; ; looks++ {
		n, errno := r.call(fd)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			if r.socket.watch.on.Load() {
				r.socket.drain(fd)
			}
			return false
		case 0:
			r.got = n
		default:
			if looks < maxDrain && r.socket.watch.on.Load() && classOfErrno(errno) != nil && r.socket.drain(fd) > 0 {
				continue
			}
		}
		r.errno = errno
		return true
	}
}

// call is one of which Go's scheduler does not hear, like those of a sender, while little comes.
func (r *receiver) call(fd uintptr) (n int, errno syscall.Errno) {
	var got uintptr
	if r.size < burst {
		got, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(r.want), unix.MSG_DONTWAIT, 0, 0)
	} else {
		got, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(r.want), unix.MSG_DONTWAIT, 0, 0)
	}
	return int(got), errno
}

// collect turns what arrived into trains and returns how many of them are whole.
func (r *receiver) collect(trains []Train) int {
	now := time.Now()
	n := 0
	r.size = 0
	for i := range r.got {
		t := &trains[n]
		*t = Train{At: now}
		r.size += int(r.msgs[i].Len)
		if r.train(i, t) {
			n++
		}
	}
	return n
}

// train fills in t from slot i, or returns false for what a short buffer made unusable.
func (r *receiver) train(i int, t *Train) bool {
	m := &r.msgs[i]
	t.Buf = r.bufs[i][:m.Len:m.Len]
	t.SegmentSize = len(t.Buf)
	t.Remote = r.remote(i)
	ctrl := unsafe.Slice((*byte)(unsafe.Pointer(&r.ctrls[i])), controlSize)
	r.control(ctrl[:min(int(m.Hdr.Controllen), controlSize)], t)
	// Without the control messages a train's seams are unknown; without its end the last datagram is broken, and
	// one that long would be no train of ours. The peer resends what it loses.
	if m.Hdr.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		r.socket.truncated.Add(1)
		return false
	}
	return true
}

func (r *receiver) remote(i int) netip.AddrPort { return r.address(&r.names[i]) }

func (r *receiver) address(n *unix.RawSockaddrInet6) netip.AddrPort {
	switch n.Family {
	case unix.AF_INET:
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(n4.Addr), networkOrder(&n4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(r.socket.zoned(n.Addr, n.Scope_id), networkOrder(&n.Port))
	}
	return netip.AddrPort{}
}

// control reads the control messages of one train.
func (r *receiver) control(b []byte, t *Train) {
	for h, data, rest := nextControl(b); h != nil; h, data, rest = nextControl(rest) {
		r.controlMessage(h, data, t)
	}
}

// nextControl returns the first control message in b, nil if there is none, and what follows it.
func nextControl(b []byte) (h *unix.Cmsghdr, data, rest []byte) {
	if len(b) < unix.SizeofCmsghdr {
		return nil, nil, nil
	}
	h = (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
		return nil, nil, nil
	}
	data = b[unix.CmsgLen(0):h.Len]
	return h, data, b[min(unix.CmsgSpace(len(data)), len(b)):]
}

// controlMessage takes what it knows out of one control message and skips what it does not.
func (r *receiver) controlMessage(h *unix.Cmsghdr, data []byte, t *Train) {
	const inet4Info, inet6Info = unix.SizeofInet4Pktinfo, unix.SizeofInet6Pktinfo
	switch {
	case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
		if size := int(int32(binary.NativeEndian.Uint32(data))); size > 0 && size < len(t.Buf) {
			t.SegmentSize = size
		}
	case h.Level == unix.SOL_IP && h.Type == unix.IP_TOS && len(data) >= 1:
		t.ECN = data[0] & 3
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
		t.ECN = uint8(binary.NativeEndian.Uint32(data) & 3)
	case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= inet4Info:
		t.Local = netip.AddrFrom4([4]byte(data[8:12])) // struct in_pktinfo: index, address to answer from, destination
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= inet6Info:
		t.Local = r.socket.zoned([16]byte(data[:16]), binary.NativeEndian.Uint32(data[16:]))
	case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
		r.socket.overflow.Store(uint64(binary.NativeEndian.Uint32(data)))
	}
}

// zoned makes an address of its wire form: unmapped, and with the zone of a link-local one.
func (s *Socket) zoned(wire [16]byte, ifindex uint32) netip.Addr {
	addr := netip.AddrFrom16(wire).Unmap()
	if ifindex != 0 && addr.IsLinkLocalUnicast() && addr.Is6() {
		return addr.WithZone(s.zones.name(ifindex))
	}
	return addr
}

// networkOrder reads a sockaddr's port, which is big endian whatever the machine is.
func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}
