package sockets

import (
	"github.com/seed51309289/quiver/internal/seccomp"
	"golang.org/x/sys/unix"
)

// filter says which calls of the program come to us. Nothing that may wait, and nothing that happens once for each TCP connection.
func (t *traps) filter() *seccomp.Filter {
	f := &seccomp.Filter{Rules: []seccomp.Rule{
		{Nr: unix.SYS_LISTEN, Do: seccomp.Notify},
		{Nr: unix.SYS_BIND, When: []seccomp.Cond{seccomp.Is(2, addressSizes...)}, Do: seccomp.Notify},
		{Nr: unix.SYS_IOCTL, When: []seccomp.Cond{seccomp.Is(1, interfaceQuestions...)}, Do: seccomp.Notify},
	}}
	stream := []seccomp.Cond{
		seccomp.Is(0, unix.AF_INET, unix.AF_INET6),
		seccomp.Masked(1, typeMask, unix.SOCK_STREAM),
	}
	tcp := append(stream[:2:2], seccomp.Is(2, 0, unix.IPPROTO_TCP, unix.IPPROTO_MPTCP))
	if t.s.mode == Inside {
		own := append(stream[:2:2], seccomp.Is(2, 0, unix.IPPROTO_TCP)) // see makeSocket of MPTCP
		f.Rules = append(f.Rules,
			seccomp.Rule{Nr: unix.SYS_SOCKET, When: own, Do: seccomp.Allow},
			seccomp.Rule{Nr: unix.SYS_SOCKET, When: []seccomp.Cond{seccomp.Is(0, unix.AF_ALG)}, Do: seccomp.Allow},
			seccomp.Rule{Nr: unix.SYS_SOCKET, Do: seccomp.Notify},
		)
		return f
	}
	f.NoRings = !t.s.conf.AllowURing
	f.Rules = append(f.Rules, seccomp.Rule{Nr: unix.SYS_SOCKET, When: append(stream[:2:2], seccomp.Is(2, t.protocols()...)), Do: seccomp.Notify})
	if !t.s.conf.OnlyProtocols {
		f.Rules = append(f.Rules, seccomp.Rule{Nr: unix.SYS_SOCKET, When: tcp, Do: seccomp.Notify})
	}
	return f
}

// addressSizes are the lengths with which Internet addresses are bound: of both families, the older one of IPv6, and of what holds any.
var addressSizes = []uint32{unix.SizeofSockaddrInet4, 24, unix.SizeofSockaddrInet6, sizeofSockaddrStorage}

const sizeofSockaddrStorage = 128

// protocols are the numbers by which a program asks for QUIC itself.
func (t *traps) protocols() []uint32 {
	var out []uint32
	for _, n := range t.s.conf.Policy.Protocols() {
		out = append(out, uint32(n))
	}
	return out
}
