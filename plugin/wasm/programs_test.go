package wasm_test

import (
	"math/rand/v2"
	"strings"
)

// program writes random modules that are valid: four functions (i32, i32) -> i32 that call each other, the host and the table, branch in every
// way there is, divide, load, store, copy and fill. They may run for ever, trap, or end.
type program struct {
	r     *rand.Rand
	b     strings.Builder
	kinds []byte // of the open blocks: 'l' for a loop, 'v' for a block with a value, 'b' for one without
	left  int    // statements that may still be written
	calm  int    // if not 0: no loops, no lengths, and calls only of functions before that one
}

const (
	programFuncs  = 4
	programLocals = 5 // of type i32, two parameters included
)

// randomProgram returns a module that exports f0, f1, …, memory and the global g.
func randomProgram(seed uint64) []byte { return program{r: rand.New(rand.NewPCG(seed, 7))}.module() }

// calmProgram is a randomProgram that has a bound: no loops, no recursion, no lengths and no table.
func calmProgram(seed uint64) []byte {
	return program{r: rand.New(rand.NewPCG(seed, 8)), calm: 1}.module()
}

func (p program) module() []byte {
	var types, bodies, exports []string
	for range programFuncs {
		bodies = append(bodies, p.function())
		if p.calm > 0 {
			p.calm++
		}
	}
	for i := range programFuncs {
		exports = append(exports, "\x02f"+string('0'+byte(i))+"\x00"+uleb(i+1))
	}
	exports = append(exports, "\x06memory\x02\x00", "\x01g\x03\x00")
	types = []string{"\x60\x02\x7f\x7f\x01\x7f", "\x60\x01\x7f\x01\x7f", "\x60\x01\x7f\x02\x7f\x7f"}
	return mod(
		sec(1, vec(types...)),
		sec(2, vec("\x02pq\x04host\x00\x01")),
		sec(3, times(programFuncs, "\x00")),
		sec(4, vec("\x70\x00\x06")),
		sec(5, vec("\x00\x01")),
		sec(6, vec("\x7f\x01\x41\x07\x0b")),
		sec(7, vec(exports...)),
		sec(9, vec("\x00\x41\x00\x0b"+vec("\x01", "\x02", "\x03", "\x04"), "\x00\x41\x04\x0b"+vec("\x00"))),
		sec(12, "\x01"),
		sec(10, vec(bodies...)),
		sec(11, vec("\x01"+uleb(64)+strings.Repeat("data", 16))),
	)
}

func (p *program) function() string {
	p.b.Reset()
	p.kinds, p.left = []byte{'f'}, 5+p.r.IntN(40)
	p.statements()
	p.value(3)
	p.op(0x0b)
	code := vec(uleb(programLocals-2)+"\x7f") + p.b.String()
	return uleb(len(code)) + code
}

func (p *program) op(bytes ...byte) { p.b.Write(bytes) }

func (p *program) constant(v int32) {
	p.op(0x41)
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			p.op(c)
			return
		}
		p.op(c | 0x80)
	}
}

func (p *program) local() byte { return byte(p.r.IntN(programLocals)) }

func (p *program) statements() {
	for n := 1 + p.r.IntN(4); n > 0 && p.left > 0; n-- {
		p.left--
		p.statement()
	}
}

func (p *program) statement() {
	n := p.r.IntN(20)
	if p.calm > 0 && (n >= 7 && n < 10 || n >= 18) {
		n = 0
	}
	switch {
	case n < 5:
		p.value(3)
		p.op(0x21, p.local())
	case n < 7:
		p.block('b', 0x02, 0x40)
	case n < 10:
		p.block('l', 0x03, 0x40)
	case n < 12:
		p.value(2)
		p.block('b', 0x04, 0x40)
	case n < 14:
		p.value(2)
		p.branch(0x0d)
	case n < 15:
		p.jump()
	case n < 16:
		p.value(2)
		p.op(0x24, 0)
	case n < 18:
		p.address()
		p.value(2)
		p.op(0x36, 2, 0)
	case n < 19:
		p.bulk()
	default:
		// A loop that takes an i32 and leaves two, as type 2 says.
		p.value(2)
		p.op(0x03, 2, 0x21, p.local())
		p.kinds = append(p.kinds, 'x')
		p.statements()
		p.kinds = p.kinds[:len(p.kinds)-1]
		p.value(1)
		p.value(1)
		p.op(0x0b, 0x6a, 0x1a)
	}
}

