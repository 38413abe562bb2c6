package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// answer is what a question brought.
type answer struct{ name, text string }

func (a answer) String() string { return a.name + ": " + a.text }

// leftOut begins the answer of a question that this machine cannot be asked,
// with the reason after it. It agrees with every other answer.
const leftOut = "left out: "

// maxAnswers is how many answers a file may have (limit: a golden file has fewer than 200).
const maxAnswers = 10_000

// readAnswers reads lines "name: text". Empty lines and those that begin with #
// are passed over; a name may come once. It serves golden files and the list of
// what may differ.
func readAnswers(from string, r io.Reader) ([]answer, error) {
	var list []answer
	seen := map[string]bool{}
	scan := bufio.NewScanner(r)
	for line := 1; scan.Scan(); line++ {
		text := strings.TrimSpace(scan.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(text, ": ")
		switch {
		case !ok || strings.ContainsAny(name, " \t"):
			return nil, fmt.Errorf("%s:%d: %q is no answer, want \"name: text\"", from, line, text)
		case seen[name]:
			return nil, fmt.Errorf("%s:%d: %s is answered a second time", from, line, name)
		case len(list) == maxAnswers:
			return nil, fmt.Errorf("%s:%d: more than %d answers", from, line, maxAnswers)
		}
		seen[name] = true
		list = append(list, answer{name, rest})
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return list, nil
}

// difference is an answer that is not the one of the golden file.
type difference struct {
	name, got, want string
	reason          string // why it may differ; "" if it may not
}

// missing stands for an answer that the golden file does not have.
const missing = "(no such question in the golden file)"

// compare returns the answers of got that are not those of want, in their
// order. Questions that got does not have were not asked, and are not missed.
func compare(got, want, permitted []answer) []difference {
	wanted, reasons := index(want), index(permitted)
	var list []difference
	for _, a := range got {
		w, ok := wanted[a.name]
		switch {
		case !ok:
			w = missing
		case w == a.text, strings.HasPrefix(a.text, leftOut), strings.HasPrefix(w, leftOut):
			continue
		}
		list = append(list, difference{name: a.name, got: a.text, want: w, reason: reasons[a.name]})
	}
	return list
}

func index(list []answer) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.name] = a.text
	}
	return m
}

// report writes the differences for people and returns how many of them may not be.
func report(w io.Writer, list []difference) (bad int) {
	for _, d := range list {
		if d.reason != "" {
			fmt.Fprintf(w, "%s: differs, and may: %s\n", d.name, d.reason)
		} else {
			fmt.Fprintf(w, "%s: differs\n", d.name)
			bad++
		}
		got, want := marks(d.got, d.want)
		fmt.Fprintf(w, "   want  %s\n   got   %s\n", want, got)
	}
	return bad
}

// marks puts the steps of two answers that differ between brackets, so that the
// eye finds them in long lines.
func marks(got, want string) (string, string) {
	g, w := strings.Split(got, ", "), strings.Split(want, ", ")
	for i := range max(len(g), len(w)) {
		if i < len(g) && i < len(w) && g[i] == w[i] {
			continue
		}
		if i < len(g) {
			g[i] = "[" + g[i] + "]"
		}
		if i < len(w) {
			w[i] = "[" + w[i] + "]"
		}
	}
	return strings.Join(g, ", "), strings.Join(w, ", ")
}
