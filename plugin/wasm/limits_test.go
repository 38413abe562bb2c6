package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// TestEachLimitHoldsWhatItSaysAndNotOneMore fills maxSections, maxTypes, maxParams, maxImports, maxFuncs, maxTables, maxMemories, maxGlobals,
// maxExports, maxElements, maxEntries, maxData and maxLocals.
func TestEachLimitHoldsWhatItSaysAndNotOneMore(t *testing.T) {
	for _, tc := range []struct {
		what string
		max  int
		make func(n int) []byte
	}{
		{"sections", wasm.MaxSections, func(n int) []byte { return mod(strings.Repeat("\x00\x02\x01a", n)) }},
		{"types", wasm.MaxTypes, func(n int) []byte { return mod(sec(1, times(n, "\x60\x00\x00"))) }},
		{"parameters", wasm.MaxParams, func(n int) []byte { return mod(sec(1, vec("\x60"+times(n, "\x7f")+"\x00"))) }},
		{"results", wasm.MaxParams, func(n int) []byte { return mod(sec(1, vec("\x60\x00"+times(n, "\x7f")))) }},
		{"imports", wasm.MaxImports, func(n int) []byte { return mod(sec(2, times(n, "\x02pq\x01a\x00\x00"))) }},
		{"functions", wasm.MaxFuncs, func(n int) []byte { return mod(sec(3, times(n, "\x00")), sec(10, times(n, body()))) }},
		{"tables", wasm.MaxTables, func(n int) []byte { return mod(sec(4, times(n, "\x70\x00\x01"))) }},
		{"memories", wasm.MaxMemories, func(n int) []byte { return mod(sec(5, times(n, "\x00\x01"))) }},
		{"globals", wasm.MaxGlobals, func(n int) []byte { return mod(sec(6, times(n, "\x7f\x00\x41\x00\x0b"))) }},
		{"exports", wasm.MaxExports, func(n int) []byte { return mod(sec(7, times(n, "\x01a\x00\x00"))) }},
		{"element segments", wasm.MaxElements, func(n int) []byte { return mod(sec(9, times(n, "\x00\x41\x00\x0b\x00"))) }},
		{"elements", wasm.MaxEntries, func(n int) []byte { return mod(sec(9, vec("\x00\x41\x00\x0b"+times(n, "\x00")))) }},
		{"data segments", wasm.MaxData, func(n int) []byte { return mod(sec(11, times(n, "\x01\x00"))) }},
		{"locals", wasm.MaxLocals, func(n int) []byte {
			code := vec(uleb(n-1)+"\x7f", "\x01\x7e") + "\x0b"
			return mod(sec(3, vec("\x00")), sec(10, vec(uleb(len(code))+code)))
		}},
	} {
		if _, err := wasm.Parse(tc.make(tc.max)); err != nil {
			t.Errorf("%d %s: %v", tc.max, tc.what, err)
		}
		if _, err := wasm.Parse(tc.make(tc.max + 1)); !errors.Is(err, wasm.ErrMalformed) {
			t.Errorf("%d %s, one too many: %v, want ErrMalformed", tc.max+1, tc.what, err)
		}
	}
}

func TestModulesHaveTheSizeThatTheCallerAllows(t *testing.T) {
	full := mod(sec(0, "\x01a"+strings.Repeat("x", wasm.DefaultMaxSize-len(magic)-6)))
	if len(full) != wasm.DefaultMaxSize {
		t.Fatalf("the module has %d bytes, want %d", len(full), wasm.DefaultMaxSize)
	}
	if _, err := wasm.Parse(full); err != nil {
		t.Errorf("Parse of %d bytes: %v", len(full), err)
	}
	longer := append(full, "\x00\x01\x00"...)
	if _, err := wasm.Parse(longer); !errors.Is(err, wasm.ErrMalformed) {
		t.Errorf("Parse of %d bytes: %v, want ErrMalformed", len(longer), err)
	}
	if _, err := wasm.ParseMax(longer, len(longer)); err != nil {
		t.Errorf("ParseMax of %d bytes, as many allowed: %v", len(longer), err)
	}
}

// TestCountsAreNotBelieved: a length that the bytes cannot hold must not make the reader allocate.
func TestCountsAreNotBelieved(t *testing.T) {
	for _, b := range [][]byte{
		mod(sec(9, vec("\x00\x41\x00\x0b"+uleb(wasm.MaxEntries)))),
		mod(sec(3, uleb(wasm.MaxFuncs))),
		mod(sec(1, "\xff\xff\xff\xff\x0f")),
		mod("\x01\xff\xff\xff\xff\x0f"),
	} {
		if _, err := wasm.Parse(b); !errors.Is(err, wasm.ErrMalformed) {
			t.Errorf("%x: %v, want ErrMalformed", b, err)
		}
	}
}
