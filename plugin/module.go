package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// A Module is a plugin that may run: read, checked, compiled, and tried. Its methods are safe for concurrent use.
type Module struct {
	*code
	policy Policy
	grant  pack.Grant
	file   *pack.Package
	closed sync.Once

	pack    sync.Once
	travels []byte // set by pack: the form in which the module is sent
}

// code is what all users of one plugin share.
type code struct {
	runtime  *Runtime
	digest   pack.Digest
	manifest *pack.Manifest
	file     *pack.Package // as it was when the code was made
	info     *hook.Info
	record   *record
	told     sync.Once
	report   *wasm.Report // set by told
	named    sync.Once
	names    map[string]string // of functions, for errors; set by named
	program  program
	pool     pool

	shared     layout
	hooked     [2]uint64 // what the manifest declares: bit n of the pair is operation n
	first      *snapshot // nil = not taken, as when instances cannot be reset
	resettable bool

	ready chan struct{} // closed when err and all above is set
	err   error
	users int // guarded by runtime.mu
}

// Load reads a plugin: its package, the policy's word on it, its code, and what it does when it is attached. name is the file's, for errors.
// file must not change any more. Compiling takes some milliseconds for each 10 KiB, unless the plugin is loaded already, or in the cache.
//
// What is refused is told in one sentence that names file, field and rule: a [*pack.Error]. Close the module when nobody needs it any more.
func (r *Runtime) Load(ctx context.Context, name string, file []byte, p Policy) (*Module, error) {
	k, err := pack.Read(name, file, p.MaxSize)
	if err != nil {
		return nil, err
	}
	return r.LoadPackage(ctx, k, p)
}

// LoadPackage is Load for a package that was read already.
func (r *Runtime) LoadPackage(ctx context.Context, k *pack.Package, p Policy) (*Module, error) {
	if err := k.Manifest.CheckABI(ABI); err != nil {
		return nil, named(k.File, err)
	}
	grant, err := p.judge(k)
	if err != nil {
		return nil, err
	}
	c, err := r.acquire(ctx, k, func(c *code) error { return c.build(context.WithoutCancel(ctx), k) }) // others may wait for it
	if err != nil {
		return nil, named(k.File, err)
	}
	return &Module{code: c, policy: p, grant: grant, file: k}, nil
}

// named puts the file's name into a refusal that was made without, or for another name of the same plugin.
func named(file string, err error) error {
	var e *pack.Error
	if errors.As(err, &e) && e.File != file {
		own := *e
		own.File = file
		return &own
	}
	return err
}

// Close says that no more extensions will be made. Those that exist go on.
func (m *Module) Close() { m.closed.Do(func() { m.runtime.release(m.code) }) }

// Manifest returns what the plugin says about itself. It must not be changed.
func (m *Module) Manifest() *pack.Manifest { return m.manifest }

// Digest returns the identity of the plugin.
func (m *Module) Digest() pack.Digest { return m.digest }

// Package returns the file as it was read.
func (m *Module) Package() *pack.Package { return m.file }

// Grant says what the plugin may do here, and why.
func (m *Module) Grant() pack.Grant { return m.grant }

// Report tells what can be said of the code without running it. For a plugin from the cache it takes the time of checking it again.
func (m *Module) Report() *wasm.Report {
	m.told.Do(func() {
		if m.report == nil {
			m.report, _ = reportOn(m.code.file) // which was checked when it was kept
		}
	})
	return m.report
}

// fuel is what one call may run.
func (m *Module) fuel() int64 {
	f := m.policy.maxFuel()
	if asked := m.manifest.Limits.Fuel; asked > 0 {
		f = min(f, asked)
	}
	return int64(f)
}

func (m *Module) attachFuel() int64 { return attachFactor * m.fuel() }

func (c *code) title() string { return c.manifest.ID + " " + c.manifest.Version }

// build makes the code of a package ready to run.
func (c *code) build(ctx context.Context, k *pack.Package) error {
	c.file, c.info = k, k.Manifest.Info(k.Digest)
	for _, h := range c.manifest.Hooks {
		c.hooked[h.Op>>6] |= 1 << (h.Op & 63)
	}
	kept := c.runtime.kept
	if p := kept.get(k); p != nil && c.adopt(ctx, p) == nil {
		return nil
	}
	p, err := c.prepare(k)
	if err != nil {
		return err
	}
	if c.program, err = c.runtime.engine.compile(ctx, p.module); err != nil {
		return refuse(k.File, "", "%v", err)
	}
	c.resettable = p.resettable
	if err := c.try(ctx, k); err != nil {
		c.close()
		return err
	}
	p.shared = c.shared
	kept.put(k, p)
	return nil
}

