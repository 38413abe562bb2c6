// Package identity says who the two ends of a tunnel are: this machine's own
// key, and whose key or certificate is expected at the other end. It turns that
// into configurations of TLS 1.3, and keeps what outlives a process in a
// directory: the key, the keys of peers, and what it takes to resume sessions.
//
// A peer is trusted in one of these ways, by [Options] and by what the rule for
// a destination expects (see [Identity.Client]):
//
//   - pin, the default: by its public key. The first key that a peer shows is
//     remembered and said; another one later is a [PinMismatchError].
//   - ca: an authority vouches for the address, the name or the SPIFFE ID.
//   - mutual: the server also asks who the client is; see [Options.Allow] and
//     [Identity.Of].
//   - insecure: anybody, for tests, and said loudly.
//
// # Where it blocks
//
// Callbacks of TLS run under the lock of a QUIC connection, so the ones of this
// package only read memory. Files are read by [Load], [Identity.Client],
// [Identity.Server] and [Identity.Confirm], and written by Load, Server, Confirm
// and by goroutines that [Identity.Close] waits for. A handshake proves that the
// peer has the key only when it is over; therefore it is Confirm that remembers
// a first contact, and whoever dials calls it after the handshake and before
// the first byte of an application.
package identity
