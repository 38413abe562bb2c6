package wat

import (
	"encoding/binary"
	"slices"
)

// section is a vector of the binary while it grows.
type section struct {
	count uint32
	body  []byte // bounded by maxSource
}

// sections are those of one module, but for types, data count and names.
type sections struct {
	imports, functions, tables, memories, globals, exports, elems, code, datas section
	start                                                                      []byte
}

// Numbers of sections (WebAssembly Core 2.0, §5.5.2).
const (
	idCustom    = 0
	idType      = 1
	idImport    = 2
	idFunction  = 3
	idTable     = 4
	idMemory    = 5
	idGlobal    = 6
	idExport    = 7
	idStart     = 8
	idElem      = 9
	idCode      = 10
	idData      = 11
	idDataCount = 12
)

// binary puts the sections together, in the order that the format wants.
func (a *assembler) binary(names bool) []byte {
	s := &a.sections
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = appendVector(b, idType, a.typeSection())
	b = appendVector(b, idImport, s.imports)
	b = appendVector(b, idFunction, s.functions)
	b = appendVector(b, idTable, s.tables)
	b = appendVector(b, idMemory, s.memories)
	b = appendVector(b, idGlobal, s.globals)
	b = appendVector(b, idExport, s.exports)
	if a.startedOnce {
		b = appendSection(b, idStart, s.start)
	}
	b = appendVector(b, idElem, s.elems)
	if a.needsCount {
		b = appendSection(b, idDataCount, appendUint(nil, uint64(s.datas.count)))
	}
	b = appendVector(b, idCode, s.code)
	b = appendVector(b, idData, s.datas)
	if names {
		b = a.appendNames(b)
	}
	return b
}

func (a *assembler) typeSection() (s section) {
	for _, t := range a.types.signatures {
		s.count++
		s.body = append(s.body, 0x60)
		for _, list := range [][]valueType{t.params, t.results} {
			s.body = appendUint(s.body, uint64(len(list)))
			s.body = append(s.body, toBytes(list)...)
		}
	}
	return s
}

// Numbers of subsections of names: the first three are of the specification
// (§7.4.1), the others of the extended name section proposal.
const (
	namesModule    = 0
	namesFunctions = 1
	namesLocals    = 2
	namesTypes     = 4
	namesTables    = 5
	namesMemories  = 6
	namesGlobals   = 7
	namesElems     = 8
	namesDatas     = 9
)

// appendNames appends the name section, if there is any name.
func (a *assembler) appendNames(b []byte) []byte {
	var s []byte
	if a.name != "" {
		s = appendSection(s, namesModule, appendName(nil, bare(a.name)))
	}
	s = appendVector(s, namesFunctions, nameMap(a.functions.list))
	var locals section
	for i, list := range a.locals {
		if m := nameMap(list); m.count > 0 {
			locals.count++
			locals.body = appendUint(locals.body, uint64(i))
			locals.body = append(appendUint(locals.body, uint64(m.count)), m.body...)
		}
	}
	s = appendVector(s, namesLocals, locals)
	s = appendVector(s, namesTypes, nameMap(a.types.list))
	s = appendVector(s, namesTables, nameMap(a.tables.list))
	s = appendVector(s, namesMemories, nameMap(a.memories.list))
	s = appendVector(s, namesGlobals, nameMap(a.globals.list))
	s = appendVector(s, namesElems, nameMap(a.elems.list))
	s = appendVector(s, namesDatas, nameMap(a.datas.list))
	if s == nil {
		return b
	}
	return appendSection(b, idCustom, append(appendName(nil, "name"), s...))
}

func nameMap(names []string) (m section) {
	for i, name := range names {
		if name != "" {
			m.count++
			m.body = appendName(appendUint(m.body, uint64(i)), bare(name))
		}
	}
	return m
}

// appendVector appends a section that starts with how many things it has, or
// nothing if it has none.
func appendVector(b []byte, id byte, s section) []byte {
	if s.count == 0 {
		return b
	}
	return appendSection(b, id, slices.Concat(appendUint(nil, uint64(s.count)), s.body))
}

func appendSection(b []byte, id byte, content []byte) []byte {
	return append(appendUint(append(b, id), uint64(len(content))), content...)
}

func appendName(b []byte, name string) []byte {
	return append(appendUint(b, uint64(len(name))), name...)
}

// appendUint appends n as unsigned LEB128.
func appendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// appendInt appends n as signed LEB128.
func appendInt(b []byte, n int64) []byte {
	for {
		low := byte(n & 0x7F)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

// appendLittle appends the low bits of n, little-endian.
func appendLittle(b []byte, n uint64, bits int) []byte {
	for ; bits > 0; bits -= 8 {
		b = append(b, byte(n))
		n >>= 8
	}
	return b
}

// appendOp appends the code of an instruction.
func appendOp(b []byte, op uint32) []byte {
	if op < 0x100 {
		return append(b, byte(op))
	}
	return appendUint(append(b, byte(op>>16)), uint64(op&0xFFFF))
}

// appendLocals appends the types of locals, equal neighbours together.
func appendLocals(b []byte, types []valueType) []byte {
	var runs section
	for i := 0; i < len(types); {
		n := 1
		for i+n < len(types) && types[i+n] == types[i] {
			n++
		}
		runs.count++
		runs.body = append(appendUint(runs.body, uint64(n)), byte(types[i]))
		i += n
	}
	return append(appendUint(b, uint64(runs.count)), runs.body...)
}
