package wat

import (
	"fmt"
	"math/bits"
	"strings"
)

// outside are parts of names of instructions that WebAssembly 2.0 does not have.
var outside = []struct{ part, proposal string }{
	{"atomic", "threads"}, {"return_call", "tail call"}, {"try", "exception handling"}, {"catch", "exception handling"}, {"throw", "exception handling"},
	{"relaxed", "relaxed SIMD"}, {"struct.", "garbage collection"}, {"array.", "garbage collection"}, {"ref.cast", "garbage collection"},
	{"ref.test", "garbage collection"}, {"call_ref", "typed function references"},
}

// renamed are names that instructions had before 2019.
var renamed = map[string]string{
	"get_local": "local.get", "set_local": "local.set", "tee_local": "local.tee", "get_global": "global.get", "set_global": "global.set",
	"current_memory": "memory.size", "grow_memory": "memory.grow", "anyfunc": "funcref",
}

// lookup finds an instruction by its name.
func (f *body) lookup(c *cursor, token int, name string) *instruction {
	i, ok := byName[name]
	if ok {
		return i
	}
	e := c.failAt(token, Unknown, "unknown instruction")
	e.Found = quote(name)
	if !f.a.errs.full() {
		e.Hint = instructionHint(name)
	}
	return nil
}

func instructionHint(name string) string {
	if now, ok := renamed[name]; ok {
		return fmt.Sprintf("its name is %s now", quote(now))
	}
	for _, o := range outside {
		if strings.Contains(name, o.part) {
			return fmt.Sprintf("it is of the proposal %q, not of WebAssembly 2.0", o.proposal)
		}
	}
	names := make([]string, len(instructions))
	for i := range instructions {
		names[i] = instructions[i].name
	}
	return didYouMean(name, names)
}

// plain encodes an instruction, whose immediates are next.
func (f *body) plain(c *cursor, token int, i *instruction) {
	f.encode(c, token, i)
	f.check(token, i)
}

// encode appends an instruction to the code.
func (f *body) encode(c *cursor, token int, i *instruction) {
	at := len(f.code)
	f.use = signature{}
	f.code = appendOp(f.code, i.op)
	switch i.immediate {
	case none:
	case label:
		f.uint(f.label(c))
	case labels:
		f.labels(c)
	case local:
		f.uint(c.index(&f.locals))
	case function:
		f.uint(c.index(&f.a.functions))
	case global:
		f.uint(c.index(&f.a.globals))
	case table:
		f.uint(f.table(c, token))
	case elem:
		f.uint(c.index(&f.a.elems))
	case data:
		f.a.needsCount = true
		f.uint(c.index(&f.a.datas))
	case memory, memoryInit, memoryCopy, memarg, memLane:
		f.needsMemory(c, token, i.name)
		f.memory(c, i)
	case tableInit, tableCopy:
		f.twoTables(c, token, i.immediate)
	case indirect:
		f.indirect(c, token)
	case heapType:
		f.heapType(c)
	case selectType:
		f.selectType(c, at)
	default:
		f.constants(c, i)
	}
}

// uint appends an immediate.
func (f *body) uint(n uint32) {
	f.arg = n
	f.code = appendUint(f.code, uint64(n))
}

// label consumes the name of a block that is open, or how many are inside it.
func (f *body) label(c *cursor) uint32 {
	token := c.at
	if !c.is(ident) {
		n := c.uint("a label", 32)
		if n >= uint64(len(f.frames)) && !c.bad {
			e := c.failAt(token, Unknown, "unknown label")
			e.Found, e.Hint = fmt.Sprint(n), counted(len(f.frames), "label")
		}
		return uint32(n)
	}
	name := c.take()
	for depth := range len(f.frames) {
		if f.frames[len(f.frames)-1-depth].label == name {
			return uint32(depth)
		}
	}
	e := c.failAt(token, Unknown, "unknown label")
	e.Found = quote(name)
	e.Hint = didYouMean(name, f.openLabels())
	return 0
}

func (f *body) openLabels() (list []string) {
	for _, fr := range f.frames {
		if fr.label != "" {
			list = append(list, fr.label)
		}
	}
	return list
}

// labels consumes those of br_table; the last is for all other values.
func (f *body) labels(c *cursor) {
	list := []uint32{f.label(c)}
	for c.isIndex() {
		list = append(list, f.label(c))
	}
	f.branches = list
	f.uint(uint32(len(list) - 1))
	for _, l := range list {
		f.uint(l)
	}
}

// table consumes the table that an instruction may name; without it is the first.
func (f *body) table(c *cursor, token int) uint32 {
	if c.isIndex() {
		return c.index(&f.a.tables)
	}
	if len(f.a.tables.list) == 0 {
		c.failAt(token, Unknown, "the module has no table").Hint = "add one, such as (table 1 funcref)"
	}
	return 0
}

func (f *body) needsMemory(c *cursor, token int, name string) {
	if len(f.a.memories.list) == 0 {
		e := c.failAt(token, Unknown, "the module has no memory for")
		e.Found, e.Hint = quote(name), "add one, such as (memory 1)"
	}
}

func (f *body) memory(c *cursor, i *instruction) {
	switch i.immediate {
	case memoryInit:
		f.a.needsCount = true
		f.uint(c.index(&f.a.datas))
		f.uint(0)
	case memoryCopy:
		f.code = append(f.code, 0, 0)
	case memory:
		f.uint(0)
	case memarg:
		f.memarg(c, int(i.n))
	case memLane:
		f.memarg(c, int(i.n))
		f.lane(c, 16>>i.n)
	}
}

