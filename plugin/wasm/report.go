package wasm

import (
	"fmt"
	"strings"
)

// Report is what can be said of a module without running it. It is made for JSON and for people; all costs are in units of fuel.
type Report struct {
	Size      int              `json:"size"`    // bytes
	Metered   int              `json:"metered"` // bytes after Meter
	Sections  []SectionReport  `json:"sections"`
	MinPages  uint32           `json:"min_pages"` // of 64 KiB; both 0 = no memory
	MaxPages  uint32           `json:"max_pages"`
	Table     uint32           `json:"table"` // entries
	Imports   []ImportReport   `json:"imports"`
	Exports   []ExportReport   `json:"exports"`
	Functions []FunctionReport `json:"functions"` // defined ones
	Costs     Costs            `json:"costs"`
}

// SectionReport is the size of a section.
type SectionReport struct {
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"`
	Bytes int    `json:"bytes"` // with its header
}

// ImportReport is an imported function.
type ImportReport struct {
	Module  string `json:"module"`
	Name    string `json:"name"`
	Type    string `json:"type"`     // "(i32, i64) -> i32"
	InTable bool   `json:"in_table"` // stands in an element segment: calls through the table with its type are paid as host calls
}

// ExportReport is an export. A function has a type, and Function is its index.
type ExportReport struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Function uint32 `json:"function,omitempty"`
	Type     string `json:"type,omitempty"`
}

// FunctionReport is a function that the module defines.
type FunctionReport struct {
	Index     uint32   `json:"index"`
	Name      string   `json:"name,omitempty"`
	Type      string   `json:"type"`
	Bytes     int      `json:"bytes"`
	Locals    uint32   `json:"locals"`    // without parameters
	Entry     uint64   `json:"entry"`     // what each call pays at its start: the dearest path outside loops and cuts, or all of the body if it is recursive
	Cuts      []uint64 `json:"cuts"`      // what each costly part of the body pays that not every path gets to
	Total     uint64   `json:"total"`     // all instructions of the body, once
	Loops     []uint64 `json:"loops"`     // what each passage of the head of each loop pays
	Nesting   int      `json:"nesting"`   // loops within loops
	Recursive bool     `json:"recursive"` // may call itself, directly or by way of others or a table
	Bulk      bool     `json:"bulk"`      // has instructions that pay for a length
	HostCalls []string `json:"host_calls"`
	Indirect  bool     `json:"indirect"` // calls through the table
	// Worst is the most that a call can pay, with all that it calls, but for what the host takes beyond the price of a host call. It is only
	// there if Bounded; else Why says "loops", "recursion" or "lengths", with the function where it is, if that is another.
	Worst   uint64 `json:"worst,omitempty"`
	Bounded bool   `json:"bounded"`
	Why     string `json:"why,omitempty"`
}

// Function returns the report of the function exported under that name, and false if there is none.
func (r *Report) Function(export string) (*FunctionReport, bool) {
	for _, e := range r.Exports {
		if e.Name != export || e.Kind != KindFunc.String() {
			continue
		}
		for i := range r.Functions {
			if r.Functions[i].Index == e.Function {
				return &r.Functions[i], true
			}
		}
	}
	return nil, false
}

func (a *analysis) report(metered int, pages uint32) *Report {
	m := a.m
	r := &Report{Size: len(m.raw), Metered: metered, Costs: a.costs, Sections: []SectionReport{}, Imports: []ImportReport{}, Exports: []ExportReport{}}
	for _, s := range m.Sections {
		r.Sections = append(r.Sections, SectionReport{s.Kind(), s.Name, s.End - s.Offset})
	}
	for _, mem := range m.Memories {
		r.MinPages, r.MaxPages = mem.Limits.Min, pages
		if mem.Limits.HasMax() {
			r.MaxPages = mem.Limits.Max
		}
	}
	for _, t := range m.Tables {
		r.Table = t.Limits.Min
	}
	inTable := a.importsInTable()
	for i, im := range m.Imports {
		r.Imports = append(r.Imports, ImportReport{im.Module, im.Name, m.Types[im.Type].String(), inTable[uint32(i)]})
	}
	for _, e := range m.Exports {
		x := ExportReport{Name: e.Name, Kind: e.Kind.String()}
		if e.Kind == KindFunc {
			t, _ := m.FuncType(e.Index)
			x.Function, x.Type = e.Index, t.String()
		}
		r.Exports = append(r.Exports, x)
	}
	r.Functions = a.functions()
	return r
}

