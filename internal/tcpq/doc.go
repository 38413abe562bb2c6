// Package tcpq is the wire of TCP connections that ride on QUIC streams,
// "tcpq/1": what opens a stream, what answers it, and the codes that end it.
// docs/tcpq.md is the normative text.
//
// It is pure: functions of their arguments, without clock, lock or socket.
// Parsing functions never panic, whatever the bytes; they copy what they return.
package tcpq

// ALPN is the application protocol that both ends of a connection negotiate
// (RFC 7301).
const ALPN = "tcpq/1"

// DefaultPort is the UDP port on which a host is reached if nothing else was
// agreed on. It is assigned to nobody.
const DefaultPort = 8277

// Codes of RESET_STREAM and STOP_SENDING, and of CONNECTION_CLOSE. An unknown
// one means CodeReset.
const (
	CodeNone      = 0x00 // CONNECTION_CLOSE: nobody needs the connection any more
	CodeReset     = 0x01 // the TCP connection was reset
	CodeTimeout   = 0x02 // it, or its QUIC connection, timed out
	CodeStopping  = 0x03 // the process that carries it ends
	CodeMalformed = 0x04 // what the peer sent is not tcpq/1
)

// CodeText returns a code in a few words, for people.
func CodeText(code uint64) string {
	switch code {
	case CodeNone:
		return "not needed any more"
	case CodeReset:
		return "reset"
	case CodeTimeout:
		return "timed out"
	case CodeStopping:
		return "stopping"
	case CodeMalformed:
		return "not tcpq/1"
	}
	return "reset, code unknown"
}
