package wasm

import (
	"fmt"
	"strings"
)

// What a module may hold. A compiled plugin of 256 KiB stays far below each of them.
const (
	DefaultMaxSize = 256 << 10 // bytes of a module for Parse; limit: what a stranger may make the host read

	maxSections = 256   // limit: sections, custom ones included
	maxTypes    = 1024  // limit: function types
	maxParams   = 128   // limit: parameters of a type, and results
	maxImports  = 256   // limit: imports
	maxFuncs    = 8192  // limit: functions defined
	maxTables   = 16    // limit: tables defined
	maxMemories = 16    // limit: memories defined
	maxGlobals  = 1024  // limit: globals defined
	maxExports  = 1024  // limit: exports
	maxElements = 1024  // limit: element segments
	maxEntries  = 65536 // limit: entries of one element segment
	maxData     = 4096  // limit: data segments
	maxLocals   = 4096  // limit: locals of a function, parameters included
	maxNesting  = 1024  // limit: blocks within blocks; a switch of n cases nests n blocks
)

// Section IDs (§5.5.2).
const (
	SectionCustom    = 0
	SectionType      = 1
	SectionImport    = 2
	SectionFunction  = 3
	SectionTable     = 4
	SectionMemory    = 5
	SectionGlobal    = 6
	SectionExport    = 7
	SectionStart     = 8
	SectionElement   = 9
	SectionCode      = 10
	SectionData      = 11
	SectionDataCount = 12
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code",
	"data", "data count"}

// sectionOrder is the place of a section among the others; custom sections may stand anywhere.
var sectionOrder = [...]int{SectionType: 1, SectionImport: 2, SectionFunction: 3, SectionTable: 4, SectionMemory: 5, SectionGlobal: 6,
	SectionExport: 7, SectionStart: 8, SectionElement: 9, SectionDataCount: 10, SectionCode: 11, SectionData: 12}

// ValType is the type of a value (§5.3.4).
type ValType byte

// The types of values.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// String returns the name of t in the text format.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return fmt.Sprintf("0x%02x", byte(t))
}

// Kind is what an import or export is (§5.5.5).
type Kind byte

// The kinds of imports and exports.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// String returns "func", "table", "memory" or "global".
func (k Kind) String() string {
	switch k {
	case KindFunc:
		return "func"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return fmt.Sprintf("0x%02x", byte(k))
}

// Module is a module that Parse has read. It refers to the bytes it was read from, which must stay as they are while it is in use; offsets are
// from their start. A function index counts imported functions first, then defined ones, and so do those of tables, memories and globals.
type Module struct {
	Sections []Section
	Types    []FuncType
	Imports  []Import
	Funcs    []uint32 // type index of each defined function
	Tables   []Table  // defined
	Memories []Memory // defined
	Globals  []Global // defined
	Exports  []Export
	Start    int64 // index of the start function, -1 = none
	Elements []Element
	DataSegs int64  // what the data count section announces, -1 = no such section
	Code     []Body // one for each of Funcs
	Data     []Data

	raw           []byte
	importedFuncs []uint32 // type indices
	names         map[uint32]string
}

// Section is where a section lies: its header from Offset, its payload from Start to End. Name is that of a custom section, whose payload
// begins with it.
type Section struct {
	ID                 byte
	Name               string
	Offset, Start, End int
}

// Kind returns the section's name in the specification.
func (s Section) Kind() string { return sectionNames[s.ID] }

// FuncType is the type of a function.
type FuncType struct{ Params, Results []ValType }

// String returns t as "(i32, i32) -> i64".
func (t FuncType) String() string {
	if len(t.Results) == 0 {
		return "(" + list(t.Params) + ")"
	}
	return "(" + list(t.Params) + ") -> " + list(t.Results)
}

func list(types []ValType) string {
	var s []string
	for _, t := range types {
		s = append(s, t.String())
	}
	return strings.Join(s, ", ")
}

func (t FuncType) equal(u FuncType) bool { return string(t.flat()) == string(u.flat()) }

func (t FuncType) flat() []byte {
	b := []byte{byte(len(t.Params))}
	for _, p := range t.Params {
		b = append(b, byte(p))
	}
	for _, p := range t.Results {
		b = append(b, byte(p))
	}
	return b
}

// Limits are the bounds of a table (entries) or memory (pages of 64 KiB). Flags are those of the format: bit 0 says that there is a maximum,
// bit 1 that it is shared, bit 2 that addresses have 64 bits.
type Limits struct {
	Flags    byte
	Min, Max uint32
}

// HasMax reports whether the limits state a maximum.
func (l Limits) HasMax() bool { return l.Flags&1 != 0 }

// Import is one import. Type is the index of a function's type, Limits are those of a table or memory.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         uint32
	Limits       Limits
	Offset       int
}

