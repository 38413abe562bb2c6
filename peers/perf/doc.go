// Package perf is the load that `quiver bench` puts on every stack it compares:
// one server and one client, written against three small interfaces, so that
// all stacks run the same loops. It imports the standard library only, because
// its source is also compiled into the foreign programs of package peers.
//
// The protocol is that of draft-banks-quic-performance (ALPN "perf"): the first
// 8 bytes of a bidirectional stream are the length of the answer, most
// significant byte first; the server reads the stream to its end, answers with
// as many bytes and ends it, too. One extension, kept out of the lengths that
// anybody asks for: with bit 63 set the server sends back what it reads.
//
// A stack without streams (TLS over TCP) uses a connection for each stream. It
// cannot end one direction and get an answer in the other many times over, so
// its requests and responses are echoes on as many connections as requests are
// in flight.
package perf

import "embed"

// Sources are the files of this package, for programs of other modules.
//
//go:embed doc.go stack.go main.go server.go client.go work.go memory.go memory_linux.go memory_other.go
var Sources embed.FS
