package wasm

import "fmt"

// Costs are the prices of what a metered module does, in units of fuel. They are part of the ABI: the same module pays the same on every
// machine. No price may exceed MaxCost.
type Costs struct {
	Instruction uint32 `json:"instruction"` // each instruction that is not listed below; block, loop, else, end and nop cost nothing
	Entry       uint32 `json:"entry"`       // each call of a function, beside the region at its start
	Recursion   uint32 `json:"recursion"`   // the same of a function that may call itself, directly or not: it takes stack as well
	Loop        uint32 `json:"loop"`        // each passage of a loop's head, beside the region there
	Division    uint32 `json:"division"`    // division, remainder and square root, of integers, floats and vectors; multiplication of floats
	HostCall    uint32 `json:"host_call"`   // a call of an import, directly or by a table
	Grow        uint32 `json:"grow"`        // memory.grow
	Bulk        uint32 `json:"bulk"`        // memory.copy, memory.fill, memory.init, table.copy, table.init, beside what their length costs
	BytesShift  uint32 `json:"bytes_shift"` // the bytes of bulk memory cost their number shifted right by this, 0 to 31: 4 is a unit for 16 bytes
	Split       uint32 `json:"split"`       // a part of a region that not every path gets to is a region of its own if it costs that much; 0 = never
	EntryShift  uint32 `json:"entry_shift"` // the entries of table.copy and table.init cost their number shifted right by this
}

// Version is raised when Check refuses what it did not, or when Meter makes something else of the same module.
const Version = 2

// MaxCost is the most that one of Costs may be, so that no sum overflows.
const MaxCost = 1 << 20

// DefaultCosts returns the prices of ABI version 1.
func DefaultCosts() Costs {
	return Costs{Instruction: 1, Entry: 5, Recursion: 100, Loop: 2, Division: 8, HostCall: 200, Grow: 2000, Bulk: 32, BytesShift: 4, EntryShift: 0, Split: 64}
}

// Price is a line of the table of costs.
type Price struct {
	What  string `json:"what"`
	Units uint32 `json:"units"`
	Per   uint32 `json:"per"` // how many bytes or entries that is for; 1 for all else
}

// Table returns the costs as a table for people.
func (c Costs) Table() []Price {
	return []Price{
		{"instruction", c.Instruction, 1},
		{"function entry", c.Entry, 1},
		{"entry of a recursive function", c.Recursion, 1},
		{"loop head", c.Loop, 1},
		{"division, remainder, square root, float multiplication", c.Division, 1},
		{"host call", c.HostCall, 1},
		{"memory.grow", c.Grow, 1},
		{"bulk memory or table instruction", c.Bulk, 1},
		{"bytes of bulk memory", 1, 1 << (c.BytesShift & 31)},
		{"entries of table instructions", 1, 1 << (c.EntryShift & 31)},
	}
}

// valid returns an error about prices that are out of range or that leave something free which can be repeated.
func (c Costs) valid() error {
	if c.Split > MaxCost {
		return fmt.Errorf("wasm: regions are cut from %d units, at most %d", c.Split, MaxCost)
	}
	for _, p := range c.Table() {
		if p.Units > MaxCost {
			return fmt.Errorf("wasm: %d units for %s, at most %d", p.Units, p.What, MaxCost)
		}
	}
	if c.BytesShift > 31 || c.EntryShift > 31 {
		return fmt.Errorf("wasm: lengths are shifted by %d and %d bits, at most 31", c.BytesShift, c.EntryShift)
	}
	if c.Instruction == 0 {
		return fmt.Errorf("wasm: instructions cost nothing: a loop would be free")
	}
	return nil
}

// divisions are the instructions that take as long as one. Multiplication of floats does where a number is subnormal, which the guest can arrange.
var divisions = map[int]bool{
	0x6d: true, 0x6e: true, 0x6f: true, 0x70: true, // i32
	0x7f: true, 0x80: true, 0x81: true, 0x82: true, // i64
	0x91: true, 0x95: true, 0x9f: true, 0xa3: true, // sqrt and div of f32, f64
	0x94: true, 0xa2: true, // mul of f32, f64
	prefixSIMD<<8 | 0xe6: true, prefixSIMD<<8 | 0xf2: true, // and of vectors
	prefixSIMD<<8 | 0xe3: true, prefixSIMD<<8 | 0xe7: true, prefixSIMD<<8 | 0xef: true, prefixSIMD<<8 | 0xf3: true,
}

// of returns what in costs, calls and lengths apart.
func (c Costs) of(in *instr) uint64 {
	switch in.op {
	case opBlock, opLoop, opElse, opEnd, opNop:
		return 0
	case opMemoryGrow:
		return uint64(c.Grow)
	case opMemoryCopy, opMemoryFill, opMemoryInit, opTableCopy, opTableInit:
		return uint64(c.Bulk)
	}
	if divisions[in.op] {
		return uint64(c.Division)
	}
	return uint64(c.Instruction)
}
