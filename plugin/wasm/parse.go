package wasm

// header is the magic number and version 1 (§5.5.16).
const header = "\x00asm\x01\x00\x00\x00"

// Parse reads a module of at most DefaultMaxSize bytes.
func Parse(b []byte) (*Module, error) { return ParseMax(b, DefaultMaxSize) }

// ParseMax reads a module of at most max bytes. The module refers to b, which must not change while it is in use. It knows what stands in the
// sections and where; whether the code is valid is for Check and the engine to say. The error is an *Error and matches ErrMalformed.
func ParseMax(b []byte, max int) (*Module, error) {
	m, err := parse(b, max)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func parse(b []byte, max int) (*Module, *Error) {
	if len(b) > max {
		return nil, malformed(0, "", "%d bytes, at most %d are allowed", len(b), max)
	}
	secs, err := sections(b)
	if err != nil {
		return nil, err
	}
	m := &Module{raw: b, Sections: secs, Start: -1, DataSegs: -1}
	last := 0
	for _, s := range secs {
		if s.ID == SectionCustom {
			continue
		}
		if sectionOrder[s.ID] <= last {
			return nil, malformed(s.Offset, s.Kind(), "stands twice or after one that must follow it")
		}
		last = sectionOrder[s.ID]
		if err := m.section(s); err != nil {
			return nil, err
		}
	}
	if len(m.Code) != len(m.Funcs) {
		return nil, malformed(len(b), "code", "%d bodies for %d functions", len(m.Code), len(m.Funcs))
	}
	if m.DataSegs >= 0 && m.DataSegs != int64(len(m.Data)) {
		return nil, malformed(len(b), "data", "%d segments, the data count section announces %d", len(m.Data), m.DataSegs)
	}
	m.names = functionNames(b, secs)
	return m, nil
}

// sections finds all sections of b, without looking into any but for the name of custom ones.
func sections(b []byte) ([]Section, *Error) {
	if len(b) < len(header) || string(b[:len(header)]) != header {
		return nil, malformed(0, "", "does not begin with the magic number and version 1 of WebAssembly")
	}
	var out []Section
	r := reader{b: b, pos: len(header), end: len(b)}
	for r.more() {
		s := Section{Offset: r.at(), ID: r.byte()}
		if int(s.ID) >= len(sectionNames) {
			return nil, malformed(s.Offset, "", "section ID %d is unknown", s.ID)
		}
		if len(out) == maxSections {
			return nil, malformed(s.Offset, s.Kind(), "more than %d sections", maxSections)
		}
		r.section = s.Kind()
		r.skip(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		size := reader{b: b, pos: s.Offset + 1, end: r.pos}
		s.End = r.pos
		size.u32()
		s.Start = size.pos
		if s.ID == SectionCustom {
			n := reader{b: b, pos: s.Start, end: s.End, section: "custom"}
			if s.Name = n.name(); n.err != nil {
				return nil, n.err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// section reads what is in s.
func (m *Module) section(s Section) *Error {
	r := &reader{b: m.raw, pos: s.Start, end: s.End, section: s.Kind()}
	switch s.ID {
	case SectionType:
		m.Types = vector(r, "types", maxTypes, readType)
	case SectionImport:
		m.Imports = vector(r, "imports", maxImports, readImport)
		for _, im := range m.Imports {
			if im.Kind == KindFunc {
				m.importedFuncs = append(m.importedFuncs, im.Type)
			}
		}
	case SectionFunction:
		m.Funcs = vector(r, "functions", maxFuncs, (*reader).u32)
	case SectionTable:
		m.Tables = vector(r, "tables", maxTables, readTable)
	case SectionMemory:
		m.Memories = vector(r, "memories", maxMemories, readMemory)
	case SectionGlobal:
		m.Globals = vector(r, "globals", maxGlobals, readGlobal)
	case SectionExport:
		m.Exports = vector(r, "exports", maxExports, readExport)
	case SectionStart:
		m.Start = int64(r.u32())
	case SectionElement:
		m.Elements = vector(r, "element segments", maxElements, readElement)
	case SectionDataCount:
		m.DataSegs = int64(r.u32())
	case SectionCode:
		m.Code = vector(r, "bodies", maxFuncs, readBody)
	case SectionData:
		m.Data = vector(r, "data segments", maxData, readData)
	}
	if r.more() {
		r.fail(r.pos, "%d bytes too many", r.end-r.pos)
	}
	return r.err
}

// vector reads a vector of items, at most limit.
func vector[T any](r *reader, what string, limit int, item func(*reader) T) []T {
	n := r.count(what, limit)
	out := make([]T, 0, n)
	for range n {
		v := item(r)
		if r.err != nil {
			return nil
		}
		out = append(out, v)
	}
	return out
}

func readType(r *reader) FuncType {
	start := r.pos
	if form := r.byte(); form != 0x60 && r.err == nil {
		r.fail(start, "type of form 0x%02x, functions have 0x60", form)
	}
	return FuncType{Params: vector(r, "parameters", maxParams, readValType), Results: vector(r, "results", maxParams, readValType)}
}

func readValType(r *reader) ValType {
	start := r.pos
	t := ValType(r.byte())
	switch t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
	default:
		r.fail(start, "type 0x%02x is unknown", byte(t))
	}
	return t
}

func readRefType(r *reader) ValType {
	start := r.pos
	t := readValType(r)
	if t != FuncRef && t != ExternRef {
		r.fail(start, "elements of type %s, want a reference", t)
	}
	return t
}

func readImport(r *reader) Import {
	im := Import{Offset: r.at(), Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
	switch im.Kind {
	case KindFunc:
		im.Type = r.u32()
	case KindTable:
		im.Limits = readTable(r).Limits
	case KindMemory:
		im.Limits = readMemory(r).Limits
	case KindGlobal:
		readGlobalType(r)
	default:
		r.fail(im.Offset, "import of unknown kind %s", im.Kind)
	}
	return im
}

// readLimits reads bounds; those of 64-bit memories are saturated, Check refuses them by their flag.
func readLimits(r *reader) Limits {
	start := r.pos
	l := Limits{Flags: r.byte()}
	if l.Flags > 7 {
		r.fail(start, "limits with unknown flags 0x%02x", l.Flags)
	}
	read := r.u32
	if l.Flags&4 != 0 {
		read = r.u64
	}
	l.Min = read()
	if l.HasMax() {
		l.Max = read()
	}
	return l
}

// u64 reads an unsigned LEB128 integer of 64 bits and saturates it at 32.
func (r *reader) u64() uint32 {
	start := r.pos
	var v uint64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		if shift == 63 && c > 1 {
			r.fail(start, "an integer does not fit into 64 bits")
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return uint32(min(v, 1<<32-1))
		}
	}
}

func readTable(r *reader) Table {
	return Table{Offset: r.at(), Type: readRefType(r), Limits: readLimits(r)}
}

func readMemory(r *reader) Memory { return Memory{Offset: r.at(), Limits: readLimits(r)} }

func readGlobalType(r *reader) (t ValType, mutable bool) {
	t = readValType(r)
	start := r.pos
	mut := r.byte()
	if mut > 1 {
		r.fail(start, "global of mutability 0x%02x, want 0 or 1", mut)
	}
	return t, mut == 1
}

func readGlobal(r *reader) Global {
	g := Global{Offset: r.pos}
	g.Type, g.Mutable = readGlobalType(r)
	g.Init = readExpr(r)
	return g
}

func readExport(r *reader) Export {
	e := Export{Offset: r.at(), Name: r.name(), Kind: Kind(r.byte()), Index: r.u32()}
	if e.Kind > KindGlobal {
		r.fail(e.Offset, "export %q of unknown kind %s", e.Name, e.Kind)
	}
	return e
}

// readExpr reads a constant expression. It has one instruction: what is longer needs a proposal that Quiver does not use.
func readExpr(r *reader) Expr {
	e := Expr{Start: r.at(), Op: r.byte()}
	switch e.Op {
	case opI32Const:
		r.signed(32)
	case opI64Const:
		r.signed(64)
	case opF32Const:
		r.skip(4)
	case opF64Const:
		r.skip(8)
	case opGlobalGet, opRefFunc:
		e.Index = r.u32()
	case opRefNull:
		readRefType(r)
	case prefixSIMD:
		if r.u32() != 12 {
			r.fail(e.Start, "a constant expression holds a vector instruction other than v128.const")
		}
		r.skip(16)
	default:
		r.fail(e.Start, "a constant expression begins with opcode 0x%02x", e.Op)
	}
	if r.byte() != opEnd {
		r.fail(e.Start, "a constant expression has more than one instruction")
	}
	e.End = r.pos
	return e
}

func readElement(r *reader) Element {
	e := Element{Offset: r.at(), Flags: r.u32(), Type: FuncRef}
	if e.Flags > 7 {
		r.fail(e.Offset, "element segment with unknown flags %d", e.Flags)
	}
	if e.Active() {
		if e.Flags&2 != 0 {
			e.Table = r.u32()
		}
		e.Place = readExpr(r)
	}
	if e.Flags&3 != 0 {
		readElementKind(r, &e)
	}
	n := r.count("elements", maxEntries)
	for range n {
		if r.err != nil {
			break
		}
		e.Entries++
		if e.Flags&4 == 0 {
			e.Funcs = append(e.Funcs, r.u32())
		} else if x := readExpr(r); x.Op == opRefFunc {
			e.Funcs = append(e.Funcs, x.Index)
		}
	}
	return e
}

// readElementKind reads what the entries of a segment are: a kind for indices, a type for expressions.
func readElementKind(r *reader, e *Element) {
	start := r.pos
	if e.Flags&4 != 0 {
		e.Type = readRefType(r)
	} else if kind := r.byte(); kind != 0 {
		r.fail(start, "elements of unknown kind 0x%02x", kind)
	}
}

func readBody(r *reader) Body {
	b := Body{Offset: r.pos}
	size := r.u32()
	b.Start = r.pos
	r.skip(size)
	b.End = r.pos
	if r.err != nil {
		return b
	}
	in := reader{b: r.b, pos: b.Start, end: b.End, section: r.section}
	for range in.count("groups of locals", maxLocals) {
		start := in.pos
		n := in.u32()
		b.refs = isRef(readValType(&in)) || b.refs
		if in.err != nil {
			break
		}
		if n > maxLocals-b.Locals {
			in.fail(start, "more than %d locals", maxLocals)
			break
		}
		b.Locals += n
	}
	b.Code = in.pos
	if in.err == nil && (b.Code == b.End || b.End > 0 && r.b[b.End-1] != opEnd) {
		in.fail(b.Offset, "a body does not end with the instruction end")
	}
	r.err = in.err
	return b
}

func readData(r *reader) Data {
	d := Data{Offset: r.at(), Flags: r.u32()}
	switch d.Flags {
	case 0, 2:
		if d.Flags == 2 {
			d.Memory = r.u32()
		}
		d.Place = readExpr(r)
	case 1:
	default:
		r.fail(d.Offset, "data segment with unknown flags %d", d.Flags)
	}
	n := r.u32()
	d.Start = r.pos
	r.skip(n)
	d.End = r.pos
	return d
}

// functionNames reads the names of functions from the name section. A broken one is no fault of the module (appendix "Custom Sections"): what
// could be read of it counts.
func functionNames(b []byte, secs []Section) map[uint32]string {
	for _, s := range secs {
		if s.ID != SectionCustom || s.Name != "name" {
			continue
		}
		r := &reader{b: b, pos: s.Start, end: s.End}
		r.name()
		for r.more() {
			id, size := r.byte(), r.u32()
			start := r.pos
			r.skip(size)
			if r.err == nil && id == 1 {
				return readNameMap(&reader{b: b, pos: start, end: r.pos})
			}
		}
	}
	return nil
}

func readNameMap(r *reader) map[uint32]string {
	names := map[uint32]string{}
	for range r.count("names", maxFuncs+maxImports) {
		i, s := r.u32(), r.name()
		if r.err != nil {
			break
		}
		names[i] = s
	}
	return names
}