// block writes a block without a value, with an else if it is an if and luck has it.
func (p *program) block(kind byte, head ...byte) {
	p.op(head...)
	p.kinds = append(p.kinds, kind)
	p.statements()
	if head[0] == 0x04 && p.r.IntN(2) == 0 {
		p.op(0x05)
		p.statements()
	}
	p.kinds = p.kinds[:len(p.kinds)-1]
	p.op(0x0b)
}

// depth returns a label that takes no values, and false if there is none.
func (p *program) depth() (byte, bool) {
	for range 8 {
		d := p.r.IntN(len(p.kinds))
		if k := p.kinds[len(p.kinds)-1-d]; k == 'b' || k == 'l' {
			return byte(d), true
		}
	}
	return 0, false
}

// branch writes br_if, or drops its operand.
func (p *program) branch(op byte) {
	if d, ok := p.depth(); ok {
		p.op(op, d)
	} else {
		p.op(0x1a)
	}
}

// jump writes what does not come back, and after it code that nothing gets to, as compilers do.
func (p *program) jump() {
	a, ok := p.depth()
	switch n := p.r.IntN(8); {
	case n == 0:
		p.op(0x00)
	case n < 3 || !ok:
		p.value(2)
		p.op(0x0f)
	case n < 6:
		p.op(0x0c, a)
	default:
		b, _ := p.depth()
		c, _ := p.depth()
		p.value(2)
		p.op(0x41, 3, 0x71, 0x0e, 2, a, b, c)
	}
	if p.r.IntN(3) == 0 {
		p.statements()
	}
}

func (p *program) address() {
	p.value(1)
	p.op(0x41, 0xfc, 0x07, 0x71) // & 1020
}

func (p *program) bulk() {
	p.address()
	p.address()
	p.value(1)
	p.op(0x41, 0xff, 0x00, 0x71) // & 127
	switch p.r.IntN(4) {
	case 0:
		p.op(0xfc, 10, 0, 0)
	case 1:
		p.op(0xfc, 11, 0)
	case 2:
		p.op(0xfc, 8, 0, 0)
	default:
		p.op(0xfc, 14, 0, 0) // of the table: traps unless the masked operands are small
	}
}

// value writes an expression of type i32.
func (p *program) value(deep int) {
	n := p.r.IntN(16)
	if deep == 0 {
		n = p.r.IntN(6)
	}
	switch {
	case n < 4:
		p.op(0x20, p.local())
	case n < 6:
		p.constant(int32(p.r.Uint32()) >> p.r.IntN(32))
	case n < 10:
		p.value(deep - 1)
		p.value(deep - 1)
		ops := []byte{0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x46, 0x48, 0x6d, 0x70}
		p.op(ops[p.r.IntN(len(ops))])
	case n < 11:
		p.address()
		p.op(0x28, 2, 0)
	case n < 12:
		p.value(deep - 1)
		p.op(0x04, 0x7f)
		p.kinds = append(p.kinds, 'v')
		p.value(deep - 1)
		p.op(0x05)
		p.value(deep - 1)
		p.kinds = p.kinds[:len(p.kinds)-1]
		p.op(0x0b)
	case n < 13:
		p.op(0x02, 0x7f)
		p.kinds = append(p.kinds, 'v')
		p.value(deep - 1)
		p.value(deep - 1)
		p.op(0x0d, 0) // br_if with a value
		p.kinds = p.kinds[:len(p.kinds)-1]
		p.op(0x0b)
	case n < 14:
		p.call(deep)
	case n < 15:
		p.op(0x23, 0)
	default:
		p.value(deep - 1)
		p.value(deep - 1)
		p.value(deep - 1)
		p.op(0x1b)
	}
}

func (p *program) call(deep int) {
	n, callees := p.r.IntN(3), programFuncs
	if p.calm > 0 {
		n, callees = p.r.IntN(2), p.calm-1
	}
	switch {
	case n == 0 || callees == 0:
		p.value(deep - 1)
		p.op(0x10, 0)
	case n == 1:
		p.value(deep - 1)
		p.value(deep - 1)
		p.op(0x10, byte(1+p.r.IntN(callees)))
	default:
		p.value(deep - 1)
		p.value(deep - 1)
		p.value(deep - 1)
		p.op(0x41, 7, 0x71, 0x11, 0, 0)
	}
}
