package pack

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and lists are nested. limit: a manifest needs five.
const maxDepth = 12

// maxInteger is the largest integer that every JSON reader keeps exactly (RFC 7493 §2.2).
const maxInteger = 1<<53 - 1

// A syntaxError tells where a text is no JSON of our kind.
type syntaxError struct {
	offset int
	rule   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.rule) }

// parseJSON reads one JSON value: map[string]any, []any, string, int64 or bool. It refuses what JSON allows and two readers
// understand in two ways: duplicate names, null, fractions and exponents, integers beyond 2^53, lone surrogates, invalid UTF-8.
func parseJSON(text []byte) (any, error) {
	r := jsonReader{text: text}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.at < len(r.text) {
		return nil, r.error("want the end, got more text")
	}
	return v, nil
}

// jsonReader reads text from position at on.
type jsonReader struct {
	text []byte
	at   int
}

func (r *jsonReader) error(rule string) error { return &syntaxError{r.at, rule} }

// peek returns the byte at the position, or 0 at the end; no JSON token begins with 0.
func (r *jsonReader) peek() byte {
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *jsonReader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\t' || r.text[r.at] == '\n' || r.text[r.at] == '\r') {
		r.at++
	}
}

// token consumes c after white space, if it is there.
func (r *jsonReader) token(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *jsonReader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, r.error(fmt.Sprintf("nested deeper than %d", maxDepth))
	}
	r.space()
	switch c := r.peek(); {
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.list(depth)
	case c == '"':
		return r.string()
	case c == '-' || '0' <= c && c <= '9':
		return r.integer()
	case r.word("true"):
		return true, nil
	case r.word("false"):
		return false, nil
	case r.word("null"):
		return nil, r.error("null says nothing, leave the field out")
	}
	return nil, r.error("want a JSON value")
}

func (r *jsonReader) word(w string) bool {
	if len(r.text)-r.at < len(w) || string(r.text[r.at:r.at+len(w)]) != w {
		return false
	}
	r.at += len(w)
	return true
}

func (r *jsonReader) object(depth int) (any, error) {
	r.at++
	m := map[string]any{}
	if r.token('}') {
		return m, nil
	}
	for {
		r.space()
		start := r.at
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if name == "" {
			r.at = start
			return nil, r.error("a field without a name")
		}
		if _, twice := m[name]; twice {
			r.at = start
			return nil, r.error(fmt.Sprintf("field %q is there twice", name))
		}
		if !r.token(':') {
			return nil, r.error(`want ":"`)
		}
		if m[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
		if r.token('}') {
			return m, nil
		}
		if !r.token(',') {
			return nil, r.error(`want "," or "}"`)
		}
	}
}

func (r *jsonReader) list(depth int) (any, error) {
	r.at++
	l := []any{}
	if r.token(']') {
		return l, nil
	}
	for {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
		if r.token(']') {
			return l, nil
		}
		if !r.token(',') {
			return nil, r.error(`want "," or "]"`)
		}
	}
}

func (r *jsonReader) integer() (any, error) {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	digits := r.at
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.at++
	}
	switch text := r.text[digits:r.at]; {
	case len(text) == 0:
		return nil, r.error("want a digit")
	case r.peek() == '.' || r.peek() == 'e' || r.peek() == 'E':
		return nil, r.error("want an integer, no fraction and no exponent")
	case text[0] == '0' && r.at-start > 1:
		return nil, r.error("want an integer without a leading zero")
	}
	n, err := strconv.ParseInt(string(r.text[start:r.at]), 10, 64)
	if err != nil || n > maxInteger || n < -maxInteger {
		r.at = start
		return nil, r.error("want an integer of at most 2^53-1")
	}
	return n, nil
}

// escapes are the short escapes of RFC 8259 §7; RFC 8785 §3.2.2.2 writes the same ones, but for the slash.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *jsonReader) string() (string, error) {
	if r.peek() != '"' {
		return "", r.error("want a string")
	}
	r.at++
	var out []byte
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return string(out), nil
		case c < ' ':
			return "", r.error("a control character in a string must be escaped")
		case c == '\\':
			char, err := r.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, char)
		default:
			char, size := utf8.DecodeRune(r.text[r.at:])
			if char == utf8.RuneError && size == 1 {
				return "", r.error("not UTF-8")
			}
			out = append(out, r.text[r.at:r.at+size]...)
			r.at += size
		}
	}
	return "", r.error("a string without its end")
}

func (r *jsonReader) escape() (rune, error) {
	r.at++ // the backslash
	c := r.peek()
	if char, ok := escapes[c]; ok {
		r.at++
		return rune(char), nil
	}
	if c != 'u' {
		return 0, r.error("no such escape")
	}
	first, err := r.hex()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	if !r.word(`\`) || r.peek() != 'u' {
		return 0, r.error("half of a surrogate pair")
	}
	second, err := r.hex()
	if err != nil {
		return 0, err
	}
	char := utf16.DecodeRune(first, second)
	if char == utf8.RuneError {
		return 0, r.error("half of a surrogate pair")
	}
	return char, nil
}

// hex reads "u" and four hexadecimal digits.
func (r *jsonReader) hex() (rune, error) {
	if len(r.text)-r.at < 5 {
		return 0, r.error("want four hexadecimal digits")
	}
	n := rune(0)
	for _, c := range r.text[r.at+1 : r.at+5] {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, r.error("want four hexadecimal digits")
		}
	}
	r.at += 5
	return n, nil
}

// appendJSON appends the canonical form of v, the only one that a package may hold (RFC 8785): names sorted, no white
// space, the shortest escapes. All names of our formats are ASCII, so that sorting bytes is sorting UTF-16.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, name), ':')
			b = appendJSON(b, v[name])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case string:
		return appendString(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case bool:
		return strconv.AppendBool(b, v)
	}
	panic(fmt.Sprintf("BUG: %T has no canonical JSON", v))
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}
