package tunnel

import (
	"io"
	"net"
	"sync"

	"github.com/seed51309289/quiver/quic"
)

// A Leg is the near part of a TCP connection: a *net.TCPConn, or what behaves
// like one. Close ends calls that wait.
type Leg interface {
	io.ReadWriter
	// CloseWrite sends FIN.
	CloseWrite() error
	// SetLinger with 0 makes Close send RST instead of FIN.
	SetLinger(sec int) error
	Close() error
}

var _ Leg = (*net.TCPConn)(nil)

// bufferSize is what the pump of a leg reads at once, in bytes, where the system
// does not tell when a leg can be read.
const bufferSize = 64 << 10

// buffers are those of all such pumps.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// sink writes to a leg what a stream received, from where that is.
type sink struct {
	p    *pump
	turn turn
	bufs net.Buffers
	err  error // of the leg
}

var _ quic.BuffersWriter = (*sink)(nil)

// WriteBuffers is one system call if the leg is a *net.TCPConn that takes it all.
func (k *sink) WriteBuffers(b [][]byte) (int64, error) {
	k.turn.begin(k.p.s)
	k.bufs = b
	n, err := k.bufs.WriteTo(k.p.leg)
	k.turn.end()
	k.bufs, k.err = nil, err
	k.p.s.received.Add(uint64(n))
	return n, err
}

// Write is WriteBuffers for a single one.
func (k *sink) Write(p []byte) (int, error) {
	n, err := k.WriteBuffers([][]byte{p})
	return int(n), err
}