// prepare checks the code and gives it fuel.
func (c *code) prepare(k *pack.Package) (p *prepared, err error) {
	m, err := wasm.ParseMax(k.Raw, len(k.Raw))
	if err != nil {
		return nil, refuse(k.File, "", "%v", err)
	}
	if err := c.checkShape(m, k.File); err != nil {
		return nil, err
	}
	p = &prepared{}
	if p.module, c.report, err = wasm.Meter(m, rulesOf(k.Manifest), wasm.DefaultCosts()); err != nil {
		return nil, refuse(k.File, "", "%v", err)
	}
	// The engine would read a section of names as it comes: with room for as many as it announces, and words that end up in errors.
	if p.module, err = wasm.WithoutCustoms(p.module); err != nil {
		return nil, refuse(k.File, "", "%v", err)
	}
	if p.module, p.resettable, err = exposeState(p.module); err != nil {
		return nil, refuse(k.File, "", "%v", err)
	}
	return p, nil
}

func rulesOf(m *pack.Manifest) wasm.Rules { return wasm.Rules{Pages: uint32(m.Limits.MemoryPages)} }

// reportOn reports on the code of a package, whether it may run or not.
func reportOn(k *pack.Package) (*wasm.Report, error) {
	m, err := wasm.ParseMax(k.Raw, len(k.Raw))
	if err != nil {
		return nil, err
	}
	_, report, err := wasm.Meter(m, rulesOf(k.Manifest), wasm.DefaultCosts())
	return report, err
}

// close gives up the code. Instances that serve a connection go on.
func (c *code) close() {
	c.pool.drain(true)
	c.program.close()
}

// signature is the type of an export, as wasm.FuncType prints it.
var signatures = map[string]string{
	exportVersion: "() -> i32",
	exportContext: "() -> i32",
	exportBuffer:  "(i32) -> i64",
	exportCall:    "(i32, i32) -> i64",
	exportInit:    "()",
}

// checkShape refuses a module without the exports of the ABI, or with imports that its manifest has no permission for.
func (c *code) checkShape(m *wasm.Module, file string) error {
	found := map[string]bool{}
	for _, e := range m.Exports {
		want, ok := signatures[e.Name]
		switch {
		case e.Name == exportMemory && e.Kind == wasm.KindMemory:
			found[e.Name] = true
		case !ok:
		case e.Kind != wasm.KindFunc:
			return refuse(file, e.Name, "is a %v, want a function", e.Kind)
		default:
			if t, ok := m.FuncType(e.Index); !ok || t.String() != want {
				return refuse(file, e.Name, "is a function %v, want %s", t, want)
			}
			found[e.Name] = true
		}
	}
	for _, name := range []string{exportMemory, exportVersion, exportContext, exportBuffer, exportCall} {
		if !found[name] {
			return refuse(file, name, "is not exported")
		}
	}
	for _, im := range m.Imports {
		if err := c.checkImport(m, &im, file); err != nil {
			return err
		}
	}
	return nil
}

func (c *code) checkImport(m *wasm.Module, im *wasm.Import, file string) error {
	if im.Module != importModule || im.Kind != wasm.KindFunc {
		return nil // Check says it better
	}
	f := findImport(im.Name)
	if f == nil {
		return refuse(file, "import "+im.Name, "this host has no such function")
	}
	if int(im.Type) >= len(m.Types) || m.Types[im.Type].String() != f.signature() {
		return refuse(file, "import "+im.Name, "is not declared as %s", f.signature())
	}
	if c.manifest.Permissions&f.needs == 0 {
		return refuse(file, "permissions", "imports %s, which needs %q", im.Name, f.needs)
	}
	return nil
}

// checkHooks compares what attach registered with what the manifest declares. Operations below 8 are not registered.
func (c *code) checkHooks(got [2]uint64) error {
	for op := hook.Op(8); op < 128; op++ {
		registered := got[op>>6]>>(op&63)&1 != 0
		declared := c.hooked[op>>6]>>(op&63)&1 != 0
		switch {
		case declared && !registered:
			return fmt.Errorf("the manifest declares %v, which attach does not register", op)
		case registered && !declared:
			return fmt.Errorf("attach registers %v, which the manifest does not declare", op)
		}
	}
	return nil
}
