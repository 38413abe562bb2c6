package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/seed51309289/quiver/plugin/pack"
)

// wazeroEngine runs guests on wazero. Never with WithCloseOnContextDone: it costs twenty times a call and ends the instance, and fuel bounds
// every call already.
type wazeroEngine struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache // nil = compiled code is kept in memory only
	how     EngineKind

	once  sync.Once
	plain *wazeroEngine // without the cache, for what is damaged in it; made when it is needed
}

// newWazero starts an engine. cacheDir keeps compiled code, which is executed as it is found: nobody else may be able to write there.
func newWazero(ctx context.Context, kind EngineKind, cacheDir string) (*wazeroEngine, error) {
	e := &wazeroEngine{how: kind}
	if kind == AutoEngine {
		e.how = bestEngine()
	}
	config := wazero.NewRuntimeConfigInterpreter()
	if e.how == Compiler {
		if !canCompile() {
			return nil, errors.New("plugin: this process may not make memory executable: choose the interpreter")
		}
		config = wazero.NewRuntimeConfigCompiler()
	}
	config = config.WithMemoryLimitPages(pack.MaxMemoryPages).WithDebugInfoEnabled(false)
	if cacheDir != "" && e.how == Compiler {
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
		if err != nil {
			return nil, fmt.Errorf("plugin: cache of compiled code: %w", err)
		}
		e.cache = cache
		config = config.WithCompilationCache(cache)
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := e.offerImports(ctx); err != nil {
		e.close()
		return nil, fmt.Errorf("plugin: %w", err)
	}
	return e, nil
}

func bestEngine() EngineKind {
	if canCompile() {
		return Compiler
	}
	return Interpreter
}

// canCompile reports whether machine code can be made and run here: a processor that wazero knows, and a system that lets memory be made
// executable, which seccomp and SELinux may forbid.
var canCompile = sync.OnceValue(func() bool {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, []byte("\x00asm\x01\x00\x00\x00"+"\x01\x04\x01\x60\x00\x00"+"\x03\x02\x01\x00"+"\x07\x05\x01\x01f\x00\x00"+"\x0a\x04\x01\x02\x00\x0b"))
	if err != nil {
		return false
	}
	_, err = m.ExportedFunction("f").Call(ctx)
	return err == nil
})

// offerImports makes the module "pq" that guests import from.
func (e *wazeroEngine) offerImports(ctx context.Context) error {
	b := e.runtime.NewHostModuleBuilder(importModule)
	for i := range imports {
		im := &imports[i]
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			im.call(ctx.(*callContext).i, stack)
		}), valueTypes(im.params), valueTypes(im.result)).Export(im.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

func valueTypes(s string) []api.ValueType {
	types := make([]api.ValueType, len(s))
	for i, c := range s {
		types[i] = api.ValueTypeI32
		if c == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

func (e *wazeroEngine) kind() EngineKind { return e.how }

func (e *wazeroEngine) close() error {
	ctx := context.Background()
	var err error
	if e.runtime != nil {
		err = e.runtime.Close(ctx)
	}
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(ctx))
	}
	if e.plain != nil {
		err = errors.Join(err, e.plain.close())
	}
	return err
}

func (e *wazeroEngine) compile(ctx context.Context, code []byte) (p program, err error) {
	defer func() {
		// A compiler is large, and what it is given comes from strangers: should it panic, that is the plugin's end and nobody else's.
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the compiler gave up: %v", r)
		}
	}()
	m, err := e.runtime.CompileModule(ctx, code)
	if err != nil && e.cache != nil {
		// Either the code is at fault, or what the cache has of it: that cannot be told apart, or taken out.
		return e.compilePlain(ctx, code, err)
	}
	if err != nil {
		return nil, err
	}
	return &wazeroProgram{e.runtime, m}, nil
}

func (e *wazeroEngine) compilePlain(ctx context.Context, code []byte, first error) (program, error) {
	e.once.Do(func() { e.plain, _ = newWazero(ctx, e.how, "") })
	if e.plain == nil {
		return nil, first
	}
	return e.plain.compile(ctx, code)
}

