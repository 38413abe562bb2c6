package programs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A capture counts what passes on loopback by TCP or UDP on some ports.
type capture struct {
	proto byte
	file  *os.File
	done  chan struct{}

	mu    sync.Mutex    // guards all below
	ports map[int]count // by port, of either end
}

// count is what was seen of one port.
type count struct{ packets, payload int }

// headers is how much of a packet is copied: the longest IP and TCP headers.
const headers = 128

// watch starts to count. It returns an error that is os.ErrPermission to who may not open packet sockets.
func watch(proto byte, ports ...int) (*capture, error) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	filter, err := bpf.Assemble(portFilter(proto, ports))
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "lo")
	instructions := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		instructions[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &instructions[0]}),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1), // loopback shows each packet twice
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}), Ifindex: lo.Index}),
	)
	if err != nil {
		file.Close()
		return nil, err
	}
	c := &capture{proto: proto, file: file, done: make(chan struct{}), ports: map[int]count{}}
	go c.run()
	return c, nil
}

// portFilter accepts packets of proto from or to one of ports.
func portFilter(proto byte, ports []int) []bpf.Instruction {
	n := len(ports)
	check := func(source, dest bpf.Instruction, last bool) (out []bpf.Instruction) {
		left := 2*n + 2 // instructions between the one at hand and the accepting one that ends this part
		for _, load := range []bpf.Instruction{source, dest} {
			out = append(out, load)
			left--
			for _, port := range ports {
				out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: uint8(left)})
				left--
			}
		}
		return append(out, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: headers})
	}
	v6 := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(proto), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, check(bpf.LoadAbsolute{Off: 40, Size: 2}, bpf.LoadAbsolute{Off: 42, Size: 2}, true)...)
	program := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipFalse: uint8(len(v6))},
	}, v6...)
	program = append(program,
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(proto), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: 0})
	return append(program, check(bpf.LoadIndirect{Off: 0, Size: 2}, bpf.LoadIndirect{Off: 2, Size: 2}, false)...)
}

func (c *capture) run() {
	defer close(c.done)
	b := make([]byte, headers)
	for {
		n, err := c.file.Read(b)
		if err != nil {
			return
		}
		c.note(b[:n])
	}
}

// note counts a packet, of which b has the headers.
func (c *capture) note(b []byte) {
	source, dest, payload, ok := parse(b)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, port := range []int{source, dest} {
		have := c.ports[port]
		c.ports[port] = count{have.packets + 1, have.payload + payload}
	}
}

// parse returns the ports of a packet and the length of what it carries.
func parse(b []byte) (source, dest, payload int, ok bool) {
	if len(b) < 20 {
		return 0, 0, 0, false
	}
	proto, length, header := b[9], int(binary.BigEndian.Uint16(b[2:])), int(b[0]&0xf)*4
	if b[0]>>4 == 6 && len(b) >= 40 {
		proto, length, header = b[6], int(binary.BigEndian.Uint16(b[4:]))+40, 40
	}
	if len(b) < header+20 && (proto != unix.IPPROTO_UDP || len(b) < header+8) {
		return 0, 0, 0, false
	}
	upper := b[header:]
	inner := 8
	if proto == unix.IPPROTO_TCP {
		inner = int(upper[12]>>4) * 4
	}
	return int(binary.BigEndian.Uint16(upper)), int(binary.BigEndian.Uint16(upper[2:])), max(0, length-header-inner), true
}

// stop ends the counting, when what is in the socket's queue has been counted too, and returns what was seen and how many packets
// were lost for want of room.
func (c *capture) stop() (seen map[int]count, lost int, err error) {
	c.file.SetReadDeadline(time.Now())
	<-c.done
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, headers)
	control := raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), b)
			if err != nil {
				break
			}
			c.note(b[:n])
		}
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			lost = int(stats.Drops)
		}
	})
	return maps.Clone(c.ports), lost, errors.Join(control, c.file.Close())
}

func TestCaptureCountsPayloadOfItsPortsOnly(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		ports := []int{freePort(t), freePort(t), freePort(t)}
		tcp, err := watch(unix.IPPROTO_TCP, ports[:2]...)
		if errors.Is(err, os.ErrPermission) {
			t.Skip("packet sockets need CAP_NET_RAW")
		} else if err != nil {
			t.Fatal(err)
		}
		udp, err := watch(unix.IPPROTO_UDP, ports[0], ports[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			sendSome(t, net.JoinHostPort(host, fmt.Sprint(port)))
		}
		for name, c := range map[string]*capture{"tcp": tcp, "udp": udp} {
			seen, lost, err := c.stop()
			if err != nil || lost != 0 {
				t.Errorf("%s: lost %d, %v", name, lost, err)
			}
			for i, port := range ports {
				wantBytes := map[string][]int{"tcp": {1000, 1000, 0}, "udp": {10, 10, 0}}[name][i]
				if seen[port].payload != wantBytes || (seen[port].packets > 0) != (wantBytes > 0) {
					t.Errorf("%s, %s, port %d of %v: saw %+v, want %d bytes", host, name, i, slices.Sorted(maps.Keys(seen)), seen[port], wantBytes)
				}
			}
		}
	}
}

// sendSome sends 1000 bytes by TCP and 10 by UDP to a port.
func sendSome(t *testing.T, at string) {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := conn.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
}
