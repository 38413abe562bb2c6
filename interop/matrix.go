package interop

import (
	"strings"
	"unicode/utf8"
)

// Matrix styles.
type MatrixStyle int

const (
	MatrixText     MatrixStyle = iota // box of ASCII lines
	MatrixColour                      // the same with terminal colours
	MatrixMarkdown                    // a GitHub table
)

// A verdictMark is how a group of results is shown: a symbol first, so that nobody depends on colour.
type verdictMark struct {
	status Status
	symbol string
	colour string // terminal escape
}

var verdictMarks = []verdictMark{
	{Succeeded, "✓", "\x1b[32m"},
	{Unsupported, "?", "\x1b[90m"},
	{Failed, "✕", "\x1b[31m"},
}

const colourReset = "\x1b[0m"

func markOf(s Status) verdictMark {
	for _, m := range verdictMarks {
		if m.status == s {
			return m
		}
	}
	return verdictMark{s, "·", "\x1b[90m"}
}

// Matrix returns the tables of results: clients down, servers across. In each cell of the first are the abbreviations of
// the tests that succeeded, are unsupported, and failed, in order of execution; in those of the second the measurements
// with their values. A table without a column is left out; a pair that --must-include leaves out is an empty cell.
func (r *Report) Matrix(style MatrixStyle) string {
	var s string
	if len(r.tests()) > 0 {
		s = r.table(style, r.cellLines)
	}
	if len(r.measurements()) > 0 {
		s += r.table(style, r.measurementLines)
	}
	return s
}

func (r *Report) table(style MatrixStyle, lines func(pair []Cell) []string) string {
	head := append([]string{""}, names(r.Servers)...)
	rows := make([][][]string, 0, len(r.Clients))
	for c := range r.Clients {
		row := [][]string{{r.Clients[c].Name}}
		for s := range r.Servers {
			row = append(row, lines(r.Cells[r.Index(c, s)]))
		}
		rows = append(rows, row)
	}
	if style == MatrixMarkdown {
		return markdownTable(head, rows)
	}
	return textTable(head, rows, style == MatrixColour)
}

// cellLines returns one line per verdict, also the empty ones: their place is part of the format.
func (r *Report) cellLines(pair []Cell) []string {
	if len(pair) > 0 && pair[0].Skipped {
		return nil
	}
	var lines []string
	for _, m := range verdictMarks {
		var abbrs []string
		for _, i := range r.tests() {
			if pair[i].Status() == m.status {
				abbrs = append(abbrs, r.Cases[i].Abbr)
			}
		}
		lines = append(lines, m.symbol+"("+strings.Join(abbrs, ",")+")")
	}
	return lines
}

// measurementLines returns one line per measurement that was run: "✓ G: 9559 (± 12) kbps", or without a value.
func (r *Report) measurementLines(pair []Cell) (lines []string) {
	for _, i := range r.measurements() {
		if pair[i].Status() == NotRun {
			continue
		}
		line := markOf(pair[i].Status()).symbol + " " + r.Cases[i].Abbr
		if details := pair[i].Details(); details != "" {
			line += ": " + details
		}
		lines = append(lines, line)
	}
	return lines
}

func markdownTable(head []string, rows [][][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString("|" + strings.Repeat(":---:|", len(head)) + "\n")
	for _, row := range rows {
		var cells []string
		for _, lines := range row {
			cells = append(cells, strings.Join(lines, "<br>"))
		}
		line(cells)
	}
	return b.String()
}

func textTable(head []string, rows [][][]string, colour bool) string {
	widths := columnWidths(head, rows)
	var b strings.Builder
	rule := func() {
		for _, w := range widths {
			b.WriteString("+" + strings.Repeat("-", w+2))
		}
		b.WriteString("+\n")
	}
	rule()
	for i, h := range head {
		b.WriteString("| " + centre(h, widths[i]) + " ")
	}
	b.WriteString("|\n")
	rule()
	for _, row := range rows {
		for n := range rowHeight(row) {
			for i, cell := range row {
				b.WriteString("| " + paint(lineOf(cell, n), widths[i], colour) + " ")
			}
			b.WriteString("|\n")
		}
		rule()
	}
	return b.String()
}

func columnWidths(head []string, rows [][][]string) []int {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range rows {
		for i, cell := range row {
			for _, line := range cell {
				widths[i] = max(widths[i], utf8.RuneCountInString(line))
			}
		}
	}
	return widths
}

func rowHeight(row [][]string) int {
	h := 1
	for _, cell := range row {
		h = max(h, len(cell))
	}
	return h
}

func lineOf(cell []string, n int) string {
	if n >= len(cell) {
		return ""
	}
	return cell[n]
}

// paint centres s and colours it by its first symbol.
func paint(s string, width int, colour bool) string {
	padded := centre(s, width)
	if !colour {
		return padded
	}
	for _, m := range verdictMarks {
		if strings.HasPrefix(s, m.symbol) {
			return strings.Replace(padded, s, m.colour+s+colourReset, 1)
		}
	}
	return padded
}

func centre(s string, width int) string {
	free := width - utf8.RuneCountInString(s)
	return strings.Repeat(" ", free/2) + s + strings.Repeat(" ", free-free/2)
}
