package netsim

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

const ecnSpace = 32 // bytes, room for one int as ancillary data

// wantECN asks the kernel to tell the ECN bits of each datagram that c receives.
func wantECN(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
	})
}

// readECN finds the ECN bits in ancillary data.
func readECN(oob []byte) uint8 {
	for len(oob) >= unix.CmsgLen(1) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return ecnNotECT
		}
		v4 := header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TOS
		v6 := header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_TCLASS
		if (v4 || v6) && len(data) > 0 {
			return leastByte(data) & 3
		}
		oob = rest
	}
	return ecnNotECT
}

// leastByte returns the low byte of a value that the kernel writes as a byte (IP_TOS) or as an int.
func leastByte(data []byte) byte {
	if len(data) >= 4 {
		return byte(binary.NativeEndian.Uint32(data))
	}
	return data[0]
}

// appendECN appends ancillary data that gives a datagram its ECN bits.
func appendECN(oob []byte, ecn uint8, v6 bool) []byte {
	if ecn == ecnNotECT {
		return oob
	}
	level, kind := unix.IPPROTO_IP, unix.IP_TOS
	if v6 {
		level, kind = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	header := unix.Cmsghdr{Level: int32(level), Type: int32(kind)}
	header.SetLen(unix.CmsgLen(4))
	at := len(oob)
	oob = append(oob, make([]byte, unix.CmsgSpace(4))...)
	putCmsgHeader(oob[at:], &header)
	binary.NativeEndian.PutUint32(oob[at+unix.CmsgLen(0):], uint32(ecn))
	return oob
}

// putCmsgHeader writes the header as the kernel lays it out: the length is as wide as a pointer.
func putCmsgHeader(b []byte, h *unix.Cmsghdr) {
	n := unix.SizeofCmsghdr - 8
	if n == 8 {
		binary.NativeEndian.PutUint64(b, uint64(h.Len))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(h.Len))
	}
	binary.NativeEndian.PutUint32(b[n:], uint32(h.Level))
	binary.NativeEndian.PutUint32(b[n+4:], uint32(h.Type))
}
