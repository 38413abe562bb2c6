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

// quickSize is how many bytes a call moves, at most, for others not to get a turn
// meanwhile: copying them takes a microsecond or two.
const quickSize = 16 << 10

// sink writes to a leg what a stream received, from where that is.
type sink struct {
	p     *pump
	turn  turn
	bufs  net.Buffers
	quick *quick // nil = there is none
	err   error  // of the leg
}

var _ quic.BuffersWriter = (*sink)(nil)

// WriteBuffers is one system call if the leg is a *net.TCPConn that takes it all.
func (k *sink) WriteBuffers(b [][]byte) (n int64, err error) {
	if len(b) == 1 {
		m, err := k.Write(b[0])
		return int64(m), err
	}
	k.turn.begin(k.p.s)
	k.bufs = b
	n, err = k.bufs.WriteTo(k.p.leg)
	k.bufs = nil
	k.done(int(n), err)
	return n, err
}

// Write is WriteBuffers for a single one.
func (k *sink) Write(p []byte) (n int, err error) {
	k.turn.begin(k.p.s)
	if k.quick != nil && len(p) <= quickSize {
		n, err = k.quick.write(p)
	}
	if n < len(p) && err == nil {
		var rest int
		rest, err = k.p.leg.Write(p[n:])
		n += rest
	}
	k.done(n, err)
	return n, err
}

func (k *sink) done(n int, err error) {
	k.turn.end()
	k.err = err
	k.p.s.received.Add(uint64(n))
}
