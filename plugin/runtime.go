package plugin

import (
	"context"
	"errors"
	"sync"

	"github.com/seed51309289/quiver/plugin/pack"
)

// maxModules is how many compiled modules that nobody uses are kept. limit: memory of plugins that came and went
const maxModules = 64

// maxRecords is how many plugins are remembered to have failed. limit: what a peer that offers ever new plugins can make grow
const maxRecords = 1024

// RuntimeConfig says how a Runtime runs plugins. The zero value is ready to use.
type RuntimeConfig struct {
	Engine EngineKind
	// CacheDir keeps compiled code from one process to the next, and which plugins were checked and tried. It must belong to this user alone:
	// what lies there is executed. Empty = every process checks and compiles anew.
	CacheDir string
}

// A Runtime compiles plugins and runs them: once for each plugin, however many connections use it. One per process is enough. Its methods are
// safe for concurrent use.
type Runtime struct {
	engine engine
	kept   shelf

	mu      sync.Mutex // guards the rest
	modules map[pack.Digest]*code
	idle    []*code // those that nobody uses, the longest unused first; limit: maxModules
	records map[pack.Digest]*record
	closed  bool
}

// NewRuntime starts a runtime. It fails if the compiler is asked for where memory may not be made executable, or if the cache cannot be used.
func NewRuntime(c RuntimeConfig) (*Runtime, error) {
	e, err := newWazero(context.Background(), c.Engine, c.CacheDir)
	if err != nil {
		return nil, err
	}
	r := &Runtime{engine: e, modules: map[pack.Digest]*code{}, records: map[pack.Digest]*record{}}
	if e.kind() == Compiler {
		r.kept = shelf(c.CacheDir)
	}
	return r, nil
}

var defaultRuntime = sync.OnceValues(func() (*Runtime, error) { return NewRuntime(RuntimeConfig{}) })

// Load reads a plugin with the runtime that all of a process shares; see [Runtime.Load].
func Load(ctx context.Context, name string, file []byte, p Policy) (*Module, error) {
	r, err := defaultRuntime()
	if err != nil {
		return nil, err
	}
	return r.Load(ctx, name, file, p)
}

// Engine says how plugins run here.
func (r *Runtime) Engine() EngineKind { return r.engine.kind() }

// Close ends all plugins. No extension may be attached any more, nor be in a call.
func (r *Runtime) Close() error {
	r.mu.Lock()
	var all []*code
	for _, c := range r.modules {
		all = append(all, c)
	}
	r.modules, r.idle, r.closed = map[pack.Digest]*code{}, nil, true
	r.mu.Unlock()
	for _, c := range all {
		if <-c.ready; c.err == nil {
			c.pool.drain(true)
		}
	}
	return r.engine.close()
}

var errClosed = errors.New("plugin: runtime is closed")

// acquire returns the code of a plugin, which the first to ask for it makes. The caller releases it.
func (r *Runtime) acquire(ctx context.Context, k *pack.Package, build func(*code) error) (*code, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errClosed
	}
	c, ok := r.modules[k.Digest]
	if !ok {
		c = &code{runtime: r, digest: k.Digest, manifest: k.Manifest, record: r.recordOf(k.Digest), ready: make(chan struct{})}
		r.modules[k.Digest] = c
	}
	r.use(c)
	r.mu.Unlock()
	if !ok {
		c.err = build(c)
		close(c.ready)
	}
	select {
	case <-c.ready:
	case <-ctx.Done():
		r.release(c)
		return nil, ctx.Err()
	}
	if c.err != nil {
		r.release(c)
		return nil, c.err
	}
	return c, nil
}

// use counts another user of c. r.mu is held.
func (r *Runtime) use(c *code) {
	if c.users == 0 {
		for n, idle := range r.idle {
			if idle == c {
				r.idle = append(r.idle[:n], r.idle[n+1:]...)
				break
			}
		}
	}
	c.users++
}

// retain is use for somebody who has c already.
func (r *Runtime) retain(c *code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.use(c)
}

// release gives up one use. Code that nobody uses is kept for a while, unless it cannot be used at all. It makes no system call.
func (r *Runtime) release(c *code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.users--; c.users > 0 || r.modules[c.digest] != c {
		return
	}
	if c.err != nil {
		delete(r.modules, c.digest)
		return
	}
	if r.idle = append(r.idle, c); len(r.idle) > maxModules {
		old := r.idle[0]
		r.idle = append(r.idle[:0], r.idle[1:]...)
		delete(r.modules, old.digest)
		go old.close()
	}
}

// find returns code that is ready without making it, for a caller that must not wait; nil = there is none.
func (r *Runtime) find(d pack.Digest) *code {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.modules[d]
	if c == nil {
		return nil
	}
	select {
	case <-c.ready:
		if c.err == nil {
			r.use(c)
			return c
		}
	default:
	}
	return nil
}

// recordOf returns what is remembered of a plugin's faults. r.mu is held.
func (r *Runtime) recordOf(d pack.Digest) *record {
	if k, ok := r.records[d]; ok {
		return k
	}
	if len(r.records) >= maxRecords {
		r.forget()
	}
	k := &record{}
	r.records[d] = k
	return k
}

// forget drops what is remembered of a plugin that never failed, or of any. r.mu is held.
func (r *Runtime) forget() {
	for d, k := range r.records {
		if k.faults.Load() == 0 && r.modules[d] == nil {
			delete(r.records, d)
			return
		}
	}
	for d := range r.records {
		if r.modules[d] == nil {
			delete(r.records, d)
			return
		}
	}
}
