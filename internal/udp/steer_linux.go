package udp

import (
	"cmp"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Attach lets the kernel obey the Steering: a packet with a short header goes to the socket that its connection ID
// leads to, all else where it would go without. c is any of the sockets, after all were bound (ReusePort). An error
// leaves everything as it was.
func (s *Steering) Attach(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	code := s.program()
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &prog)
	})
	if err = cmp.Or(err, set); err != nil {
		return fmt.Errorf("udp: steer %v: set SO_ATTACH_REUSEPORT_CBPF: %w", c.LocalAddr(), err)
	}
	return nil
}

// anySocket is no socket's number: the kernel then picks one by the addresses, as without a program.
const anySocket = 0xffffffff

// Where the program has its words: those of the hash, and one for a while.
const (
	v0 = iota
	v1
	v2
	v3
	scratch
)

// assembler builds a program of classic BPF. It has two registers, A and X, and 16 words of memory.
type assembler []unix.SockFilter

func (p *assembler) op(code uint16, k uint32) {
	*p = append(*p, unix.SockFilter{Code: code, K: k})
}

func (p *assembler) load(k uint32)  { p.op(unix.BPF_LD|unix.BPF_MEM, k) }  // A = M[k]
func (p *assembler) loadX(k uint32) { p.op(unix.BPF_LDX|unix.BPF_MEM, k) } // X = M[k]
func (p *assembler) store(k uint32) { p.op(unix.BPF_ST, k) }               // M[k] = A

func (p *assembler) alu(op uint16, k uint32)     { p.op(unix.BPF_ALU|unix.BPF_K|op, k) }     // A = A op k
func (p *assembler) aluX(op uint16)              { p.op(unix.BPF_ALU|unix.BPF_X|op, 0) }     // A = A op X
func (p *assembler) data(size uint16, at uint32) { p.op(unix.BPF_LD|unix.BPF_ABS|size, at) } // A = payload[at:]

// set is M[a] = M[a] op M[b].
func (p *assembler) set(a uint32, op uint16, b uint32) {
	p.load(a)
	p.loadX(b)
	p.aluX(op)
	p.store(a)
}

func (p *assembler) rotate(a, by uint32) {
	p.load(a)
	p.alu(unix.BPF_LSH, by)
	p.op(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.load(a)
	p.alu(unix.BPF_RSH, 32-by)
	p.aluX(unix.BPF_OR)
	p.store(a)
}

// constant is M[a] = k.
func (p *assembler) constant(a, k uint32) {
	p.op(unix.BPF_LD|unix.BPF_IMM, k)
	p.store(a)
}

// sipRound is the round of halfSipHash.
func (p *assembler) sipRound() {
	p.set(v0, unix.BPF_ADD, v1)
	p.rotate(v1, 5)
	p.set(v1, unix.BPF_XOR, v0)
	p.rotate(v0, 16)
	p.set(v2, unix.BPF_ADD, v3)
	p.rotate(v3, 8)
	p.set(v3, unix.BPF_XOR, v2)
	p.set(v0, unix.BPF_ADD, v3)
	p.rotate(v3, 7)
	p.set(v3, unix.BPF_XOR, v0)
	p.set(v2, unix.BPF_ADD, v1)
	p.rotate(v1, 13)
	p.set(v1, unix.BPF_XOR, v2)
	p.rotate(v2, 16)
}

// compress takes the word in A in.
func (p *assembler) compress() {
	p.store(scratch)
	p.set(v3, unix.BPF_XOR, scratch)
	p.sipRound()
	p.set(v0, unix.BPF_XOR, scratch)
}

// program returns what Socket computes, for the kernel. The data that it sees is the UDP payload.
func (s *Steering) program() []unix.SockFilter {
	const first, id = 0, 1 // of a packet with a short header: its first byte, the destination ID
	var p assembler
	p.op(unix.BPF_LD|unix.BPF_LEN, 0)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, Jt: 1, K: steeredID})
	p.op(unix.BPF_RET|unix.BPF_K, anySocket)
	p.data(unix.BPF_B, first)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: 0x80}) // a long header
	p.op(unix.BPF_RET|unix.BPF_K, anySocket)
	p.constant(v0, s.key[0])
	p.constant(v1, s.key[1])
	p.constant(v2, s.key[0]^sipInit2)
	p.constant(v3, s.key[1]^sipInit3)
	p.data(unix.BPF_W, id)
	p.compress()
	p.data(unix.BPF_W, id+4)
	p.alu(unix.BPF_RSH, 8)
	p.alu(unix.BPF_OR, sipLength)
	p.compress()
	p.load(v2)
	p.alu(unix.BPF_XOR, 0xff)
	p.store(v2)
	for range 3 {
		p.sipRound()
	}
	p.set(v1, unix.BPF_XOR, v3)
	p.op(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.data(unix.BPF_B, id+steeredID-1)
	p.aluX(unix.BPF_ADD)
	p.alu(unix.BPF_AND, 0xff)
	p.alu(unix.BPF_MOD, s.sockets)
	p.op(unix.BPF_RET|unix.BPF_A, 0)
	return p
}
