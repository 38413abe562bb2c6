package fabric

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	captureBuffer = 8 << 20 // bytes that SYNs may wait in; one takes less than 1 KiB of it
	maxSYN        = 128     // bytes: an IPv6 header and a TCP header with all its options
)

// A capture hears SYNs of the program.
type capture struct {
	file *os.File
	raw  syscall.RawConn
	mark uint32 // that all of its SYNs have
}

// newCapture makes one on the calling thread, which lives in the fabric.
func newCapture(mark uint32) (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := prepareCapture(fd, mark); err != nil {
		unix.Close(fd)
		return nil, err
	}
	c := &capture{file: os.NewFile(uintptr(fd), "SYNs"), mark: mark}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

func prepareCapture(fd int, mark uint32) error {
	prog, err := bpf.Assemble(synFilter(mark))
	if err != nil {
		return err
	}
	raw := make([]unix.SockFilter, len(prog))
	for i, in := range prog {
		raw[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]}); err != nil {
		return fmt.Errorf("filter packets: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, captureBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL)}); err != nil {
		return fmt.Errorf("listen to packets: %w", err)
	}
	return nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 } // all machines that Quiver runs on are little-endian

// synFilter takes what the program's connects send: packets with this mark that arrive, TCP, and of the flags SYN alone.
func synFilter(mark uint32) []bpf.Instruction {
	const whole, nothing = 0xffff, 0
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType}, // of packets: to this host, or from it
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 16},
		bpf.LoadExtension{Num: bpf.ExtMark},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: mark, SkipTrue: 14},
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 5},
		// IPv4
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 9},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.Jump{Skip: 3},
		// IPv6
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 53, Size: 1},
		// the flags
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagsOfInterest},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: flagSYN, SkipTrue: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: nothing},
	}
}

// next waits for a SYN and returns its packet, in buf.
func (c *capture) next(buf []byte) ([]byte, error) {
	var n int
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Recvfrom(int(fd), buf, 0)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return buf[:max(n, 0)], err
}

// drops returns how many SYNs were lost since the last time, because nobody took them.
func (c *capture) drops() uint64 {
	var n uint64
	c.raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(s.Drops)
		}
	})
	return n
}