// Table is a table.
type Table struct {
	Type   ValType
	Limits Limits
	Offset int
}

// Memory is a linear memory.
type Memory struct {
	Limits Limits
	Offset int
}

// Global is a global variable.
type Global struct {
	Type    ValType
	Mutable bool
	Init    Expr
	Offset  int
}

// Export is one export.
type Export struct {
	Name   string
	Kind   Kind
	Index  uint32
	Offset int
}

// Expr is a constant expression of one instruction. Op is its opcode, 0xfd for v128.const; Index is what global.get or ref.func name.
type Expr struct {
	Op    byte
	Index uint32
	// Start and End enclose the bytes of the expression with its end.
	Start, End int
}

// Element is an element segment. Flags are those of the format: bit 0 passive or declarative, bit 1 declarative or with a table index, bit 2
// with expressions instead of function indices.
type Element struct {
	Flags   uint32
	Table   uint32
	Place   Expr // where an active segment goes
	Type    ValType
	Funcs   []uint32 // function indices; those of ref.func expressions too
	Entries int
	Offset  int
}

// Active reports whether the segment is copied into its table when the module is instantiated.
func (e Element) Active() bool { return e.Flags&1 == 0 }

// Body is the code of a function: from Start, its locals, to End, with the instructions from Code on. Locals counts those it declares.
type Body struct {
	Offset, Start, Code, End int
	Locals                   uint32

	refs bool // a local is a reference
}

// Data is a data segment: the bytes from Start to End.
type Data struct {
	Flags      uint32
	Memory     uint32
	Place      Expr // where an active segment goes
	Start, End int
	Offset     int
}

// Bytes returns what the module was read from. The caller must not change it.
func (m *Module) Bytes() []byte { return m.raw }

// NumImportedFuncs returns how many functions are imported: the index of the first one that is defined.
func (m *Module) NumImportedFuncs() int { return len(m.importedFuncs) }

// NumFuncs returns how many functions there are, imported ones included.
func (m *Module) NumFuncs() int { return len(m.importedFuncs) + len(m.Funcs) }

// FuncType returns the type of function i, and false if there is no such function.
func (m *Module) FuncType(i uint32) (FuncType, bool) {
	t, ok := m.funcTypeIndex(i)
	if !ok || uint64(t) >= uint64(len(m.Types)) {
		return FuncType{}, false
	}
	return m.Types[t], true
}

func (m *Module) funcTypeIndex(i uint32) (uint32, bool) {
	n := uint32(len(m.importedFuncs))
	switch {
	case i < n:
		return m.importedFuncs[i], true
	case i-n < uint32(len(m.Funcs)):
		return m.Funcs[i-n], true
	}
	return 0, false
}

// FuncName returns the name of function i: that of the name section, else of its import or first export, else "".
func (m *Module) FuncName(i uint32) string {
	if s, ok := m.names[i]; ok {
		return s
	}
	if i < uint32(len(m.importedFuncs)) {
		return m.importName(i)
	}
	for _, e := range m.Exports {
		if e.Kind == KindFunc && e.Index == i {
			return e.Name
		}
	}
	return ""
}

// importName returns "module.name" of imported function i.
func (m *Module) importName(i uint32) string {
	for _, im := range m.Imports {
		if im.Kind != KindFunc {
			continue
		}
		if i == 0 {
			return im.Module + "." + im.Name
		}
		i--
	}
	return ""
}
