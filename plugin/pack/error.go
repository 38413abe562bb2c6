package pack

import (
	"errors"
	"fmt"
	"strings"
)

// An Error is a refusal: which file, which field of it, and the rule that it breaks, in one sentence.
type Error struct {
	File  string // as the caller named it; empty when it has no name
	Field string // as in "hooks[3].op" or "pq.sig"; empty when the whole file is meant
	Rule  string // what is, what was wanted, and the way out where there is one
	Err   error  // of [Judge]: which of its errors this is; else nil
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.File, e.Field} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Rule)
	return b.String()
}

// refuse makes an [Error] with a rule as fmt.Sprintf makes it.
func refuse(file, field, rule string, args ...any) *Error {
	return &Error{File: file, Field: field, Rule: fmt.Sprintf(rule, args...)}
}

// badJSON tells where a text is no JSON, by line and column as editors count.
func badJSON(file, field string, text []byte, err error) *Error {
	var at *syntaxError
	if !errors.As(err, &at) {
		return refuse(file, field, "%v", err)
	}
	before := string(text[:at.offset])
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndex(before, "\n")
	return refuse(file, field, "line %d, column %d: %s", line, column, at.rule)
}

// didYouMean returns a hint that names the candidate closest to word, or nothing when none is close.
func didYouMean(word string, candidates []string) string {
	best, least := "", min(3, (len(word)+1)/2)
	for _, c := range candidates {
		if d := distance(word, c, least); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance counts the insertions, deletions and substitutions between a and b; it may stop at enough.
func distance(a, b string, enough int) int {
	if len(a)-len(b) >= enough || len(b)-len(a) >= enough {
		return enough
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
