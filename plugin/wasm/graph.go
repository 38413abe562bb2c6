package wasm

import "slices"

// uses is what a function does beyond its own instructions.
type uses struct {
	calls []uint32 // defined functions, by their place among these
	hosts []uint32 // imported functions
	types []uint32 // the types of what it calls by the table
	bulk  bool     // memory and table instructions that take a length
}

// analysis is what Meter and the report need to know of a module that Check has passed.
type analysis struct {
	m         *Module
	costs     Costs
	canon     []uint32          // each type's first equal one
	members   map[uint32][]int  // by canonical type: the defined functions in the table
	hostTypes map[uint32]uint32 // by canonical type: an imported function in the table
	uses      []uses            // of each defined function
	flows     []flow
	recursive []bool
	order     [][]int // groups that call each other, callees before callers; in each functions, then types, counted on from them
}

func analyse(m *Module, costs Costs) (*analysis, *Error) {
	a := &analysis{m: m, costs: costs, members: map[uint32][]int{}, hostTypes: map[uint32]uint32{}}
	a.types()
	a.table()
	for i := range m.Code {
		u, err := a.usesOf(i)
		if err != nil {
			return nil, err
		}
		a.uses = append(a.uses, u)
	}
	a.components()
	for i := range m.Code {
		split := costs.Split
		if a.recursive[i] {
			split = 0 // it pays for everything at its entry
		}
		f, err := m.flowOf(i, a.price, split)
		if err != nil {
			return nil, err
		}
		a.flows = append(a.flows, f)
	}
	return a, nil
}

// types finds the equal ones: call_indirect compares types, not their indices.
func (a *analysis) types() {
	first := map[string]uint32{}
	for i, t := range a.m.Types {
		key := string(t.flat())
		if _, ok := first[key]; !ok {
			first[key] = uint32(i)
		}
		a.canon = append(a.canon, first[key])
	}
}

// table collects what a table may hold. Check leaves no way into a table but element segments: no table.set, no reference, no import or
// export of it.
func (a *analysis) table() {
	n := uint32(a.m.NumImportedFuncs())
	for _, e := range a.m.Elements {
		for _, f := range e.Funcs {
			t, _ := a.m.funcTypeIndex(f)
			t = a.canon[t]
			if f < n {
				a.hostTypes[t] = f
			} else {
				a.members[t] = append(a.members[t], int(f-n))
			}
		}
	}
	for t, list := range a.members {
		slices.Sort(list)
		a.members[t] = slices.Compact(list)
	}
}

// price returns what an instruction costs, but for the length of bulk ones. A call through the table costs as much as a host call if a host
// function of its type stands in a table.
func (a *analysis) price(in *instr) uint64 {
	switch in.op {
	case opCall:
		if in.a < uint32(a.m.NumImportedFuncs()) {
			return uint64(a.costs.HostCall)
		}
	case opCallIndirect:
		if _, ok := a.hostTypes[a.canon[in.a]]; ok {
			return uint64(a.costs.HostCall)
		}
	}
	return a.costs.of(in)
}

func (a *analysis) usesOf(i int) (uses, *Error) {
	var u uses
	n := uint32(a.m.NumImportedFuncs())
	err := a.m.walk(i, func(in *instr, _ []byte) *Error {
		switch in.op {
		case opCall:
			if in.a < n {
				u.hosts = append(u.hosts, in.a)
			} else {
				u.calls = append(u.calls, in.a-n)
			}
		case opCallIndirect:
			u.types = append(u.types, a.canon[in.a])
		case opMemoryCopy, opMemoryFill, opMemoryInit, opTableCopy, opTableInit:
			u.bulk = true
		}
		return nil
	})
	for _, list := range []*[]uint32{&u.calls, &u.hosts, &u.types} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return u, err
}

// components finds the functions that call each other in a circle (Tarjan 1972). Types stand between those that call through the table and
// those that are in it, so that the graph has as many edges as the module has calls and entries.
func (a *analysis) components() {
	funcs := len(a.uses)
	n := funcs + len(a.m.Types)
	s := scc{next: a.successors, index: make([]int, n), low: make([]int, n), on: make([]bool, n)}
	a.recursive = make([]bool, funcs)
	for v := range funcs {
		if s.index[v] == 0 {
			s.visit(v)
		}
	}
	for _, group := range s.groups {
		members := slices.DeleteFunc(slices.Clone(group), func(v int) bool { return v >= funcs })
		a.order = append(a.order, append(members, slices.DeleteFunc(slices.Clone(group), func(v int) bool { return v < funcs })...))
		for _, v := range members {
			a.recursive[v] = len(group) > 1 || slices.Contains(a.uses[v].calls, uint32(v))
		}
	}
}

func (a *analysis) successors(v int, visit func(int)) {
	funcs := len(a.uses)
	if v >= funcs {
		for _, f := range a.members[uint32(v-funcs)] {
			visit(f)
		}
		return
	}
	for _, f := range a.uses[v].calls {
		visit(int(f))
	}
	for _, t := range a.uses[v].types {
		visit(funcs + int(t))
	}
}

// scc finds strongly connected components. It calls itself as deep as the graph goes, which is at most maxFuncs + maxTypes.
type scc struct {
	next       func(v int, visit func(int))
	index, low []int // from 1; 0 = not seen
	on         []bool
	stack      []int
	seen       int
	groups     [][]int
}

func (s *scc) visit(v int) {
	s.seen++
	s.index[v], s.low[v], s.on[v] = s.seen, s.seen, true
	s.stack = append(s.stack, v)
	s.next(v, func(w int) {
		if s.index[w] == 0 {
			s.visit(w)
			s.low[v] = min(s.low[v], s.low[w])
		} else if s.on[w] {
			s.low[v] = min(s.low[v], s.index[w])
		}
	})
	if s.low[v] != s.index[v] {
		return
	}
	at := len(s.stack) - 1
	for s.stack[at] != v {
		at--
	}
	group := slices.Clone(s.stack[at:])
	s.stack = s.stack[:at]
	for _, w := range group {
		s.on[w] = false
	}
	s.groups = append(s.groups, group)
}