type wazeroProgram struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

func (p *wazeroProgram) close() error { return p.module.Close(context.Background()) }

func (p *wazeroProgram) instantiate(ctx context.Context, i *instance) (guest, error) {
	g := &wazeroGuest{ctx: callContext{i}}
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, max uint64) experimental.LinearMemory {
		g.mem = newMemory(max)
		return g.mem
	}))
	m, err := p.runtime.InstantiateModule(ctx, p.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		if g.mem != nil {
			g.mem.Free()
		}
		return nil, err
	}
	g.module, g.entry = m, m.ExportedFunction(exportCall)
	g.tank, _ = m.ExportedGlobal(fuelGlobal).(api.MutableGlobal)
	if g.entry == nil || g.tank == nil || g.mem == nil {
		m.Close(ctx)
		return nil, errors.New("no dispatcher, fuel or memory")
	}
	for n := 0; ; n++ {
		v, ok := m.ExportedGlobal(stateGlobal(n)).(api.MutableGlobal)
		if !ok {
			return g, nil
		}
		g.state = append(g.state, v)
	}
}

// wazeroGuest has one function handle, since each keeps a stack of its own of 10 KiB.
type wazeroGuest struct {
	module api.Module
	entry  api.Function
	tank   api.MutableGlobal
	state  []api.MutableGlobal
	mem    *memory
	ctx    callContext
	stack  [2]uint64
}

// callContext tells the imports whom they act for: the engine hands them the context of the call.
type callContext struct{ i *instance }

func (*callContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*callContext) Done() <-chan struct{}       { return nil }
func (*callContext) Err() error                  { return nil }
func (*callContext) Value(any) any               { return nil }

func (g *wazeroGuest) call(op, arg uint32) (int64, error) {
	g.stack = [2]uint64{uint64(op), uint64(arg)}
	if err := g.entry.CallWithStack(&g.ctx, g.stack[:]); err != nil {
		return 0, trapFrom(err)
	}
	return int64(g.stack[0]), nil
}

func (g *wazeroGuest) export(name string, arg ...uint64) (uint64, bool, error) {
	f := g.module.ExportedFunction(name)
	if f == nil {
		return 0, false, nil
	}
	results, err := f.Call(&g.ctx, arg...)
	if err != nil {
		return 0, true, trapFrom(err)
	}
	if len(results) == 0 {
		return 0, true, nil
	}
	return results[0], true, nil
}

func (g *wazeroGuest) fuel() int64               { return int64(g.tank.Get()) }
func (g *wazeroGuest) setFuel(n int64)           { g.tank.Set(uint64(n)) }
func (g *wazeroGuest) memory() *memory           { return g.mem }
func (g *wazeroGuest) globals() int              { return len(g.state) }
func (g *wazeroGuest) global(n int) uint64       { return g.state[n].Get() }
func (g *wazeroGuest) setGlobal(n int, v uint64) { g.state[n].Set(v) }
func (g *wazeroGuest) close()                    { g.module.Close(context.Background()) }

func (g *wazeroGuest) grow(pages uint32) bool {
	_, ok := g.module.Memory().Grow(pages)
	return ok
}

// trapFrom reads the engine's message, of several lines: "wasm error: unreachable", "wasm stack trace:", and a line for each function.
func trapFrom(err error) *trap {
	head, trace, _ := strings.Cut(err.Error(), "\n")
	t := &trap{reason: strings.TrimPrefix(strings.TrimSuffix(head, " (recovered by wazero)"), "wasm error: ")}
	for line := range strings.Lines(trace) {
		name, ok := strings.CutPrefix(line, "\t")
		if !ok {
			continue
		}
		name, _, ok = strings.Cut(strings.TrimSpace(name), "(")
		if ok && len(t.stack) < maxStack {
			t.stack = append(t.stack, strings.TrimPrefix(name, "."))
		}
	}
	return t
}
