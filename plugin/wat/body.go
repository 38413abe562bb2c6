package wat

import (
	"fmt"
	"strings"
)

// Instructions that more than the table has to know.
const (
	opLoop      = 0x03
	opIf        = 0x04
	opElse      = 0x05
	opEnd       = 0x0B
	opSelectT   = 0x1C
	opI32Const  = 0x41
	opRefFunc   = 0xD2
	blockNoType = 0x40
)

// body encodes the instructions of a function, or a constant expression.
type body struct {
	a      *assembler
	locals space
	types  []valueType // of the locals, parameters first; bounded by maxLocals
	frames []frame     // blocks that are open, the function outermost; limit: maxBlocks
	floor  int         // frames that the list being read may not end
	code   []byte

	// What check needs to know.
	stack    []valueType // limit: maxStack
	errs     int         // mistakes before this body
	arg      uint32      // the last immediate
	use      signature   // of a call_indirect or select
	branches []uint32    // of the last br_table; bounded by maxSource
	ending   bool        // a block ends here
}

// frame is a block that is open.
type frame struct {
	label  string
	op     uint32 // of the instruction, 0 = the function
	token  int
	elseAt int // where its else is in the code, -1 = it has none

	use         signature
	base        int  // length of the stack when it began, without its parameters
	unreachable bool // what follows is never run
}

func newBody(a *assembler, u typeUse) *body {
	f := &body{a: a, locals: space{what: "local"}, errs: a.errs.total()}
	f.frames = []frame{{elseAt: -1, use: signature{results: u.results}}}
	for i, t := range u.params {
		name, token := "", 0
		if i < len(u.names) {
			name, token = u.names[i], u.tokens[i]
		}
		f.locals.add(a, token, name)
		f.types = append(f.types, t)
	}
	return f
}

func (f *body) local(c *cursor, token int, name string, t valueType) {
	if c.bad {
		return
	}
	if len(f.types) == maxLocals {
		c.failAt(token, Limit, "too many locals in one function").Want = fmt.Sprintf("at most %d", maxLocals)
		return
	}
	f.locals.add(f.a, token, name)
	f.types = append(f.types, t)
}

// localNames returns the name of each local, or nil if none has one.
func (f *body) localNames() []string {
	if len(f.locals.names) == 0 {
		return nil
	}
	return f.locals.list
}

// function encodes the body of a function.
func (f *body) function(c *cursor) {
	f.sequence(c)
	f.leave(c.end)
	f.code = append(f.code, opEnd)
}

// constant encodes the rest of a list as an expression of type t, and its end.
func (a *assembler) constant(c *cursor, what string, t valueType) []byte {
	f := newBody(a, typeUse{signature: signature{results: []valueType{t}}})
	if c.bad {
		return nil
	}
	if c.done() {
		c.unexpected(what + ", such as (i32.const 0)")
	}
	f.sequence(c)
	f.leave(c.end - 1)
	return append(f.code, opEnd)
}

// sequence encodes instructions to the end of the list. Blocks that begin in it
// must end in it.
func (f *body) sequence(c *cursor) {
	floor, depth := f.floor, len(f.frames)
	f.floor = depth
	for !c.done() {
		switch {
		case c.is(open):
			f.folded(c)
		default:
			f.flat(c)
		}
	}
	if len(f.frames) > depth {
		open := f.frames[len(f.frames)-1]
		f.a.failAt(open.token, Syntax, `no "end" for`).Found = f.a.shown(open.token)
		f.frames = f.frames[:depth]
	}
	f.floor = floor
}

// flat encodes one instruction that is not in parentheses.
func (f *body) flat(c *cursor) {
	in := *c
	token := c.at
	if !c.is(keyword) {
		in.unexpected("an instruction")
	} else {
		f.flatNamed(&in, token, in.take())
	}
	if in.bad {
		c.at = c.resume(in.failed)
		return
	}
	c.at = in.at
}

func (f *body) flatNamed(in *cursor, token int, name string) {
	switch name {
	case "block", "loop", "if":
		label := in.name()
		f.begin(in, token, label, byName[name].op)
	case "else":
		f.otherwise(in, token)
	case "end":
		f.end(in, token)
	default:
		if i := f.lookup(in, token, name); i != nil {
			f.plain(in, token, i)
		}
	}
}

// resume returns the token where reading goes on after a mistake: the next that
// looks like an instruction.
func (c *cursor) resume(failed int) int {
	n := cursor{a: c.a, at: failed, end: c.end}
	if n.is(keyword) && !n.isInstruction() {
		n.at++
	}
	for !n.done() {
		if n.is(keyword) && !strings.Contains(n.a.text(n.at), "=") || n.is(open) && !n.isTypeList() {
			break
		}
		n.skip()
	}
	return max(min(n.at, c.end), c.at+1)
}

// isTypeList reports whether the next list belongs to a type, not to the operands.
func (c *cursor) isTypeList() bool {
	head := c.head()
	return head == "type" || head == "param" || head == "result"
}

// folded encodes an instruction in parentheses, after its operands.
func (f *body) folded(c *cursor) {
	token := c.at
	in := cursor{a: c.a, at: token + 1, end: c.a.toks[token].match}
	c.skip()
	if !in.is(keyword) {
		in.unexpected("an instruction")
		return
	}
	switch name := in.take(); name {
	case "block", "loop":
		label := in.name()
		f.begin(&in, token, label, byName[name].op)
		f.sequence(&in)
		f.pop(in.end)
	case "if":
		f.foldedIf(&in, token)
	case "else", "end", "then":
		e := in.failAt(token+1, Syntax, "unexpected")
		e.Found, e.Want, e.Hint = quote("("+name), "an instruction", foldedHint(name)
	default:
		f.foldedPlain(&in, token+1, name)
	}
}

