// Package quic is a QUIC transport: versions 1 and 2 of RFC 8999, 9000, 9001,
// 9002, 9368 and 9369.
//
// A Transport is one UDP socket on which any number of connections run, dialed
// and accepted alike. DialAddr and ListenAddr make one of their own:
//
//	ln, err := quic.ListenAddr("localhost:4433", tlsConfig, nil)
//	conn, err := ln.Accept(ctx)
//	stream, err := conn.AcceptStream(ctx)
//
// A Conn has streams: bidirectional ones, of which each side may read and
// write, and unidirectional ones, a SendStream here and a ReceiveStream there. A
// Stream is both, and a net.Conn: Read and Write block, deadlines and contexts
// bound them, Close ends both directions. NetListener brings the streams of all
// connections to a server that was written for TCP. Limits in a Config bounds
// the memory of it all.
//
// All methods are safe for concurrent use, except that one goroutine at a time
// may read a stream and one may write it. A connection keeps no goroutine:
// whoever brings work, the socket's reader, a timer or the application, runs
// the connection to completion under its lock.
//
// Messages that need not arrive are datagrams: Config.EnableDatagrams and
// SendDatagram. ConnectionStats tells how a connection fares, Config.Logger what
// becomes of it, and Config.QLogDir everything.
//
// # TLS
//
// A tls.Config that serves TCP serves QUIC, if it has NextProtos: TLS 1.3 is
// used whatever its MinVersion. The Conn that GetCertificate and
// GetConfigForClient find in their tls.ClientHelloInfo has addresses and no
// more. All callbacks of a tls.Config run under their connection's lock, so they
// must not call it, and occupy one of GOMAXPROCS handshakes while they run. A
// certificate that does not verify ends Dial with a *TransportError in which
// errors.As finds the *tls.CertificateVerificationError.
//
// # Paths
//
// A connection outlives its addresses (RFC 9000 §9). A server follows a client
// that the network gives another address, or that calls Migrate; until the
// client answers there, it gets no more than three times what came from it. A
// client goes to the preferred address that a server announces. A Transport may
// have several sockets, and its connections use them all.
package quic
