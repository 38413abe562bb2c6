package wat

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// kind is that of a token (WebAssembly Core 2.0, §6.3).
type kind uint8

const (
	open    kind = iota // (
	shut                // )
	keyword             // starts with a small letter
	ident               // $name
	text                // "string"
	number              // and whatever else is made of the same characters
)

// token is a piece of the source.
type token struct {
	kind  kind
	at    int // byte in the source
	end   int // byte after it
	match int // of an open parenthesis, the token that shuts it
}

// lex splits the source into tokens, and finds the partner of each parenthesis.
func (a *assembler) lex() {
	if len(a.src) > maxSource {
		a.errs.add(0, Limit, fmt.Sprintf("the source has %d bytes", len(a.src))).Want = fmt.Sprintf("at most %d", maxSource)
		return
	}
	if at := invalidUTF8(a.src); at >= 0 {
		a.errs.add(at, Syntax, fmt.Sprintf("byte 0x%02X is not UTF-8", a.src[at])).Hint = `write bytes as "\hh" in strings`
		return
	}
	var opens []int // bounded by maxNesting
	for at := a.space(0); at < len(a.src) && a.errs.none(); at = a.space(at) {
		t := a.next(at)
		switch t.kind {
		case open:
			if opens = append(opens, len(a.toks)); len(opens) > maxNesting {
				a.errs.add(at, Limit, "parentheses are nested too deep").Want = fmt.Sprintf("at most %d", maxNesting)
			}
		case shut:
			if len(opens) == 0 {
				a.errs.add(at, Syntax, `unexpected ")"`).Hint = "no parenthesis is open here"
				return
			}
			a.toks[opens[len(opens)-1]].match = len(a.toks)
			opens = opens[:len(opens)-1]
		}
		a.toks = append(a.toks, t)
		at = t.end
	}
	if len(opens) > 0 && a.errs.none() {
		last := opens[len(opens)-1]
		e := a.errs.add(a.toks[last].at, Syntax, `this "(" is never closed`)
		e.Want = `a ")"`
	}
}

func invalidUTF8(src []byte) int {
	for at := 0; at < len(src); {
		c, n := utf8.DecodeRune(src[at:])
		if c == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

// space skips white space and comments.
func (a *assembler) space(at int) int {
	for at < len(a.src) {
		rest := a.src[at:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			at++
		case bytes.HasPrefix(rest, []byte(";;")):
			n := bytes.IndexAny(rest, "\r\n")
			if n < 0 {
				return len(a.src)
			}
			at += n
		case bytes.HasPrefix(rest, []byte("(;")):
			at = a.comment(at)
		default:
			return at
		}
	}
	return at
}

// comment skips a block comment, which may hold others.
func (a *assembler) comment(start int) int {
	depth := 0
	for at := start; at < len(a.src); {
		switch {
		case bytes.HasPrefix(a.src[at:], []byte("(;")):
			depth++
			at += 2
		case bytes.HasPrefix(a.src[at:], []byte(";)")):
			depth--
			at += 2
		default:
			at++
		}
		if depth == 0 {
			return at
		}
	}
	a.errs.add(start, Syntax, "this comment is never closed").Want = `a ";)"`
	return len(a.src)
}

// next returns the token at a byte that is neither space nor comment.
func (a *assembler) next(at int) token {
	t := token{at: at, end: at + 1}
	switch c := a.src[at]; {
	case c == '(':
		t.kind = open
		return t
	case c == ')':
		t.kind = shut
		return t
	case c == '"':
		t.kind, t.end = text, a.stringEnd(at)
	case idchar(c):
		for t.end < len(a.src) && idchar(a.src[t.end]) {
			t.end++
		}
		t.kind = atomKind(c)
	default:
		r, n := utf8.DecodeRune(a.src[at:])
		e := a.errs.add(at, Syntax, "unexpected character")
		e.Found, e.Hint = quote(string(r)), a.charHint(r)
		t.end = at + n
		return t
	}
	if t.end < len(a.src) && (idchar(a.src[t.end]) || a.src[t.end] == '"') && a.errs.none() {
		a.errs.add(t.end, Syntax, "two tokens run into each other").Want = "a space between them"
	}
	return t
}

func atomKind(first byte) kind {
	switch {
	case 'a' <= first && first <= 'z':
		return keyword
	case first == '$':
		return ident
	}
	return number
}

func (a *assembler) charHint(c rune) string {
	switch {
	case c == ';':
		return `a comment starts with ";;"`
	case c == '[' || c == ']' || c == '{' || c == '}' || c == ',':
		return "the text format has only parentheses and spaces"
	}
	return ""
}

// stringEnd returns the byte after the string that starts at at.
func (a *assembler) stringEnd(at int) int {
	for i := at + 1; i < len(a.src); i++ {
		switch c := a.src[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
		case c < ' ' || c == 0x7F:
			e := a.errs.add(i, Literal, fmt.Sprintf("byte 0x%02X in a string", c))
			e.Hint = fmt.Sprintf(`write it as "\%02x", or close the string before`, c)
			return len(a.src)
		}
	}
	a.errs.add(at, Syntax, "this string is never closed").Want = `a "\""`
	return len(a.src)
}

// idchar reports whether c may stand in names, keywords and numbers.
func idchar(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '/', ':', '<', '=', '>', '?', '@', '\\', '^', '_', '`', '|', '~':
		return true
	}
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
