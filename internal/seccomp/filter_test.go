package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
)

// judge is a filter that runs as in the kernel. The virtual machine reads words in network order where the kernel reads
// the processor's, so each 32-bit word is put down in that order.
type judge func(arch Arch, nr uint32, args ...uint64) Action

func assemble(t testing.TB, f *Filter, arch Arch) judge {
	t.Helper()
	prog, err := f.Assemble(arch)
	if err != nil {
		t.Fatal(err)
	}
	ins, ok := bpf.Disassemble(prog)
	if !ok {
		t.Fatal("the program has instructions that nobody knows")
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	return func(arch Arch, nr uint32, args ...uint64) Action {
		var data [offArgs + 6*8]byte
		binary.BigEndian.PutUint32(data[offNr:], nr)
		binary.BigEndian.PutUint32(data[offArch:], uint32(arch))
		for i, a := range args {
			binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
			binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
		}
		v, err := vm.Run(data[:])
		if err != nil {
			t.Fatal(err)
		}
		return Action(uint32(v))
	}
}

const high = 0xdeadbeef_00000000 // what a register may hold above an int

// tcp is near to what supervision uses: sockets of one kind pass, others are told.
var tcp = &Filter{NoRings: true, Rules: []Rule{
	{Nr: 41, When: []Cond{Is(2, 261)}, Do: Notify},
	{Nr: 41, When: []Cond{Is(0, 2, 10), Masked(1, 0xf, 1), Is(2, 0, 6, 262)}, Do: Allow},
	{Nr: 41, Do: Notify},
	{Nr: 49, When: []Cond{IsNot(2, 110, 12), Pointer(1)}, Do: Notify},
	{Nr: 50, Do: Fail(13)},
	{Nr: 44, When: []Cond{{Arg: 3, Mask: 0x20000000, Values: []uint32{0x20000000}}, {Arg: 4, High: true, Values: []uint32{7}}}, Do: Notify},
}}

func TestRulesDecideByNumberAndArguments(t *testing.T) {
	prog := assemble(t, tcp, AMD64)
	for _, tc := range []struct {
		name string
		nr   uint32
		args []uint64
		want Action
	}{
		{"TCP over IPv4", 41, []uint64{2, 1, 0}, Allow},
		{"the same with flags", 41, []uint64{2, 1 | 0x80000 | 0x800, 6}, Allow},
		{"the same with anything above the ints", 41, []uint64{high | 10, high | 1, high | 262}, Allow},
		{"SCTP", 41, []uint64{2, 1, 132}, Notify},
		{"the user-defined protocol, by the first rule", 41, []uint64{2, 1, 261}, Notify},
		{"datagrams", 41, []uint64{2, 2, 0}, Notify},
		{"AF_UNIX", 41, []uint64{1, 1, 0}, Notify},
		{"bind of an address", 49, []uint64{3, 0x1000, 16}, Notify},
		{"bind of an address with a high pointer only", 49, []uint64{3, 0x1000_00000000, 16}, Notify},
		{"bind of a low pointer only", 49, []uint64{3, 1, 16}, Notify},
		{"bind of nothing", 49, []uint64{3, 0, 16}, Allow},
		{"bind of a path", 49, []uint64{3, 0x1000, 110}, Allow},
		{"bind of a short link address", 49, []uint64{3, 0x1000, 12}, Allow},
		{"bind with anything above the length", 49, []uint64{3, 0x1000, high | 110}, Allow},
		{"listen", 50, []uint64{3, 5}, Fail(syscall.Errno(13))},
		{"both halves as wanted", 44, []uint64{0, 0, 0, 0x20004000, 0x7_00000000}, Notify},
		{"the mask's bit is missing", 44, []uint64{0, 0, 0, 0x4000, 0x7_00000000}, Allow},
		{"the high half is another", 44, []uint64{0, 0, 0, 0x20004000, 7}, Allow},
		{"io_uring_setup", 425, nil, enosys},
		{"io_uring_enter", 426, nil, Allow},
		{"read", 0, nil, Allow},
		{"connect, below the first number", 40, nil, Allow},
		{"a number above all", 0x3fffffff, nil, Allow},
	} {
		if got := prog(AMD64, tc.nr, tc.args...); got != tc.want {
			t.Errorf("%s: call %d%x = %#x, want %#x", tc.name, tc.nr, tc.args, uint32(got), uint32(tc.want))
		}
	}
}

func TestForeignSocketCallsAreMissingAndOthersPass(t *testing.T) {
	for _, tc := range []struct {
		name   string
		native Arch
		arch   Arch
		nr     uint32
		arg    uint64
		want   Action
	}{
		{"i386 socketcall(SYS_SOCKET)", AMD64, I386, 102, 1, enosys},
		{"i386 socketcall(SYS_BIND)", AMD64, I386, 102, 2, enosys},
		{"i386 socketcall(SYS_CONNECT)", AMD64, I386, 102, 3, enosys},
		{"i386 socketcall(SYS_LISTEN)", AMD64, I386, 102, 4, enosys},
		{"i386 socketcall(SYS_ACCEPT), of a socket that was inherited", AMD64, I386, 102, 5, Allow},
		{"i386 socket", AMD64, I386, 359, 2, enosys},
		{"i386 socketpair, which leads nowhere", AMD64, I386, 360, 1, Allow},
		{"i386 bind", AMD64, I386, 361, 3, enosys},
		{"i386 connect", AMD64, I386, 362, 3, enosys},
		{"i386 listen", AMD64, I386, 363, 3, enosys},
		{"i386 accept4", AMD64, I386, 364, 3, Allow},
		{"i386 dup, the native socket's number", AMD64, I386, 41, 3, Allow},
		{"i386 stty, the native bind's number", AMD64, I386, 49, 3, Allow},
		{"i386 io_uring_setup", AMD64, I386, 425, 3, enosys},
		{"x32 socket", AMD64, AMD64, x32 | 41, 2, enosys},
		{"x32 connect", AMD64, AMD64, x32 | 42, 2, enosys},
		{"x32 bind", AMD64, AMD64, x32 | 49, 2, enosys},
		{"x32 listen", AMD64, AMD64, x32 | 50, 2, enosys},
		{"x32 accept", AMD64, AMD64, x32 | 43, 2, Allow},
		{"x32 io_uring_setup", AMD64, AMD64, x32 | 425, 2, enosys},
		{"no call at all, as a tracer leaves it", AMD64, AMD64, 0xffffffff, 0, Allow},
		{"arm socket", ARM64, ARM, 281, 2, enosys},
		{"arm bind", ARM64, ARM, 282, 2, enosys},
		{"arm connect", ARM64, ARM, 283, 2, enosys},
		{"arm listen", ARM64, ARM, 284, 2, enosys},
		{"arm accept", ARM64, ARM, 285, 2, Allow},
		{"arm socketcall(SYS_SOCKET)", ARM64, ARM, 102, 1, enosys},
		{"arm io_uring_setup", ARM64, ARM, 425, 2, enosys},
		{"an architecture that cannot be", AMD64, ARM64, 41, 2, Allow},
	} {
		if got := assemble(t, tcp, tc.native)(tc.arch, tc.nr, tc.arg); got != tc.want {
			t.Errorf("%s: call %d(%d) = %#x, want %#x", tc.name, tc.nr, tc.arg, uint32(got), uint32(tc.want))
		}
	}
	if got := assemble(t, &Filter{}, AMD64)(I386, 425); got != Allow {
		t.Errorf("i386 io_uring_setup where rings are allowed = %#x, want Allow", uint32(got))
	}
}

func TestOneFilterHoldsOnBothArchitectures(t *testing.T) {
	f := &Filter{Rules: []Rule{{Nr: 198, When: []Cond{Is(0, 2)}, Do: Notify}}} // socket of arm64
	if got := assemble(t, f, ARM64)(ARM64, 198, 2); got != Notify {
		t.Errorf("arm64 socket = %#x, want Notify", uint32(got))
	}
	if got := assemble(t, f, ARM64)(ARM64, x32|198, 2); got != Allow {
		t.Errorf("arm64 has no x32: %#x, want Allow", uint32(got))
	}
}

// TestTreeFindsEveryNumberAndNoOther compares the tree with a map, over filters of every size up to 40 calls.
func TestTreeFindsEveryNumberAndNoOther(t *testing.T) {
	for size := range 40 {
		f, has := &Filter{}, map[uint32]bool{}
		for i := range size {
			nr := (i*37 + 11) % 400
			f.Rules = append(f.Rules, Rule{Nr: nr, Do: Fail(syscall.Errno(nr + 1))})
			has[uint32(nr)] = true
		}
		prog := assemble(t, f, AMD64)
		for nr := range uint32(402) {
			want := Allow
			if has[nr] {
				want = Fail(syscall.Errno(nr + 1))
			}
			if got := prog(AMD64, nr); got != want {
				t.Fatalf("%d rules: call %d = %#x, want %#x", size, nr, uint32(got), uint32(want))
			}
		}
	}
}

func TestLargestConditionsAndProgramsStillJumpRight(t *testing.T) {
	var values []uint32
	for i := range uint32(maxValues) {
		values = append(values, 3*i)
	}
	f := &Filter{}
	for nr := range 10 {
		f.Rules = append(f.Rules, Rule{Nr: nr, When: []Cond{Is(0, values...), IsNot(1, values...)}, Do: Notify})
	}
	prog := assemble(t, f, AMD64)
	for nr := range uint32(10) {
		for v := range uint64(3*maxValues + 3) {
			in := slices.Contains(values, uint32(v))
			if got := prog(AMD64, nr, v, 1) == Notify; got != in {
				t.Fatalf("call %d(%d, 1) told %t, want %t", nr, v, got, in)
			}
			if got := prog(AMD64, nr, 0, v) == Notify; got == in {
				t.Fatalf("call %d(0, %d) told %t, want %t", nr, v, got, !in)
			}
		}
	}
	for nr := range maxProgram {
		f.Rules = append(f.Rules, Rule{Nr: nr, Do: Notify})
	}
	if _, err := f.Assemble(AMD64); err == nil || !strings.Contains(err.Error(), fmt.Sprint("at most ", maxProgram)) {
		t.Errorf("a filter too long for the kernel: %v", err)
	}
}

func TestFiltersWithMistakesSayWhich(t *testing.T) {
	for _, tc := range []struct {
		rule Rule
		want string
	}{
		{Rule{Nr: -1, Do: Notify}, "rule 0: system call -1, want 0 to"},
		{Rule{Nr: x32, Do: Notify}, "want 0 to"},
		{Rule{Nr: 41}, "system call 41: action 0x0, want Allow"},
		{Rule{Nr: 41, Do: Notify, When: []Cond{Is(6, 1)}}, "argument 6, want 0 to 5"},
		{Rule{Nr: 41, Do: Notify, When: []Cond{Is(-1, 1)}}, "argument -1, want 0 to 5"},
		{Rule{Nr: 41, Do: Notify, When: []Cond{Is(0)}}, "0 values, want 1 to"},
		{Rule{Nr: 41, Do: Notify, When: []Cond{Is(0, make([]uint32, maxValues+1)...)}}, "101 values"},
		{Rule{Nr: 41, Do: Notify, When: []Cond{{Op: 3}}}, "comparison 3"},
	} {
		f := Filter{Rules: []Rule{tc.rule}}
		if _, err := f.Assemble(AMD64); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Assemble of %+v: %v, want %q in it", tc.rule, err, tc.want)
		}
	}
	if _, err := new(Filter).Assemble(I386); err == nil {
		t.Error("a filter for i386 was assembled")
	}
}

