package wasm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// immediates are candidates for what may follow an opcode; one of them fits to each.
var immediates = []string{"", "\x00", "\x00\x00", "\x00\x00\x00", "\x40\x0b", "\x40\x05\x0b", "\x00\x00\x00\x00", "\x01\x7f",
	"\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\x00", 16)}

// room is a module whose one function holds, where nothing gets to and every operand fits, that code; it has one of all that an index may name.
func room(code string) []byte {
	return mod(
		sec(1, vec("\x60\x00\x00")),
		sec(3, vec("\x00")),
		sec(4, vec("\x70\x00\x01")),
		sec(5, vec("\x01\x01\x01")),
		sec(6, vec("\x7f\x01\x41\x00\x0b")),
		sec(9, vec("\x01\x00\x00")),
		sec(12, "\x01"),
		sec(10, vec(func() string {
			s := "\x01\x01\x7f\x00" + code + "\x00\x0b"
			return uleb(len(s)) + s
		}())),
		sec(11, vec("\x01\x00")),
	)
}

// TestEveryInstructionIsReadAsTheEngineReadsIt goes through all opcodes, with and without a prefix, and all candidates for what follows them.
// What the validator accepts must be read, unless its feature is refused; for each instruction that it knows there must be one that is.
func TestEveryInstructionIsReadAsTheEngineReadsIt(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	valid := func(b []byte) bool {
		c, err := r.CompileModule(ctx, b)
		if err == nil {
			c.Close(ctx)
		}
		return err == nil
	}
	var ops []string
	for op := range 256 {
		if op != 0xfc && op != 0xfd { // which are read with what is behind them
			ops = append(ops, string([]byte{byte(op)}))
		}
	}
	for sub := range 40 {
		ops = append(ops, "\xfc"+uleb(sub))
	}
	for sub := range 300 {
		ops = append(ops, "\xfd"+uleb(sub))
	}
	known, read := 0, 0
	for _, op := range ops {
		var isKnown, isRead bool
		for _, imm := range immediates {
			b := room(op + imm)
			m, err := wasm.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			err = wasm.Check(m, wasm.Rules{})
			var e *wasm.Error
			if errors.As(err, &e) && e.Rule == "features" {
				continue
			}
			if !valid(b) {
				continue
			}
			isKnown, isRead = true, isRead || err == nil
			if err != nil {
				t.Errorf("%x is valid: %v", op+imm, err)
				continue
			}
			out, _, err := wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts())
			if err != nil || !valid(out) {
				t.Errorf("%x is no longer valid with fuel: %v", op+imm, err)
			}
		}
		if isKnown {
			known++
		}
		if isRead {
			read++
		}
	}
	// 1.0 has 172 instructions, of which else and end cannot stand here; then 5 sign extensions, a select with a type, 8 saturating
	// conversions, 7 of bulk memory and 236 vector instructions.
	if want := 170 + 5 + 1 + 8 + 7 + 236; known != want || read != want {
		t.Errorf("the engine knows %d instructions, %d are read, want %d", known, read, want)
	}
}
