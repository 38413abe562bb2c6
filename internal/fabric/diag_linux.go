package fabric

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A Listener is a socket of the program that listens.
type Listener struct {
	Addr   netip.AddrPort
	Cookie uint64 // by which the kernel tells sockets apart
	Inode  uint32
	UID    uint32
}

// tcpListen is the state of listeners, of the kernel's tcp_states.h.
const tcpListen = 10

// Listeners lists those of the program.
func (f *Fabric) Listeners() ([]Listener, error) {
	return onCrew(f.crew, func() ([]Listener, error) {
		var out []Listener
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			list, err := dumpListeners(family)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return out, nil
	})
}

// Listening reports whether a listener of the program takes connections to an address.
func (f *Fabric) Listening(to netip.AddrPort) (bool, error) {
	list, err := f.Listeners()
	for _, l := range list {
		if l.takes(to) {
			return true, nil
		}
	}
	return false, err
}

// takes reports whether a listener hears of connections to an address. One at :: hears of both families, mostly.
func (l *Listener) takes(to netip.AddrPort) bool {
	at, want := l.Addr.Addr().Unmap(), to.Addr().Unmap()
	return l.Addr.Port() == to.Port() && (at == want || at.IsUnspecified() && (at.Is6() || want.Is4()))
}

// Sizes of linux/inet_diag.h.
const (
	diagRequestSize = 56
	diagMessageSize = 72
)

// dumpListeners asks the kernel, in the namespace of the calling thread (sock_diag(7)).
func dumpListeners(family uint8) ([]Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("ask for sockets: %w", err)
	}
	defer unix.Close(fd)
	req := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := req[unix.SizeofNlMsghdr:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], 1<<tcpListen)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask for sockets: %w", err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(time.Second / time.Second)})
	return readListeners(fd)
}

func readListeners(fd int) ([]Listener, error) {
	var out []Listener
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return out, fmt.Errorf("hear of sockets: %w", err)
		}
		done, err := parseDiag(buf[:n], func(l Listener) { out = append(out, l) })
		if done || err != nil {
			return out, err
		}
	}
}

var errDiag = errors.New("answer of sock_diag is cut short")

// parseDiag reads messages of sock_diag, and reports whether the last was among them.
func parseDiag(b []byte, found func(Listener)) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, errDiag
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errDiag
			}
			return true, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < diagMessageSize {
				return false, errDiag
			}
			found(parseListener(body))
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, nil
}

// parseListener reads a struct inet_diag_msg.
func parseListener(b []byte) Listener {
	addr := netip.AddrFrom16([16]byte(b[8:24]))
	if b[0] == unix.AF_INET {
		addr = netip.AddrFrom4([4]byte(b[8:12]))
	}
	return Listener{
		Addr:   netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[4:])),
		Cookie: uint64(binary.NativeEndian.Uint32(b[44:])) | uint64(binary.NativeEndian.Uint32(b[48:]))<<32,
		UID:    binary.NativeEndian.Uint32(b[64:]),
		Inode:  binary.NativeEndian.Uint32(b[68:]),
	}
}