// TestCallsWithoutRulesNeedNoArguments lets the kernel find out that they always pass (seccomp_cache_prepare, 5.11),
// which it does only along loads of the number and the architecture, and jumps.
func TestCallsWithoutRulesNeedNoArguments(t *testing.T) {
	prog, err := tcp.Assemble(AMD64)
	if err != nil {
		t.Fatal(err)
	}
	ins, _ := bpf.Disassemble(prog)
	constant := func(arch Arch, nr uint32) bool {
		var a uint32
		for pc, steps := 0, 0; ; pc++ {
			if steps++; steps > 20 {
				t.Fatalf("call %d takes more than 20 instructions", nr)
			}
			switch i := ins[pc].(type) {
			case bpf.LoadAbsolute:
				switch i.Off {
				case offNr:
					a = nr
				case offArch:
					a = uint32(arch)
				default:
					return false
				}
			case bpf.RetConstant:
				return Action(i.Val) == Allow
			case bpf.Jump:
				pc += int(i.Skip)
			case bpf.JumpIf:
				yes := i.Cond == bpf.JumpEqual && a == i.Val || i.Cond == bpf.JumpGreaterOrEqual && a >= i.Val ||
					i.Cond == bpf.JumpNotEqual && a != i.Val || i.Cond == bpf.JumpLessThan && a < i.Val
				if yes {
					pc += int(i.SkipTrue)
				} else {
					pc += int(i.SkipFalse)
				}
			default:
				return false
			}
		}
	}
	ruled := []uint32{41, 44, 49, 50, 425}
	for nr := range uint32(500) {
		if got, want := constant(AMD64, nr), !slices.Contains(ruled, nr); got != want {
			t.Errorf("call %d is always allowed: %t, want %t", nr, got, want)
		}
	}
}
