package hook_test

import (
	"fmt"
	"time"

	"github.com/seed51309289/quiver/hook"
)

func ExampleInstant() {
	var never hook.Instant
	first := hook.Instant(1)
	later := first.Add(25 * time.Millisecond)
	fmt.Println(never.IsZero(), later.Sub(first), first.Sub(later))
	// Output: true 25ms -25ms
}

// quarter acknowledges every fourth packet at once and the others after half the time allowed.
type quarter struct{}

func (quarter) AckAt(s *hook.AckState) hook.Instant {
	if s.Eliciting >= 4 || s.Reordered || s.CE {
		return s.Now
	}
	return s.Oldest.Add(s.MaxDelay / 2)
}

func ExampleAckPolicy() {
	var policy hook.AckPolicy = quarter{}
	s := hook.AckState{Now: 100, Oldest: 100, Eliciting: 1, MaxDelay: 50}
	fmt.Println(policy.AckAt(&s))
	s.Eliciting = 4
	fmt.Println(policy.AckAt(&s))
	// Output:
	// 125
	// 100
}

// fixed keeps one window whatever happens.
type fixed struct{ bytes int }

func (fixed) Name() string                               { return "fixed" }
func (fixed) Sent(now hook.Instant, bytes, inFlight int) {}
func (fixed) Acked(e *hook.Acked)                        {}
func (fixed) Lost(e *hook.Lost)                          {}
func (fixed) MTUChanged(size int)                        {}
func (f fixed) Window() int                              { return f.bytes }
func (fixed) PacingRate() uint64                         { return 0 }

func ExampleCongestion() {
	var cc hook.Congestion = fixed{bytes: 64 << 10}
	fmt.Println(cc.Name(), cc.Window())
	// Output: fixed 65536
}