func (a *analysis) importsInTable() map[uint32]bool {
	in := map[uint32]bool{}
	for _, e := range a.m.Elements {
		for _, f := range e.Funcs {
			in[f] = true
		}
	}
	return in
}

// bounds is what is known of functions and types, callees before callers: the most that a call can pay, or why there is no such number.
type bounds struct {
	worst []uint64
	why   []string
}

// functions reports on all functions.
func (a *analysis) functions() []FunctionReport {
	funcs := len(a.uses)
	out := make([]FunctionReport, funcs)
	b := bounds{worst: make([]uint64, funcs+len(a.canon)), why: make([]string, funcs+len(a.canon))}
	for _, group := range a.order {
		for _, v := range group {
			if v < funcs {
				out[v] = a.function(v)
				a.bound(v, &out[v], &b)
				continue
			}
			for _, f := range a.members[uint32(v-funcs)] {
				b.worst[v] = max(b.worst[v], b.worst[f])
				if b.why[v] == "" {
					b.why[v] = b.why[f]
				}
			}
		}
	}
	return out
}

func (a *analysis) function(i int) FunctionReport {
	m, u, f := a.m, a.uses[i], a.flows[i]
	index := uint32(i + m.NumImportedFuncs())
	t, _ := m.FuncType(index)
	r := FunctionReport{Index: index, Name: m.FuncName(index), Type: t.String(), Bytes: m.Code[i].End - m.Code[i].Offset, Locals: m.Code[i].Locals,
		Entry: a.entry(i), Cuts: []uint64{}, Total: f.total, Loops: []uint64{}, Nesting: f.depth, Recursive: a.recursive[i], Bulk: u.bulk, HostCalls: []string{},
		Indirect: len(u.types) > 0}
	for _, l := range f.loops {
		r.Loops = append(r.Loops, saturate(uint64(a.costs.Loop), l.units))
	}
	for _, c := range f.cuts {
		r.Cuts = append(r.Cuts, c.units)
	}
	for _, h := range u.hosts {
		r.HostCalls = append(r.HostCalls, m.FuncName(h))
	}
	return r
}

// bound fills in what a call of function i costs at most, once that is known of all that it calls.
func (a *analysis) bound(i int, r *FunctionReport, b *bounds) {
	n, funcs := uint32(a.m.NumImportedFuncs()), uint32(len(a.uses))
	switch {
	case a.recursive[i]:
		r.Why = "recursion"
	case len(r.Loops) > 0:
		r.Why = "loops"
	case r.Bulk:
		r.Why = "lengths"
	default:
		r.Why = a.whyOfCallees(i, b)
	}
	b.why[i] = r.Why
	if r.Why != "" {
		if !strings.Contains(r.Why, " in ") {
			b.why[i] += " in " + r.title()
		}
		return
	}
	cuts := map[int]uint64{}
	for _, c := range a.flows[i].cuts {
		cuts[c.at] = c.units
	}
	t, err := a.m.trace(i, func(in *instr) uint64 {
		switch {
		case in.op == opCall && in.a >= n:
			return b.worst[in.a-n]
		case in.op == opCallIndirect:
			return b.worst[funcs+a.canon[in.a]]
		}
		return 0 // paid at the head of its region
	}, nil, cuts)
	r.Bounded, r.Worst = err == nil, saturate(a.entry(i), t.flow.region)
	b.worst[i] = r.Worst
}

// whyOfCallees returns why one of those that i calls has no bound.
func (a *analysis) whyOfCallees(i int, b *bounds) (why string) {
	a.successors(i, func(v int) {
		if why == "" {
			why = b.why[v]
		}
	})
	return why
}

func (f *FunctionReport) title() string {
	if f.Name != "" {
		return f.Name
	}
	return fmt.Sprintf("function %d", f.Index)
}
