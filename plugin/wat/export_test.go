package wat

import "fmt"

// Limits, for the tests that fill them.
const (
	MaxSource  = maxSource
	MaxNesting = maxNesting
	MaxBlocks  = maxBlocks
	MaxFields  = maxFields
	MaxValues  = maxValues
	MaxLocals  = maxLocals
	MaxErrors  = maxErrors
	MaxStack   = maxStack
)

// Row is what a test may know of an instruction.
type Row struct {
	Name, Signature string
	Op              uint32
}

// Rows returns the table of instructions.
func Rows() (rows []Row) {
	for _, i := range instructions {
		rows = append(rows, Row{i.name, i.signature, i.op})
	}
	return rows
}

// ExampleImmediates returns text that may follow the name of a row's instruction.
func (r Row) ExampleImmediates() string {
	switch i := byName[r.Name]; i.immediate {
	case memarg:
		return fmt.Sprintf("offset=8 align=%d", 1<<i.n)
	case memLane:
		return fmt.Sprintf("offset=8 align=%d %d", 1<<i.n, 16>>i.n-1)
	case lane:
		return fmt.Sprint(i.n - 1)
	case shuffle:
		return "0 31 1 30 2 29 3 28 4 27 5 26 6 25 7 24"
	case v128Const:
		return "i64x2 1 -1"
	case i32Const, i64Const, f32Const, f64Const:
		return "-7"
	case function:
		return "$callee"
	case data:
		return "$data"
	case elem:
		return "$elem"
	case memoryInit:
		return "$data"
	case table:
		return "$table"
	case tableInit:
		return "$table $elem"
	case tableCopy:
		return "$table $table"
	}
	return ""
}
