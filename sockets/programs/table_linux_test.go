package programs

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tableFile is where the table is shown, between two marks.
const (
	tableFile = "../../docs/programs.md"
	firstMark = "<!-- table: written by go test ./sockets/programs -update -->"
	lastMark  = "<!-- end of table -->"
)

// Cells of the table.
const (
	cellYes    = "yes"
	cellNo     = "**no**" // with the number of a note
	cellNot    = "n/a"    // with the number of a note
	cellUser   = ""       // not among the rows that are run as a user
	cellNotRun = "not run"
)

// failures are what is known not to work, with the reason that the table gives.
var failures = []struct {
	program, arrangement string // "" is any
	why                  string
}{}

// known returns why a row fails in an arrangement, "" if it must pass.
func known(p *program, a *arrangement) string {
	for _, f := range failures {
		if (f.program == "" || f.program == p.name) && (f.arrangement == "" || f.arrangement == a.name) {
			return f.why
		}
	}
	return ""
}

// results are what came of the rows. It is safe for concurrent use.
type results struct {
	mu   sync.Mutex // guards seen
	seen map[[2]string]error
}

func newResults() *results { return &results{seen: map[[2]string]error{}} }

func (r *results) add(p *program, a *arrangement, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[[2]string{p.name, a.name}] = err
}

// table returns the markdown of what was seen: rows, and the notes below.
func (r *results) table() string {
	var b strings.Builder
	var notes []string
	note := func(text string) string {
		i := slices.Index(notes, text)
		if i < 0 {
			i, notes = len(notes), append(notes, text)
		}
		return fmt.Sprintf(" (%d)", i+1)
	}
	b.WriteString("| program | shows |")
	for _, a := range arrangements {
		b.WriteString(" " + a.title + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(arrangements)) + "\n")
	for _, p := range all() {
		fmt.Fprintf(&b, "| %s | %s |", p.name, p.shows)
		for _, a := range arrangements {
			b.WriteString(strings.TrimRight(" "+r.cell(&p, &a, note), " ") + " |")
		}
		b.WriteString("\n")
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	for i, text := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, text)
	}
	return b.String()
}

// cell returns one cell, whose reason becomes a note.
func (r *results) cell(p *program, a *arrangement, note func(string) string) string {
	err, ran := r.seen[[2]string{p.name, a.name}]
	switch {
	case p.not[a.name] != "":
		return cellNot + note(p.not[a.name])
	case a.user && !p.user:
		return cellUser
	case !ran:
		return cellNotRun
	case err == nil:
		return cellYes
	case known(p, a) != "":
		return cellNo + note(known(p, a))
	}
	reason, _, _ := strings.Cut(err.Error(), "\n")
	return cellNo + note("not understood yet: "+reason)
}

// writeTable puts the table into its file.
func writeTable(t *testing.T, seen *results) {
	t.Helper()
	before, _, after := readTable(t)
	if err := os.WriteFile(tableFile, []byte(before+firstMark+"\n\n"+seen.table()+"\n"+lastMark+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readTable cuts the file at its marks.
func readTable(t *testing.T) (before, table, after string) {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, first := strings.Cut(string(text), firstMark)
	table, after, last := strings.Cut(rest, lastMark)
	if !first || !last {
		t.Fatalf("%s has no table between %q and %q", tableFile, firstMark, lastMark)
	}
	return before, table, after
}

// TestTableShowsEveryProgramInEveryArrangement asks of the file that each row has a cell for each column, that what is known to
// fail is shown as failed and nothing else is, and that nothing was left out of the run that wrote it.
func TestTableShowsEveryProgramInEveryArrangement(t *testing.T) {
	_, table, _ := readTable(t)
	shown := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 4 || cells[0] != "" {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		shown[cells[1]] = cells[2 : len(cells)-1]
	}
	head := []string{"shows"}
	for _, a := range arrangements {
		head = append(head, a.title)
	}
	if !slices.Equal(shown["program"], head) {
		t.Errorf("head of the table is %q, want %q", shown["program"], head)
	}
	delete(shown, "program")
	delete(shown, "---")
	for _, p := range all() {
		cells := shown[p.name]
		delete(shown, p.name)
		if len(cells) != len(arrangements)+1 || cells[0] != p.shows {
			t.Errorf("row %q has the cells %q, want %q and one for each of %d arrangements", p.name, cells, p.shows, len(arrangements))
			continue
		}
		for i := range arrangements {
			if want := wantCell(&p, &arrangements[i]); !strings.HasPrefix(cells[i+1]+" ", want+" ") {
				t.Errorf("row %q, column %q: the table says %q, want %q", p.name, arrangements[i].name, cells[i+1], want)
			}
		}
	}
	for name := range shown {
		t.Errorf("the table has a row %q, which is no program: write it again", name)
	}
	for _, f := range failures {
		if !strings.Contains(table, f.why) {
			t.Errorf("the table does not say of %q that %s", f.program, f.why)
		}
	}
}

// wantCell returns how the cell of a row begins in a table that a run has written in which all went as is known.
func wantCell(p *program, a *arrangement) string {
	switch {
	case p.not[a.name] != "":
		return cellNot
	case a.user && !p.user:
		return cellUser
	case known(p, a) != "":
		return cellNo
	}
	return cellYes
}
