package wasm

import "slices"

// Meter returns m with fuel: a copy of its bytes in which every function entry, every loop head and every costly part that not all paths get
// to pays for the region that it begins, before it runs, and traps (unreachable) when fuel falls below zero. Memory and table instructions
// that take a length pay for it before they run.
//
// Fuel is a mutable i64, exported as FuelExport, which the host sets before each call; a call that ends with less than zero has trapped for
// want of it. It begins at 0. The code of m can neither read nor write it: it is appended after all globals, and Meter refuses code that names
// what m does not have. Nothing is renumbered: one global, one export and, for bulk instructions, a type and a function or two are appended to
// their sections, and a memory without a maximum gets that of the rules. Custom sections stay as they are, debug information in them is about
// the original bytes.
//
// What the engine's validator accepts it also accepts after Meter, and the other way round. The error is that of Check, or one about costs out
// of range.
func Meter(m *Module, rules Rules, costs Costs) ([]byte, *Report, error) {
	if err := costs.valid(); err != nil {
		return nil, nil, err
	}
	if err := check(m, rules); err != nil {
		return nil, nil, err
	}
	a, err := analyse(m, costs)
	if err != nil {
		return nil, nil, err
	}
	w := meter{analysis: a, pages: rules.pages(), fuel: uint32(len(m.Globals))}
	out, err := w.module()
	if err != nil {
		return nil, nil, err
	}
	return out, a.report(len(out), w.pages), nil
}

// meter writes the metered module.
type meter struct {
	*analysis
	pages   uint32
	fuel    uint32 // the index of the global
	helpers []byte // for each helper by how much it shifts a length; bounded by two
}

// module returns all sections, the changed ones in the place of the original.
func (w *meter) module() ([]byte, *Error) {
	code, err := w.code() // first: it finds out which helpers there are
	if err != nil {
		return nil, err
	}
	changed := map[byte][]byte{
		SectionGlobal: w.extended(SectionGlobal, 1, []byte{byte(I64), 1, opI64Const, 0, opEnd}),
		SectionExport: w.extended(SectionExport, 1, w.fuelExport()),
	}
	if len(w.m.Code) > 0 {
		changed[SectionCode] = code
	}
	if len(w.m.Memories) > 0 {
		changed[SectionMemory] = w.memory()
	}
	if len(w.helpers) > 0 {
		w.declareHelpers(changed)
	}
	return w.join(changed), nil
}

// join writes the sections of the module, and those of changed instead of theirs; what is new stands where the format wants it.
func (w *meter) join(changed map[byte][]byte) []byte {
	out := slices.Grow([]byte(header), len(w.m.raw)+len(w.m.raw)/4+64)
	pending := []byte{SectionGlobal, SectionExport} // those that may be new, in order
	put := func(id byte) {
		out = append(out, id)
		out = appendU32(out, uint32(len(changed[id])))
		out = append(out, changed[id]...)
		pending = slices.DeleteFunc(pending, func(p byte) bool { return p == id })
	}
	last := -1 // the last section that is not custom
	for i, s := range w.m.Sections {
		if s.ID != SectionCustom {
			last = i
		}
	}
	for i, s := range w.m.Sections {
		for s.ID != SectionCustom && len(pending) > 0 && sectionOrder[pending[0]] < sectionOrder[s.ID] {
			put(pending[0])
		}
		if _, ok := changed[s.ID]; ok {
			put(s.ID)
		} else {
			out = append(out, w.m.raw[s.Offset:s.End]...)
		}
		for i == last && len(pending) > 0 {
			put(pending[0])
		}
	}
	for len(pending) > 0 {
		put(pending[0])
	}
	return out
}

// extended returns the content of a section, a vector, with n more items.
func (w *meter) extended(id byte, n uint32, items []byte) []byte {
	for _, s := range w.m.Sections {
		if s.ID == id {
			r := reader{b: w.m.raw, pos: s.Start, end: s.End}
			n += r.u32()
			items = slices.Concat(w.m.raw[r.pos:s.End], items)
		}
	}
	return append(appendU32(nil, n), items...)
}

