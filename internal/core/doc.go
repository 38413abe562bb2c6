// Package core is the QUIC connection machine (RFC 9000, 9001, 9002) and the
// Router in front of it. It is pure: it starts nothing, locks nothing, reads no
// clock and owns no socket. Time and randomness are arguments; crypto/tls is
// its single guest.
//
// The whole contract of a Conn, which is not safe for concurrent use and never
// blocks:
//
//	Receive(now, d)      in:  a datagram from the peer (bytes, path, ECN)
//	Tick(now)            in:  Deadline has passed
//	Read, Write, Open…   in:  commands of the application; would-block is a value
//	Transmit(now, b)     out: equal-size segments, one GSO system call's worth
//	Deadline()           out: when to Tick; zero = never
//	NextEvent()          out: Established, Opened, Readable, Writable, IDs, Closed…
//
// After any "in": Transmit until it reports false, then Deadline, then drain
// NextEvent.
package core
