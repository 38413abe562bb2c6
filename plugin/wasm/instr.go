package wasm

// instr is one instruction. op is its opcode, with that behind a prefix in the low byte: 0xfc0a is memory.copy.
type instr struct {
	op      int
	at, end int    // its bytes
	a, b    uint32 // immediates: an index; for call_indirect type and table; for bulk memory segment or target, then source
	block   int64  // block, loop, if: a type index, or blockEmpty, or blockValue
	value   ValType
	labels  []uint32 // br_table: all targets, the default last; valid until the next instruction

	refusal  string // the rule that the instruction breaks by being there
	refusing string // what it is
}

const (
	blockEmpty = -1 // no parameters, no result
	blockValue = -2 // one result, of type value
)

// decoder reads the instructions of a body one after the other.
type decoder struct {
	r      reader
	in     instr
	labels []uint32 // bounded by the bytes of the body
	short  [5]byte  // scratch
}

// next reads an instruction into d.in. Faults stay in d.r.err.
func (d *decoder) next() {
	r := &d.r
	d.in = instr{at: r.at(), op: int(r.byte())}
	switch op := d.in.op; {
	case op == prefixMisc || op == prefixSIMD:
		start := r.pos
		sub := r.u32()
		if r.pos-start != len(appendU32(d.short[:0], sub)) {
			// wazero takes the first byte for the whole number of a vector instruction, and what follows for more instructions: it would run what
			// is an operand here, and pay nothing for it.
			d.refuse("instructions", "a number that is not in its shortest form")
			return
		}
		if sub > 0xff {
			// Beyond the byte that op has room for there is relaxed SIMD, and nothing else.
			d.refuse("features", "relaxed SIMD")
			return
		}
		d.in.op = op<<8 | int(sub)
		if op == prefixMisc {
			d.misc(sub)
		} else {
			d.simd(sub)
		}
	default:
		d.plain(byte(op))
	}
	d.in.end = r.pos
}

func (d *decoder) refuse(rule, what string) {
	d.in.refusal, d.in.refusing, d.in.end = rule, what, d.r.pos
}

// plain reads the immediates of an instruction without a prefix.
func (d *decoder) plain(op byte) {
	r, in := &d.r, &d.in
	switch {
	case op == opUnreachable, op == opNop, op == opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4:
	case op == opBlock, op == opLoop, op == opIf:
		d.blockType()
	case op == opBr, op == opBrIf:
		in.a = r.u32()
	case op == opBrTable:
		d.brTable()
	case op == opCall, op >= opLocalGet && op <= opGlobalSet:
		in.a = r.u32()
	case op == opCallIndirect:
		in.a, in.b = r.u32(), r.u32()
	case op == opSelectTyped:
		d.selectType()
	case op >= 0x28 && op <= 0x3e:
		d.memarg()
	case op == opMemorySize, op == opMemoryGrow:
		d.memoryIndex()
	case op == opI32Const:
		r.signed(32)
	case op == opI64Const:
		r.signed(64)
	case op == opF32Const:
		r.skip(4)
	case op == opF64Const:
		r.skip(8)
	default:
		d.foreign(op)
	}
}

// foreign names what an instruction belongs to that plugins do not use.
func (d *decoder) foreign(op byte) {
	switch {
	case op >= 0x06 && op <= 0x0a || op == 0x18 || op == 0x19 || op == 0x1f:
		d.refuse("features", "exceptions")
	case op >= 0x12 && op <= 0x15:
		d.refuse("features", "tail calls and function references")
	case op == 0x25 || op == 0x26 || op >= 0xd0 && op <= 0xd6:
		d.refuse("features", "reference types")
	case op == 0xfb:
		d.refuse("features", "garbage collection")
	case op == prefixThreads:
		d.refuse("features", "threads")
	default:
		d.refuse("instructions", "unknown")
	}
}

func (d *decoder) blockType() {
	r, in := &d.r, &d.in
	start := r.pos
	if r.pos < r.end {
		switch c := r.b[r.pos]; ValType(c) {
		case 0x40:
			r.pos++
			in.block = blockEmpty
			return
		case I32, I64, F32, F64, V128:
			r.pos++
			in.block, in.value = blockValue, ValType(c)
			return
		case FuncRef, ExternRef:
			d.refuse("features", "reference types")
			return
		}
	}
	if in.block = r.signed(33); in.block < 0 {
		r.fail(start, "block of unknown type %d", in.block)
	}
}

func (d *decoder) brTable() {
	r := &d.r
	n := r.u32()
	if uint64(n) >= uint64(r.end-r.pos) {
		r.fail(d.in.at, "%d targets announced in %d bytes", n, r.end-r.pos)
		return
	}
	d.labels = d.labels[:0]
	for i := uint32(0); i <= n && r.err == nil; i++ {
		d.labels = append(d.labels, r.u32())
	}
	d.in.labels = d.labels
}

