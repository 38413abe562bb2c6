// Package wire holds the bytes of QUIC: variable-length integers, packet
// headers, frames and transport parameters (RFC 8999, RFC 9000 §16-§19).
//
// It is pure: functions of their arguments, without clock, lock, socket or
// randomness, and it allocates only where a result says so. Consuming
// functions never panic, whatever the bytes; they return slices that point
// into their input, which stays the caller's.
package wire
