package wat

import (
	"fmt"
	"slices"
	"strings"
)

// maxStack keeps calls of functions with many results from costing much memory.
const maxStack = 100_000 // limit: values on the stack at one place

// anyType is that of values in code that is never reached.
const anyType valueType = 0

const i32 valueType = 0x7F

// typeOf are the types of instructions that have one for themselves.
var typeOf = func() map[*instruction]signature {
	m := make(map[*instruction]signature, len(instructions))
	for n := range instructions {
		i := &instructions[n]
		if takes, gives, ok := strings.Cut(i.signature, "->"); ok {
			m[i] = signature{typesOf(takes), typesOf(gives)}
		}
	}
	return m
}()

func typesOf(words string) (list []valueType) {
	for _, w := range strings.Fields(words) {
		list = append(list, valueTypes[w])
	}
	return list
}

// preview learns the types of functions, globals and tables, which the bodies
// before them use. What is wrong with them, define reports.
func (a *assembler) preview(f field) {
	c, head := f.body, f.head
	if head == "import" {
		for c.is(text) {
			c.at++
		}
		if head = c.head(); a.spaceOf(head) != nil {
			c = c.inside()
		}
	}
	c.name()
	for c.head() == "export" || c.head() == "import" {
		c.skip()
	}
	switch head {
	case "func":
		a.functionTypes = append(a.functionTypes, c.typeUse().signature)
	case "global":
		var t [2]byte
		copy(t[:], c.globalType(nil))
		a.globalTypes = append(a.globalTypes, valueType(t[0]))
	case "table":
		for c.is(number) {
			c.at++
		}
		a.tableTypes = append(a.tableTypes, c.reference())
	}
}

// check follows what an instruction does to the stack (WebAssembly Core 2.0,
// appendix "Validation Algorithm"). After the first mistake in a function it is
// silent, as nobody knows what is on the stack then.
func (f *body) check(token int, i *instruction) {
	if !f.checks() {
		return
	}
	if s, ok := typeOf[i]; ok {
		f.apply(token, s)
		return
	}
	switch i.immediate {
	case local, global:
		f.checkVariable(token, i)
	case function:
		f.apply(token, f.a.functionTypes[f.arg])
	case indirect:
		f.take(token, i32)
		f.apply(token, f.use)
	case table:
		f.checkTable(token, i.name, f.a.tableTypes[f.arg])
	case heapType:
		f.push(token, valueType(f.arg))
	case label, labels:
		f.checkBranch(token, i)
	default:
		f.checkOther(token, i)
	}
}

// checks reports whether the stack is known.
func (f *body) checks() bool { return !f.a.unchecked && f.a.errs.total() == f.errs }

func (f *body) apply(token int, s signature) {
	f.take(token, s.params...)
	f.push(token, s.results...)
}

func (f *body) checkVariable(token int, i *instruction) {
	var t valueType
	if i.immediate == local {
		t = f.types[f.arg]
	} else {
		t = f.a.globalTypes[f.arg]
	}
	if !strings.HasSuffix(i.name, ".get") {
		f.take(token, t)
	}
	if !strings.HasSuffix(i.name, ".set") {
		f.push(token, t)
	}
}

func (f *body) checkTable(token int, name string, t valueType) {
	switch name {
	case "table.get":
		f.apply(token, signature{[]valueType{i32}, []valueType{t}})
	case "table.set":
		f.take(token, i32, t)
	case "table.grow":
		f.apply(token, signature{[]valueType{t, i32}, []valueType{i32}})
	case "table.fill":
		f.take(token, i32, t, i32)
	}
}

func (f *body) checkBranch(token int, i *instruction) {
	if i.name != "br" {
		f.take(token, i32)
	}
	if i.name == "br_table" {
		for _, l := range f.branches {
			if types := f.branchTypes(l); len(types) != len(f.branchTypes(f.arg)) {
				f.a.failAt(token, Type, "the targets of br_table take different numbers of values")
				return
			} else if !f.holds(token, types) {
				return
			}
		}
		f.unreachable()
		return
	}
	types := f.branchTypes(f.arg)
	f.take(token, types...)
	if i.name == "br_if" {
		f.push(token, types...)
		return
	}
	f.unreachable()
}

