package core

import "github.com/seed51309289/quiver/internal/recovery"

// SetSealed makes c believe that it sent n packets under its present key
// (n is told the limit of the key).
func (c *Conn) SetSealed(n func(limit uint64) uint64) {
	c.keys.sealed = n(c.spaces[recovery.AppData].write.ConfidentialityLimit())
}

// SetLastNumber leaves c only n packet numbers.
func (c *Conn) SetLastNumber(n uint64) {
	c.keys.lastNumber = c.det.NextNumber(recovery.AppData) + n
}

// SetForged makes c believe that n packets did not authenticate.
func (c *Conn) SetForged(n func(limit uint64) uint64) {
	c.keys.failed = n(c.spaces[recovery.AppData].read.IntegrityLimit())
}
