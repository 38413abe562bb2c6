package wat

import (
	"fmt"
	"slices"
	"strings"
)

// space is an index space: things of one sort, numbered from 0, some with names.
type space struct {
	what  string // "function"
	names map[string]uint32
	list  []string // the name of each, "" = none; bounded by maxFields and maxLocals

	defined uint32 // how many of them the second reading has seen
}

// add gives the next number to a thing, whose name stands at token.
func (s *space) add(a *assembler, token int, name string) uint32 {
	index := uint32(len(s.list))
	if _, twice := s.names[name]; twice && name != "" {
		e := a.failAt(token, Duplicate, "there is already a "+s.what)
		e.Found = quote(name)
	}
	if name != "" {
		if s.names == nil {
			s.names = map[string]uint32{}
		}
		s.names[name] = index
	}
	s.list = append(s.list, name)
	return index
}

// isIndex reports whether a name or number is next.
func (c *cursor) isIndex() bool { return c.is(ident) || c.is(number) }

// index consumes the name or number of a thing in s.
func (c *cursor) index(s *space) uint32 {
	token := c.at
	switch {
	case c.is(ident):
		name := c.take()
		index, ok := s.names[name]
		if !ok {
			c.a.unknownName(c, token, s, name)
		}
		return index
	case c.is(number):
		n := c.uint("the name or number of a "+s.what, 32)
		if n >= uint64(len(s.list)) && !c.bad {
			e := c.failAt(token, Unknown, "unknown "+s.what)
			e.Found, e.Hint = fmt.Sprint(n), counted(len(s.list), s.what)
		}
		return uint32(n)
	}
	c.unexpected("the name or number of a " + s.what)
	return 0
}

func (a *assembler) unknownName(c *cursor, token int, s *space, name string) {
	e := c.failAt(token, Unknown, "unknown "+s.what)
	e.Found = quote(name)
	if a.errs.full() {
		return
	}
	e.Hint = didYouMean(name, slices.DeleteFunc(slices.Clone(s.list), func(n string) bool { return n == "" }))
}

// counted says how many things there are.
func counted(n int, what string) string {
	switch n {
	case 0:
		return "there is none"
	case 1:
		return "there is one, number 0"
	}
	return fmt.Sprintf("there are %d, numbered from 0", n)
}

// bare returns a name as the name section holds it.
func bare(name string) string { return strings.TrimPrefix(name, "$") }
