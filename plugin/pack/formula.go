package pack

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxFormula      = 1024 // limit: bytes of a formula
	maxFormulaDepth = 16   // limit: parentheses within parentheses
)

// A Formula says which validators must agree: "v1 & (v2 | v3)" or "2 of {v1, v2, v3}". "&" binds tighter than "|".
type Formula struct {
	root  node
	names []string // sorted, each once
}

// A FormulaError tells where a text is no formula.
type FormulaError struct {
	Text   string
	Column int // from 1, in bytes
	Rule   string
}

func (e *FormulaError) Error() string {
	return fmt.Sprintf("%q: column %d: %s", e.Text, e.Column, e.Rule)
}

// node is a validator (name), or a choice: at least need of its parts.
type node struct {
	name  string
	need  int
	parts []node
}

// ParseFormula reads a formula. A broken one is a [*FormulaError].
//
//	either = both { "|" both }
//	both   = one { "&" one }
//	one    = NAME | "(" either ")" | NUMBER "of" "{" NAME { "," NAME } "}"
func ParseFormula(text string) (*Formula, error) {
	if len(text) > maxFormula {
		return nil, &FormulaError{text[:32] + "…", maxFormula + 1, fmt.Sprintf("longer than %d bytes", maxFormula)}
	}
	p := formulaParser{text: text}
	p.next()
	root, err := p.either(0)
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		return nil, p.want(`"&", "|" or the end`)
	}
	slices.Sort(p.names)
	return &Formula{root, slices.Compact(p.names)}, nil
}

// Names returns the validators of f, sorted. The caller must not change the list.
func (f *Formula) Names() []string { return f.names }

// Holds reports whether f is satisfied when exactly those validators agree for which agrees returns true.
func (f *Formula) Holds(agrees func(name string) bool) bool { return f.root.holds(agrees) }

// String returns f with one space around each operator and no needless parentheses.
func (f *Formula) String() string { return f.root.text(0) }

func (n *node) holds(agrees func(string) bool) bool {
	if n.name != "" {
		return agrees(n.name)
	}
	have := 0
	for i := range n.parts {
		if n.parts[i].holds(agrees) {
			have++
		}
	}
	return have >= n.need
}

// text writes n where an operator that binds as tightly as outer stands around it: 0 none, 1 "|", 2 "&".
func (n *node) text(outer int) string {
	if n.name != "" {
		return n.name
	}
	binds, operator := 0, ""
	switch n.need {
	case 1:
		binds, operator = 1, " | "
	case len(n.parts):
		binds, operator = 2, " & "
	default:
		operator = ", "
	}
	parts := make([]string, len(n.parts))
	for i := range n.parts {
		parts[i] = n.parts[i].text(binds)
	}
	s := strings.Join(parts, operator)
	switch {
	case binds == 0:
		return fmt.Sprintf("%d of {%s}", n.need, s)
	case binds < outer:
		return "(" + s + ")"
	}
	return s
}

// formulaParser reads one token ahead; "" is the end.
type formulaParser struct {
	text  string
	token string
	start int // of token
	names []string
}

func (p *formulaParser) next() {
	at := p.start + len(p.token)
	for at < len(p.text) && (p.text[at] == ' ' || p.text[at] == '\t') {
		at++
	}
	end := at
	for end < len(p.text) && isNameByte(p.text[end]) {
		end++
	}
	if end == at && end < len(p.text) {
		end++ // an operator, or what will be refused
	}
	p.token, p.start = p.text[at:end], at
}

func (p *formulaParser) error(rule string) error { return &FormulaError{p.text, p.start + 1, rule} }

func (p *formulaParser) want(what string) error {
	if p.token == "" {
		return p.error("want " + what + ", got the end")
	}
	return p.error(fmt.Sprintf("want %s, got %q", what, p.token))
}

func (p *formulaParser) either(depth int) (node, error) {
	return p.chain("|", func(n int) int { return 1 }, func() (node, error) {
		return p.chain("&", func(n int) int { return n }, func() (node, error) { return p.one(depth) })
	})
}

// chain reads parts with an operator between them; need tells how many of n parts must hold.
func (p *formulaParser) chain(operator string, need func(n int) int, part func() (node, error)) (node, error) {
	first, err := part()
	if err != nil {
		return node{}, err
	}
	parts := []node{first}
	for p.token == operator {
		p.next()
		n, err := part()
		if err != nil {
			return node{}, err
		}
		parts = append(parts, n)
	}
	if len(parts) == 1 {
		return first, nil
	}
	return node{need: need(len(parts)), parts: parts}, nil
}

func (p *formulaParser) one(depth int) (node, error) {
	switch {
	case p.token == "(" && depth == maxFormulaDepth:
		return node{}, p.error(fmt.Sprintf("nested deeper than %d", maxFormulaDepth))
	case p.token == "(":
		p.next()
		n, err := p.either(depth + 1)
		if err != nil {
			return node{}, err
		}
		if p.token != ")" {
			return node{}, p.want(`"&", "|" or ")"`)
		}
		p.next()
		return n, nil
	case p.token != "" && '0' <= p.token[0] && p.token[0] <= '9':
		return p.choice()
	}
	name, err := p.name()
	return node{name: name}, err
}

// choice reads "2 of {v1, v2, v3}". Its parts are names, each once: were they formulas, one validator could count twice.
func (p *formulaParser) choice() (node, error) {
	n, at, word := node{}, p.start, p.token
	for _, step := range []string{"of", "{"} {
		p.next()
		if p.token != step {
			return n, p.want(fmt.Sprintf("%q", step))
		}
	}
	for {
		p.next()
		if slices.ContainsFunc(n.parts, func(other node) bool { return other.name == p.token }) {
			return n, p.error(fmt.Sprintf("%s is there twice", p.token))
		}
		name, err := p.name()
		if err != nil {
			return n, err
		}
		n.parts = append(n.parts, node{name: name})
		if p.token == "}" {
			break
		}
		if p.token != "," {
			return n, p.want(`"," or "}"`)
		}
	}
	p.next()
	for _, c := range word {
		if c < '0' || c > '9' || n.need > maxFormula {
			n.need = 0
			break
		}
		n.need = n.need*10 + int(c-'0')
	}
	if n.need < 1 || n.need > len(n.parts) {
		return n, &FormulaError{p.text, at + 1, fmt.Sprintf("want a number from 1 to %d, got %q", len(n.parts), word)}
	}
	if len(n.parts) == 1 {
		return n.parts[0], nil
	}
	return n, nil
}

// name reads a validator's name.
func (p *formulaParser) name() (string, error) {
	name := p.token
	if !isName(name) {
		return "", p.want("the name of a validator")
	}
	p.names = append(p.names, name)
	p.next()
	return name, nil
}

// ValidName reports whether s is a name as manifests have them: short, a letter first, then letters, digits, "_", "-" and ".".
func ValidName(s string) bool { return isName(s) }

// isName reports whether s may name a validator or a key.
func isName(s string) bool {
	if s == "" || s == "of" || len(s) > maxName || !('a' <= s[0]|0x20 && s[0]|0x20 <= 'z') {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}
