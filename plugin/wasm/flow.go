package wasm

import "math"

// flow is what the control flow of a function costs.
type flow struct {
	region uint64 // the dearest path from the entry, outside loops
	total  uint64 // all instructions, those of loops included
	loops  []loop // in the order of their heads
	depth  int    // loops within loops
}

// loop is a loop of a function.
type loop struct {
	units uint64 // the dearest path from its head, outside loops within it
	calls bool   // something is called in it, or in a loop within it, that may change fuel
	outer int    // the index of the loop around it, -1 = none
}

// never is the cost of getting to a place that nothing gets to.
const never = -1

// region is a loop, or the body of the function, while it is walked through.
type region struct {
	cost int64 // the dearest path from its head to here; while a loop within it is open, to that loop. never = not reached
	max  int64 // the dearest path so far
	loop int   // its index in loops, -1 = the body
}

// block is an open block.
type block struct {
	kind   byte
	region int   // the index of the region that it is in; for a loop, that of the loop
	after  int64 // the dearest path to a branch to its end
	before int64 // if: the dearest path to it
}

// trace follows the control flow of one function.
type trace struct {
	flow    flow
	price   func(*instr) uint64
	regions []region
	blocks  []block
}

// flowOf walks through defined function i, which Check has passed, with that price for each instruction.
//
// Within a region control only ever moves on, so the dearest path to each place is known when the walk gets there: the greater of the paths
// that join in it. A branch carries the cost of the region that its target belongs to; the regions of loops that it leaves have been paid at
// their heads, and a branch to a head pays there again.
func (m *Module) flowOf(i int, price func(*instr) uint64) (flow, *Error) {
	t := trace{price: price, regions: []region{{loop: -1}}, blocks: []block{{kind: opBlock, after: never}}}
	err := m.walk(i, func(in *instr, _ []byte) *Error {
		t.step(in)
		return nil
	})
	return t.flow, err
}

func (t *trace) step(in *instr) {
	t.pay(t.price(in))
	switch in.op {
	case opBlock, opIf:
		t.blocks = append(t.blocks, block{kind: byte(in.op), region: len(t.regions) - 1, after: never, before: t.here().cost})
	case opLoop:
		t.openLoop()
	case opElse:
		b := &t.blocks[len(t.blocks)-1]
		b.after = max(b.after, t.here().cost)
		b.kind, t.here().cost = opElse, b.before
	case opEnd:
		t.close()
	case opBr:
		t.branch(in.a)
		t.here().cost = never
	case opBrIf:
		t.branch(in.a)
	case opBrTable:
		for _, l := range in.labels {
			t.branch(l)
		}
		t.here().cost = never
	case opReturn, opUnreachable:
		t.here().cost = never
	case opCall, opCallIndirect, opMemoryCopy, opMemoryFill, opMemoryInit, opTableCopy, opTableInit:
		for l := t.here().loop; l >= 0; l = t.flow.loops[l].outer {
			t.flow.loops[l].calls = true
		}
	}
}

func (t *trace) here() *region { return &t.regions[len(t.regions)-1] }

func (t *trace) pay(units uint64) {
	t.flow.total = saturate(t.flow.total, units)
	if r := t.here(); r.cost != never {
		r.cost = int64(saturate(uint64(r.cost), units))
		r.max = max(r.max, r.cost)
	}
}

// saturate returns a + b, or what is far beyond any budget.
func saturate(a, b uint64) uint64 {
	const most = math.MaxInt64 / 4
	return min(min(a, most)+min(b, most), most)
}

// openLoop begins a region. A loop that nothing gets to is walked as if something did.
func (t *trace) openLoop() {
	t.flow.loops = append(t.flow.loops, loop{outer: t.here().loop})
	t.regions = append(t.regions, region{loop: len(t.flow.loops) - 1})
	t.blocks = append(t.blocks, block{kind: opLoop, region: len(t.regions) - 1, after: never})
	t.flow.depth = max(t.flow.depth, len(t.regions)-1)
}

// branch joins the path to here with those to the end of the block at that depth. To a loop's head there is nothing to add.
func (t *trace) branch(depth uint32) {
	b := &t.blocks[len(t.blocks)-1-int(depth)]
	if b.kind != opLoop && t.here().cost != never {
		b.after = max(b.after, t.regions[b.region].cost)
	}
}

// close ends the innermost block.
func (t *trace) close() {
	b := t.blocks[len(t.blocks)-1]
	t.blocks = t.blocks[:len(t.blocks)-1]
	r := t.here()
	switch {
	case b.kind == opLoop:
		t.flow.loops[r.loop].units = uint64(r.max)
		t.regions = t.regions[:len(t.regions)-1]
		if r.cost == never {
			t.here().cost = never
		}
		return
	case b.kind == opIf: // without else: the condition may lead past it
		r.cost = max(r.cost, b.before)
	}
	r.cost = max(r.cost, b.after)
	if len(t.blocks) == 0 {
		t.flow.region = uint64(r.max)
	}
}
