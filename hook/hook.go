// Package hook holds the vocabulary in which a connection and its extensions talk: interfaces and event structs, nothing else.
//
// The built-in congestion controllers and the built-in acknowledgment policy implement the very same interfaces as a plugin does, so there is
// one way to replace a behaviour. The package is pure: it reads no clock, starts nothing and blocks on nothing. Every time is an argument.
//
// A value behind one of these interfaces belongs to one connection, and the connection calls it under its own lock: an implementation needs no
// lock of its own, must not block, must not keep an event after the call (the connection reuses it), and should not allocate.
package hook

import "time"

// Instant is a point in time: nanoseconds since the epoch that the connection chose when it began. 0 means never or not set; the first
// instant a connection sees is greater than 0. Instants of different connections cannot be compared.
type Instant int64

// Add returns the instant d after t (before it when d is negative).
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Sub returns how long t is after u; it is negative when t comes first.
func (t Instant) Sub(u Instant) time.Duration { return time.Duration(t - u) }

// IsZero reports whether t means "never".
func (t Instant) IsZero() bool { return t == 0 }
