package wasm_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// budget is what a call of a hostile program may spend.
const budget = 200_000

// spentBy says what each export of hostile.wasm has spent when it is stopped: the same on every machine and in every engine. It is more than
// the budget by less than the last charge.
var spentBy = map[string]int64{
	"call_tree":           200004,
	"conversions":         200005,
	"copy_all":            229647,
	"copy_little":         200037,
	"divisions":           200003,
	"fill_1GiB":           67108907,
	"fill_4GiB":           268435498,
	"fill_all":            262301,
	"fill_nothing":        200037,
	"grow":                200505,
	"grow_by_nothing":     200505,
	"host_calls":          200085,
	"host_calls_by_table": 200031,
	"indirect_calls":      200127,
	"indirect_recursion":  200226,
	"init_bytes":          200035,
	"loads":               200015,
	"loop":                200003,
	"loop_counts":         200006,
	"mutual_recursion":    200022,
	"nested_loops":        200001,
	"recursion":           200096,
	"remainders":          200005,
	"roots":               200009,
	"table_copy":          200003,
	"table_init":          200035,
}

func TestFuelStopsWhateverDoesNotEnd(t *testing.T) {
	code, report := metered(t, file(t, "hostile.wasm"))
	forEngines(t, func(t *testing.T, r wazero.Runtime) {
		stopped := map[string]int64{}
		for _, e := range report.Exports {
			if e.Kind != "func" {
				continue
			}
			g := instantiate(t, r, code)
			_, spent, err := g.call(budget, e.Name, 0)
			if err == nil || !strings.Contains(err.Error(), "unreachable") || spent <= budget {
				t.Errorf("%s: %v after %d units, want a trap for want of fuel beyond %d", e.Name, err, spent, budget)
			}
			stopped[e.Name] = spent
		}
		for _, name := range slices.Sorted(maps.Keys(stopped)) {
			if stopped[name] != spentBy[name] {
				t.Errorf("%q: %d,\nhas spent that when it is stopped, want %d", name, stopped[name], spentBy[name])
			}
		}
	})
}

// TestAnInstanceOutlivesItsTrap: unlike a context that is done, want of fuel closes nothing.
func TestAnInstanceOutlivesItsTrap(t *testing.T) {
	code, _ := metered(t, file(t, "kernels.wasm"))
	forEngines(t, func(t *testing.T, r wazero.Runtime) {
		g := instantiate(t, r, code)
		if _, spent, err := g.call(1000, "sum", 1_000_000); err == nil || spent <= 1000 {
			t.Fatalf("sum of a million bytes ends with %d units of 1000: %v", spent, err)
		}
		if got, spent, err := g.call(1000, "nop", 1, 2); err != nil || got[0] != 3 || spent != 9 {
			t.Errorf("nop(1, 2) afterwards = %d, %v for %d units, want 3 for 9", got, err, spent)
		}
		// Without new fuel nothing runs, however often it is tried.
		for range 3 {
			if _, _, err := g.call(-1, "nop", 1, 2); err == nil {
				t.Error("nop runs without fuel")
			}
		}
	})
}

// TestLengthsArePaidBeforeAnythingIsWritten: a fill of 4 GiB would take a second if memory were that large, and -1 is no small number.
func TestLengthsArePaidBeforeAnythingIsWritten(t *testing.T) {
	code, _ := metered(t, file(t, "hostile.wasm"))
	forEngines(t, func(t *testing.T, r wazero.Runtime) {
		for name, length := range map[string]int64{"fill_1GiB": 1 << 30, "fill_4GiB": 1<<32 - 1, "fill_all": 1 << 20} {
			g := instantiate(t, r, code)
			_, spent, err := g.call(100, name, 0)
			if err == nil || spent < length/16 || spent > length/16+100 {
				t.Errorf("%s: %v after %d units, want a trap after %d and those of a few instructions", name, err, spent, length/16)
			}
			if b, _ := g.mod.Memory().ReadByte(0); b != 0 {
				t.Errorf("%s has written to memory that it could not pay for", name)
			}
		}
	})
}

// TestAnOperandIsNoHiddenLoop: a vector constant whose number is padded is, to an engine that takes one byte for the number, another instruction,
// and the 16 bytes of the constant a loop without end that pays nothing.
func TestAnOperandIsNoHiddenLoop(t *testing.T) {
	const (
		before   = "\x02\x40\x41\x01\x0d\x00\x00"                                     // block, i32.const 1, br_if 0, unreachable
		padded   = "\xfd\x8c\x00"                                                     // v128.const, or i16x8.shr_s and unreachable
		constant = "\x0b\x03\x40\x0c\x00\x0b\x02\x40\x00\x01\x01\x01\x01\x01\x01\x01" // 16 bytes, or end, loop, br 0, end, block, unreachable, nop
		after    = "\x1a\x0b"                                                         // drop, end
	)
	hidden := fn(before, padded, constant, after)
	m, err := wasm.Parse(hidden)
	if err != nil {
		t.Fatal(err)
	}
	if err := wasm.Check(m, wasm.Rules{}); !errors.Is(err, wasm.ErrRefused) {
		t.Errorf("Check = %v, want ErrRefused", err)
	}
	if err := validator(t)(hidden); err != nil {
		t.Logf("the engine would refuse it, too: %v", err)
	}
	if _, _, err := wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts()); !errors.Is(err, wasm.ErrRefused) {
		t.Errorf("Meter = %v, want ErrRefused", err)
	}
	if err := checked(t, fn(before, "\xfd\x0c", constant, after), wasm.Rules{}); err != nil {
		t.Errorf("the same without padding: %v", err)
	}
}
