package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
)

// maxValues is how many values a condition may have: so far a short jump reaches.
const maxValues = 100

// maxProgram is how many instructions the kernel takes: BPF_MAXINSNS.
const maxProgram = 4096

// Offsets in struct seccomp_data of <linux/seccomp.h>; both architectures are little-endian.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// Assemble returns the filter as a program for the kernel, which judges struct seccomp_data.
//
// The program first tells the ABIs apart. In the native one it looks the number up in a binary tree, and reads
// arguments only of calls that have rules: so the kernel (5.11 and later) sees which calls are always allowed and
// never runs the program for them. In a foreign one (i386 and x32 on amd64, 32-bit ARM on arm64), whose arguments the
// rules do not describe, the calls that make or name sockets (socket, bind, connect, listen, also through socketcall)
// fail with ENOSYS, so that no socket escapes its supervisor, and all others pass: a program of that ABI runs, and
// uses the sockets that it inherits, but makes none.
func (f *Filter) Assemble(arch Arch) ([]bpf.RawInstruction, error) {
	others, ok := foreign[arch]
	if !ok {
		return nil, fmt.Errorf("seccomp: filter for architecture %#x, want %#x (amd64) or %#x (arm64)", uint32(arch), uint32(AMD64), uint32(ARM64))
	}
	rules := slices.Clone(f.Rules)
	if f.NoRings {
		rules = append(rules, Rule{Nr: ringSetup, Do: enosys})
	}
	for i := range rules {
		if err := rules[i].check(); err != nil {
			return nil, fmt.Errorf("seccomp: rule %d: %w", i, err)
		}
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Nr, b.Nr) })
	var p program
	p.load(offArch)
	isNative := p.unless(equal, uint32(arch))
	p.foreign(others, arch, f.NoRings)
	p.here(isNative)
	p.load(offNr)
	for _, o := range others {
		if o.bit != 0 { // the same architecture, other numbers
			native := p.when(atLeast, o.bit)
			p.refuse(o, f.NoRings)
			p.here(native)
		}
	}
	p.tree(byNumber(rules))
	if len(p) > maxProgram {
		return nil, fmt.Errorf("seccomp: filter of %d instructions, want at most %d", len(p), maxProgram)
	}
	return bpf.Assemble(p)
}

func (r *Rule) check() error {
	if r.Nr < 0 || r.Nr >= x32 {
		return fmt.Errorf("system call %d, want 0 to %d", r.Nr, x32-1)
	}
	if r.Do != Allow && r.Do != Notify && r.Do&^0xfff != fail {
		return fmt.Errorf("system call %d: action %#x, want Allow, Notify or Fail(errno)", r.Nr, uint32(r.Do))
	}
	for _, c := range r.When {
		switch {
		case c.Arg < 0 || c.Arg > 5:
			return fmt.Errorf("system call %d: condition on argument %d, want 0 to 5", r.Nr, c.Arg)
		case c.Op > NonZero:
			return fmt.Errorf("system call %d: comparison %d, want In, NotIn or NonZero", r.Nr, c.Op)
		case c.Op != NonZero && (len(c.Values) == 0 || len(c.Values) > maxValues):
			return fmt.Errorf("system call %d: condition with %d values, want 1 to %d", r.Nr, len(c.Values), maxValues)
		}
	}
	return nil
}

// byNumber splits sorted rules into those of one number each.
func byNumber(rules []Rule) (groups [][]Rule) {
	for _, r := range rules {
		if n := len(groups); n > 0 && groups[n-1][0].Nr == r.Nr {
			groups[n-1] = append(groups[n-1], r)
			continue
		}
		groups = append(groups, []Rule{r})
	}
	return groups
}

// program is a filter in the making. Conditional jumps of BPF reach 255 instructions; all of ours skip a fixed few,
// and the distances are left to the unconditional one, which reaches everywhere.
type program []bpf.Instruction

const (
	equal   = bpf.JumpEqual
	atLeast = bpf.JumpGreaterOrEqual
)

