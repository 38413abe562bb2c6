package wasm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// trap returns the first line of an error, or "".
func trap(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// global returns what an exported global holds.
func (g *guest) global(name string) uint64 { return g.mod.ExportedGlobal(name).Get() }

// triple are three instances of a module: as it is, with fuel, and with a count of what it runs.
type triple struct{ plain, fueled, counted *guest }

func newTriple(t *testing.T, r wazero.Runtime, b []byte) triple {
	t.Helper()
	m, err := wasm.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	code, _ := metered(t, b)
	return triple{instantiate(t, r, b), instantiate(t, r, code), instantiate(t, r, wasm.Counted(m, wasm.DefaultCosts()))}
}

// compare runs an export in all three and returns what it has paid and what it has run, and false if it had not enough fuel. It asks for the
// same results, the same trap and the same memory, and that nothing has run that was not paid for.
func (x triple) compare(t *testing.T, fuel int64, name string, args ...uint64) (paid, ran int64, ok bool) {
	t.Helper()
	got, paid, err := x.fueled.call(fuel, name, args...)
	if paid > fuel {
		return 0, 0, false
	}
	if strings.Contains(trap(err), "stack overflow") {
		return 0, 0, false // where it comes depends on the frames of the engine
	}
	want, _, wantErr := x.plain.call(0, name, args...)
	before := x.counted.global(wasm.CountedExport)
	x.counted.call(0, name, args...)
	ran = int64(x.counted.global(wasm.CountedExport) - before)
	if trap(err) != trap(wantErr) || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s%v with fuel = %v, %q; without = %v, %q", name, args, got, trap(err), want, trap(wantErr))
	}
	if a, b := x.plain.memory(), x.fueled.memory(); !bytes.Equal(a, b) {
		t.Errorf("%s%v leaves another memory with fuel", name, args)
	}
	if ran > paid {
		t.Errorf("%s%v has run %d units and paid %d", name, args, ran, paid)
	}
	return paid, ran, true
}

func (g *guest) memory() []byte {
	mem := g.mod.Memory()
	if mem == nil {
		return nil
	}
	b, _ := mem.Read(0, mem.Size())
	return b
}

func TestRandomProgramsDoTheSameWithFuelAndPayForAllTheyRun(t *testing.T) {
	const programs = 400
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	ended, starved := 0, 0
	for seed := range uint64(programs) {
		x := newTriple(t, r, randomProgram(seed))
		for f := range programFuncs {
			_, _, ok := x.compare(t, 20_000, fmt.Sprintf("f%d", f), seed, uint64(f))
			if !ok {
				starved++
				break // the instances have parted
			}
			ended++
			if a, b := x.plain.global("g"), x.fueled.global("g"); a != b {
				t.Errorf("f%d leaves %d in its global with fuel, %d without", f, b, a)
			}
		}
		if t.Failed() {
			t.Fatalf("the program of seed %d", seed)
		}
	}
	t.Logf("%d calls ended, %d had not enough fuel", ended, starved)
	if ended < programs || starved < programs/20 {
		t.Errorf("%d calls ended and %d had not enough fuel: the programs are too much alike", ended, starved)
	}
}

// TestNoCallPaysMoreThanTheWorstOfTheReport runs programs without loops, whose report says what a call costs at most. Those that take the dearest
// path pay just that.
func TestNoCallPaysMoreThanTheWorstOfTheReport(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	reached, cuts := 0, 0
	for seed := range uint64(300) {
		b := calmProgram(seed)
		_, report := metered(t, b)
		x := newTriple(t, r, b)
		for i, f := range report.Functions {
			cuts += len(f.Cuts)
			paid, _, ok := x.compare(t, 1<<40, fmt.Sprintf("f%d", i), seed, uint64(i))
			if !ok || !f.Bounded || uint64(paid) > f.Worst {
				t.Errorf("seed %d, f%d: paid %d, worst %d, bounded %v, %q", seed, i, paid, f.Worst, f.Bounded, f.Why)
			}
			if uint64(paid) == f.Worst {
				reached++
			}
		}
	}
	if reached < 50 || cuts < 50 {
		t.Errorf("%d calls of 1200 reach the worst, and there are %d cuts: the programs tell nothing", reached, cuts)
	}
}

