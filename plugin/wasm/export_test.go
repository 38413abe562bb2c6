package wasm

// The limits, for the tests that fill them.
const (
	MaxSections = maxSections
	MaxTypes    = maxTypes
	MaxParams   = maxParams
	MaxImports  = maxImports
	MaxFuncs    = maxFuncs
	MaxTables   = maxTables
	MaxMemories = maxMemories
	MaxGlobals  = maxGlobals
	MaxExports  = maxExports
	MaxElements = maxElements
	MaxEntries  = maxEntries
	MaxData     = maxData
	MaxLocals   = maxLocals
	MaxNesting  = maxNesting

	MaxTableEntries = maxTableEntries
	MaxWork         = maxWork
	MaxBlockValues  = maxBlockValues
	WorkPerLocal    = workPerLocal
)

// CountedExport is the global of a module that Counted has made.
const CountedExport = "counted"

// Counted returns m with a count of what it runs: before each instruction, and before nothing else, a global grows by its price. It knows
// nothing of regions, so it can judge them.
func Counted(m *Module, costs Costs) []byte {
	a, err := analyse(m, costs)
	if err != nil {
		panic(err)
	}
	w := meter{analysis: a, pages: MaxPages, fuel: uint32(len(m.Globals))}
	code := appendU32(nil, uint32(len(m.Code)))
	for i, body := range m.Code {
		out := append([]byte(nil), m.raw[body.Start:body.Code]...)
		w.m.walk(i, func(in *instr, _ []byte) *Error {
			if units := a.price(in); units > 0 {
				out = appendU32(append(out, opGlobalGet), w.fuel)
				out = append(appendS64(append(out, opI64Const), int64(units)), 0x7c) // i64.add
				out = appendU32(append(out, opGlobalSet), w.fuel)
			}
			out = append(out, m.raw[in.at:in.end]...)
			return nil
		})
		code = append(appendU32(code, uint32(len(out))), out...)
	}
	export := append(appendU32(nil, uint32(len(CountedExport))), CountedExport...)
	return w.join(map[byte][]byte{
		SectionGlobal: w.extended(SectionGlobal, 1, []byte{byte(I64), 1, opI64Const, 0, opEnd}),
		SectionExport: w.extended(SectionExport, 1, appendU32(append(export, byte(KindGlobal)), w.fuel)),
		SectionCode:   code,
	})
}
