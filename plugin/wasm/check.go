package wasm

import "strings"

// The pages of 64 KiB that a plugin's memory may have.
const (
	DefaultPages = 16 // limit: if Rules does not say otherwise
	MaxPages     = 64 // limit: whatever Rules says

	maxTableEntries = 4096 // limit: entries of the table; what calls through pointers and C's function tables need
)

// ImportModule is the module of all imports.
const ImportModule = "pq"

// FuelExport is the name under which a metered module exports its fuel, a mutable i64. A module that brings an export of that name is refused.
const FuelExport = "pq_fuel"

// Rules are what Check allows beyond the features that it always does. The zero value has the documented defaults.
type Rules struct {
	Pages uint32 // the most that a memory may ask for and grow to, in pages of 64 KiB; 0 = DefaultPages, more than MaxPages = MaxPages
}

func (r Rules) pages() uint32 {
	if r.Pages == 0 {
		return DefaultPages
	}
	return min(r.Pages, MaxPages)
}

// Check refuses a module that is not for a plugin. Allowed is WebAssembly 1.0 with sign extension, saturating conversions, bulk memory, several
// values, mutable globals and fixed-width SIMD. Refused are a start function; imports that are not functions of module "pq"; an exported
// table; more than one memory or table, and more pages than the rules say; references as values; threads, 64-bit memories, exceptions, tail
// calls, relaxed SIMD and each instruction that is not known; an index beyond what the module itself has, since Meter adds things there; and functions so
// full of branches and variables that a compiler would take seconds.
//
// Check is no validator: it does not look at the types of operands. What passes here still has to pass the engine's, before or after Meter.
// The error is an *Error and matches ErrRefused, or ErrMalformed if code cannot be read.
func Check(m *Module, rules Rules) error {
	if err := check(m, rules); err != nil {
		return err
	}
	return nil
}

func check(m *Module, rules Rules) *Error {
	c := checker{m: m, pages: rules.pages()}
	for _, step := range []func() *Error{c.types, c.imports, c.functions, c.tables, c.memories, c.globals, c.exports, c.start, c.elements, c.data} {
		if err := step(); err != nil {
			return err
		}
	}
	for i, body := range m.Code {
		if body.refs {
			return m.within(i, refused("features", body.Start, "code", "a local is a reference"))
		}
		c.locals = c.localsOf(i)
		c.shape = shape{locals: uint64(c.locals)}
		if err := m.walk(i, c.instruction); err != nil {
			return err
		}
		if c.work += c.shape.work(); c.work > maxWork {
			return m.within(i, refused("work", body.Offset, "code",
				"%d branches, %d loops and %d locals would keep a compiler busy for too long: split the function or use fewer", c.shape.branches, c.shape.loops, c.locals))
		}
	}
	return nil
}

// checker goes through a module.
type checker struct {
	m      *Module
	pages  uint32
	locals uint32 // of the function at hand, parameters included
	shape  shape  // of the function at hand
	work   uint64 // for all functions so far
}

// offset returns where the section with that ID begins, for errors about it as a whole.
func (m *Module) offset(id byte) int {
	for _, s := range m.Sections {
		if s.ID == id {
			return s.Offset
		}
	}
	return len(m.raw)
}

func isRef(t ValType) bool { return t == FuncRef || t == ExternRef }

func (c *checker) types() *Error {
	for i, t := range c.m.Types {
		for _, v := range append(t.Params[:len(t.Params):len(t.Params)], t.Results...) {
			if isRef(v) {
				return refused("features", c.m.offset(SectionType), "type", "type %d holds %s: references are not values here", i, v)
			}
		}
	}
	return nil
}