// TestBothEnginesSpendTheSame: fuel is counted, not measured.
func TestBothEnginesSpendTheSame(t *testing.T) {
	compiler, interpreter := newRuntime(t, wazero.NewRuntimeConfigCompiler()), newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	for seed := range uint64(60) {
		code, _ := metered(t, randomProgram(seed))
		a, b := instantiate(t, compiler, code), instantiate(t, interpreter, code)
		for f := range programFuncs {
			name := fmt.Sprintf("f%d", f)
			got, spent, err := a.call(5000, name, seed, 1)
			want, wantSpent, wantErr := b.call(5000, name, seed, 1)
			if spent != wantSpent || trap(err) != trap(wantErr) || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seed %d, %s: compiled %v for %d, %q; interpreted %v for %d, %q", seed, name, got, spent, trap(err), want, wantSpent, trap(wantErr))
			}
		}
	}
}

func TestCompiledCDoesTheSameWithFuel(t *testing.T) {
	forEngines(t, func(t *testing.T, r wazero.Runtime) {
		x := newTriple(t, r, file(t, "kernels.wasm"))
		x.compare(t, 1<<40, "gf_init")
		for i := range uint64(12) {
			for _, c := range []struct {
				name string
				args []uint64
			}{
				{"fill", []uint64{i, 4096}}, {"xor64", []uint64{i * 100}}, {"xor128", []uint64{i * 160}}, {"gf_muladd", []uint64{i * 100, i}},
				{"gf_simd", []uint64{i * 160, i * 7}}, {"copy", []uint64{i * 300}}, {"newreno", []uint64{1200, i % 4 / 3}}, {"cubic", []uint64{i * 50, 40000}},
				{"parity", []uint64{i * 9}}, {"pointers", []uint64{i * 31, i}}, {"sum", []uint64{4096}},
				{"dispatch", []uint64{i, i * 1000}}, {"dispatch", []uint64{i + 12, i}},
			} {
				if _, _, ok := x.compare(t, 1<<40, c.name, c.args...); !ok {
					t.Errorf("%s%v did not end", c.name, c.args)
				}
			}
		}
	})
}

// TestChargesOfKernels: what is paid above what runs is the price of entries and loop heads, and the branches not taken. These numbers are
// part of the ABI, as the prices are.
func TestChargesOfKernels(t *testing.T) {
	x := newTriple(t, newRuntime(t, wazero.NewRuntimeConfigCompiler()), file(t, "kernels.wasm"))
	x.compare(t, 1<<40, "gf_init")
	for _, c := range []struct {
		name      string
		args      []uint64
		paid, ran int64
	}{
		{"nop", []uint64{1, 2}, 9, 4},
		{"newreno", []uint64{1200, 0}, 42, 22},
		{"cubic", []uint64{100, 40000}, 1181, 1156},
		{"fill", []uint64{1, 4096}, 102446, 98326},
		{"xor64", []uint64{1400}, 4040, 3685},
		{"xor128", []uint64{1392}, 2016, 1837},
		{"gf_muladd", []uint64{1400, 7}, 50413, 47536},
		{"gf_simd", []uint64{1392, 7}, 3302, 3181},
		{"copy", []uint64{1400}, 129, 37},
		{"dispatch", []uint64{1, 1200}, 69, 24},
		{"dispatch", []uint64{99, 0}, 69, 7},
	} {
		if paid, ran, ok := x.compare(t, 1<<40, c.name, c.args...); !ok || paid != c.paid || ran != c.ran {
			t.Errorf("{%q, %#v, %d, %d},\nis what it paid and ran, want %d and %d", c.name, c.args, paid, ran, c.paid, c.ran)
		}
	}
}

// BenchmarkMeter is what a host does once for each plugin.
func BenchmarkMeter(b *testing.B) {
	code := file(b, "kernels.wasm")
	b.SetBytes(int64(len(code)))
	for b.Loop() {
		metered(b, code)
	}
}
