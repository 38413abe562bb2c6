package plugin

import "context"

// engine turns metered byte code into running guests. Everything that knows which engine it is stands in engine_wazero.go.
type engine interface {
	// compile translates a module that was checked and metered. It is safe for concurrent use.
	compile(ctx context.Context, code []byte) (program, error)
	// kind says how guests run.
	kind() EngineKind
	close() error
}

// program is a compiled module, which any number of guests share.
type program interface {
	// instantiate makes a guest whose imports act for i. No code of the guest runs. It is safe for concurrent use.
	instantiate(ctx context.Context, i *instance) (guest, error)
	close() error
}

// guest is one instance of a module: its memory and globals. It is not safe for concurrent use.
type guest interface {
	// call runs pq_call. An error is a *trap.
	call(op, arg uint32) (int64, error)
	// export runs another function, if the module has it.
	export(name string, arg ...uint64) (result uint64, ok bool, err error)
	// fuel is what is left; below 0 it ran out.
	fuel() int64
	setFuel(int64)
	// memory is the linear memory, which the guest may have grown.
	memory() *memory
	// global returns the value of a mutable global, by its number among them.
	globals() int
	global(n int) uint64
	setGlobal(n int, v uint64)
	grow(pages uint32) bool
	close()
}

// EngineKind says how WebAssembly runs.
type EngineKind uint8

// The kinds of engines.
const (
	AutoEngine  EngineKind = iota // Compiler where memory may be made executable, else Interpreter
	Compiler                      // translated to machine code when it is loaded
	Interpreter                   // interpreted: anywhere, 10 to 100 times slower
)

var engineNames = [...]string{"auto", "compiler", "interpreter"}

// String returns auto, compiler or interpreter.
func (k EngineKind) String() string {
	if int(k) < len(engineNames) {
		return engineNames[k]
	}
	return "unknown engine"
}

// trap is why a guest stopped in the middle.
type trap struct {
	reason string   // as "out of bounds memory access"
	stack  []string // names of functions, the innermost first; at most maxStack
}

// maxStack is how many functions an error names.
const maxStack = 6

func (t *trap) Error() string { return t.reason }