func (c *checker) imports() *Error {
	for _, im := range c.m.Imports {
		switch {
		case strings.HasPrefix(im.Module, "wasi"):
			return refused("imports", im.Offset, "import", "%q.%q belongs to WASI; a plugin may import from %q only", im.Module, im.Name, ImportModule)
		case im.Module != ImportModule:
			return refused("imports", im.Offset, "import", "%q.%q is of module %q; a plugin may import from %q only", im.Module, im.Name, im.Module, ImportModule)
		case im.Kind != KindFunc:
			return refused("imports", im.Offset, "import", "%q.%q is a %s; a plugin may import functions only", im.Module, im.Name, im.Kind)
		case uint64(im.Type) >= uint64(len(c.m.Types)):
			return refused("indices", im.Offset, "import", "%q.%q has type %d of %d", im.Module, im.Name, im.Type, len(c.m.Types))
		}
	}
	return nil
}

func (c *checker) functions() *Error {
	for i, t := range c.m.Funcs {
		if uint64(t) >= uint64(len(c.m.Types)) {
			return c.m.within(i, refused("indices", c.m.offset(SectionFunction), "function", "has type %d of %d", t, len(c.m.Types)))
		}
	}
	return nil
}

func (c *checker) tables() *Error {
	for i, t := range c.m.Tables {
		switch {
		case i > 0:
			return refused("tables", t.Offset, "table", "%d tables, one is allowed", len(c.m.Tables))
		case t.Type != FuncRef:
			return refused("features", t.Offset, "table", "a table of %s; reference types are not allowed", t.Type)
		case t.Limits.Flags > 1:
			return refused("features", t.Offset, "table", "limits with flags 0x%02x: threads and 64-bit tables are not allowed", t.Limits.Flags)
		case t.Limits.Min > maxTableEntries:
			return refused("tables", t.Offset, "table", "%d entries, at most %d are allowed", t.Limits.Min, maxTableEntries)
		}
	}
	return nil
}

func (c *checker) memories() *Error {
	for i, mem := range c.m.Memories {
		l := mem.Limits
		switch {
		case i > 0:
			return refused("memory", mem.Offset, "memory", "%d memories, one is allowed", len(c.m.Memories))
		case l.Flags&2 != 0:
			return refused("features", mem.Offset, "memory", "the memory is shared: threads are not allowed")
		case l.Flags&4 != 0:
			return refused("features", mem.Offset, "memory", "the memory has 64-bit addresses")
		case l.Min > c.pages:
			return refused("memory", mem.Offset, "memory", "starts with %d pages, at most %d are allowed", l.Min, c.pages)
		case l.HasMax() && l.Max > c.pages:
			return refused("memory", mem.Offset, "memory", "may grow to %d pages, at most %d are allowed; link with --max-memory=%d", l.Max, c.pages, uint64(c.pages)<<16)
		}
	}
	return nil
}

// constant refuses expressions that are none without the globals and references which there are not.
func (c *checker) constant(e Expr, section string) *Error {
	switch e.Op {
	case opGlobalGet:
		return refused("indices", e.Start, section, "a constant expression names global %d, and no global is imported", e.Index)
	case opRefNull, opRefFunc:
		return refused("features", e.Start, section, "a constant expression holds a reference")
	}
	return nil
}

