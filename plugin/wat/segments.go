package wat

// segment is where an elem or data segment goes.
type segment struct {
	active      bool
	declarative bool
	table       uint32 // or memory
	explicit    bool   // the source names the table
	offset      []byte // expression with its end
}

// items are what an elem segment holds.
type items struct {
	kind        valueType
	expressions bool // code is expressions, not function numbers
	count       uint32
	code        []byte
}

// location consumes where a segment goes: a table or memory, and an offset. A
// segment without is passive.
func (a *assembler) location(c *cursor, head string) (s segment) {
	spaceOf := a.spaceOf(head)
	if in, ok := c.list(head); ok {
		s.table, s.explicit = in.index(spaceOf), true
		in.finish(`")"`)
		c.sink(&in)
	} else if c.is(number) { // WebAssembly 1.0 wrote it so
		s.table, s.explicit = c.index(spaceOf), true
	}
	if in, ok := c.list("offset"); ok {
		s.active, s.offset = true, a.constant(&in, "an offset", i32)
		return s
	}
	if c.is(open) && !(head == "table" && c.head() == "item") {
		one := *c
		one.end = a.toks[c.at].match + 1
		c.at = one.end
		s.active, s.offset = true, a.constant(&one, "an offset", i32)
		return s
	}
	if s.explicit {
		c.unexpected("an offset, such as (i32.const 0)")
	}
	return s
}

func (a *assembler) defineElem(c cursor) {
	c.name()
	var s segment
	if c.word("declare") {
		s.declarative = true
	} else {
		s = a.location(&c, "table")
	}
	if c.bad {
		return
	}
	switch {
	case c.isWord("funcref") || c.isWord("externref"):
		t := c.reference()
		a.elemSegment(s, c.elemItems(t, true))
	case c.word("func") || s.active:
		a.elemSegment(s, c.elemItems(funcref, false))
	default:
		c.unexpected(`"func", "funcref" or an offset`)
	}
}

// elemItems consumes the rest of an elem segment: expressions, or functions.
func (c *cursor) elemItems(t valueType, expressions bool) (list items) {
	list.kind, list.expressions = t, expressions
	for !c.done() {
		list.count++
		if !expressions {
			list.code = appendUint(list.code, uint64(c.index(&c.a.functions)))
			continue
		}
		if in, ok := c.list("item"); ok {
			list.code = append(list.code, c.a.constant(&in, "a reference", t)...)
			continue
		}
		if !c.is(open) {
			c.unexpected("an expression, such as (ref.func $f)")
			break
		}
		one := *c
		one.end = c.a.toks[c.at].match + 1
		c.at = one.end
		list.code = append(list.code, c.a.constant(&one, "a reference", t)...)
	}
	return list.shortened()
}

// shortened writes expressions that are nothing but ref.func as numbers, which
// every engine reads.
func (l items) shortened() items {
	if !l.expressions || l.kind != funcref {
		return l
	}
	var numbers []byte
	for rest := l.code; len(rest) > 0; {
		if rest[0] != opRefFunc {
			return l
		}
		n := 1
		for n < len(rest) && rest[n]&0x80 != 0 {
			n++
		}
		if n+1 >= len(rest) || rest[n+1] != opEnd {
			return l
		}
		numbers = append(numbers, rest[1:n+1]...)
		rest = rest[n+2:]
	}
	l.expressions, l.code = false, numbers
	return l
}

// elemSegment encodes a segment (WebAssembly Core 2.0, §5.5.12).
func (a *assembler) elemSegment(s segment, l items) {
	short := s.active && s.table == 0 && l.kind == funcref
	flags := byte(0)
	if !s.active {
		flags |= 1
	}
	if s.declarative || s.active && !short {
		flags |= 2
	}
	if l.expressions {
		flags |= 4
	}
	sec := &a.sections.elems
	sec.count++
	b := append(sec.body, flags)
	if s.active && !short {
		b = appendUint(b, uint64(s.table))
	}
	b = append(b, s.offset...)
	switch {
	case short:
	case l.expressions:
		b = append(b, byte(l.kind))
	default:
		b = append(b, 0) // functions
	}
	b = appendUint(b, uint64(l.count))
	sec.body = append(b, l.code...)
}

func (a *assembler) defineData(c cursor) {
	c.name()
	s := a.location(&c, "memory")
	if bytes := c.strings(); !c.bad {
		a.dataSegment(s, bytes)
	}
}

// strings consumes strings to the end of the list and joins them.
func (c *cursor) strings() (b []byte) {
	for !c.done() {
		b = append(b, c.string("a string")...)
	}
	return b
}

// dataSegment encodes a segment (WebAssembly Core 2.0, §5.5.14).
func (a *assembler) dataSegment(s segment, bytes []byte) {
	sec := &a.sections.datas
	sec.count++
	switch {
	case !s.active:
		sec.body = append(sec.body, 1)
	case s.table == 0:
		sec.body = append(sec.body, 0)
	default:
		sec.body = appendUint(append(sec.body, 2), uint64(s.table))
	}
	sec.body = append(sec.body, s.offset...)
	sec.body = appendUint(sec.body, uint64(len(bytes)))
	sec.body = append(sec.body, bytes...)
}
