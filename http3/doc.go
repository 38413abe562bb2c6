// Package http3 is HTTP/3 (RFC 9114) on package quic: a Server runs an
// http.Handler, a Transport is an http.RoundTripper.
//
//	s := &http3.Server{Addr: ":443", Handler: mux}
//	err := s.ListenAndServeTLS("cert.pem", "priv.key")
//
//	client := &http.Client{Transport: &http3.Transport{}}
//	resp, err := client.Get("https://example.org/")
//
// Field sections are compressed with the static table of QPACK and Huffman
// coding (RFC 9204); both sides announce a dynamic table of size zero.
//
// # Errors
//
// What breaks the protocol closes the connection, or resets the one stream,
// with the code that RFC 9114 §8 and RFC 9204 §6 name for it; both sides meet it
// as an *Error.
//
// # Limits
//
// A peer has as many requests in flight as the quic.Config allows streams, and
// each has one goroutine at a server. A field section takes the memory that
// MaxHeaderBytes allows, counted decoded (RFC 9114 §4.2.2), and no length that
// a peer announces is allocated before its bytes are there.
//
// # Limitations
//
// There is no dynamic table, no server push, no extended CONNECT, no HTTP
// datagrams and no priorities. A Transport sends no request as early data and
// does not decompress bodies.
package http3
