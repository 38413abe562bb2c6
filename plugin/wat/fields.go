package wat

import "fmt"

// pageSize is that of linear memory.
const pageSize = 65536

// maxPages is what 32-bit addresses reach.
const maxPages = 65536

// Kinds of imports and exports (WebAssembly Core 2.0, §5.5.5).
var external = map[string]byte{"func": 0, "table": 1, "memory": 2, "global": 3}

const wantExternal = "a list (func …), (table …), (memory …) or (global …)"

// define encodes a field.
func (a *assembler) define(f field) {
	c := f.body
	switch f.head {
	case "import":
		a.defineImport(c)
	case "func":
		a.defineFunc(c)
	case "table":
		a.defineTable(c)
	case "memory":
		a.defineMemory(c)
	case "global":
		a.defineGlobal(c)
	case "export":
		a.defineExport(c)
	case "start":
		a.defineStart(f.token, c)
	case "elem":
		a.elems.defined++
		a.defineElem(c)
	case "data":
		a.datas.defined++
		a.defineData(c)
	}
}

// opening consumes what func, table, memory and global begin with: a name,
// exports, an import. It reports whether the field is an import; what the
// import is of follows.
func (a *assembler) opening(c *cursor, head string) (imported bool) {
	index := a.spaceOf(head).defined
	a.spaceOf(head).defined++
	c.name()
	for {
		in, ok := c.list("export")
		if !ok {
			break
		}
		token := in.at
		name := in.utf8("the name of the export, as a string")
		in.finish(`")"`)
		c.sink(&in)
		a.export(token, name, head, index)
	}
	in, ok := c.list("import")
	if !ok {
		return false
	}
	module, name := in.importNames()
	in.finish(`")"`)
	c.sink(&in)
	a.beginImport(module, name, head)
	return true
}

func (c *cursor) importNames() (module, name string) {
	module = c.utf8("the module of the import, as a string")
	return module, c.utf8("the name of the import, as a string")
}

func (a *assembler) beginImport(module, name, head string) {
	s := &a.sections.imports
	s.count++
	s.body = appendName(s.body, module)
	s.body = appendName(s.body, name)
	s.body = append(s.body, external[head])
}

func (a *assembler) export(token int, name, head string, index uint32) {
	if a.exported[name] {
		a.failAt(token, Duplicate, "there is already an export").Found = quote(name)
	}
	a.exported[name] = true
	s := &a.sections.exports
	s.count++
	s.body = appendName(s.body, name)
	s.body = append(s.body, external[head])
	s.body = appendUint(s.body, uint64(index))
}

func (a *assembler) defineImport(c cursor) {
	module, name := c.importNames()
	head := c.head()
	if a.spaceOf(head) == nil {
		c.unexpected(wantExternal)
		return
	}
	in := c.inside()
	c.finish(`")"`)
	in.name()
	a.spaceOf(head).defined++
	a.beginImport(module, name, head)
	a.importType(&in, head)
}

// importType encodes what an import is of.
func (a *assembler) importType(c *cursor, head string) {
	s := &a.sections.imports
	switch head {
	case "func":
		index, u := c.functionType()
		a.locals = append(a.locals, u.names)
		s.body = appendUint(s.body, uint64(index))
	case "table":
		s.body = c.tableType(s.body)
	case "memory":
		s.body = c.limits(s.body, "pages", maxPages)
	case "global":
		s.body = c.globalType(s.body)
	}
	c.finish(`")", because an import has no body`)
}

// functionType consumes the type of a function and returns its number.
func (c *cursor) functionType() (index uint32, u typeUse) {
	u = c.typeUse()
	if c.bad {
		return 0, u
	}
	if u.has {
		return u.index, u
	}
	return c.a.types.find(u.signature), u
}

func (a *assembler) defineFunc(c cursor) {
	imported := a.opening(&c, "func")
	if imported {
		a.importType(&c, "func")
		return
	}
	index, u := c.functionType()
	f := newBody(a, u)
	c.locals(f)
	a.locals = append(a.locals, f.localNames())
	if c.bad {
		return
	}
	f.function(&c)
	fn, code := &a.sections.functions, &a.sections.code
	fn.count, code.count = fn.count+1, code.count+1
	fn.body = appendUint(fn.body, uint64(index))
	b := appendLocals(nil, f.types[len(u.params):])
	b = append(b, f.code...)
	code.body = appendUint(code.body, uint64(len(b)))
	code.body = append(code.body, b...)
}

