package wat_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
)

// TestLimitsHoldWhereTheyAreFilled assembles what is as large as a limit allows
// and what is larger by one.
func TestLimitsHoldWhereTheyAreFilled(t *testing.T) {
	rep := strings.Repeat
	for _, tt := range []struct {
		name string // the constant
		max  int
		src  func(n int) string
	}{
		{"maxSource", wat.MaxSource, func(n int) string { return "(module)" + rep(" ", n-len("(module)")) }},
		{"maxNesting", wat.MaxNesting, func(n int) string {
			return "(module (func" + rep("(block", n-2) + rep(")", n)
		}},
		{"maxBlocks", wat.MaxBlocks, func(n int) string { return "(func " + rep("block ", n) + rep("end ", n) + ")" }},
		{"maxFields", wat.MaxFields, func(n int) string { return rep("(func)", n) }},
		{"maxValues", wat.MaxValues, func(n int) string { return "(type (func (param " + rep("i32 ", n) + ")))" }},
		{"maxValues", wat.MaxValues, func(n int) string { return "(type (func " + rep("(result i32)", n) + "))" }},
		{"maxLocals", wat.MaxLocals, func(n int) string { return "(func (param i32) (local " + rep("i64 ", n-1) + "))" }},
		{"maxLocals", wat.MaxLocals, func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "(local $%x i32)", i)
			}
			return "(func " + b.String() + ")"
		}},
		{"maxStack", wat.MaxStack, func(n int) string {
			return "(func $c (result " + rep("i32 ", 1000) + ") unreachable) (func " + rep("call $c ", n/1000) + rep("i32.const 1 ", n%1000) + "unreachable)"
		}},
	} {
		if _, err := wat.Assemble("full.wat", []byte(tt.src(tt.max))); err != nil {
			t.Errorf("%s: a source that fills it is refused: %v", tt.name, err)
		}
		_, err := wat.Assemble("over.wat", []byte(tt.src(tt.max+1)))
		var e *wat.Error
		if !errors.As(err, &e) || e.Kind != wat.Limit {
			t.Errorf("%s: a source beyond it: %v, want an error of kind Limit", tt.name, err)
		}
	}
}

func TestMistakesBeyondTheLimitAreCounted(t *testing.T) {
	src := "(func " + strings.Repeat("bad\n", wat.MaxErrors+7) + ")" // maxErrors
	_, err := wat.Assemble("many.wat", []byte(src))
	var list *wat.Errors
	if !errors.As(err, &list) || len(list.List) != wat.MaxErrors || list.More != 7 {
		t.Fatalf("%v, want %d errors and 7 more", err, wat.MaxErrors)
	}
	if !strings.HasSuffix(err.Error(), "\nmany.wat: and 7 more") {
		t.Errorf("the last line is not the count: %v", err)
	}
}
