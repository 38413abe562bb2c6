// Package peers builds the foreign QUIC endpoints that Quiver is measured against, and keeps the programs in a cache.
//
// A peer is either a main package of a Go module, which [Install] builds at a fixed version, or one of our own small programs around a
// foreign library, which [BuildEmbedded] builds from sources that are part of this package (below _src). Both need the go command and,
// the first time, a module proxy; what is in the cache needs neither. No foreign source is kept in this repository.
//
// # Embedded peers
//
//	quicgo       hq-interop client and server on quic-go, with paths and addresses of one's choice
//	benchquicgo  the perf protocol (draft-banks-quic-performance) on quic-go
//	benchtls     the same bytes over TLS and TCP, by the standard library
package peers
