package sockets

import (
	"encoding/binary"
	"unsafe"

	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

// interfaceQuestions are the requests of ioctl that ask a socket for the interfaces of its network (netdevice(7)). In the fabric there is but lo.
var interfaceQuestions = []uint32{
	unix.SIOCGIFCONF, unix.SIOCGIFNAME, unix.SIOCGIFFLAGS, unix.SIOCGIFADDR, unix.SIOCGIFDSTADDR, unix.SIOCGIFBRDADDR, unix.SIOCGIFNETMASK,
	unix.SIOCGIFMETRIC, unix.SIOCGIFMTU, unix.SIOCGIFHWADDR, unix.SIOCGIFINDEX, unix.SIOCGIFPFLAGS, unix.SIOCGIFTXQLEN, unix.SIOCGIFMAP,
}

const (
	sizeofIfreq  = 40 // struct ifreq, where a long has 64 bits
	sizeofIfconf = 16 // struct ifconf: an int, the length, and a pointer
	// limit: maxIfconf is how many bytes of interfaces are told at once: some 1,600.
	maxIfconf = 64 << 10
	// memoryPiece is how much of a program's memory is written in one go.
	memoryPiece = 4096
)

// interfaces answers what a program asks a TCP socket for: with the interfaces of the host, as its other sockets do. Whatever we cannot tell
// it learns from the kernel, which knows those of the fabric.
func (t *traps) interfaces(c *seccomp.Call) {
	sock, err := c.Socket(int(int32(c.Args[0])))
	if err != nil {
		c.Continue()
		return
	}
	defer unix.Close(sock)
	family, err := unix.GetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || !isTCP(sock) || !t.s.fabric.Owns(sock) {
		c.Continue()
		return
	}
	host, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.s.shortage(err)
		c.Continue()
		return
	}
	defer unix.Close(host)
	if request := uint32(c.Args[1]); request == unix.SIOCGIFCONF {
		err = listInterfaces(c, host)
	} else {
		err = askInterface(c, host, request)
	}
	if err != nil {
		c.Errno(errnoOf(err))
		return
	}
	c.Return(0)
}

// askInterface answers a question about one interface, which is in the program's memory with the answer.
func askInterface(c *seccomp.Call, host int, request uint32) error {
	var one [sizeofIfreq]byte
	if c.Read(c.Args[2], one[:]) != nil {
		return unix.EFAULT
	}
	if err := ioctl(host, request, unsafe.Pointer(&one)); err != nil {
		return err
	}
	if c.Write(c.Args[2], one[:]) != nil {
		return unix.EFAULT
	}
	return nil
}

// listInterfaces answers SIOCGIFCONF: all that fit where the program points to, or, if it points nowhere, how much room they take.
func listInterfaces(c *seccomp.Call, host int) error {
	var head [sizeofIfconf]byte
	if c.Read(c.Args[2], head[:]) != nil {
		return unix.EFAULT
	}
	size, at := int32(binary.NativeEndian.Uint32(head[:])), binary.NativeEndian.Uint64(head[8:])
	conf := struct {
		size int32
		at   unsafe.Pointer
	}{size: size}
	var list []byte
	if at != 0 {
		list = make([]byte, roomFor(size))
		conf.size, conf.at = min(size, int32(len(list))), unsafe.Pointer(&list[0])
	}
	if err := ioctl(host, unix.SIOCGIFCONF, unsafe.Pointer(&conf)); err != nil {
		return err
	}
	if at != 0 {
		list = list[:min(max(int(conf.size), 0), len(list))]
	}
	for done := 0; done < len(list); done += memoryPiece {
		if c.Write(at+uint64(done), list[done:min(done+memoryPiece, len(list))]) != nil {
			return unix.EFAULT
		}
	}
	binary.NativeEndian.PutUint32(head[:], uint32(conf.size))
	if c.Write(c.Args[2], head[:4]) != nil {
		return unix.EFAULT
	}
	return nil
}

// roomFor returns how many bytes are read for a program that has room for size.
func roomFor(size int32) int32 { return min(max(size, 1), maxIfconf) }

func ioctl(fd int, request uint32, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
