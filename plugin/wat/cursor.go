package wat

import (
	"fmt"
	"strings"
)

// cursor reads the tokens of one list, from at up to its closing parenthesis at
// end. After its first mistake it is at its end, so that what is called next
// finds nothing and stays silent.
type cursor struct {
	a       *assembler
	at, end int
	bad     bool
	failed  int // token of the mistake, if bad
}

func (a *assembler) text(i int) string { return string(a.src[a.toks[i].at:a.toks[i].end]) }

// done reports whether the list is at its end.
func (c *cursor) done() bool { return c.at >= c.end }

// is reports whether the next token is of this kind.
func (c *cursor) is(k kind) bool { return !c.done() && c.a.toks[c.at].kind == k }

// isWord reports whether the next token is this keyword.
func (c *cursor) isWord(word string) bool { return c.is(keyword) && c.a.text(c.at) == word }

// head returns the keyword that the next token opens a list with, or "".
func (c *cursor) head() string {
	if c.is(open) && c.at+1 < c.end && c.a.toks[c.at+1].kind == keyword {
		return c.a.text(c.at + 1)
	}
	return ""
}

// take consumes a token and returns its text.
func (c *cursor) take() string {
	c.at++
	return c.a.text(c.at - 1)
}

// word consumes this keyword if it is next.
func (c *cursor) word(word string) bool {
	if c.isWord(word) {
		c.at++
		return true
	}
	return false
}

// inside consumes the list that is next and returns a cursor behind its head.
func (c *cursor) inside() cursor {
	start := c.at
	c.at = c.a.toks[start].match + 1
	return cursor{a: c.a, at: start + 2, end: c.at - 1}
}

// list is inside if the next list has this head.
func (c *cursor) list(head string) (cursor, bool) {
	if c.head() != head {
		return cursor{}, false
	}
	return c.inside(), true
}

// name consumes an identifier if one is next.
func (c *cursor) name() string {
	if c.is(ident) {
		return c.take()
	}
	return ""
}

// skip passes over a token, or a whole list.
func (c *cursor) skip() {
	if c.is(open) {
		c.at = c.a.toks[c.at].match
	}
	c.at++
}

// fail notes a mistake at the next token, and ends the list. What it returns is
// to be completed; it is of no consequence if the list had failed before.
func (c *cursor) fail(kind Kind, problem string) *Error {
	return c.failAt(c.at, kind, problem)
}

func (c *cursor) failAt(token int, kind Kind, problem string) *Error {
	if c.bad {
		c.at = c.end
		return &Error{}
	}
	c.bad, c.failed, c.at = true, token, c.end
	return c.a.failAt(token, kind, problem)
}

func (a *assembler) failAt(token int, kind Kind, problem string) *Error {
	if token >= len(a.toks) {
		return a.errs.add(len(a.src), kind, problem)
	}
	return a.errs.add(a.toks[token].at, kind, problem)
}

// unexpected fails because of the next token.
func (c *cursor) unexpected(want string) *Error {
	at := c.at
	e := c.fail(Syntax, "unexpected")
	e.Found, e.Want = c.a.shown(at), want
	if e.Found == "" {
		e.Problem = "unexpected end of file"
	}
	return e
}

// shown returns a token as errors show it.
func (a *assembler) shown(token int) string {
	if token >= len(a.toks) {
		return ""
	}
	if a.toks[token].kind == open && token+1 < len(a.toks) && a.toks[token+1].kind == keyword {
		return quote("(" + a.text(token+1))
	}
	return quote(a.text(token))
}

// finish fails if something is left in the list; what it returns may be completed.
func (c *cursor) finish(want string) *Error {
	if c.done() {
		return &Error{}
	}
	return c.unexpected(want)
}

// string consumes a string and returns its bytes.
func (c *cursor) string(what string) []byte {
	if !c.is(text) {
		c.unexpected(what)
		return nil
	}
	token := c.at
	b, wrong := unquote(c.take())
	if wrong >= 0 {
		e := c.a.errs.add(c.a.toks[token].at+wrong, Literal, "unknown escape in a string")
		e.Hint = `known are \t \n \r \" \' \\ \hh and \u{h…}`
		c.bad, c.failed, c.at = true, token, c.end
	}
	return b
}

// utf8 consumes a string that must be UTF-8, as names in the binary are.
func (c *cursor) utf8(what string) string {
	token := c.at
	b := c.string(what)
	if invalidUTF8(b) >= 0 {
		c.failAt(token, Literal, "this name is not UTF-8")
	}
	return string(b)
}

// uint consumes a number without sign of at most bits bits.
func (c *cursor) uint(what string, bits int) uint64 {
	if !c.is(number) {
		c.unexpected(what)
		return 0
	}
	token := c.at
	return c.literal(token, what, func(s string) (uint64, error) { return parseUint(s, bits) })
}

// isInstruction reports whether the name of one is next.
func (c *cursor) isInstruction() bool { return c.is(keyword) && byName[c.a.text(c.at)] != nil }

// literal consumes a token and lets parse read it.
func (c *cursor) literal(token int, what string, parse func(string) (uint64, error)) uint64 {
	if c.done() || c.is(open) || c.is(text) || c.is(ident) || c.isInstruction() {
		c.unexpected(what)
		return 0
	}
	s := c.take()
	n, err := parse(s)
	if err == nil {
		return n
	}
	e := c.failAt(token, Literal, err.Error())
	e.Found, e.Want = quote(s), what
	return 0
}

// anyOf lists words for people: "a, b or c".
func anyOf(words ...string) string {
	if len(words) == 1 {
		return words[0]
	}
	return fmt.Sprintf("%s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
}
