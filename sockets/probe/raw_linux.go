package main

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that package unix does not let one make wrongly.

// rawSockaddr is struct sockaddr_in or sockaddr_in6.
func rawSockaddr(a netip.AddrPort) []byte {
	b := make([]byte, 16, 28)
	binary.NativeEndian.PutUint16(b, uint16(familyOf(a.Addr())))
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		copy(b[4:], a.Addr().AsSlice())
		return b
	}
	b = b[:28]
	copy(b[8:], a.Addr().AsSlice())
	return b
}

func errnoErr(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// pointer is where b begins; of nil it is an address that is nobody's.
func pointer(b []byte) unsafe.Pointer {
	if b == nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

func rawConnect(fd int, addr []byte, size int) error {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(pointer(addr)), uintptr(size))
	return errnoErr(errno)
}

func rawBind(fd int, addr []byte, size int) error {
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(pointer(addr)), uintptr(size))
	return errnoErr(errno)
}

// rawName is getsockname, getpeername or accept, by number, into addr with that
// size; it returns the size afterwards.
func rawName(call uintptr, fd int, addr []byte, size int32) (result int, after int32, err error) {
	r, _, errno := unix.Syscall(call, uintptr(fd), uintptr(pointer(addr)), uintptr(unsafe.Pointer(&size)))
	return int(r), size, errnoErr(errno)
}

// rawGetsockopt returns the size that the kernel says the option has.
func rawGetsockopt(fd, level, opt int, b []byte, size int32) (int32, error) {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(pointer(b)), uintptr(unsafe.Pointer(&size)), 0)
	return size, errnoErr(errno)
}

func rawSetsockopt(fd, level, opt int, b []byte, size int) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(pointer(b)), uintptr(size), 0)
	return errnoErr(errno)
}

// first is the first word of what a note says: how it ended, without how much.
func first(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// brief leaves out the hash.
func brief(s string) string {
	text, _, _ := strings.Cut(s, ",")
	return text
}

// fionbio is FIONBIO, the same on x86-64 and arm64; package unix lacks it.
const fionbio = 0x5421