func (d *decoder) selectType() {
	start := d.r.pos
	if n := d.r.u32(); n != 1 {
		d.r.fail(start, "select of %d types", n)
		return
	}
	if t := readValType(&d.r); t == FuncRef || t == ExternRef {
		d.refuse("features", "reference types")
	}
}

// memarg reads alignment and offset. Bit 6 of the alignment announces the index of a memory.
func (d *decoder) memarg() {
	if d.r.u32() >= 1<<6 {
		d.refuse("features", "several memories")
		return
	}
	d.r.u32()
}

func (d *decoder) memoryIndex() {
	if d.r.u32() != 0 {
		d.refuse("features", "several memories")
	}
}

// misc reads an instruction behind 0xfc: saturating conversions, bulk memory, tables.
func (d *decoder) misc(sub uint32) {
	r, in := &d.r, &d.in
	switch op := in.op; {
	case sub <= 7:
	case op == opMemoryInit:
		in.a = r.u32()
		d.memoryIndex()
	case op == opDataDrop, op == opElemDrop:
		in.a = r.u32()
	case op == opMemoryCopy:
		d.memoryIndex()
		d.memoryIndex()
	case op == opMemoryFill:
		d.memoryIndex()
	case op == opTableInit, op == opTableCopy:
		in.a, in.b = r.u32(), r.u32()
	case sub <= 17:
		d.refuse("features", "reference types")
	default:
		d.refuse("instructions", "unknown")
	}
}

// simdHoles are the numbers below 256 that no instruction of fixed-width SIMD has.
var simdHoles = map[uint32]bool{0x9a: true, 0xa2: true, 0xa5: true, 0xa6: true, 0xaf: true, 0xb0: true, 0xb2: true, 0xb3: true, 0xb4: true,
	0xbb: true, 0xc2: true, 0xc5: true, 0xc6: true, 0xcf: true, 0xd0: true, 0xd2: true, 0xd3: true, 0xd4: true, 0xe2: true, 0xee: true}

// simd reads an instruction behind 0xfd.
func (d *decoder) simd(sub uint32) {
	switch {
	case simdHoles[sub]:
		d.refuse("instructions", "unknown")
	case sub <= 11, sub == 92, sub == 93:
		d.memarg()
	case sub == 12, sub == 13: // v128.const, i8x16.shuffle
		d.r.skip(16)
	case sub >= 21 && sub <= 34: // lanes
		d.r.byte()
	case sub >= 84 && sub <= 91: // lanes in memory
		d.memarg()
		if d.in.refusal == "" {
			d.r.byte()
		}
	}
}

// walk reads the body of defined function i and hands each instruction to visit, with the kinds of the blocks that are open before it: of
// these the first is the function itself. A branch is known to go to an open one, and else to belong to an if.
func (m *Module) walk(i int, visit func(in *instr, open []byte) *Error) *Error {
	body := m.Code[i]
	d := decoder{r: reader{b: m.raw, pos: body.Code, end: body.End, section: "code"}}
	open := []byte{opBlock}
	for len(open) > 0 {
		d.next()
		err := d.r.err
		if err == nil {
			err = step(&d.in, open)
		}
		if err == nil {
			err = visit(&d.in, open)
		}
		if err != nil {
			return m.within(i, err)
		}
		switch d.in.op {
		case opBlock, opLoop, opIf:
			open = append(open, byte(d.in.op))
		case opElse:
			open[len(open)-1] = opElse
		case opEnd:
			open = open[:len(open)-1]
		}
	}
	if d.r.pos != body.End {
		return m.within(i, malformed(d.r.pos, "code", "%d bytes after the end of the function", body.End-d.r.pos))
	}
	return nil
}

// within says of an error that it is about defined function i.
func (m *Module) within(i int, err *Error) *Error {
	f := uint32(i + len(m.importedFuncs))
	err.Function, err.Name = int(f), m.FuncName(f)
	return err
}

// step refuses what does not fit to the open blocks.
func step(in *instr, open []byte) *Error {
	if in.refusal != "" {
		return refused(in.refusal, in.at, "code", "instruction 0x%02x: %s", in.op, in.refusing)
	}
	switch in.op {
	case opBlock, opLoop, opIf:
		if len(open) > maxNesting {
			return malformed(in.at, "code", "blocks are nested deeper than %d", maxNesting)
		}
	case opElse:
		if open[len(open)-1] != opIf {
			return malformed(in.at, "code", "else without an if")
		}
	case opBr, opBrIf:
		return reaches(in, in.a, open)
	case opBrTable:
		for _, l := range in.labels {
			if err := reaches(in, l, open); err != nil {
				return err
			}
		}
	}
	return nil
}

func reaches(in *instr, label uint32, open []byte) *Error {
	if uint64(label) >= uint64(len(open)) {
		return malformed(in.at, "code", "a branch leaves %d blocks, %d are open", uint64(label)+1, len(open))
	}
	return nil
}
