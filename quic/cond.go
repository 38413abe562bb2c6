package quic

import "sync"

// cond is a sync.Cond that takes no memory until somebody waits. A mutex, which
// is always the same one, guards it.
type cond struct{ waiting *sync.Cond }

// wait is that of sync.Cond.
func (c *cond) wait(mu *sync.Mutex) {
	if c.waiting == nil {
		c.waiting = sync.NewCond(mu)
	}
	c.waiting.Wait()
}

// broadcast wakes all that wait.
func (c *cond) broadcast() {
	if c.waiting != nil {
		c.waiting.Broadcast()
	}
}