// locals consumes the lists local.
func (c *cursor) locals(f *body) {
	for {
		in, ok := c.list("local")
		if !ok {
			return
		}
		token := in.at
		name := in.name()
		if name != "" {
			f.local(&in, token, name, in.valueType())
			in.finish(`")"`).Hint = "a name goes with one type"
		}
		for !in.done() {
			at := in.at
			f.local(&in, at, "", in.valueType())
		}
		c.sink(&in)
	}
}

func (a *assembler) defineTable(c cursor) {
	imported := a.opening(&c, "table")
	if imported {
		a.importType(&c, "table")
		return
	}
	s := &a.sections.tables
	s.count++
	if !c.isWord("funcref") && !c.isWord("externref") {
		s.body = c.tableType(s.body)
		c.finish(`")"`)
		return
	}
	t := c.reference()
	in, ok := c.list("elem")
	if !ok {
		c.unexpected("a list (elem …), or the size of the table before the type")
		return
	}
	c.finish(`")"`)
	a.elems.defined++
	items := in.elemItems(t, in.is(open))
	n := uint64(items.count)
	s.body = append(s.body, byte(t), 1)
	s.body = appendUint(appendUint(s.body, n), n)
	a.elemSegment(segment{active: true, table: a.tables.defined - 1, offset: []byte{opI32Const, 0, opEnd}}, items)
}

// tableType consumes limits and a reference type.
func (c *cursor) tableType(b []byte) []byte {
	limits := c.limits(nil, "elements", 1<<32-1)
	b = append(b, byte(c.reference()))
	return append(b, limits...)
}

// limits consumes a minimum and perhaps a maximum.
func (c *cursor) limits(b []byte, unit string, most uint64) []byte {
	start := c.at
	low := c.uint("the least number of "+unit, 32)
	if !c.is(number) {
		b = appendUint(append(b, 0), low)
		c.checkLimits(start, unit, low, low, most)
		return b
	}
	high := c.uint("the largest number of "+unit, 32)
	c.checkLimits(start, unit, low, high, most)
	return appendUint(appendUint(append(b, 1), low), high)
}

func (c *cursor) checkLimits(token int, unit string, low, high, most uint64) {
	if c.bad {
		return
	}
	if low > high {
		c.failAt(token, Literal, fmt.Sprintf("at least %d %s is more than at most %d", low, unit, high))
		return
	}
	if high > most {
		c.failAt(token, Literal, fmt.Sprintf("%d %s", high, unit)).Want = fmt.Sprintf("at most %d", most)
	}
}

func (a *assembler) defineMemory(c cursor) {
	imported := a.opening(&c, "memory")
	if imported {
		a.importType(&c, "memory")
		return
	}
	s := &a.sections.memories
	s.count++
	in, ok := c.list("data")
	if !ok {
		s.body = c.limits(s.body, "pages", maxPages)
		c.finish(`")"`)
		return
	}
	c.finish(`")"`)
	a.datas.defined++
	bytes := in.strings()
	pages := uint64(len(bytes)+pageSize-1) / pageSize
	s.body = appendUint(appendUint(append(s.body, 1), pages), pages)
	a.dataSegment(segment{active: true, table: a.memories.defined - 1, offset: []byte{opI32Const, 0, opEnd}}, bytes)
}

// globalType consumes a value type, or (mut TYPE).
func (c *cursor) globalType(b []byte) []byte {
	in, mutable := c.list("mut")
	if !mutable {
		return append(b, byte(c.valueType()), 0)
	}
	b = append(b, byte(in.valueType()), 1)
	in.finish(`")"`)
	c.sink(&in)
	return b
}

func (a *assembler) defineGlobal(c cursor) {
	imported := a.opening(&c, "global")
	if imported {
		a.importType(&c, "global")
		return
	}
	s := &a.sections.globals
	s.count++
	s.body = c.globalType(s.body)
	t := a.globalTypes[a.globals.defined-1]
	s.body = append(s.body, a.constant(&c, "the value of the global", t)...)
}

func (a *assembler) defineExport(c cursor) {
	token := c.at
	name := c.utf8("the name of the export, as a string")
	head := c.head()
	s := a.spaceOf(head)
	if s == nil {
		c.unexpected(wantExternal)
		return
	}
	in := c.inside()
	c.finish(`")"`)
	index := in.index(s)
	in.finish(`")"`)
	if !in.bad {
		a.export(token, name, head, index)
	}
}

func (a *assembler) defineStart(token int, c cursor) {
	index := c.index(&a.functions)
	c.finish(`")"`)
	if a.startedOnce {
		a.failAt(token, Duplicate, "there is already a start function")
	}
	a.startedOnce = true
	a.sections.start = appendUint(nil, uint64(index))
}
