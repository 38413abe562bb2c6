package wasm

// Compilers take time that grows with the square of a function's branches, and with branches times variables: a function of 250 KiB can keep
// wazero's busy for minutes. These units are about 10 ns of its time in the worst shapes that were found.
const (
	maxWork        = 20_000_000 // limit: units for all functions of a module; a BBR has 650,000
	maxBlockValues = 16         // limit: parameters or results of a block, each a variable wherever its paths join

	workPerLocal     = 45  // units for each branch and local
	workPerLoopLocal = 800 // units for each loop and local
)

// shape is what of a function a compiler's time depends on.
type shape struct{ branches, loops, locals uint64 }

func (s *shape) add(in *instr) {
	switch in.op {
	case opBlock, opIf, opElse, opBr, opBrIf:
		s.branches++
	case opLoop:
		s.loops++
		s.branches += 4 // its charge has three
	case opBrTable:
		s.branches += uint64(len(in.labels))
	}
}

func (s *shape) work() uint64 {
	return s.branches*s.branches + workPerLocal*s.branches*s.locals + workPerLoopLocal*s.loops*s.locals
}
