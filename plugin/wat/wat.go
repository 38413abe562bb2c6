package wat

// What one source may hold. The plugins of Quiver stay far below all of them;
// they bound the time and memory that a hostile source can cost.
const (
	maxSource  = 1 << 20 // limit: bytes of source text
	maxNesting = 400     // limit: parentheses inside one another
	maxBlocks  = 400     // limit: blocks inside one another
	maxFields  = 10_000  // limit: fields of a module: functions, types, exports…
	maxValues  = 1_000   // limit: parameters, or results, of one type
	maxLocals  = 50_000  // limit: locals of one function, parameters included
	maxErrors  = 20      // limit: mistakes that are reported; the rest is counted
)

// Assemble turns the text of a WebAssembly module into its binary form, with the
// names of functions, locals, globals and so on in a name section. name is the
// file's, for errors, and the module's name in the binary is the one in src.
//
// Every error is an Errors with at least one *Error in it, in the order of the
// source. src is not kept, and the caller owns the result. Assemble holds no
// state and may be called from any goroutine.
func Assemble(name string, src []byte) ([]byte, error) {
	return Options{}.Assemble(name, src)
}

// Options say how to assemble; the zero value is what Assemble does.
type Options struct {
	// NoNames leaves the name section out. Traps then show function numbers.
	NoNames bool
	// Unchecked assembles what is not well typed too, as tests of validators need.
	Unchecked bool
}

// Assemble is the function of the same name, with options.
func (o Options) Assemble(name string, src []byte) ([]byte, error) {
	a := &assembler{src: src, unchecked: o.Unchecked, errs: reporter{file: name, src: src}}
	if a.lex(); a.errs.none() {
		a.module()
	}
	if err := a.errs.err(); err != nil {
		return nil, err
	}
	return a.binary(!o.NoNames), nil
}

// assembler is the state of one call.
type assembler struct {
	src []byte

	unchecked bool

	errs reporter
	toks []token // bounded by maxSource

	name      string // of the module, with its $
	types     typeSpace
	functions space
	tables    space
	memories  space
	globals   space
	elems     space
	datas     space

	// Types of functions, globals and tables; bounded by maxFields.
	functionTypes []signature
	globalTypes   []valueType
	tableTypes    []valueType

	locals   [][]string      // names in each function, bounded by maxFields
	exported map[string]bool // bounded by maxSource
	defining int             // token, from 1, of the first field that defines what imports could bring; 0 = none yet

	sections    sections
	needsCount  bool // an instruction names a data segment
	startedOnce bool
}
