package main

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A column of a table.
type column struct {
	head  string
	right bool // numbers
	fold  bool // may go to a line of its own, with its name, where the table is too wide
}

// A table prints itself aligned. Cells are text that is safe to print, see plain.
type table struct {
	columns []column
	rows    [][]string
	indent  string

	headless bool  // no head, of a table that goes on
	least    []int // how wide the columns are at least; nil = as they are

	gap string // between columns
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table. width is that of the terminal, 0 = no limit: in too
// narrow a one the columns that may be folded are, or else all come closer, and
// what is still too long is cut.
func (t *table) print(w io.Writer, width int) error {
	widths := t.widths()
	t.gap = "  "
	shown := t.shown(widths, width)
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
	}
	var b strings.Builder
	if !t.headless {
		t.line(&b, heads, widths, shown, width)
	}
	for _, row := range t.rows {
		t.line(&b, row, widths, shown, width)
		t.folded(&b, row, shown, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.head)
		if i < len(t.least) {
			widths[i] = max(widths[i], t.least[i])
		}
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	return widths
}

// leastLast is what the last column needs to be of use.
const leastLast = 24

// shown returns the columns that are on a row's first line. Those that may be
// folded and say nothing are on none.
func (t *table) shown(widths []int, width int) []int {
	var all, first []int
	total := len(t.indent) - len(t.gap)
	for i, c := range t.columns {
		if c.fold && t.empty(i) {
			continue
		}
		all = append(all, i)
		total += widths[i] + len(t.gap)
		if !c.fold {
			first = append(first, i)
		}
	}
	last := widths[all[len(all)-1]]
	switch {
	case width == 0 || total <= width:
		return all
	case len(first) == len(all) && total-last+min(last, leastLast) > width:
		t.gap = " "
	}
	return first
}

// empty reports whether no row has anything in a column.
func (t *table) empty(column int) bool {
	return !slices.ContainsFunc(t.rows, func(row []string) bool { return row[column] != "" && row[column] != "-" })
}

func (t *table) line(b *strings.Builder, cells []string, widths, shown []int, width int) {
	var line strings.Builder
	line.WriteString(t.indent)
	for at, i := range shown {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cells[i]))
		switch {
		case t.columns[i].right:
			line.WriteString(pad + cells[i])
		case at == len(shown)-1:
			line.WriteString(cells[i])
		default:
			line.WriteString(cells[i] + pad)
		}
		if at < len(shown)-1 {
			line.WriteString(t.gap)
		}
	}
	b.WriteString(cut(strings.TrimRight(line.String(), " "), width) + "\n")
}

// folded writes what is not shown of a row, if there is any.
func (t *table) folded(b *strings.Builder, row []string, shown []int, width int) {
	line := t.indent + "  "
	for i, c := range t.columns {
		if c.fold && row[i] != "" && row[i] != "-" && !slices.Contains(shown, i) {
			line += "  " + strings.ToLower(c.head) + " " + row[i]
		}
	}
	if strings.TrimSpace(line) != "" {
		b.WriteString(cut(line, width) + "\n")
	}
}

// cut shortens a line to width columns; 0 = no limit.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width-1, 0)]) + "…"
}
