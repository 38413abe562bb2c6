package netwatch

import "time"

// A change of network is a dozen messages: an address goes, its routes go, others
// come.
const (
	// quiet is the silence after which they are taken to be over.
	quiet = 100 * time.Millisecond
	// most is how long they may go on until a look is taken all the same.
	most = time.Second
)

// calm finds the end of a series of events. The zero value has none.
type calm struct{ first, last time.Time }

// event notes one.
func (c *calm) event(now time.Time) {
	if c.first.IsZero() {
		c.first = now
	}
	c.last = now
}

// due is when to look; zero = nothing happened.
func (c *calm) due() time.Time {
	if c.first.IsZero() {
		return time.Time{}
	}
	end, late := c.last.Add(quiet), c.first.Add(most)
	if end.Before(late) {
		return end
	}
	return late
}
