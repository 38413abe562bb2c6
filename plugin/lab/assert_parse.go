package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseAssertion reads an assertion. The error is an *AssertionError.
func ParseAssertion(text string) (*Assertion, error) {
	p := &parser{text: text}
	a := &Assertion{text: strings.TrimSpace(text)}
	a.left = p.sum()
	op, at := p.relation()
	if p.err == nil {
		p.left, a.op = a.left, op
		a.right = p.sum()
	}
	if p.space(); p.err == nil && p.at < len(text) {
		p.fail(p.at, "unexpected %q, want the end", rest(text[p.at:]))
	}
	if p.err == nil {
		p.sameUnit(at, "compares", a.left, a.right)
	}
	if p.err != nil {
		return nil, p.err
	}
	return a, nil
}

// maxNesting bounds the parentheses of an assertion.
const maxNesting = 50

// parser reads an assertion from left to right. After the first error it reads nothing more.
type parser struct {
	text  string
	at    int
	depth int
	left  node // the left side, once it is known
	err   *AssertionError
}

// fail notes the first error; the node it returns stands where one was wanted.
func (p *parser) fail(at int, format string, args ...any) node {
	if p.err == nil {
		p.err = &AssertionError{p.text, at, fmt.Sprintf(format, args...)}
	}
	return literal{}
}

func (p *parser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

// take skips one of the signs, if it comes next.
func (p *parser) take(signs string) byte {
	p.space()
	if p.err == nil && p.at < len(p.text) && strings.IndexByte(signs, p.text[p.at]) >= 0 {
		p.at++
		return p.text[p.at-1]
	}
	return 0
}

func (p *parser) relation() (relation, int) {
	p.space()
	at := p.at
	for _, r := range relations {
		if strings.HasPrefix(p.text[at:], r.sign) {
			p.at += len(r.sign)
			return r, at
		}
	}
	p.fail(at, "%s where a comparison was expected: <, <=, >, >=, == or !=", p.here())
	return relation{}, at
}

// here says what comes next, for an error.
func (p *parser) here() string {
	if p.at >= len(p.text) {
		return "the end"
	}
	return strconv.Quote(rest(p.text[p.at:]))
}

// rest returns the next word of s.
func rest(s string) string {
	if i := strings.IndexByte(s, ' '); i > 0 {
		return s[:i]
	}
	return s
}

// sum = product { ("+" | "-") product }
func (p *parser) sum() node {
	a := p.product()
	for {
		sign := p.take("+-")
		if sign == 0 {
			return a
		}
		at := p.at - 1
		b := p.product()
		p.sameUnit(at, map[byte]string{'+': "adds", '-': "subtracts"}[sign], a, b)
		a = operation{sign, a, b, a.unit()}
	}
}

// product = factor { ("*" | "/") factor }
func (p *parser) product() node {
	a := p.factor()
	for {
		sign := p.take("*/")
		if sign == 0 {
			return a
		}
		at := p.at - 1
		b := p.factor()
		a = operation{sign, a, b, p.productUnit(at, sign, a, b)}
	}
}

func (p *parser) productUnit(at int, sign byte, a, b node) Unit {
	switch {
	case b.unit() == Number:
		return a.unit()
	case sign == '*' && a.unit() == Number:
		return b.unit()
	case sign == '/' && a.unit() == b.unit():
		return Number
	case sign == '*':
		p.fail(at, "%s times %s is nothing that can be compared", a.unit(), b.unit())
	default:
		p.fail(at, "%s divided by %s is nothing that can be compared", a.unit(), b.unit())
	}
	return Number
}

// sameUnit complains if a and b are of different kinds. 0 is of every kind.
func (p *parser) sameUnit(at int, verb string, a, b node) {
	if p.err != nil || a.unit() == b.unit() || isZero(a) || isZero(b) {
		return
	}
	hint := ""
	for _, x := range [][2]node{{a, b}, {b, a}} {
		if l, ok := x[0].(literal); ok && l.kind == Number {
			hint = fmt.Sprintf(": does %s lack its unit, as in %s?", digits(l.x), x[1].unit().example())
		}
	}
	p.fail(at, "it %s %s and %s%s", verb, a.unit(), b.unit(), hint)
}

func isZero(n node) bool {
	l, ok := n.(literal)
	return ok && l.x == 0 && l.kind == Number
}

// factor = quantity | name | "(" sum ")"
func (p *parser) factor() node {
	if p.space(); p.err != nil {
		return literal{}
	}
	at := p.at
	switch {
	case at == len(p.text):
		return p.fail(at, "the end where a quantity or the name of a measure was expected")
	case p.text[at] == '(':
		return p.group()
	case isDigit(p.text[at]):
		return p.quantity()
	case isLetter(p.text[at]):
		return p.name()
	}
	return p.fail(at, "%s where a quantity or the name of a measure was expected", p.here())
}

func (p *parser) group() node {
	at := p.at
	if p.depth++; p.depth > maxNesting {
		return p.fail(at, "more than %d parentheses in each other", maxNesting)
	}
	p.at++
	n := p.sum()
	if p.take(")") == 0 {
		return p.fail(at, "the parenthesis is not closed")
	}
	p.depth--
	return n
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' || c == '.' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// quantity reads a number and the unit that follows it without a space.
func (p *parser) quantity() node {
	at := p.at
	n := numeral(p.text[at:])
	p.at += n
	x, err := strconv.ParseFloat(p.text[at:p.at], 64)
	if err != nil {
		return p.fail(at, "%q is no number", p.text[at:p.at])
	}
	end := p.at
	for end < len(p.text) && strings.IndexByte(" \t+*()<>=!-", p.text[end]) < 0 {
		end++
	}
	word := p.text[p.at:end]
	s, ok := findScale(word)
	if word == "" {
		return literal{x, Number}
	}
	if name, _, cut := strings.Cut(word, "/"); !ok && cut { // "10KiB/2": a division, not "bit/s"
		if s, ok = findScale(name); ok || name == "" {
			word = name
		}
	}
	p.at += len(word)
	switch {
	case word == "":
		return literal{x, Number}
	case !ok:
		return p.fail(at, "unknown unit %q in %q; there are: %s", word, p.text[at:end], scaleNames())
	}
	return literal{x * s.factor, s.unit}
}

func scaleNames() string {
	var list []string
	for _, s := range scales {
		list = append(list, s.name)
	}
	return strings.Join(list, ", ")
}

// name reads a measure. A "-" inside is part of it if there is no space around.
func (p *parser) name() node {
	at := p.at
	for p.at < len(p.text) && (isLetter(p.text[p.at]) || isDigit(p.text[p.at]) || p.text[p.at] == '_' || p.text[p.at] == '-') {
		p.at++
	}
	word := p.text[at:p.at]
	if word == "plain" {
		if p.left == nil {
			return p.fail(at, "plain alone is the left side of the comparison in the run without extensions: write plain.NAME here")
		}
		return same{p.left}
	}
	name, ofPlain := strings.CutPrefix(word, "plain.")
	m, ok := FindMeasure(name)
	if !ok {
		return p.fail(at, "unknown measure %q; there are: %s", name, measureNames())
	}
	return measured{m, ofPlain}
}

func measureNames() string {
	var list []string
	for i := range measures {
		list = append(list, measures[i].Name)
	}
	return strings.Join(append(list, "p1 … p99", metricPrefix+"NAME"), ", ")
}