func (p *program) add(i bpf.Instruction) { *p = append(*p, i) }

func (p *program) load(off uint32) { p.add(bpf.LoadAbsolute{Off: off, Size: 4}) }

func (p *program) ret(a Action) { p.add(bpf.RetConstant{Val: uint32(a)}) }

// jump adds a jump to where here will be called with it.
func (p *program) jump() int {
	p.add(bpf.Jump{})
	return len(*p) - 1
}

// here lets jumps end at the next instruction.
func (p *program) here(jumps ...int) {
	for _, at := range jumps {
		(*p)[at] = bpf.Jump{Skip: uint32(len(*p) - at - 1)}
	}
}

// when runs what follows if the comparison holds, and jumps otherwise.
func (p *program) when(test bpf.JumpTest, v uint32) int {
	p.add(bpf.JumpIf{Cond: test, Val: v, SkipTrue: 1})
	return p.jump()
}

// unless runs what follows if the comparison does not hold, and jumps otherwise.
func (p *program) unless(test bpf.JumpTest, v uint32) int {
	p.add(bpf.JumpIf{Cond: test, Val: v, SkipFalse: 1})
	return p.jump()
}

// foreign ends calls of other architectures; the loaded word is the architecture.
func (p *program) foreign(others []abi, native Arch, noRings bool) {
	for _, o := range others {
		if o.arch == native {
			continue
		}
		next := p.when(equal, uint32(o.arch))
		p.load(offNr)
		p.refuse(o, noRings)
		p.here(next)
	}
	p.ret(Allow)
}

// refuse ends calls of one foreign ABI; the loaded word is the number.
func (p *program) refuse(o abi, noRings bool) {
	refused := []int{o.socket, o.bind, o.connect, o.listen}
	if noRings {
		refused = append(refused, o.ring)
	}
	if o.socketcall >= 0 {
		other := p.when(equal, uint32(o.socketcall))
		p.rules([]Rule{{When: []Cond{Is(0, socketcalls...)}, Do: enosys}})
		p.here(other)
	}
	for i, nr := range refused {
		p.add(bpf.JumpIf{Cond: equal, Val: uint32(nr) | o.bit, SkipTrue: uint8(len(refused) - i)})
	}
	p.ret(Allow)
	p.ret(enosys)
}

// tree finds the rules of the loaded number, which are sorted, and applies them.
func (p *program) tree(groups [][]Rule) {
	switch n := len(groups); n {
	case 0:
		p.ret(Allow)
	case 1:
		hit := p.unless(equal, uint32(groups[0][0].Nr))
		p.ret(Allow)
		p.here(hit)
		p.rules(groups[0])
	default:
		right := p.unless(atLeast, uint32(groups[n/2][0].Nr))
		p.tree(groups[:n/2])
		p.here(right)
		p.tree(groups[n/2:])
	}
}

// rules applies the rules of one number, and allows what none is about.
func (p *program) rules(rules []Rule) {
	for _, r := range rules {
		var next []int
		for _, c := range r.When {
			next = append(next, p.cond(c)...)
		}
		p.ret(r.Do)
		p.here(next...)
		if len(r.When) == 0 {
			return // nothing gets past this rule
		}
	}
	p.ret(Allow)
}

// cond runs what follows if c holds, and jumps otherwise.
func (p *program) cond(c Cond) (otherwise []int) {
	low := uint32(offArgs + 8*c.Arg)
	if c.Op == NonZero {
		p.load(low)
		p.add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3})
		p.load(low + 4)
		return []int{p.unless(equal, 0)}
	}
	if c.High {
		low += 4
	}
	p.load(low)
	if c.Mask != 0 {
		p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.Mask})
	}
	if c.Op == NotIn {
		for _, v := range c.Values {
			otherwise = append(otherwise, p.unless(equal, v))
		}
		return otherwise
	}
	for i, v := range c.Values {
		p.add(bpf.JumpIf{Cond: equal, Val: v, SkipTrue: uint8(len(c.Values) - i)})
	}
	return []int{p.jump()}
}
