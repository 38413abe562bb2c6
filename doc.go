// Package quiver is the root of a QUIC toolkit. It holds no code of its own:
// its tests state how the packages below may depend on each other, and that
// the pure ones stay pure.
//
//	quic                QUIC transport: Dial, Listen, Conn, Stream
//	hook                the vocabulary in which a connection and its extensions talk
//	netsim              a seeded network: links, virtual clock, real-time relay
//	interop             implementations against implementations, judged from packet traces
//	interop/endpoint    our client and server for it
//	cmd/quiver          the one program
//	internal/core       the connection as a pure machine, above wire, crypt and recovery
//	internal/dissect    packet traces to packets, frames and TLS messages
//	tool/check          the developer's one command: go run ./tool/check
package quiver