func (c *checker) globals() *Error {
	for i, g := range c.m.Globals {
		if isRef(g.Type) {
			return refused("features", g.Offset, "global", "global %d is a %s: references are not values here", i, g.Type)
		}
		if err := c.constant(g.Init, "global"); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) exports() *Error {
	for _, e := range c.m.Exports {
		switch n := uint64(e.Index); {
		case e.Name == FuelExport:
			return refused("exports", e.Offset, "export", "the name %q is the host's", e.Name)
		case e.Kind == KindTable:
			return refused("exports", e.Offset, "export", "%q is a table", e.Name)
		case e.Kind == KindFunc && n < uint64(c.m.NumImportedFuncs()):
			return refused("exports", e.Offset, "export", "%q is imported function %d; a plugin exports what it defines", e.Name, n)
		case e.Kind == KindFunc && n >= uint64(c.m.NumFuncs()),
			e.Kind == KindMemory && n >= uint64(len(c.m.Memories)),
			e.Kind == KindGlobal && n >= uint64(len(c.m.Globals)):
			return refused("indices", e.Offset, "export", "%q is %s %d, which is not there", e.Name, e.Kind, n)
		}
	}
	return nil
}

func (c *checker) start() *Error {
	if c.m.Start >= 0 {
		return refused("start", c.m.offset(SectionStart), "start", "a start function would run before it has fuel; export pq_init instead")
	}
	return nil
}

func (c *checker) elements() *Error {
	for i, e := range c.m.Elements {
		switch {
		case e.Flags > 2 || e.Type != FuncRef:
			return refused("features", e.Offset, "element", "segment %d has flags %d: reference types are not allowed", i, e.Flags)
		case e.Active() && uint64(e.Table) >= uint64(len(c.m.Tables)):
			return refused("indices", e.Offset, "element", "segment %d goes to table %d, which is not there", i, e.Table)
		}
		for _, f := range e.Funcs {
			if uint64(f) >= uint64(c.m.NumFuncs()) {
				return refused("indices", e.Offset, "element", "segment %d names function %d of %d", i, f, c.m.NumFuncs())
			}
		}
		if err := c.constant(e.Place, "element"); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) data() *Error {
	for i, d := range c.m.Data {
		if d.Flags != 1 && uint64(d.Memory) >= uint64(len(c.m.Memories)) {
			return refused("indices", d.Offset, "data", "segment %d goes to memory %d, which is not there", i, d.Memory)
		}
		if err := c.constant(d.Place, "data"); err != nil {
			return err
		}
	}
	return nil
}

// localsOf returns how many locals defined function i has, parameters included.
func (c *checker) localsOf(i int) uint32 {
	return uint32(len(c.m.Types[c.m.Funcs[i]].Params)) + c.m.Code[i].Locals
}

// instruction refuses an index beyond what the module has.
func (c *checker) instruction(in *instr, _ []byte) *Error {
	m := c.m
	c.shape.add(in)
	switch in.op {
	case opBlock, opLoop, opIf:
		return c.block(in)
	case opCall:
		return within(in, "function", in.a, m.NumFuncs())
	case opCallIndirect:
		if err := within(in, "type", in.a, len(m.Types)); err != nil {
			return err
		}
		return within(in, "table", in.b, len(m.Tables))
	case opLocalGet, opLocalGet + 1, opLocalTee:
		return within(in, "local", in.a, int(c.locals))
	case opGlobalGet, opGlobalSet:
		return within(in, "global", in.a, len(m.Globals))
	case opMemoryInit, opDataDrop:
		return within(in, "data segment", in.a, len(m.Data))
	case opElemDrop:
		return within(in, "element segment", in.a, len(m.Elements))
	case opTableInit:
		if err := within(in, "element segment", in.a, len(m.Elements)); err != nil {
			return err
		}
		return within(in, "table", in.b, len(m.Tables))
	case opTableCopy:
		if err := within(in, "table", in.a, len(m.Tables)); err != nil {
			return err
		}
		return within(in, "table", in.b, len(m.Tables))
	}
	return nil
}

// block refuses a block whose type is not there, or has too many values.
func (c *checker) block(in *instr) *Error {
	if in.block < 0 {
		return nil
	}
	if err := within(in, "type", uint32(in.block), len(c.m.Types)); err != nil {
		return err
	}
	if t := c.m.Types[in.block]; max(len(t.Params), len(t.Results)) > maxBlockValues {
		return refused("work", in.at, "code", "a block of type %s: at most %d parameters and %d results are allowed", t, maxBlockValues, maxBlockValues)
	}
	return nil
}

func within(in *instr, what string, i uint32, n int) *Error {
	if uint64(i) >= uint64(n) {
		return refused("indices", in.at, "code", "instruction 0x%02x names %s %d of %d", in.op, what, i, n)
	}
	return nil
}
