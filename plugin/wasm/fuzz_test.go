package wasm_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/seed51309289/quiver/plugin/wasm"
)

func seeds(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(everySection)
	f.Add(twoCustoms)
	f.Add(file(f, "kernels.wasm"))
	f.Add(file(f, "hostile.wasm"))
	for seed := range uint64(8) {
		f.Add(randomProgram(seed))
	}
	for _, code := range []string{"", "\x03\x40\x0c\x00\x0b", "\x00\x02\x40\x0b", "\x41\x00\x0e\x00\x00", "\xfd\x0c0123456789abcdef\x1a"} {
		f.Add(fn(code))
	}
}

// FuzzMeter asks that no input panics; that what passes Check is as valid with fuel as it was without, neither less nor more; and that custom
// sections stay as they are.
func FuzzMeter(f *testing.F) {
	seeds(f)
	valid := validator(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		sameValidity(t, valid, b)
	})
}

// validator returns a function that asks the engine whether a module is valid.
func validator(t testing.TB) func([]byte) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() { r.Close(ctx) })
	return func(b []byte) error {
		// As the host does: wazero 1.12 reads a broken name section beyond its end, so that its verdict depends on what follows.
		if bare, err := wasm.WithoutCustoms(b); err == nil {
			b = bare
		}
		c, err := r.CompileModule(ctx, b)
		if err == nil {
			c.Close(ctx)
		}
		return err
	}
}

// sameValidity asks of what passes Check that the engine judges it with fuel as it does without, and reports whether it passed.
func sameValidity(t *testing.T, valid func([]byte) error, b []byte) (passed bool) {
	t.Helper()
	before := bytes.Clone(b)
	m, err := wasm.Parse(b)
	if err != nil || wasm.Check(m, wasm.Rules{}) != nil {
		return false
	}
	out, _, err := wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts())
	if err != nil {
		t.Fatalf("what passes Check cannot be metered: %v", err)
	}
	if !bytes.Equal(b, before) {
		t.Fatal("the input has changed")
	}
	if last := m.Sections; len(last) > 0 && len(last[len(last)-1].Payload(b)) == 0 {
		return false // the engine takes an empty section at the end for a file that is cut, and Meter puts sections behind it
	}
	if was, is := valid(b), valid(out); (was == nil) != (is == nil) {
		t.Fatalf("%x\nwithout fuel: %v\nwith fuel: %v", b, was, is)
	}
	sameCustoms(t, b, out)
	return true
}

// TestDamagedProgramsAreAsValidWithFuelAsWithout turns bytes of programs into others: what the engine refuses it still refuses.
func TestDamagedProgramsAreAsValidWithFuelAsWithout(t *testing.T) {
	valid := validator(t)
	passed := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := randomProgram(seed % 50)
		for range 1 + r.IntN(3) {
			b[len(magic)+r.IntN(len(b)-len(magic))] = byte(r.IntN(256) >> r.IntN(6))
		}
		if sameValidity(t, valid, b) {
			passed++
		}
	}
	if passed < 300 {
		t.Errorf("%d of 3000 pass Check: the damage is too great to tell anything", passed)
	}
}

func sameCustoms(t *testing.T, a, b []byte) {
	t.Helper()
	x, _ := wasm.Customs(a)
	y, err := wasm.Customs(b)
	if err != nil || len(x) != len(y) {
		t.Fatalf("%d custom sections before and %d after, %v", len(x), len(y), err)
	}
	for i := range x {
		if !bytes.Equal(a[x[i].Offset:x[i].End], b[y[i].Offset:y[i].End]) {
			t.Errorf("custom section %q has changed", x[i].Name)
		}
	}
}

// FuzzCustom asks that a section that is put in and taken out again leaves no trace.
func FuzzCustom(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok, err := wasm.Custom(b, "pq.sig"); ok || err != nil {
			return
		}
		with, err := wasm.WithCustom(b, "pq.sig", []byte("signed"))
		if err != nil {
			return
		}
		if got, ok, err := wasm.Custom(with, "pq.sig"); err != nil || !ok || string(got) != "signed" {
			t.Fatalf("%x: Custom = %q, %v, %v", with, got, ok, err)
		}
		without, err := wasm.WithoutCustom(with, "pq.sig")
		if err != nil || !bytes.Equal(without, b) {
			t.Fatalf("%x\nbecomes %x, %v", b, without, err)
		}
	})
}
