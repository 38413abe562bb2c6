package wasm

import "math"

// flow is what the control flow of a function costs.
type flow struct {
	region uint64 // the dearest path from the entry, outside other regions
	total  uint64 // all instructions
	loops  []loop // in the order of their heads
	cuts   []cut  // in the order of their places
	depth  int    // loops within loops
}

// loop is a loop of a function.
type loop struct {
	units uint64 // the dearest path from its head, outside regions within it
	calls bool   // something is called in it, or in a loop within it, that may change fuel
	outer int    // the index of the loop around it, -1 = none
	depth int    // loops around it, itself included
}

// cut is a region that begins behind an instruction and ends with the block that it stands in.
type cut struct {
	at    int // where in the module it begins
	units uint64
	loop  int // the loop that it is in, -1 = none
}

// never is the cost of getting to a place that nothing gets to.
const never = -1

// region is the body of the function, a loop or a cut, while it is walked through.
type region struct {
	cost int64 // the dearest path from its head to here; while a region within it is open, to that region. never = not reached
	max  int64 // the dearest path so far
	loop int   // the index of the loop that it is or is in, -1 = none
	cut  int   // the index of the cut that it is, -1 = none
}

// block is an open block.
type block struct {
	kind     byte
	region   int   // the index of the region that it is in; for a loop, that of the loop
	after    int64 // the dearest path to a branch to its end
	before   int64 // if: the dearest path to it
	farthest int   // the index of the outermost block that a branch within it goes to
}

// candidate is a place where a region might be cut, while the block that it stands in is open.
type candidate struct {
	at, block, region int
	start, max        int64
}

// trace follows the control flow of one function.
type trace struct {
	flow       flow
	price      func(*instr) uint64
	cutAt      map[int]bool   // where regions are cut
	extra      map[int]uint64 // what is paid where
	regions    []region
	blocks     []block
	candidates []candidate
	worth      map[int]int64 // what a path from each candidate costs at most
}

// flowOf walks through defined function i, which Check has passed, with that price for each instruction, and cuts regions where at least split
// units are saved on the paths that go by; 0 cuts none.
//
// Within a region control only ever moves on, so the dearest path to each place is known when the walk gets there: the greater of the paths
// that join in it. A branch carries the cost of the region that its target belongs to; the regions that it leaves have been paid at their
// heads, and a branch to a head pays there again.
//
// A region may begin wherever the rest of a block is, since nothing enters a block but at its start and after what stands in it. It is worth it
// where a path goes by: in the arms of an if, behind a conditional branch, and behind a block that something leaves for farther out, as the
// arms of a switch. Otherwise a plugin that does much for one operation would pay for that with each.
func (m *Module) flowOf(i int, price func(*instr) uint64, split uint32) (flow, *Error) {
	cuts := map[int]bool{}
	t, err := m.trace(i, price, cuts, nil)
	for round := 0; round < maxRounds && split > 0 && err == nil; round++ {
		fresh := map[int]bool{}
		for at, units := range t.worth {
			if units >= int64(split) {
				cuts[at], fresh[at] = true, true
			}
		}
		if len(fresh) == 0 {
			break
		}
		if t, err = m.trace(i, price, cuts, nil); err != nil {
			break
		}
		for _, c := range t.flow.cuts {
			if fresh[c.at] && c.units < uint64(split) {
				delete(cuts, c.at) // a cut within it has taken what made it worth it
			}
		}
		t, err = m.trace(i, price, cuts, nil)
	}
	return t.flow, err
}

// maxRounds is how often flowOf looks for more places to cut. One round finds the ends of long chains of branches, each more their middles.
const maxRounds = 3

func (m *Module) trace(i int, price func(*instr) uint64, cutAt map[int]bool, extra map[int]uint64) (*trace, *Error) {
	t := &trace{price: price, cutAt: cutAt, extra: extra, worth: map[int]int64{}, regions: []region{{loop: -1, cut: -1}},
		blocks: []block{{kind: opBlock, after: never}}}
	err := m.walk(i, func(in *instr, _ []byte) *Error {
		t.step(in)
		return nil
	})
	return t, err
}

func (t *trace) step(in *instr) {
	t.pay(t.price(in))
	parts := false // a path goes by what follows
	switch in.op {
	case opBlock, opIf:
		t.blocks = append(t.blocks, block{kind: byte(in.op), region: len(t.regions) - 1, after: never, before: t.here().cost, farthest: len(t.blocks)})
		parts = in.op == opIf
	case opLoop:
		t.openLoop()
	case opElse:
		t.otherwise()
		parts = true
	case opEnd:
		parts = t.close()
	case opBr:
		t.branch(in.a)
		t.here().cost = never
	case opBrIf:
		t.branch(in.a)
		parts = true
	case opBrTable:
		for _, l := range in.labels {
			t.branch(l)
		}
		t.here().cost = never
	case opReturn:
		t.leave(0)
		t.here().cost = never
	case opUnreachable:
		t.here().cost = never
	case opCall, opCallIndirect, opMemoryCopy, opMemoryFill, opMemoryInit, opTableCopy, opTableInit:
		for l := t.here().loop; l >= 0; l = t.flow.loops[l].outer {
			t.flow.loops[l].calls = true
		}
	}
	if parts && len(t.blocks) > 0 && t.here().cost != never {
		t.begin(in.end)
	}
}

