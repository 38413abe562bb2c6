package perf

import (
	"context"
	"crypto/tls"
	"io"
)

// A Stack is what is measured.
type Stack interface {
	// Listen opens a server at addr, "host:port".
	Listen(addr string, conf *tls.Config, o Options) (Listener, error)
	// Dialer prepares a client; all its connections share what they can.
	Dialer(addr string, conf *tls.Config, o Options) (Dialer, error)
	// Streams reports whether connections have many streams. Without, Open and
	// Accept work once for each connection.
	Streams() bool
}

// Options are what a stack may be told beside the TLS configuration.
type Options struct {
	Datagram   int    // bound of the UDP payload in bytes; 0 = the stack's own
	Congestion string // name of the congestion controller; "" = the stack's own
}

// A Listener accepts connections.
type Listener interface {
	Addr() string
	Accept(ctx context.Context) (Conn, error)
}

// A Dialer makes connections to one server.
type Dialer interface {
	Dial(ctx context.Context) (Conn, error)
}

// A Conn is a connection.
type Conn interface {
	Open(ctx context.Context) (Stream, error)
	Accept(ctx context.Context) (Stream, error)
	Resumed() bool
	Close() error
}

// A Stream is a bidirectional stream.
type Stream interface {
	io.Reader
	io.Writer
	// WriteFinal writes p, none or all, and ends the writing direction.
	WriteFinal(p []byte) error
	// Abort gives the stream up.
	Abort()
}

// Settings that all stacks get, so far as they have them.
const (
	ALPN         = "perf"
	StreamWindow = 6 << 20  // bytes
	ConnWindow   = 15 << 20 // bytes
	MaxStreams   = 1000     // at the same time
	SocketBuffer = 7 << 20  // bytes, of a UDP socket

	unit       = 64 << 10 // bytes of an application's read or write
	message    = 1 << 10  // bytes of a request, a response, a ping
	serverName = "localhost"
)

// IdleTimeout in seconds is longer than any run.
const IdleTimeout = 300
