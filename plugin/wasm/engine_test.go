package wasm_test

import (
	"context"
	"embed"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// testdata holds modules with their sources, which say how they are made.
//
//go:embed testdata
var testdata embed.FS

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// engines are the two ways in which a host runs plugins.
var engines = map[string]func() wazero.RuntimeConfig{
	"compiler":    wazero.NewRuntimeConfigCompiler,
	"interpreter": wazero.NewRuntimeConfigInterpreter,
}

// forEngines runs a test in both.
func forEngines(t *testing.T, test func(t *testing.T, r wazero.Runtime)) {
	for name, config := range engines {
		t.Run(name, func(t *testing.T) { test(t, newRuntime(t, config())) })
	}
}

// newRuntime returns an engine with a module "pq": host(i32) -> i32 adds 1, and drain is the same.
func newRuntime(t testing.TB, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() { r.Close(ctx) })
	addOne := api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = uint64(uint32(stack[0]) + 1) })
	i32 := []api.ValueType{api.ValueTypeI32}
	if _, err := r.NewHostModuleBuilder("pq").NewFunctionBuilder().WithGoFunction(addOne, i32, i32).Export("host").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// metered returns b with fuel at the default prices.
func metered(t testing.TB, b []byte) ([]byte, *wasm.Report) {
	t.Helper()
	m, err := wasm.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	out, report, err := wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts())
	if err != nil {
		t.Fatal(err)
	}
	return out, report
}

// guest is an instance of a module.
type guest struct {
	t    testing.TB
	mod  api.Module
	fuel api.MutableGlobal // nil = not metered
}

func instantiate(t testing.TB, r wazero.Runtime, b []byte) *guest {
	t.Helper()
	ctx := context.Background()
	mod, err := r.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mod.Close(ctx) })
	g := &guest{t: t, mod: mod}
	if f := mod.ExportedGlobal(wasm.FuelExport); f != nil {
		g.fuel = f.(api.MutableGlobal)
	}
	return g
}

// call runs an export with that much fuel and returns what it spent.
func (g *guest) call(fuel int64, name string, args ...uint64) (results []uint64, spent int64, err error) {
	g.t.Helper()
	if g.fuel != nil {
		g.fuel.Set(uint64(fuel))
	}
	results, err = g.mod.ExportedFunction(name).Call(context.Background(), args...)
	if g.fuel != nil {
		spent = fuel - int64(g.fuel.Get())
	}
	return results, spent, err
}