// begin opens a region at a place, or notes that one could begin there.
func (t *trace) begin(at int) {
	if units, ok := t.extra[at]; ok {
		t.pay(units)
	}
	if t.cutAt[at] {
		t.flow.cuts = append(t.flow.cuts, cut{at: at, loop: t.here().loop})
		t.regions = append(t.regions, region{loop: t.here().loop, cut: len(t.flow.cuts) - 1})
		return
	}
	cost := t.here().cost
	t.candidates = append(t.candidates, candidate{at: at, block: len(t.blocks) - 1, region: len(t.regions) - 1, start: cost, max: cost})
}

func (t *trace) here() *region { return &t.regions[len(t.regions)-1] }

func (t *trace) pay(units uint64) {
	t.flow.total = saturate(t.flow.total, units)
	r := t.here()
	if r.cost == never {
		return
	}
	r.cost = int64(saturate(uint64(r.cost), units))
	r.max = max(r.max, r.cost)
	if n := len(t.candidates); n > 0 && t.candidates[n-1].region == len(t.regions)-1 {
		c := &t.candidates[n-1]
		c.max = max(c.max, r.cost)
	}
}

// saturate returns a + b, or what is far beyond any budget.
func saturate(a, b uint64) uint64 {
	const most = math.MaxInt64 / 4
	return min(min(a, most)+min(b, most), most)
}

// openLoop begins the region of a loop. One that nothing gets to is walked through as if something did.
func (t *trace) openLoop() {
	outer, depth := t.here().loop, 1
	if outer >= 0 {
		depth = t.flow.loops[outer].depth + 1
	}
	t.flow.loops = append(t.flow.loops, loop{outer: outer, depth: depth})
	t.flow.depth = max(t.flow.depth, depth)
	t.regions = append(t.regions, region{loop: len(t.flow.loops) - 1, cut: -1})
	t.blocks = append(t.blocks, block{kind: opLoop, region: len(t.regions) - 1, after: never, farthest: len(t.blocks)})
}

// branch joins the path to here with those to the end of the block at that depth. To a loop's head there is nothing to add.
func (t *trace) branch(depth uint32) {
	i := len(t.blocks) - 1 - int(depth)
	t.leave(i)
	if b := &t.blocks[i]; b.kind != opLoop && t.here().cost != never {
		b.after = max(b.after, t.regions[b.region].cost)
	}
}

// leave notes that control goes from the innermost block to block i.
func (t *trace) leave(i int) {
	b := &t.blocks[len(t.blocks)-1]
	b.farthest = min(b.farthest, i)
}

// otherwise ends the first arm of an if and begins the second.
func (t *trace) otherwise() {
	b := &t.blocks[len(t.blocks)-1]
	t.unwind(b.region)
	b.after = max(b.after, t.here().cost)
	b.kind, t.here().cost = opElse, b.before
}

// unwind ends the regions that were cut in the innermost block and the candidates there. What gets to the end of one gets on in the region
// around it, at the cost of getting to where it began.
func (t *trace) unwind(to int) {
	reached := t.here().cost != never
	for n := len(t.candidates); n > 0 && t.candidates[n-1].block == len(t.blocks)-1; n-- {
		c := t.candidates[n-1]
		t.worth[c.at] = c.max - c.start
		t.candidates = t.candidates[:n-1]
		if n > 1 && t.candidates[n-2].region == c.region {
			t.candidates[n-2].max = max(t.candidates[n-2].max, c.max)
		}
	}
	for len(t.regions)-1 > to {
		r := t.here()
		t.flow.cuts[r.cut].units = uint64(r.max)
		t.regions = t.regions[:len(t.regions)-1]
	}
	if !reached {
		t.here().cost = never
	}
}

// close ends the innermost block and reports whether something in it went farther than to its end.
func (t *trace) close() (escapes bool) {
	last := len(t.blocks) - 1
	b := t.blocks[last]
	t.unwind(b.region)
	t.blocks = t.blocks[:last]
	if last > 0 {
		t.blocks[last-1].farthest = min(t.blocks[last-1].farthest, b.farthest)
	}
	r := t.here()
	switch {
	case b.kind == opLoop:
		t.flow.loops[r.loop].units = uint64(r.max)
		t.regions = t.regions[:len(t.regions)-1]
		if r.cost == never {
			t.here().cost = never
		}
		return b.farthest < last
	case b.kind == opIf: // without else: the condition may lead past it
		r.cost = max(r.cost, b.before)
	}
	r.cost = max(r.cost, b.after)
	if last == 0 {
		t.flow.region = uint64(r.max)
	}
	return b.farthest < last
}