func (w *meter) fuelExport() []byte {
	b := append(appendU32(nil, uint32(len(FuelExport))), FuelExport...)
	return appendU32(append(b, byte(KindGlobal)), w.fuel)
}

// memory returns the memory section with a maximum.
func (w *meter) memory() []byte {
	l := w.m.Memories[0].Limits
	if !l.HasMax() {
		l.Max = w.pages
	}
	return appendU32(appendU32([]byte{1, 1}, l.Min), l.Max)
}

// code returns the code section.
func (w *meter) code() ([]byte, *Error) {
	out := make([]byte, 0, len(w.m.raw)+len(w.m.raw)/4)
	for i := range w.m.Code {
		body, err := w.body(i)
		if err != nil {
			return nil, err
		}
		out = append(appendU32(out, uint32(len(body))), body...)
	}
	for _, shift := range w.helpers {
		body := w.helper(shift)
		out = append(appendU32(out, uint32(len(body))), body...)
	}
	return append(appendU32(nil, uint32(len(w.m.Code)+len(w.helpers))), out...), nil
}

// body returns defined function i with its charges.
func (w *meter) body(i int) ([]byte, *Error) {
	body, flow := w.m.Code[i], w.flows[i]
	out := make([]byte, 0, (body.End-body.Start)*5/4+32)
	out = w.locals(out, i)
	out = w.charge(out, w.entry(i))
	copied, loop, cut := body.Code, 0, 0
	flush := func(to int) { out, copied = append(out, w.m.raw[copied:to]...), to }
	err := w.m.walk(i, func(in *instr, _ []byte) *Error {
		switch in.op {
		case opLoop:
			flush(in.at)
			out = w.beforeLoop(out, i, loop)
			flush(in.end)
			out = w.chargeIn(out, i, loop, saturate(uint64(w.costs.Loop), flow.loops[loop].units))
			loop++
		case opMemoryCopy, opMemoryFill, opMemoryInit:
			flush(in.at)
			out = w.chargeLength(out, byte(w.costs.BytesShift))
		case opTableCopy, opTableInit:
			flush(in.at)
			out = w.chargeLength(out, byte(w.costs.EntryShift))
		}
		if cut < len(flow.cuts) && flow.cuts[cut].at == in.end {
			flush(in.end)
			out = w.chargeIn(out, i, flow.cuts[cut].loop, flow.cuts[cut].units)
			cut++
		}
		return nil
	})
	flush(body.End)
	return out, err
}

// beforeLoop appends what stands before a loop that holds fuel in a local and is in none that does.
func (w *meter) beforeLoop(b []byte, i, loop int) []byte {
	loops := w.flows[i].loops
	l := loops[loop]
	if l.calls || l.outer >= 0 && !loops[l.outer].calls {
		return b
	}
	b = appendU32(append(b, opGlobalGet), w.fuel)
	return appendU32(append(b, opLocalSet), w.local(i))
}

// chargeIn is charge in a loop of defined function i, or in none if that is -1.
func (w *meter) chargeIn(b []byte, i, loop int, units uint64) []byte {
	if loop < 0 || w.flows[i].loops[loop].calls {
		return w.charge(b, units)
	}
	return w.chargeLocal(b, units, i)
}

// keepsFuel reports whether defined function i has a loop in which nothing is called, and so a local that holds fuel as well as the global
// does: the head of such a loop then waits for a register, where it would wait for the store of the last passage.
func (w *meter) keepsFuel(i int) bool {
	return slices.ContainsFunc(w.flows[i].loops, func(l loop) bool { return !l.calls })
}

// local returns the index of that local: the first that the function does not have.
func (w *meter) local(i int) uint32 {
	return uint32(len(w.m.Types[w.m.Funcs[i]].Params)) + w.m.Code[i].Locals
}

