package seccomp

// Arch is a system call ABI, as the kernel tells it to a filter: AUDIT_ARCH_… of <linux/audit.h>.
type Arch uint32

const (
	AMD64 Arch = 0xc000003e // AUDIT_ARCH_X86_64; x32 is this too, told by bit 30 of the number
	ARM64 Arch = 0xc00000b7 // AUDIT_ARCH_AARCH64
	I386  Arch = 0x40000003 // AUDIT_ARCH_I386
	ARM   Arch = 0x40000028 // AUDIT_ARCH_ARM
)

// x32 is the bit that marks a number of the x32 ABI (__X32_SYSCALL_BIT).
const x32 = 0x40000000

// foreign are the other ABIs that a kernel of this architecture runs beside its own.
var foreign = map[Arch][]abi{
	AMD64: {
		{arch: I386, socketcall: 102, socket: 359, bind: 361, connect: 362, listen: 363, ring: 425},
		{arch: AMD64, bit: x32, socketcall: -1, socket: 41, bind: 49, connect: 42, listen: 50, ring: 425},
	},
	ARM64: {
		{arch: ARM, socketcall: 102, socket: 281, bind: 282, connect: 283, listen: 284, ring: 425},
	},
}

// ringSetup is the number of io_uring_setup, the same everywhere.
const ringSetup = 425

// abi numbers what a filter refuses of a foreign ABI (arch/x86/entry/syscalls, arch/arm/tools/syscall.tbl); -1 is none.
type abi struct {
	arch                                            Arch
	bit                                             uint32 // of every number
	socketcall, socket, bind, connect, listen, ring int
}

// socketcall(2) names what it does with its first argument: SYS_SOCKET, SYS_BIND, SYS_CONNECT, SYS_LISTEN of
// <linux/net.h>.
var socketcalls = []uint32{1, 2, 3, 4}
