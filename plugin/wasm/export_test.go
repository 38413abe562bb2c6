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
)
