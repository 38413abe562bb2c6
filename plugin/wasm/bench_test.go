package wasm_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
)

// BenchmarkKernels compares calls with and without fuel.
func BenchmarkKernels(b *testing.B) {
	plain := file(b, "kernels.wasm")
	fueled, _ := metered(b, plain)
	r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
	for _, k := range []struct {
		name string
		args []uint64
	}{
		{"nop", []uint64{1, 2}},
		{"newreno", []uint64{1200, 0}},
		{"cubic", []uint64{100, 40000}},
		{"xor64", []uint64{1400}},
		{"xor128", []uint64{1392}},
		{"gf_muladd", []uint64{1400, 7}},
		{"gf_simd", []uint64{1392, 7}},
		{"copy", []uint64{1400}},
		{"sum", []uint64{100000}},
		{"pointers", []uint64{7, 63}},
	} {
		for _, v := range []struct {
			name string
			code []byte
		}{{"plain", plain}, {"fuel", fueled}} {
			b.Run(k.name+"/"+v.name, func(b *testing.B) { runKernel(b, instantiate(b, r, v.code), k.name, k.args) })
		}
	}
}

func runKernel(b *testing.B, g *guest, name string, args []uint64) {
	f, ctx, stack := g.mod.ExportedFunction(name), context.Background(), make([]uint64, 2)
	b.ReportAllocs()
	for b.Loop() {
		if g.fuel != nil {
			g.fuel.Set(1 << 40)
		}
		copy(stack, args)
		if err := f.CallWithStack(ctx, stack); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRunaway is how long it takes until 200,000 units are spent.
func BenchmarkRunaway(b *testing.B) {
	code, report := metered(b, file(b, "hostile.wasm"))
	r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
	for _, e := range report.Exports {
		if e.Kind != "func" {
			continue
		}
		b.Run(e.Name, func(b *testing.B) {
			g := instantiate(b, r, code)
			for b.Loop() {
				if _, _, err := g.call(budget, e.Name, 0); err == nil {
					b.Fatal("ended")
				}
			}
		})
	}
}
