//go:build !linux

package netsim

import "time"

// alarm lets one goroutine sleep until a time or a wake-up call.
type alarm struct {
	bell chan struct{}
}

func newAlarm() (*alarm, error) { return &alarm{make(chan struct{}, 1)}, nil }

func (a *alarm) close() {}

// ring wakes the sleeper, or lets the next sleep end at once. Safe for concurrent use.
func (a *alarm) ring() {
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// sleep returns after d, or earlier when ring was called.
func (a *alarm) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.bell:
	}
}

func sharpen() (undo func()) { return func() {} }
