package wat

import (
	"fmt"
	"slices"
)

// fields are the heads of what a module is made of.
var fields = []string{"type", "import", "func", "table", "memory", "global", "export", "start", "elem", "data"}

// module reads the fields twice: first for what has a number or name, because
// fields may refer to later ones, then for what they say.
func (a *assembler) module() {
	a.nameSpaces()
	c := cursor{a: a, end: len(a.toks)}
	if c.head() == "module" {
		in := c.inside()
		if c.finish("the end of the file, because one file holds one module"); c.bad {
			return
		}
		a.name = in.name()
		c = in
	}
	list := a.fields(c)
	for _, f := range list {
		a.declare(f)
	}
	a.errs.muted = true
	for _, f := range list {
		a.preview(f)
	}
	a.errs.muted = false
	for _, f := range list {
		a.define(f)
	}
}

func (a *assembler) nameSpaces() {
	a.types.what, a.functions.what, a.tables.what, a.memories.what = "type", "function", "table", "memory"
	a.globals.what, a.elems.what, a.datas.what = "global", "elem segment", "data segment"
	a.exported = map[string]bool{}
}

// field is one of a module.
type field struct {
	head  string
	token int // its open parenthesis
	body  cursor
}

// fields lists them, and reports those that are none.
func (a *assembler) fields(c cursor) (list []field) {
	for !c.done() {
		if len(list) == maxFields {
			c.fail(Limit, "too many fields in one module").Want = fmt.Sprintf("at most %d", maxFields)
			break
		}
		token, head := c.at, c.head()
		if head == "" {
			c.unexpected(`a field, such as "(func" or "(memory"`)
			break
		}
		if !slices.Contains(fields, head) {
			e := a.failAt(token+1, Unknown, "unknown field")
			e.Found, e.Want, e.Hint = quote(head), anyOf(fields...), a.fieldHint(head)
			c.skip()
			continue
		}
		list = append(list, field{head, token, c.inside()})
	}
	return list
}

func (a *assembler) fieldHint(head string) string {
	if _, ok := byName[head]; ok {
		return "instructions stand in functions"
	}
	return didYouMean(head, fields)
}

// declare gives a number to what a field defines.
func (a *assembler) declare(f field) {
	c := f.body
	switch f.head {
	case "type":
		a.declareType(f.body)
		return
	case "import":
		a.declareImport(f)
		return
	case "elem":
		a.elems.add(a, c.at, c.name())
		return
	case "data":
		a.datas.add(a, c.at, c.name())
		return
	}
	s := a.spaceOf(f.head)
	if s == nil {
		return // an export or start defines nothing
	}
	s.add(a, c.at, c.name())
	for c.head() == "export" {
		c.skip()
	}
	switch {
	case c.head() == "import":
		a.mustPrecede(c.at)
		return
	case f.head == "memory" && c.head() == "data":
		a.datas.add(a, c.at, "")
	case f.head == "table" && a.hasInlineElem(c):
		a.elems.add(a, c.at, "")
	}
	if a.defining == 0 {
		a.defining = f.token + 1
	}
}

// spaceOf returns the index space of what can be imported and exported.
func (a *assembler) spaceOf(head string) *space {
	switch head {
	case "func":
		return &a.functions
	case "table":
		return &a.tables
	case "memory":
		return &a.memories
	case "global":
		return &a.globals
	}
	return nil
}

func (a *assembler) hasInlineElem(c cursor) bool {
	c.at++
	return c.head() == "elem"
}

func (a *assembler) declareType(c cursor) {
	a.types.add(a, c.at, c.name())
	var u typeUse
	if in, ok := c.list("func"); ok {
		in.params(&u)
		in.results(&u.signature)
		in.finish("parameters, then results")
	} else {
		c.unexpected("a list (func …)")
	}
	c.finish(`")"`)
	a.types.define(u.signature)
}

func (a *assembler) declareImport(f field) {
	c := f.body
	for c.is(text) {
		c.at++
	}
	head := c.head()
	s := a.spaceOf(head)
	if s == nil {
		return // define says what is wrong
	}
	a.mustPrecede(f.token)
	in := c.inside()
	s.add(a, in.at, in.name())
}

// mustPrecede reports an import that stands behind a definition: it would
// change the numbers of what came before.
func (a *assembler) mustPrecede(token int) {
	if a.defining == 0 {
		return
	}
	e := a.failAt(token, Syntax, "an import behind definitions")
	line, _ := position(a.src, a.toks[a.defining-1].at)
	e.Hint = fmt.Sprintf("move it before the first func, table, memory or global, which is in line %d", line)
}
