package fabric

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The ring that SYNs wait in until we take them (packet_mmap, TPACKET_V2). Its memory is not counted as that of a receive buffer, which
// is small for users who are not root. A burst that does not fit is lost, and costs a second.
const (
	ringFrames = 8192
	frameSize  = 256 // bytes: the header, an address, and a SYN with all its options
	ringBlock  = 64 << 10
)

// A capture hears SYNs of the program. One goroutine reads.
type capture struct {
	file  *os.File
	raw   syscall.RawConn
	ring  []byte
	frame int    // that comes next
	mark  uint32 // of its SYNs
}

// newCapture makes one on the calling thread, which lives in the fabric.
func newCapture(which uint32) (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	ring, err := prepareCapture(fd, which)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	c := &capture{file: os.NewFile(uintptr(fd), "SYNs"), ring: ring, mark: which}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func prepareCapture(fd int, which uint32) ([]byte, error) {
	prog, err := bpf.Assemble(synFilter(which))
	if err != nil {
		return nil, err
	}
	raw := make([]unix.SockFilter, len(prog))
	for i, in := range prog {
		raw[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]}); err != nil {
		return nil, fmt.Errorf("filter packets: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // saves work; the filter does without (Linux 4.20)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("choose the form of a packet ring: %w", err)
	}
	const size = ringFrames * frameSize
	req := unix.TpacketReq{Block_size: ringBlock, Block_nr: size / ringBlock, Frame_size: frameSize, Frame_nr: ringFrames}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("make a packet ring of %d bytes: %w", size, err)
	}
	ring, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a packet ring: %w", err)
	}
	lo := unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: loIndex}
	if err := unix.Bind(fd, &lo); err != nil {
		unix.Munmap(ring)
		return nil, fmt.Errorf("listen to packets: %w", err)
	}
	return ring, nil
}

// loIndex is the index of the loopback interface in every network namespace.
const loIndex = 1

// htons returns the number whose bytes in memory are those of v on the wire.
func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// synFilter takes what the program's connects send: packets that arrive, TCP, and of the flags SYN alone; those with MarkProto, or all
// others that are not ours.
func synFilter(which uint32) []bpf.Instruction {
	const whole, nothing = 0xffff, 0
	marks := []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: mark, SkipTrue: 15},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: MarkProto, SkipTrue: 14},
	}
	if which == MarkProto {
		marks = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: MarkProto, SkipTrue: 14}}
	}
	return append(append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType}, // of packets: to this host, or from it
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: uint8(15 + len(marks))},
		bpf.LoadExtension{Num: bpf.ExtMark}}, marks...),
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 5},
		// IPv4
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoTCP, SkipTrue: 9},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.Jump{Skip: 3},
		// IPv6
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoTCP, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 53, Size: 1},
		// the flags
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagsOfInterest},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: flagSYN, SkipTrue: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: nothing},
	)
}

// run calls heard with each SYN, the packet in the ring, until the capture is closed.
func (c *capture) run(heard func(packet []byte)) {
	for c.raw.Read(func(uintptr) bool { return c.ready() }) == nil {
		for c.ready() {
			heard(c.packet())
			atomic.StoreUint32(&c.header().Status, unix.TP_STATUS_KERNEL)
			c.frame = (c.frame + 1) % ringFrames
		}
	}
}

func (c *capture) header() *unix.Tpacket2Hdr {
	return (*unix.Tpacket2Hdr)(unsafe.Pointer(&c.ring[c.frame*frameSize]))
}

func (c *capture) ready() bool { return atomic.LoadUint32(&c.header().Status)&unix.TP_STATUS_USER != 0 }

// packet is what the present frame holds of a packet.
func (c *capture) packet() []byte {
	frame, h := c.ring[c.frame*frameSize:][:frameSize], c.header()
	return frame[min(int(h.Net), frameSize):][:min(int(h.Snaplen), frameSize-min(int(h.Net), frameSize))]
}

// drops returns how many SYNs were lost since the last time, because the ring was full.
func (c *capture) drops() uint64 {
	var n uint64
	c.raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(s.Drops)
		}
	})
	return n
}

// close gives all back, when nobody reads any more.
func (c *capture) close() {
	c.file.Close()
	unix.Munmap(c.ring)
}