// locals appends the locals of defined function i, and one more if it needs it.
func (w *meter) locals(b []byte, i int) []byte {
	body := w.m.Code[i]
	if !w.keepsFuel(i) {
		return append(b, w.m.raw[body.Start:body.Code]...)
	}
	r := reader{b: w.m.raw, pos: body.Start, end: body.Code}
	b = appendU32(b, r.u32()+1)
	b = append(b, w.m.raw[r.pos:body.Code]...)
	return append(b, 1, byte(I64))
}

// chargeLocal is charge where the local holds fuel.
func (w *meter) chargeLocal(b []byte, units uint64, i int) []byte {
	b = appendU32(append(b, opLocalGet), w.local(i))
	b = append(appendS64(append(b, opI64Const), int64(units)), opI64Sub)
	b = appendU32(append(b, opLocalTee), w.local(i))
	b = appendU32(append(b, opGlobalSet), w.fuel)
	b = appendU32(append(b, opLocalGet), w.local(i))
	return trapIfNegative(b)
}

// trapIfNegative appends code that takes an i64 and traps if it is below zero. That the trap is the else matters: wazero puts it out of the way
// of the loop, which is then up to a quarter faster than with the trap in the if.
func trapIfNegative(b []byte) []byte {
	return append(b, opI64Const, 0, opI64GeS, opIf, 0x40, opElse, opUnreachable, opEnd)
}

// entry returns what a call of defined function i pays at its start. A function that may call itself pays for all of it: the frame that an
// engine gives it holds the values of all of its branches, so the stack is bounded by fuel, too.
func (a *analysis) entry(i int) uint64 {
	if a.recursive[i] {
		return saturate(uint64(a.costs.Recursion), a.flows[i].total)
	}
	return saturate(uint64(a.costs.Entry), a.flows[i].region)
}

// charge appends code that takes units of fuel and traps if they are not there. It leaves the stack as it is, wherever it stands.
func (w *meter) charge(b []byte, units uint64) []byte {
	b = appendU32(append(b, opGlobalGet), w.fuel)
	b = appendS64(append(b, opI64Const), int64(units))
	return w.settle(b)
}

// settle appends code that subtracts the second value on the stack by the first, keeps that as fuel, and traps if it is negative.
func (w *meter) settle(b []byte) []byte {
	b = appendU32(append(b, opI64Sub, opGlobalSet), w.fuel)
	b = appendU32(append(b, opGlobalGet), w.fuel)
	return trapIfNegative(b)
}

// chargeLength appends a call of the helper that takes fuel for the length on the stack and returns it.
func (w *meter) chargeLength(b []byte, shift byte) []byte {
	at := slices.Index(w.helpers, shift)
	if at < 0 {
		at = len(w.helpers)
		w.helpers = append(w.helpers, shift)
	}
	return appendU32(append(b, opCall), uint32(w.m.NumFuncs()+at))
}

// helper returns the body of a function (i32) -> i32 that takes fuel for its argument, unsigned, shifted right, and returns it.
func (w *meter) helper(shift byte) []byte {
	b := appendU32([]byte{0, opGlobalGet}, w.fuel)
	b = append(b, opLocalGet, 0, opI64ExtendU, opI64Const, shift, opI64ShrU)
	return append(w.settle(b), opLocalGet, 0, opEnd)
}

// declareHelpers gives the helpers a type, that of the module if it has it, and puts them behind its functions.
func (w *meter) declareHelpers(changed map[byte][]byte) {
	want := FuncType{Params: []ValType{I32}, Results: []ValType{I32}}
	t := slices.IndexFunc(w.m.Types, want.equal)
	if t < 0 {
		t = len(w.m.Types)
		changed[SectionType] = w.extended(SectionType, 1, []byte{0x60, 1, byte(I32), 1, byte(I32)})
	}
	one := appendU32(nil, uint32(t))
	changed[SectionFunction] = w.extended(SectionFunction, uint32(len(w.helpers)), slices.Repeat(one, len(w.helpers)))
}
