package cache

import "time"

// The bounds, for the tests that fill them.
const (
	DefaultBytes    = defaultBytes
	DefaultPackages = defaultPackages
	DefaultCompiled = defaultCompiled
)

// WithClock returns o with a clock of the test's own.
func WithClock(o Options, now func() time.Time) Options {
	o.now = now
	return o
}
