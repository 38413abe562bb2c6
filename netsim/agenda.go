package netsim

import "time"

// Agenda holds values that fall due at a time, and hands them out in order of (time, insertion). Its zero
// value is empty and ready. It is what makes a simulation repeatable: two events of the same instant always
// run in the order in which they were added. Not safe for concurrent use.
type Agenda[T any] struct {
	heap []appointment[T]
	seq  uint64
}

type appointment[T any] struct {
	at    time.Time
	seq   uint64
	value T
}

// Len returns the number of values held.
func (a *Agenda[T]) Len() int { return len(a.heap) }

// Add enters v for time at.
func (a *Agenda[T]) Add(at time.Time, v T) {
	a.seq++
	a.heap = append(a.heap, appointment[T]{at, a.seq, v})
	for i := len(a.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.before(i, parent) {
			return
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

// Next returns the time of the earliest value, false if there is none.
func (a *Agenda[T]) Next() (time.Time, bool) {
	if len(a.heap) == 0 {
		return time.Time{}, false
	}
	return a.heap[0].at, true
}

// Pop removes and returns the earliest value if it is due at now, with the time for which it was entered.
func (a *Agenda[T]) Pop(now time.Time) (at time.Time, v T, ok bool) {
	if len(a.heap) == 0 || a.heap[0].at.After(now) {
		return at, v, false
	}
	first := a.heap[0]
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap[last] = appointment[T]{} // let go of what the value refers to
	a.heap = a.heap[:last]
	a.sink()
	return first.at, first.value, true
}

func (a *Agenda[T]) sink() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(a.heap); child++ {
			if a.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
}

func (a *Agenda[T]) before(i, j int) bool {
	x, y := &a.heap[i], &a.heap[j]
	if x.at.Equal(y.at) {
		return x.seq < y.seq
	}
	return x.at.Before(y.at)
}

// Clock is a virtual clock: it stands still until it is moved. Its zero value stands at Epoch.
// Not safe for concurrent use.
type Clock struct{ since time.Duration }

// Epoch is where a virtual clock starts: an arbitrary instant, the same in every run.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Now returns the clock's time.
func (c *Clock) Now() time.Time { return Epoch.Add(c.since) }

// Since returns how far the clock has moved from Epoch.
func (c *Clock) Since() time.Duration { return c.since }

// Advance moves the clock forward by d; a negative d is ignored.
func (c *Clock) Advance(d time.Duration) { c.since += max(d, 0) }

// AdvanceTo moves the clock forward to t; it never moves back.
func (c *Clock) AdvanceTo(t time.Time) { c.Advance(t.Sub(c.Now())) }