func foldedHint(name string) string {
	if name == "end" {
		return "the parenthesis ends the block"
	}
	return fmt.Sprintf("(%s …) belongs at the end of (if …)", name)
}

func (f *body) foldedPlain(in *cursor, token int, name string) {
	i := f.lookup(in, token, name)
	if in.bad {
		*in = cursor{a: in.a, at: token + 1, end: in.end} // what it is of may have mistakes of its own
	}
	immediates := *in
	in.skipImmediates()
	immediates.end = in.at
	for !in.done() {
		f.operand(in, "operands in parentheses, after the immediates")
	}
	if i != nil {
		f.encode(&immediates, token, i)
		immediates.finish("operands of " + name + " in parentheses")
		f.check(token, i)
	}
}

// skipImmediates passes over what belongs to the instruction itself.
func (c *cursor) skipImmediates() {
	for !c.done() && (!c.is(open) || c.isTypeList()) {
		c.skip()
	}
}

// operand encodes a folded instruction.
func (f *body) operand(c *cursor, want string) {
	if !c.is(open) {
		c.unexpected(want)
		return
	}
	f.folded(c)
}

// foldedIf encodes (if label type condition… (then …) (else …)).
func (f *body) foldedIf(in *cursor, token int) {
	label := in.name()
	blockType := *in
	in.skipImmediates()
	blockType.end = in.at
	for !in.done() && in.head() != "then" {
		f.operand(in, "a condition in parentheses")
	}
	f.begin(&blockType, token, label, opIf)
	blockType.finish("a condition in parentheses")
	then, ok := in.list("then")
	if !ok {
		in.unexpected("a list (then …)")
		f.pop(in.end)
		return
	}
	f.sequence(&then)
	if otherwise, ok := in.list("else"); ok {
		f.beginElse(then.end)
		f.sequence(&otherwise)
	}
	in.finish(`")"`)
	f.pop(in.end)
}

// begin opens a block whose type is next.
func (f *body) begin(c *cursor, token int, label string, op uint32) {
	if len(f.frames) > maxBlocks {
		c.failAt(token, Limit, "blocks are nested too deep").Want = fmt.Sprintf("at most %d", maxBlocks)
	}
	u := c.typeUse()
	for i, name := range u.names {
		if name != "" && !c.bad {
			c.failAt(u.tokens[i], Syntax, "a block's parameter has a name").Hint = "only those of functions have"
		}
	}
	if op == opIf {
		f.take(token, i32)
	}
	f.take(token, u.params...)
	f.frames = append(f.frames, frame{label: label, op: op, token: token, elseAt: -1, use: u.signature, base: len(f.stack)})
	f.push(token, u.params...)
	f.code = append(f.code, byte(op))
	if !c.bad {
		f.blockType(u)
	}
}

// blockType encodes the type of a block: none, one value, or a function type.
func (f *body) blockType(u typeUse) {
	switch {
	case len(u.params) > 0 || len(u.results) > 1:
		if !u.has {
			u.index = f.a.types.find(u.signature)
		}
		f.code = appendInt(f.code, int64(u.index))
	case len(u.results) == 1:
		f.code = append(f.code, byte(u.results[0]))
	default:
		f.code = append(f.code, blockNoType)
	}
}

// pop ends the innermost block. An else without instructions is left out, as
// the two are the same.
func (f *body) pop(token int) {
	f.leave(token)
	last := f.top()
	f.checkArms(last)
	f.frames, f.stack = f.frames[:len(f.frames)-1], f.stack[:last.base]
	f.push(token, last.use.results...)
	if last.elseAt >= 0 && len(f.code) == last.elseAt+1 {
		f.code = f.code[:last.elseAt]
	}
	f.code = append(f.code, opEnd)
}

// beginElse starts the second arm of an if; the first ends at token.
func (f *body) beginElse(token int) {
	f.leave(token)
	top := &f.frames[len(f.frames)-1]
	top.elseAt, top.unreachable, f.stack = len(f.code), false, f.stack[:top.base]
	f.push(token, top.use.params...)
	f.code = append(f.code, opElse)
}

// otherwise encodes a flat else.
func (f *body) otherwise(c *cursor, token int) {
	if len(f.frames) <= f.floor || f.top().op != opIf || f.top().elseAt >= 0 {
		c.failAt(token, Syntax, `"else" without "if"`)
		return
	}
	f.sameLabel(c, "else")
	f.beginElse(token)
}

// end encodes a flat end.
func (f *body) end(c *cursor, token int) {
	if len(f.frames) <= f.floor {
		c.failAt(token, Syntax, `"end" without a block`).Hint = "the parenthesis ends the function, or the folded block"
		return
	}
	f.sameLabel(c, "end")
	f.pop(token)
}

func (f *body) top() frame { return f.frames[len(f.frames)-1] }

// sameLabel consumes a label, which must be that of the innermost block.
func (f *body) sameLabel(c *cursor, word string) {
	token := c.at
	label := c.name()
	if label == "" || label == f.top().label {
		return
	}
	e := c.failAt(token, Mismatch, fmt.Sprintf("this %q names", word))
	e.Found = quote(label)
	if e.Want = "no label, as the block has none"; f.top().label != "" {
		e.Want = quote(f.top().label)
	}
}
