package plugin

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// The bounds that tests fill.
const (
	PoolSize   = poolSize
	MaxModules = maxModules
	MaxRecords = maxRecords
)

// Bare returns a call of the guest of x without the host around it, but with fuel: what the engine itself takes.
func Bare(x hook.Extension, op hook.Op) func() error {
	g := x.(*extension).i.g
	return func() error {
		g.setFuel(DefaultFuel)
		_, err := g.call(uint32(op), 0)
		return err
	}
}

// Idle returns how many instances of m wait in its pool.
func Idle(m *Module) int {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return len(m.pool.idle)
}

// Kept returns how many modules, unused ones among them, and records r has.
func Kept(r *Runtime) (modules, unused, records int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.modules), len(r.idle), len(r.records)
}

// Remember makes r remember a plugin that failed so often.
func Remember(r *Runtime, d pack.Digest, faults int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recordOf(d).faults.Store(faults)
}

// Memory returns the memory of the guest of x.
func Memory(x hook.Extension) []byte { return x.(*extension).i.mem.buf }
