package wasm_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// everySection is a module with one of each section, start apart.
var everySection = mod(
	sec(1, vec("\x60\x02\x7f\x7e\x01\x7d", "\x60\x00\x00")),
	sec(0, "\x01a"),
	sec(2, vec("\x02pq\x03log\x00\x01")),
	sec(3, vec("\x00", "\x01")),
	sec(4, vec("\x70\x01\x01\x02")),
	sec(5, vec("\x01\x01\x10")),
	sec(6, vec("\x7e\x01\x42\x7f\x0b")),
	sec(7, vec("\x06memory\x02\x00", "\x04main\x00\x01")),
	sec(9, vec("\x00\x41\x00\x0b"+vec("\x01", "\x00"), "\x01\x00"+vec("\x02"))),
	sec(12, "\x02"),
	sec(10, vec(body("\x43\x00\x00\x80\x3f"), body())),
	sec(11, vec("\x00\x41\x08\x0b"+vec("a", "b"), "\x01"+vec("c"))),
	sec(0, "\x04name", "\x01", uleb(len(vec("\x02\x03two"))), vec("\x02\x03two")),
)

func TestParseKnowsEverySection(t *testing.T) {
	m, err := wasm.Parse(everySection)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Sections) != 13 || m.NumImportedFuncs() != 1 || m.NumFuncs() != 3 || m.Start != -1 || m.DataSegs != 2 {
		t.Errorf("%d sections, %d imports of %d functions, start %d, %d data segments", len(m.Sections), m.NumImportedFuncs(), m.NumFuncs(), m.Start, m.DataSegs)
	}
	if ft, ok := m.FuncType(1); !ok || ft.String() != "(i32, i64) -> f32" {
		t.Errorf("type of function 1 = %s, %v", ft, ok)
	}
	if _, ok := m.FuncType(3); ok {
		t.Error("there is a type of function 3, of three")
	}
	if m.Memories[0].Limits.Max != 16 || !m.Globals[0].Mutable || m.Globals[0].Type != wasm.I64 {
		t.Errorf("memory %+v, global %+v", m.Memories[0], m.Globals[0])
	}
	if e := m.Elements; !slices.Equal(e[0].Funcs, []uint32{1, 0}) || !e[0].Active() || e[1].Active() {
		t.Errorf("elements %+v", e)
	}
	if d := m.Data; string(everySection[d[0].Start:d[0].End]) != "ab" || string(everySection[d[1].Start:d[1].End]) != "c" {
		t.Errorf("data %+v", d)
	}
	if c := m.Code[0]; string(everySection[c.Code:c.End]) != "\x43\x00\x00\x80\x3f\x0b" {
		t.Errorf("the code of the first body = %x", everySection[c.Code:c.End])
	}
	for i, want := range []string{"pq.log", "main", "two"} {
		if got := m.FuncName(uint32(i)); got != want {
			t.Errorf("name of function %d = %q, want %q", i, got, want)
		}
	}
}

func TestParseOfEachPrefixIsAnError(t *testing.T) {
	ends := map[int]bool{len(magic): true} // where a cut leaves a module
	m, err := wasm.Parse(everySection)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Sections {
		ends[s.End] = true
	}
	for n := range everySection {
		if _, err := wasm.Parse(everySection[:n]); err == nil && !ends[n] {
			t.Errorf("%d bytes of %d are read as a module", n, len(everySection))
		}
	}
}

func TestParseOfFlippedBitsDoesNotPanic(t *testing.T) {
	for i := range everySection {
		for bit := range 8 {
			b := slices.Clone(everySection)
			b[i] ^= 1 << bit
			if _, err := wasm.Parse(b); err != nil && !errors.Is(err, wasm.ErrMalformed) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, tc := range []struct {
		in   []byte
		want string
	}{
		{mod("\x0e\x00"), `wasm: offset 8: section ID 14 is unknown`},
		{mod(sec(3, vec()), sec(1, vec())), `wasm: type section, offset 11: stands twice or after one that must follow it`},
		{mod(sec(1, vec("\x5f"))), `wasm: type section, offset 11: type of form 0x5f, functions have 0x60`},
		{mod(sec(1, vec("\x60\x01\x01\x00"))), `wasm: type section, offset 13: type 0x01 is unknown`},
		{mod(sec(1, vec(), "\x00")), `wasm: type section, offset 11: 1 bytes too many`},
		{mod(sec(3, vec("\x00"))), `wasm: code section, offset 12: 0 bodies for 1 functions`},
		{mod(sec(6, vec("\x7f\x00\x41\x01\x41\x01\x0b"))), `wasm: global section, offset 13: a constant expression has more than one instruction`},
		{mod(sec(6, vec("\x7f\x02\x41\x01\x0b"))), `wasm: global section, offset 12: global of mutability 0x02, want 0 or 1`},
		{mod(sec(6, vec("\x7f\x00\x41\x80\x80\x80\x80\x10\x0b"))), `wasm: global section, offset 14: a signed integer does not fit into 32 bits`},
		{mod(sec(8, "\x80\x80\x80\x80\x10")), `wasm: start section, offset 10: an integer does not fit into 32 bits`},
		{mod(sec(3, vec("\x00")), sec(10, vec("\x02\x00\x01"))), `wasm: code section, offset 15: a body does not end with the instruction end`},
		{mod(sec(12, "\x01")), `wasm: data section, offset 11: 0 segments, the data count section announces 1`},
	} {
		_, err := wasm.Parse(tc.in)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%x:\n got %v\nwant %s", tc.in, err, tc.want)
		}
	}
}
