package quic

import (
	"sync/atomic"

	"github.com/seed51309289/quiver/internal/core"
)

// A ReceiveBudget is memory that connections share for what they received and
// nobody has read yet; see Limits. It is safe for concurrent use.
type ReceiveBudget struct{ b budget }

// NewReceiveBudget returns a budget of so many bytes, which connections use
// beside their own windows. While more than half of it is in use, streams'
// windows go back to what they began with, so that one more stream that nobody
// reads takes little; when all of it is, connections are back to windows that go
// ahead of what was read.
func NewReceiveBudget(bytes uint64) *ReceiveBudget { return &ReceiveBudget{budget{most: bytes}} }

// Used returns how many bytes peers have sent, or may send, on the budget's
// account.
func (b *ReceiveBudget) Used() uint64 { return b.b.used.Load() }

// budget is what the core sees.
type budget struct {
	most uint64
	used atomic.Uint64
}

var _ core.ReceiveBudget = (*budget)(nil)

func (b *budget) Reserve(n uint64) bool {
	for {
		used := b.used.Load()
		if n > b.most-min(used, b.most) {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (b *budget) Release(n uint64) {
	if n > 0 {
		b.used.Add(-n)
	}
}

func (b *budget) Scarce() bool { return b.used.Load() > b.most/2 }
