package fabric

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// What sock_diag(7) says, of linux/inet_diag.h and linux/netlink.h.
const (
	netlinkHeaderSize = 16
	diagRequestSize   = 56
	diagMessageSize   = 72

	netlinkError     = 2
	netlinkDone      = 3
	netlinkRequest   = 1
	netlinkDump      = 0x300
	sockDiagByFamily = 20

	diagINET, diagINET6 = 2, 10 // AF_INET and AF_INET6 of Linux

	tcpListen = 10 // of the kernel's tcp_states.h
	tcpSynSent
)

var errDiag = errors.New("answer of sock_diag is cut short")

// appendDiagRequest asks for the socket at local that talks with remote, or, if dump is set, for all of local's family that listen.
func appendDiagRequest(b []byte, dump bool, local, remote netip.AddrPort) []byte {
	flags, family := uint16(netlinkRequest), byte(diagINET)
	if dump {
		flags |= netlinkDump
	}
	if local.Addr().Is6() {
		family = diagINET6
	}
	b = binary.NativeEndian.AppendUint32(b, netlinkHeaderSize+diagRequestSize)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, family, protoTCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 1<<tcpListen)
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		var raw [16]byte
		copy(raw[:], a.AsSlice())
		b = append(b, raw[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, 1)                       // the interface: loopback
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // any cookie
}

// A diagError is an error number that the kernel answers with.
type diagError uint32

// parseDiag reads messages of sock_diag, calls found with the sockets and their states, and reports whether the last message was among them.
func parseDiag(b []byte, found func(s Socket, state byte)) (done bool, code diagError, err error) {
	for len(b) >= netlinkHeaderSize {
		size := int(binary.NativeEndian.Uint32(b))
		if size < netlinkHeaderSize || size > len(b) {
			return false, 0, errDiag
		}
		body := b[netlinkHeaderSize:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case netlinkDone:
			return true, 0, nil
		case netlinkError:
			if len(body) < 4 {
				return false, 0, errDiag
			}
			return true, diagError(-int32(binary.NativeEndian.Uint32(body))), nil
		case sockDiagByFamily:
			if len(body) < diagMessageSize {
				return false, 0, errDiag
			}
			found(parseSocket(body), body[1])
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, 0, nil
}

// parseSocket reads a struct inet_diag_msg.
func parseSocket(b []byte) Socket {
	address := func(at int) netip.Addr {
		if b[0] == diagINET {
			return netip.AddrFrom4([4]byte(b[at:]))
		}
		return netip.AddrFrom16([16]byte(b[at:]))
	}
	s := Socket{
		Local:  netip.AddrPortFrom(address(8), binary.BigEndian.Uint16(b[4:])),
		Cookie: uint64(binary.NativeEndian.Uint32(b[44:])) | uint64(binary.NativeEndian.Uint32(b[48:]))<<32,
		UID:    binary.NativeEndian.Uint32(b[64:]),
		Inode:  binary.NativeEndian.Uint32(b[68:]),
	}
	if port := binary.BigEndian.Uint16(b[6:]); port != 0 {
		s.Remote = netip.AddrPortFrom(address(24), port)
	}
	return s
}
