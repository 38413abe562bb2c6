package inspect

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Write writes the facts for people: aligned lines, what matters most first.
func (f *Facts) Write(w io.Writer) error {
	t := &page{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	m := f.manifest
	t.line("plugin", "%s %s", m.ID, m.Version)
	t.line("", "%s", m.Description)
	t.line("digest", "%s", f.Digest)
	t.line("size", "%d bytes, %d packed", f.Size, f.Packed)
	t.line("license", "%s", m.License)
	t.line("abi", "%s to %s", m.ABI.Min, m.ABI.Max)
	t.line("runs at", "%s, %s", strings.Join(roles(m), " and "), m.Mode)
	t.list("permissions", permissions(m), "none")
	t.list("views", views(m), "none: it does not see what packets carry")
	f.declarations(t)
	f.settings(t)
	l := f.Limits
	t.line("limits", "%d KiB of memory, %d fuel a call, %d timers", 64*l.MemoryPages, l.Fuel, l.Timers)
	t.line("", "%d reservations of %d bytes, %d events and %d bytes of log a second", l.Reservations, l.ReservedBytes, l.Emit, l.LogBytes)
	f.loaded(t)
	f.origin(t)
	f.trusted(t)
	if err := t.w.Flush(); err != nil {
		return err
	}
	return f.code(w)
}

func (f *Facts) declarations(t *page) {
	m := f.manifest
	var hooks, frames, metrics, ops []string
	for i := range m.Hooks {
		hooks = append(hooks, hookText(&m.Hooks[i]))
	}
	for i := range m.Frames {
		frames = append(frames, frameText(&m.Frames[i]))
	}
	for i := range m.Metrics {
		metrics = append(metrics, metricText(&m.Metrics[i]))
	}
	for _, op := range m.AppOps {
		ops = append(ops, fmt.Sprintf("%d %s  %s", op.ID, op.Name, op.Description))
	}
	t.rows("hooks", hooks)
	t.rows("frames", frames)
	t.rows("calls", ops)
	t.rows("metrics", metrics)
	t.list("requires", m.Requires, "")
	t.list("conflicts", m.Conflicts, "")
}

func (f *Facts) settings(t *page) {
	var rows []string
	for _, s := range f.Settings {
		text := fmt.Sprintf("%s=%s", s.Name, s.Default)
		about := s.Values
		if s.Unit != "" {
			about += " " + s.Unit
		}
		if s.Description != "" {
			about += ": " + s.Description
		}
		rows = append(rows, text+"\t"+about)
	}
	t.rows("settings", rows)
}

func (f *Facts) loaded(t *page) {
	switch h := f.Host; {
	case h == nil:
	case h.Refused != "":
		t.line("loaded", "no: %s", h.Refused)
	default:
		t.line("loaded", "yes; attaching takes %d fuel, and %d KiB of memory", h.Fuel, h.Memory>>10)
	}
}

func (f *Facts) origin(t *page) {
	if f.Source == nil {
		t.line("source", "not said")
		return
	}
	t.line("source", "%s", strings.TrimSpace(f.Source.URL+" "+f.Source.Commit))
	t.line("toolchain", "%s", f.Source.Toolchain)
	t.line("built by", "%s", f.Source.Build)
}

func (f *Facts) trusted(t *page) {
	var rows []string
	for _, s := range f.Signatures {
		text := "key " + s.KeyID
		if s.Name != "" {
			text += " of " + s.Name
		}
		if s.Claim != "" {
			text += fmt.Sprintf(", claims %q", s.Claim)
		}
		if !s.Holds {
			text += ": does NOT hold"
		}
		rows = append(rows, text)
	}
	if rows == nil {
		rows = []string{"none"}
	}
	t.rows("signatures", rows)
	for _, v := range f.Verdicts {
		runs := "refused: "
		if v.Runs {
			runs = "runs: "
		}
		t.line(v.When, "%s", runs+v.Because)
	}
}

// code writes the table of functions; costs are fuel.
func (f *Facts) code(w io.Writer) error {
	r := f.Code
	fmt.Fprintf(w, "\nCode: %d bytes, %d with fuel; %d functions\n", r.Size, r.Metered, len(r.Functions))
	if len(r.Imports) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "IMPORT\tTYPE")
		for _, i := range r.Imports {
			fmt.Fprintf(t, "%s.%s\t%s\n", i.Module, printable(i.Name), i.Type)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tBYTES\tENTRY\tBRANCHES\tLOOPS\tRECURSIVE\tFUEL OF A CALL")
	for i := range r.Functions {
		x := &r.Functions[i]
		recursive := "no"
		if x.Recursive {
			recursive = "yes"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", printable(functionName(x)), x.Bytes, x.Entry, len(x.Cuts), len(x.Loops), recursive, printable(costText(x)))
	}
	return t.Flush()
}

// page is a list of facts, names at the left.
type page struct{ w *tabwriter.Writer }

// line writes one fact; without a value it writes nothing.
func (p *page) line(name, format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	if text == "" {
		return
	}
	fmt.Fprintf(p.w, "%s\t%s\n", name, text)
}

// list writes words on one line.
func (p *page) list(name string, words []string, none string) {
	if len(words) == 0 {
		p.line(name, "%s", none)
		return
	}
	p.line(name, "%s", strings.Join(words, ", "))
}

// rows writes a fact that needs several lines.
func (p *page) rows(name string, rows []string) {
	for _, text := range rows {
		p.line(name, "%s", text)
		name = ""
	}
}

// printable keeps text that a stranger wrote from moving a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
