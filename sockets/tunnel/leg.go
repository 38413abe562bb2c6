package tunnel

import (
	"io"
	"sync"
)

// A Leg is the near part of a TCP connection: a *net.TCPConn, or what behaves
// like one. Close ends calls that wait.
type Leg interface {
	io.ReadWriter
	// CloseWrite sends FIN.
	CloseWrite() error
	// SetLinger with 0 makes Close send RST instead of FIN.
	SetLinger(sec int) error
	// CloseRead ends a Read that waits, and says nothing to the program.
	CloseRead() error
	Close() error
}

// bufferSize is what Pump reads at once, in bytes.
const bufferSize = 256 << 10

// buffers are those of all pumps. One that waits holds none where the system
// tells when a leg can be read.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
