package identity

import "sync"

// chores are goroutines that write files, so that callbacks need not.
type chores struct {
	mu      sync.Mutex // guards all below; a leaf
	over    sync.Cond  // of mu: running is 0. Its L is set by wait
	running int
}

// do runs f on a goroutine of its own.
func (c *chores) do(f func()) {
	c.mu.Lock()
	c.running++
	c.mu.Unlock()
	go func() {
		defer c.done()
		f()
	}()
}

func (c *chores) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running == 0 && c.over.L != nil {
		c.over.Broadcast()
	}
}

// wait returns when none is running.
func (c *chores) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over.L = &c.mu
	for c.running > 0 {
		c.over.Wait()
	}
}
