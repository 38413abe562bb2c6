package lab

import (
	"fmt"
	"math"
	"strings"
)

// Assertion is a statement about a Result, such as
//
//	p95 < 400ms
//	goodput >= 0.9 * plain
//	retransmitted <= plain.retransmitted + 10KiB
//
// It compares two sums of products of quantities and of names of Measures. plain.NAME is the measure of the run without the extensions, and
// plain alone is the whole left side in that run. Both sides must be of one kind: a time, a size, a rate or a number.
type Assertion struct {
	text        string
	left, right node
	op          relation
}

// relation compares two values.
type relation struct {
	sign, want string
	holds      func(a, b float64) bool
}

// relations has the longer of two signs with a common beginning first.
var relations = []relation{
	{"<=", "at most", func(a, b float64) bool { return a <= b || equal(a, b) }},
	{">=", "at least", func(a, b float64) bool { return a >= b || equal(a, b) }},
	{"==", "exactly", func(a, b float64) bool { return equal(a, b) }},
	{"!=", "anything but", func(a, b float64) bool { return !equal(a, b) }},
	{"<", "less than", func(a, b float64) bool { return a < b }},
	{">", "more than", func(a, b float64) bool { return a > b }},
}

// equal leaves room for what sums and products of fractions are rounded by.
func equal(a, b float64) bool {
	return math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b))
}

// AssertionError says what is wrong with the text of an assertion.
type AssertionError struct {
	Text    string
	At      int // byte of Text where the trouble is
	Problem string
}

func (e *AssertionError) Error() string {
	return fmt.Sprintf("assertion %q, column %d: %s", e.Text, e.At+1, e.Problem)
}

// Caret returns the text and, in a second line, a mark below the place of the trouble.
func (e *AssertionError) Caret() string {
	return e.Text + "\n" + strings.Repeat(" ", len([]rune(e.Text[:min(e.At, len(e.Text))]))) + "^"
}

// String returns the text of the assertion.
func (a *Assertion) String() string { return a.text }

// NeedsPlain reports whether Check wants a run without the extensions.
func (a *Assertion) NeedsPlain() bool { return a.left.usesPlain() || a.right.usesPlain() }

// Outcome says how an assertion fared.
type Outcome struct {
	Assertion string
	Pass      bool
	Got, Want float64 // values of both sides
	// Text explains: "p95 < 400ms: got 512ms, want less than 400ms".
	Text string
}

// Check evaluates the assertion. plain is the result of the same scenario without the extensions; it may be nil if NeedsPlain says so.
func (a *Assertion) Check(r, plain *Result) Outcome {
	env := &env{result: r, plain: plain, left: a.left}
	o := Outcome{Assertion: a.text, Got: a.left.value(env), Want: a.right.value(env)}
	unit := a.left.unit()
	switch {
	case math.IsNaN(o.Got) || math.IsNaN(o.Want):
		o.Text = fmt.Sprintf("%s: no value: %s", a.text, strings.Join(env.missing, ", "))
		return o
	case a.op.holds(o.Got, o.Want):
		o.Pass = true
		o.Text = fmt.Sprintf("%s: got %s", a.text, unit.Format(o.Got))
	default:
		o.Text = fmt.Sprintf("%s: got %s, want %s %s", a.text, unit.Format(o.Got), a.op.want, unit.Format(o.Want))
	}
	if len(env.seen) > 0 {
		o.Text += " (" + strings.Join(env.seen, ", ") + ")"
	}
	return o
}

// env is what an expression is evaluated in.
type env struct {
	result, plain *Result
	left          node
	inPlain       bool     // measures are those of plain
	seen          []string // what plain's values were, for the explanation
	missing       []string // measures without a value
}

// node is a part of an expression.
type node interface {
	unit() Unit
	value(*env) float64
	usesPlain() bool
}

// literal is a quantity.
type literal struct {
	x    float64
	kind Unit
}

func (l literal) unit() Unit         { return l.kind }
func (l literal) value(*env) float64 { return l.x }
func (l literal) usesPlain() bool    { return false }

// measured is a Measure of the run, or of the one without extensions.
type measured struct {
	Measure
	plain bool
}

func (m measured) unit() Unit      { return m.Unit }
func (m measured) usesPlain() bool { return m.plain }

func (m measured) value(e *env) float64 {
	r, name := e.result, m.Name
	if m.plain || e.inPlain {
		r, name = e.plain, "plain."+m.Name
	}
	if r == nil {
		e.missing = append(e.missing, name+" was not measured")
		return math.NaN()
	}
	x := m.Value(r)
	switch {
	case math.IsNaN(x):
		e.missing = append(e.missing, name+" has none")
	case m.plain:
		e.seen = append(e.seen, name+" "+m.Unit.Format(x))
	}
	return x
}

// same is the left side in the run without extensions.
type same struct{ left node }

func (s same) unit() Unit      { return s.left.unit() }
func (s same) usesPlain() bool { return true }

func (s same) value(e *env) float64 {
	e.inPlain = true
	x := e.left.value(e)
	e.inPlain = false
	if !math.IsNaN(x) {
		e.seen = append(e.seen, "plain "+s.unit().Format(x))
	}
	return x
}

// operation joins two nodes.
type operation struct {
	sign byte
	a, b node
	kind Unit
}

func (o operation) unit() Unit      { return o.kind }
func (o operation) usesPlain() bool { return o.a.usesPlain() || o.b.usesPlain() }

func (o operation) value(e *env) float64 {
	a, b := o.a.value(e), o.b.value(e)
	switch o.sign {
	case '+':
		return a + b
	case '-':
		return a - b
	case '*':
		return a * b
	}
	if b == 0 {
		e.missing = append(e.missing, "a division by 0")
		return math.NaN()
	}
	return a / b
}
