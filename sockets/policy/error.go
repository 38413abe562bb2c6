package policy

import (
	"fmt"
	"strings"
)

// An Error is one thing that is wrong with a policy.
type Error struct {
	In           string // the file, or the flag as in "--to"
	Line, Column int    // of a file, from 1, columns in characters; 0 of a flag, and of a file as a whole
	Got, Want    string
	Hint         string // what to do; may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.In)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d: column %d", e.Line, e.Column)
	}
	fmt.Fprintf(&b, ": got %s, want %s", e.Got, e.Want)
	if e.Hint != "" {
		b.WriteString("; hint: " + e.Hint)
	}
	return b.String()
}

// Errors is all that is wrong with a policy, in the order of its text. errors.As finds the first [*Error].
type Errors []*Error

// Error returns a line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// fault is an error that does not know yet where it is.
type fault struct {
	word       string // what was written, to be quoted; nothing: the line ended
	got        string // in place of the word: what is, in our words
	want, hint string
}

func (f *fault) at(in string, line, column int) *Error {
	got := f.got
	switch {
	case got != "":
	case f.word == "":
		got = "nothing"
	default:
		got = quote(f.word)
	}
	return &Error{In: in, Line: line, Column: column, Got: got, Want: f.want, Hint: f.hint}
}

// quote makes what somebody wrote fit to be printed: short, and without control characters.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// maxQuoted is how many bytes of a wrong word an error repeats.
const maxQuoted = 64

// closest returns a hint that names the one of words that s was probably meant to be, or nothing.
func closest(s string, words ...string) string {
	best, least := "", 3
	for _, w := range words {
		if d := distance(s, w); d > 0 && d < least && d < len(w) {
			best, least = w, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// distance counts the insertions, deletions and replacements between two words. Long ones are just far.
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
