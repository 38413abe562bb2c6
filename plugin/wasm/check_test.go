package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

func checked(t *testing.T, b []byte, rules wasm.Rules) error {
	t.Helper()
	m, err := wasm.Parse(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return wasm.Check(m, rules)
}

func TestCheckLetsCompiledPluginsPass(t *testing.T) {
	for _, name := range []string{"kernels.wasm", "hostile.wasm"} {
		if err := checked(t, file(t, name), wasm.Rules{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checked(t, everySection, wasm.Rules{}); err != nil {
		t.Error(err)
	}
}

func TestCheckRefusesWithOneSentence(t *testing.T) {
	named := func(code string) []byte {
		return append(fn(code), sec(0, "\x04name", "\x01", uleb(8), vec("\x00\x05outer"))...)
	}
	i32 := "\x60\x00\x01\x7f"
	one := func(sections ...string) []byte { // a module with the function type () -> ()
		return mod(append([]string{sec(1, vec("\x60\x00\x00", i32))}, sections...)...)
	}
	for _, tc := range []struct {
		in   []byte
		want string
	}{
		// Features.
		{fn("\x00\xfe\x03\x00"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0xfe: threads`},
		{named("\xfe\x03\x00"), `wasm: code section, offset 36, function 0 "outer": rule features: instruction 0xfe: threads`},
		{fn("\x12\x00"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0x12: tail calls and function references`},
		{fn("\x06\x40\x0b"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0x06: exceptions`},
		{fn("\x1f\x40\x00\x0b"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0x1f: exceptions`},
		{fn("\xd0\x70\x1a"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0xd0: reference types`},
		{fn("\x02\x70\x00\x0b\x1a"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0x02: reference types`},
		{fn("\x00\x1c\x01\x70\x1a"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0x1c: reference types`},
		{fn("\x41\x00\x25\x00\x1a"), `wasm: code section, offset 38, function 0 "f": rule features: instruction 0x25: reference types`},
		{fn("\x00\xfc\x0f\x00"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0xfc0f: reference types`},
		{fn("\x00\xfd\x80\x02"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0xfd: relaxed SIMD`},
		{fn("\x00\xfb\x00\x00"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0xfb: garbage collection`},
		{fn("\x00\x28\x42\x01\x00"), `wasm: code section, offset 37, function 0 "f": rule features: instruction 0x28: several memories`},
		{fn("\x3f\x01\x1a"), `wasm: code section, offset 36, function 0 "f": rule features: instruction 0x3f: several memories`},
		{fn("\x00\xfd\x8c\x00"), `wasm: code section, offset 37, function 0 "f": rule instructions: instruction 0xfd: a number that is not in its shortest form`},
		{fn("\x00\xfd\x80\x81\x00"), `wasm: code section, offset 37, function 0 "f": rule instructions: instruction 0xfd: a number that is not in its shortest form`},
		{fn("\x00\xfc\x8b\x00\x00"), `wasm: code section, offset 37, function 0 "f": rule instructions: instruction 0xfc: a number that is not in its shortest form`},
		{fn("\x00\xfd\x9a\x01"), `wasm: code section, offset 37, function 0 "f": rule instructions: instruction 0xfd9a: unknown`},
		{fn("\x27"), `wasm: code section, offset 36, function 0 "f": rule instructions: instruction 0x27: unknown`},
		{mod(sec(1, vec("\x60\x01\x6f\x00"))), `wasm: type section, offset 8: rule features: type 0 holds externref: references are not values here`},
		{one(sec(3, vec("\x00")), sec(10, vec("\x04\x01\x01\x70\x0b"))), `wasm: code section, offset 26, function 0: rule features: a local is a reference`},
		{mod(sec(6, vec("\x70\x00\xd0\x70\x0b"))), `wasm: global section, offset 11: rule features: global 0 is a funcref: references are not values here`},
		{mod(sec(4, vec("\x6f\x00\x01"))), `wasm: table section, offset 11: rule features: a table of externref; reference types are not allowed`},
		{mod(sec(9, vec("\x03\x00\x00"))), `wasm: element section, offset 11: rule features: segment 0 has flags 3: reference types are not allowed`},
		{mod(sec(5, vec("\x03\x01\x01"))), `wasm: memory section, offset 11: rule features: the memory is shared: threads are not allowed`},
		{mod(sec(5, vec("\x05\x01\x01"))), `wasm: memory section, offset 11: rule features: the memory has 64-bit addresses`},

		// Imports and exports.
		{one(sec(2, vec("\x16wasi_snapshot_preview1\x08fd_write\x00\x00"))), `wasm: import section, offset 21: rule imports: "wasi_snapshot_preview1"."fd_write" belongs to WASI; a plugin may import from "pq" only`},
		{one(sec(2, vec("\x03env\x03log\x00\x00"))), `wasm: import section, offset 21: rule imports: "env"."log" is of module "env"; a plugin may import from "pq" only`},
		{mod(sec(2, vec("\x02pq\x01m\x02\x00\x01"))), `wasm: import section, offset 11: rule imports: "pq"."m" is a memory; a plugin may import functions only`},
		{mod(sec(2, vec("\x02pq\x01t\x01\x70\x00\x01"))), `wasm: import section, offset 11: rule imports: "pq"."t" is a table; a plugin may import functions only`},
		{mod(sec(2, vec("\x02pq\x01g\x03\x7f\x00"))), `wasm: import section, offset 11: rule imports: "pq"."g" is a global; a plugin may import functions only`},
		{mod(sec(4, vec("\x70\x00\x01")), sec(7, vec("\x01t\x01\x00"))), `wasm: export section, offset 17: rule exports: "t" is a table`},
		{mod(sec(6, vec("\x7e\x01\x42\x00\x0b")), sec(7, vec("\x07pq_fuel\x03\x00"))), `wasm: export section, offset 19: rule exports: the name "pq_fuel" is the host's`},
		{one(sec(2, vec("\x02pq\x01a\x00\x00")), sec(7, vec("\x01a\x00\x00"))), `wasm: export section, offset 31: rule exports: "a" is imported function 0; a plugin exports what it defines`},
		{one(sec(3, vec("\x00")), sec(8, "\x00"), sec(10, vec(body()))), `wasm: start section, offset 22: rule start: a start function would run before it has fuel; export pq_init instead`},

		// Memory and tables.
		{mod(sec(5, vec("\x00\x01", "\x00\x01"))), `wasm: memory section, offset 13: rule memory: 2 memories, one is allowed`},
		{mod(sec(5, vec("\x00\x11"))), `wasm: memory section, offset 11: rule memory: starts with 17 pages, at most 16 are allowed`},
		{mod(sec(5, vec("\x01\x01\x11"))), `wasm: memory section, offset 11: rule memory: may grow to 17 pages, at most 16 are allowed; link with --max-memory=1048576`},
		{mod(sec(4, vec("\x70\x00\x01", "\x70\x00\x01"))), `wasm: table section, offset 14: rule tables: 2 tables, one is allowed`},

		// Indices: what Meter appends must not be within reach of the module.
		{fn("\x42\x00\x24\x00"), `wasm: code section, offset 38, function 0 "f": rule indices: instruction 0x24 names global 0 of 0`},
		{fn("\x23\x00\x1a"), `wasm: code section, offset 36, function 0 "f": rule indices: instruction 0x23 names global 0 of 0`},
		{fn("\x10\x01"), `wasm: code section, offset 36, function 0 "f": rule indices: instruction 0x10 names function 1 of 1`},
		{fn("\x42\x00\x21\x00"), `wasm: code section, offset 38, function 0 "f": rule indices: instruction 0x21 names local 0 of 0`},
		{fn("\x41\x00\x11\x01\x00"), `wasm: code section, offset 38, function 0 "f": rule indices: instruction 0x11 names type 1 of 1`},
		{fn("\x41\x00\x11\x00\x00"), `wasm: code section, offset 38, function 0 "f": rule indices: instruction 0x11 names table 0 of 0`},
		{fn("\x02\x01\x0b"), `wasm: code section, offset 36, function 0 "f": rule indices: instruction 0x02 names type 1 of 1`},
		{fn("\xfc\x09\x00"), `wasm: code section, offset 36, function 0 "f": rule indices: instruction 0xfc09 names data segment 0 of 0`},
		{fn("\xfc\x0d\x00"), `wasm: code section, offset 36, function 0 "f": rule indices: instruction 0xfc0d names element segment 0 of 0`},
		{mod(sec(6, vec("\x7f\x00\x41\x00\x0b")), sec(7, vec("\x01g\x03\x01"))), `wasm: export section, offset 19: rule indices: "g" is global 1, which is not there`},
		{mod(sec(6, vec("\x7f\x00\x41\x00\x0b", "\x7f\x00\x23\x00\x0b"))), `wasm: global section, offset 18: rule indices: a constant expression names global 0, and no global is imported`},
		{one(sec(4, vec("\x70\x00\x01")), sec(9, vec("\x00\x41\x00\x0b"+vec("\x00")))), `wasm: element section, offset 27: rule indices: segment 0 names function 0 of 0`},
		{one(sec(3, vec("\x02")), sec(10, vec(body()))), `wasm: function section, offset 18, function 0: rule indices: has type 2 of 2`},
		{mod(sec(11, vec("\x00\x41\x00\x0b\x00"))), `wasm: data section, offset 11: rule indices: segment 0 goes to memory 0, which is not there`},

		// Control flow that the walk cannot follow.
		{fn("\x0c\x01"), `wasm: code section, offset 36, function 0 "f": a branch leaves 2 blocks, 1 are open`},
		{fn("\x05"), `wasm: code section, offset 36, function 0 "f": else without an if`},
		{fn("\x0b\x01"), `wasm: code section, offset 37, function 0 "f": 2 bytes after the end of the function`},
		{fn("\x02\x40"), `wasm: code section, offset 39, function 0 "f": ends early`},
	} {
		err := checked(t, tc.in, wasm.Rules{})
		if err == nil || err.Error() != tc.want {
			t.Errorf("\n got %v\nwant %s", err, tc.want)
			continue
		}
		want := wasm.ErrMalformed
		if strings.Contains(tc.want, ": rule ") {
			want = wasm.ErrRefused
		}
		if !errors.Is(err, want) {
			t.Errorf("%v: want %v", err, want)
		}
	}
}

func TestTheMemoryMayHaveWhatTheRulesSayAndNeverMoreThanTheHardLimit(t *testing.T) {
	for _, tc := range []struct {
		pages, allowed uint32
		ok             bool
	}{
		{wasm.DefaultPages, 0, true},
		{wasm.DefaultPages + 1, 0, false},
		{1, 1, true},
		{2, 1, false},
		{wasm.MaxPages, wasm.MaxPages, true},
		{wasm.MaxPages + 1, 1 << 16, false},
	} {
		b := mod(sec(5, vec("\x01\x01"+uleb(int(tc.pages)))))
		if err := checked(t, b, wasm.Rules{Pages: tc.allowed}); (err == nil) != tc.ok {
			t.Errorf("%d pages, %d allowed: %v", tc.pages, tc.allowed, err)
		}
	}
}

// TestTablesAndNestingHaveLimits fills maxTableEntries and maxNesting.
func TestTablesAndNestingHaveLimits(t *testing.T) {
	table := func(n int) []byte { return mod(sec(4, vec("\x70\x00"+uleb(n)))) }
	if err := checked(t, table(wasm.MaxTableEntries), wasm.Rules{}); err != nil {
		t.Error(err)
	}
	if err := checked(t, table(wasm.MaxTableEntries+1), wasm.Rules{}); !errors.Is(err, wasm.ErrRefused) {
		t.Errorf("a table of one entry too many: %v", err)
	}
	nested := func(n int) []byte { return fn(strings.Repeat("\x03\x40", n), strings.Repeat("\x0b", n)) }
	if err := checked(t, nested(wasm.MaxNesting), wasm.Rules{}); err != nil {
		t.Error(err)
	}
	if err := checked(t, nested(wasm.MaxNesting+1), wasm.Rules{}); !errors.Is(err, wasm.ErrMalformed) {
		t.Errorf("a block nested too deep: %v", err)
	}
}

// TestNoModuleKeepsACompilerBusyForLong fills maxWork and maxBlockValues. A function of 36,000 blocks, which fits into a module, took the engine
// more than a minute, and 1,500 loops with 4,000 locals not much less.
func TestNoModuleKeepsACompilerBusyForLong(t *testing.T) {
	with := func(locals int, code string) []byte {
		s := vec(uleb(locals)+"\x7f") + code + "\x0b"
		return mod(sec(1, vec("\x60\x00\x00")), sec(3, vec("\x00")), sec(10, vec(uleb(len(s))+s)))
	}
	const branch, loop = "\x02\x40\x20\x00\x0d\x00\x0b", "\x03\x40\x20\x00\x0d\x00\x0b"
	for _, tc := range []struct {
		what string
		in   []byte
		ok   bool
	}{
		{"many blocks", with(1, strings.Repeat(branch, 2100)), true}, // 4200 branches: just below the root of MaxWork
		{"too many blocks", with(1, strings.Repeat(branch, 2300)), false},
		{"locals", with(wasm.MaxLocals, strings.Repeat(branch, 50)), true}, // 100 branches with WorkPerLocal each
		{"locals and blocks", with(wasm.MaxLocals, strings.Repeat(branch, 500)), false},
		{"locals and loops", with(wasm.MaxLocals, strings.Repeat(loop, 50)), false},
		{"a switch", with(1, "\x02\x40\x20\x00\x0e"+uleb(4300)+strings.Repeat("\x00", 4301)+"\x0b"), true},
		{"too large a switch", with(1, "\x02\x40\x20\x00\x0e"+uleb(4500)+strings.Repeat("\x00", 4501)+"\x0b"), false},
	} {
		err := checked(t, tc.in, wasm.Rules{})
		if tc.ok != (err == nil) || !tc.ok && !strings.Contains(err.Error(), "rule work") {
			t.Errorf("%s: %v, want it passed: %v", tc.what, err, tc.ok)
		}
	}
	if wasm.MaxWork < 4200*4200+wasm.WorkPerLocal*4200 {
		t.Error("the first case is beyond the limit")
	}
	block := func(n int) []byte {
		return mod(sec(1, vec("\x60\x00\x00", "\x60\x00"+times(n, "\x7f"))), sec(3, vec("\x00")), sec(10, vec(body("\x00\x02\x01\x00\x0b\x00"))))
	}
	if err := checked(t, block(wasm.MaxBlockValues), wasm.Rules{}); err != nil {
		t.Error(err)
	}
	if err := checked(t, block(wasm.MaxBlockValues+1), wasm.Rules{}); !errors.Is(err, wasm.ErrRefused) {
		t.Errorf("a block of %d results: %v", wasm.MaxBlockValues+1, err)
	}
}
