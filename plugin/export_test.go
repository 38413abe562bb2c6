package plugin

import (
	"context"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// The bounds that tests fill.
const (
	PoolSize   = poolSize
	MaxModules = maxModules
	MaxRecords = maxRecords

	MaxPrepared = maxPrepared

	LongestCall = attachFactor * DefaultFuel // units of fuel, of the calls that may run longest
)

// Bare returns a call of the guest of x without the adapter around it, but with fuel: what the engine itself takes.
func Bare(x hook.Extension, op hook.Op) func() error { return BareFor(x, op, DefaultFuel) }

// BareFor is Bare with so much fuel for each call.
func BareFor(x hook.Extension, op hook.Op, fuel int64) func() error {
	e := x.(*extension)
	g := e.i.g
	e.i.serving = e
	return func() error {
		g.setFuel(fuel)
		_, err := g.call(uint32(op), 0)
		return err
	}
}

// Fresh makes an instance of m as if none waited, and closes it.
func Fresh(m *Module) (memory int, err error) {
	i, err := m.newInstance(context.Background())
	if err != nil {
		return 0, err
	}
	defer i.g.close()
	return len(i.mem.buf), nil
}

// Idle returns how many instances of m wait in its pool.
func Idle(m *Module) int { return m.pool.size() }

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

// Adopted reports whether m was made from what an earlier process kept, if nobody asked for its report yet.
func Adopted(m *Module) bool { return m.report == nil }

// Resettable reports whether instances of m serve one connection after the other.
func Resettable(m *Module) bool { return m.resettable }

// Memory returns the memory of the guest of x.
func Memory(x hook.Extension) []byte { return x.(*extension).i.mem.buf }
