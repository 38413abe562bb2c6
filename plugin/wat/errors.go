package wat

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind sorts errors for programs.
type Kind uint8

const (
	Syntax    Kind = iota // something stands where it does not belong
	Unknown               // an instruction, name or index that there is not
	Literal               // a number or string that is malformed or out of range
	Duplicate             // what may be there once is there again
	Mismatch              // two places of the source contradict each other
	Type                  // an instruction finds values of another number or type
	Limit                 // larger than this package takes
)

// Error is one mistake in a source.
type Error struct {
	File    string
	Line    int // from 1
	Column  int // from 1, in characters
	Kind    Kind
	Problem string // what is wrong, without Found
	Found   string // what stands there, shortened; empty if the problem says it all
	Want    string // what may stand there; may be empty
	Hint    string // what to do; may be empty
}

// Error returns one line, in the form FILE:LINE:COLUMN: SENTENCE.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
	if e.Found != "" {
		b.WriteString(" " + e.Found)
	}
	if e.Want != "" {
		b.WriteString(", want " + e.Want)
	}
	if e.Hint != "" {
		b.WriteString(", " + e.Hint)
	}
	return b.String()
}

// Errors are the mistakes of one source, in its order.
type Errors struct {
	List []*Error // at least one, at most 20
	More int      // mistakes that are not in List
}

// Error returns a line for each mistake.
func (e *Errors) Error() string {
	lines := make([]string, 0, len(e.List)+1)
	for _, one := range e.List {
		lines = append(lines, one.Error())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e.List[0].File, e.More))
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first *Error.
func (e *Errors) Unwrap() []error {
	list := make([]error, len(e.List))
	for i, one := range e.List {
		list[i] = one
	}
	return list
}

// reporter collects errors.
type reporter struct {
	file string
	src  []byte
	list []found // bounded by maxErrors
	more int

	muted bool // what is read now will be read again
}

// found is an error and where in the source it is, for the order.
type found struct {
	at  int
	err *Error
}

func (r *reporter) none() bool { return len(r.list) == 0 }

// total counts all mistakes so far.
func (r *reporter) total() int { return len(r.list) + r.more }

// full reports whether another error would only be counted.
func (r *reporter) full() bool { return len(r.list) >= maxErrors }

// add notes a mistake at byte at of the source and returns it, to be completed.
func (r *reporter) add(at int, kind Kind, problem string) *Error {
	e := &Error{File: r.file, Kind: kind, Problem: problem}
	if r.muted {
		return e
	}
	if r.full() {
		r.more++
		return e
	}
	e.Line, e.Column = position(r.src, at)
	r.list = append(r.list, found{at, e})
	return e
}

func (r *reporter) err() error {
	if r.none() {
		return nil
	}
	slices.SortStableFunc(r.list, func(x, y found) int { return cmp.Compare(x.at, y.at) })
	e := &Errors{More: r.more}
	for _, f := range r.list {
		e.List = append(e.List, f.err)
	}
	return e
}

// position counts lines and, in the last one, characters.
func position(src []byte, at int) (line, column int) {
	before := src[:min(at, len(src))]
	line = 1 + bytes.Count(before, []byte("\n"))
	column = 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return line, column
}

// quote shows a piece of source, on one line and not too long.
func quote(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	if strings.HasPrefix(text, `"`) && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' }) {
		return text // a string of the source brings its own quotation marks
	}
	return fmt.Sprintf(`"%s"`, strings.Map(printable, text))
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7F || c == utf8.RuneError {
		return '?'
	}
	return c
}

// didYouMean returns a hint if one of the candidates is near to what was
// written. Names that no person types are not compared, as that would take long.
func didYouMean(written string, candidates []string) string {
	const longest, most = 64, 1000
	best, nearest := "", min(max(1, len(written)/4), 4)+1
	if len(written) > longest {
		return ""
	}
	for _, c := range candidates[:min(len(candidates), most)] {
		if d := distance(written, c, nearest); d < nearest || d == nearest && best != "" && c < best {
			best, nearest = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", quote(best))
}

// distance is how many characters are to insert, remove, replace or swap with
// their neighbour to make b of a; what is limit or more may be any such number.
func distance(a, b string, limit int) int {
	if abs(len(a)-len(b)) >= limit {
		return limit + 1
	}
	var older []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], older[j-2]+1)
			}
		}
		older, row = row, next
	}
	return row[len(b)]
}

func abs(n int) int { return max(n, -n) }

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
