// Package quic is a QUIC transport: version 1 of RFC 8999, 9000, 9001 and 9002.
//
// A Transport is one UDP socket on which any number of connections run, dialed
// and accepted alike. DialAddr and ListenAddr make one of their own:
//
//	ln, err := quic.ListenAddr("localhost:4433", tlsConfig, nil)
//	conn, err := ln.Accept(ctx)
//	stream, err := conn.AcceptStream(ctx)
//
// A Conn has streams: bidirectional ones, of which each side may read and
// write, and unidirectional ones. A Stream is a net.Conn in all but its
// addresses: Read and Write block, deadlines bound them, Close ends both
// directions.
//
// All methods are safe for concurrent use, except that one goroutine at a time
// may read a Stream and one may write it. A connection keeps no goroutine:
// whoever brings work, the socket's reader, a timer or the application, runs
// the connection to completion under its lock.
//
// # Limitations
//
// Not there yet: resumption and 0-RTT, connection migration, QUIC version 2,
// datagrams. A connection stays on the path it began on.
package quic
