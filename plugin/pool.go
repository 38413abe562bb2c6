package plugin

import (
	"context"
	"sync"
)

// poolSize is how many instances of a module wait for connections. limit: memory that nobody uses
const poolSize = 64

// pool holds instances that were reset. It is safe for concurrent use.
type pool struct {
	mu     sync.Mutex // guards the rest
	idle   []*instance
	closed bool // the module is no longer in use: nothing is kept
}

// get returns an idle instance, or nil.
func (p *pool) get() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	i := p.idle[n]
	p.idle[n], p.idle = nil, p.idle[:n]
	return i
}

// put keeps a reset instance, and reports whether there was room.
func (p *pool) put(i *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= poolSize {
		return false
	}
	p.idle = append(p.idle, i)
	return true
}

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// drain gives up all idle instances, and keeps none from now on if end is set.
func (p *pool) drain(end bool) {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, p.closed || end
	p.mu.Unlock()
	for _, i := range idle {
		i.g.close()
	}
}

// instance returns one that is ready for a connection.
func (m *code) instance(ctx context.Context) (*instance, error) {
	if i := m.pool.get(); i != nil {
		return i, nil
	}
	return m.newInstance(ctx)
}

// release takes an instance back from a connection. It makes no system call: it runs under the connection's lock.
func (m *code) release(i *instance) {
	i.serving = nil
	if !i.reset() || !m.pool.put(i) {
		go i.g.close() // gives memory back to the system
	}
	m.runtime.release(m)
}