// branchTypes are what a branch to a block takes: what the block returns, or,
// for a loop, what it begins with.
func (f *body) branchTypes(depth uint32) []valueType {
	fr := f.frames[len(f.frames)-1-int(depth)]
	if fr.op == opLoop {
		return fr.use.params
	}
	return fr.use.results
}

func (f *body) checkOther(token int, i *instruction) {
	switch i.name {
	case "unreachable":
		f.unreachable()
	case "return":
		f.take(token, f.frames[0].use.results...)
		f.unreachable()
	case "drop":
		f.take(token, anyType)
	case "select":
		f.checkSelect(token)
	case "ref.is_null":
		if t := f.peek(0); t != funcref && t != externref && t != anyType {
			f.mismatch(token, []valueType{funcref})
		}
		f.take(token, anyType)
		f.push(token, i32)
	}
}

func (f *body) checkSelect(token int) {
	t := anyType
	if len(f.use.results) == 1 {
		t = f.use.results[0]
	} else {
		if t = f.peek(1); t == anyType {
			t = f.peek(2)
		}
		if t == funcref || t == externref {
			f.a.failAt(token, Type, "select of references").Want = "their type, as in select (result funcref)"
			return
		}
	}
	f.take(token, t, t, i32)
	f.push(token, t)
}

// peek returns the type of the value that lies so deep in the block.
func (f *body) peek(depth int) valueType {
	if at := len(f.stack) - 1 - depth; at >= f.top().base {
		return f.stack[at]
	}
	return anyType
}

// holds reports a mistake if the values on top of the stack have other types.
func (f *body) holds(token int, types []valueType) bool {
	top := f.top()
	for n := range types {
		want, at := types[len(types)-1-n], len(f.stack)-1-n
		if at < top.base {
			if top.unreachable {
				return true
			}
			f.mismatch(token, types)
			return false
		}
		if got := f.stack[at]; got != want && got != anyType && want != anyType {
			f.mismatch(token, types)
			return false
		}
	}
	return true
}

// take removes values from the stack.
func (f *body) take(token int, types ...valueType) {
	if f.checks() && f.holds(token, types) {
		f.stack = f.stack[:max(f.top().base, len(f.stack)-len(types))]
	}
}

func (f *body) push(token int, types ...valueType) {
	if !f.checks() {
		return
	}
	if f.stack = append(f.stack, types...); len(f.stack) > maxStack {
		f.a.failAt(token, Limit, "too many values on the stack").Want = fmt.Sprintf("at most %d", maxStack)
	}
}

func (f *body) unreachable() {
	top := &f.frames[len(f.frames)-1]
	top.unreachable, f.stack = true, f.stack[:top.base]
}

func (f *body) mismatch(token int, types []valueType) {
	held := f.stack[f.top().base:]
	held = held[max(0, len(held)-max(len(types), 1)):]
	e := f.a.failAt(token, Type, "the stack holds")
	e.Found, e.Want = words(held), words(types)+" for "+f.a.shown(token)
	if f.ending {
		e.Want = words(types) + " at the end"
	}
}

// words lists types for people.
func words(types []valueType) string {
	const most = 8
	if len(types) == 0 {
		return "nothing"
	}
	var list []string
	for _, t := range types[:min(len(types), most)] {
		if list = append(list, t.String()); t == anyType {
			list[len(list)-1] = "any"
		}
	}
	if len(types) > most {
		list = append(list, fmt.Sprintf("and %d more", len(types)-most))
	}
	return strings.Join(list, " ")
}

// leave closes a block, or the first arm of an if, at token.
func (f *body) leave(token int) {
	if !f.checks() {
		return
	}
	top := f.top()
	f.ending = true
	f.take(token, top.use.results...)
	f.ending = false
	if f.checks() && len(f.stack) > top.base {
		e := f.a.failAt(token, Type, "at the end the stack still holds")
		e.Found, e.Hint = words(f.stack[top.base:]), "drop what is not returned"
	}
}

// checkArms reports an if without else that does not leave what it takes.
func (f *body) checkArms(top frame) {
	if top.op == opIf && top.elseAt < 0 && f.checks() && !slices.Equal(top.use.params, top.use.results) {
		e := f.a.failAt(top.token, Type, "an if without else returns")
		e.Found, e.Want = words(top.use.results), "an else that returns the same"
	}
}
