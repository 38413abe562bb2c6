package wat_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// surroundings is what the functions of the generated module refer to.
const surroundings = `  (memory 1)
  (table $table 4 funcref)
  (elem $elem func $callee)
  (data $data "data")
  (global $global (mut i64) (i64.const 0))
  (type $binary (func (param i32 i32) (result i32)))
  (func $callee)
`

// special are functions for the instructions whose types depend on more than
// their name.
var special = map[string]string{
	"unreachable":   "(result v128) unreachable",
	"block":         "(result i32) block (result i32) i32.const 1 end",
	"loop":          "(result i32) loop (result i32) i32.const 1 end",
	"if":            "(param i32) local.get 0 if nop end",
	"else":          "(param i32) (result f64) local.get 0 if (result f64) f64.const 1 else f64.const 2 end",
	"end":           "block end",
	"br":            "(result i32) block $b (result i32) i32.const 1 br $b end",
	"br_if":         "(param i32) block $b local.get 0 br_if $b end",
	"br_table":      "(param i32) block $a block $b local.get 0 br_table $a $b 2 end end",
	"return":        "(result i64) i64.const 1 return",
	"call":          "call $callee",
	"call_indirect": "(result i32) i32.const 1 i32.const 2 i32.const 3 call_indirect $table (type $binary)",
	"ref.null":      "(result externref) ref.null extern",
	"ref.is_null":   "(param funcref) (result i32) local.get 0 ref.is_null",
	"drop":          "(param v128) local.get 0 drop",
	"select":        "(param v128 v128 i32) (result v128) local.get 0 local.get 1 local.get 2 select",
	"local.get":     "(param $p f32) (result f32) local.get $p",
	"local.set":     "(param $p f32) (local $l f32) local.get $p local.set $l",
	"local.tee":     "(param $p f32) (result f32) (local $l f32) local.get $p local.tee $l",
	"global.get":    "(result i64) global.get $global",
	"global.set":    "(param i64) local.get 0 global.set $global",
	"table.get":     "(result funcref) i32.const 0 table.get $table",
	"table.set":     "(param funcref) i32.const 0 local.get 0 table.set $table",
	"table.grow":    "(param funcref) (result i32) local.get 0 i32.const 1 table.grow $table",
	"table.fill":    "(param funcref) i32.const 0 local.get 0 i32.const 1 table.fill $table",
}

// function returns a well-typed function around an instruction.
func function(t *testing.T, r wat.Row) string {
	t.Helper()
	name := fmt.Sprintf("  (func (export %q) ", r.Name)
	if whole, ok := special[r.Name]; ok {
		return name + whole + ")\n"
	}
	takes, gives, ok := strings.Cut(r.Signature, "->")
	if !ok {
		t.Fatalf("%s has neither a signature nor a function in this test", r.Name)
	}
	var b strings.Builder
	b.WriteString(name)
	params := strings.Fields(takes)
	if len(params) > 0 {
		fmt.Fprintf(&b, "(param %s) ", strings.Join(params, " "))
	}
	if gives = strings.TrimSpace(gives); gives != "" {
		fmt.Fprintf(&b, "(result %s) ", gives)
	}
	for i := range params {
		fmt.Fprintf(&b, "local.get %d ", i)
	}
	return b.String() + strings.TrimSpace(r.Name+" "+r.ExampleImmediates()) + ")\n"
}

func generated(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(";; Every instruction once, generated from the table by the tests; -update rewrites it.\n(module\n" + surroundings)
	for _, r := range wat.Rows() {
		b.WriteString(function(t, r))
	}
	return b.String() + ")\n"
}

// TestEveryInstructionIsInTestdata makes the comparison with the reference tool
// one of every opcode: a row that is added here must be added there.
func TestEveryInstructionIsInTestdata(t *testing.T) {
	const path = "testdata/instructions.wat"
	want := generated(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(read(t, path)) != want {
		t.Errorf("%s is not what the table of instructions makes: rewrite it with -update", path)
	}
}

// engine returns a runtime that validates WebAssembly 2.0.
func engine(t testing.TB) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func TestEveryInstructionIsValidInItsFunction(t *testing.T) {
	r := engine(t)
	for _, row := range wat.Rows() {
		src := "(module\n" + surroundings + function(t, row) + ")"
		b, err := wat.Assemble(row.Name, []byte(src))
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := r.CompileModule(context.Background(), b)
		if err != nil {
			t.Errorf("%s: %v\n%s", row.Name, err, src)
			continue
		}
		m.Close(context.Background())
	}
}

func TestNoTwoInstructionsAreTheSame(t *testing.T) {
	names, ops := map[string]bool{}, map[uint32]string{}
	for _, r := range wat.Rows() {
		if names[r.Name] {
			t.Errorf("%s is twice in the table", r.Name)
		}
		if other := ops[r.Op]; other != "" {
			t.Errorf("%s and %s are both %#x", other, r.Name, r.Op)
		}
		names[r.Name], ops[r.Op] = true, r.Name
	}
	if len(ops) != 436 {
		t.Errorf("the table has %d instructions, want the 436 of WebAssembly 2.0", len(ops))
	}
}

func TestTheEngineAcceptsEveryModuleOfTestdata(t *testing.T) {
	r := engine(t)
	for _, path := range sources(t) {
		b, err := wat.Assemble(path, read(t, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := r.CompileModule(context.Background(), b); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