// memarg consumes offset=N and align=N, which may both be absent.
func (f *body) memarg(c *cursor, natural int) {
	offset, align := uint64(0), uint64(1)<<natural
	if c.is(keyword) && strings.HasPrefix(c.a.text(c.at), "offset=") {
		offset = c.literal(c.at, "an offset of at most 4294967295", func(s string) (uint64, error) {
			return parseUint(strings.TrimPrefix(s, "offset="), 32)
		})
	}
	token := c.at
	if c.is(keyword) && strings.HasPrefix(c.a.text(c.at), "align=") {
		align = c.literal(c.at, "a power of two", func(s string) (uint64, error) {
			return parseUint(strings.TrimPrefix(s, "align="), 32)
		})
	}
	if !c.bad && (bits.OnesCount64(align) != 1 || align > 1<<natural) {
		e := c.failAt(token, Literal, "this instruction cannot have")
		e.Found, e.Want = quote(fmt.Sprintf("align=%d", align)), fmt.Sprintf("a power of two, at most %d", 1<<natural)
	}
	f.uint(uint32(bits.TrailingZeros64(align)))
	f.code = appendUint(f.code, offset)
}

func (f *body) lane(c *cursor, lanes int) {
	token := c.at
	n := c.uint(fmt.Sprintf("a lane from 0 to %d", lanes-1), 8)
	if n >= uint64(lanes) && !c.bad {
		e := c.failAt(token, Literal, "unknown lane")
		e.Found, e.Want = fmt.Sprint(n), fmt.Sprintf("0 to %d", lanes-1)
	}
	f.code = append(f.code, byte(n))
}

// twoTables consumes what table.copy and table.init name.
func (f *body) twoTables(c *cursor, token int, kind immediate) {
	if kind == tableCopy {
		to := f.table(c, token)
		from := uint32(0)
		if c.isIndex() {
			from = c.index(&f.a.tables)
		}
		f.uint(to)
		f.uint(from)
		return
	}
	into := uint32(0)
	if second := (cursor{a: c.a, at: c.at + 1, end: c.end}); c.isIndex() && second.isIndex() {
		into = c.index(&f.a.tables)
	} else {
		into = f.table(&cursor{a: c.a}, token)
	}
	f.uint(c.index(&f.a.elems))
	f.uint(into)
}

func (f *body) indirect(c *cursor, token int) {
	t := f.table(c, token)
	index, u := c.functionType()
	for i, name := range u.names {
		if name != "" && !c.bad {
			c.failAt(u.tokens[i], Syntax, "a parameter of a call has a name").Hint = "only those of functions have"
		}
	}
	f.use = u.signature
	f.uint(index)
	f.uint(t)
}

func (f *body) heapType(c *cursor) {
	switch {
	case c.word("func"):
		f.refType(funcref)
	case c.word("extern"):
		f.refType(externref)
	default:
		c.unexpected(`"func" or "extern"`)
	}
}

func (f *body) refType(t valueType) {
	f.arg = uint32(t)
	f.code = append(f.code, byte(t))
}

// selectType consumes the result that select may have.
func (f *body) selectType(c *cursor, at int) {
	var s signature
	if c.head() != "result" {
		return
	}
	token := c.at
	if c.results(&s); len(s.results) != 1 {
		c.failAt(token, Type, fmt.Sprintf("select has %d results", len(s.results))).Want = "one"
	}
	f.use = s
	f.code = append(f.code[:at], opSelectT)
	f.uint(uint32(len(s.results)))
	f.code = append(f.code, toBytes(s.results)...)
}

// shapes are how a vector can be written: lanes and their type.
var shapes = map[string]struct {
	lanes, bits int
	float       bool
}{
	"i8x16": {16, 8, false}, "i16x8": {8, 16, false}, "i32x4": {4, 32, false}, "i64x2": {2, 64, false},
	"f32x4": {4, 32, true}, "f64x2": {2, 64, true},
}

func (f *body) constants(c *cursor, i *instruction) {
	switch i.immediate {
	case i32Const:
		f.code = appendInt(f.code, int64(int32(f.number(c, 32, false))))
	case i64Const:
		f.code = appendInt(f.code, int64(f.number(c, 64, false)))
	case f32Const:
		f.code = appendLittle(f.code, f.number(c, 32, true), 32)
	case f64Const:
		f.code = appendLittle(f.code, f.number(c, 64, true), 64)
	case v128Const:
		f.vector(c)
	case shuffle:
		for range 16 {
			f.lane(c, int(i.n))
		}
	case lane:
		f.lane(c, int(i.n))
	}
}

func (f *body) number(c *cursor, bits int, float bool) uint64 {
	if float {
		return c.literal(c.at, fmt.Sprintf("a float of %d bits, such as 0.5", bits), func(s string) (uint64, error) { return parseFloat(s, bits) })
	}
	want := fmt.Sprintf("an integer of %d bits", bits)
	return c.literal(c.at, want, func(s string) (uint64, error) { return parseInt(s, bits) })
}

func (f *body) vector(c *cursor) {
	shape, ok := shapes[f.shapeName(c)]
	if !ok {
		c.unexpected("a shape: i8x16, i16x8, i32x4, i64x2, f32x4 or f64x2")
		return
	}
	c.at++
	for range shape.lanes {
		f.code = appendLittle(f.code, f.number(c, shape.bits, shape.float), shape.bits)
	}
}

func (f *body) shapeName(c *cursor) string {
	if !c.is(keyword) {
		return ""
	}
	return c.a.text(c.at)
}
