package tcpq

import (
	"encoding/binary"
	"fmt"

	"github.com/seed51309289/quiver/internal/wire"
)

// Status answers an OPEN.
type Status uint64

// The answers. After any but Accepted the acceptor ends the stream; what it
// still sends is ignored, so that later versions may say more.
const (
	Accepted        Status = 0 // the bytes of the TCP connection follow
	Refused         Status = 1 // as a TCP RST would say
	HostUnreachable Status = 2
	NetUnreachable  Status = 3
	TimedOut        Status = 4
	Denied          Status = 5 // by the acceptor's policy; a program is told Refused
	NoListener      Status = 6 // nobody listens now, but somebody may soon: worth another try
	Overloaded      Status = 7 // the acceptor has no room
	Elsewhere       Status = 8 // the listener of that TCP port answers at another UDP port of this host
)

var statusText = [...]string{"accepted", "refused", "host unreachable", "network unreachable", "timed out", "denied by policy", "no listener", "overloaded", "elsewhere"}

// String returns the status in words, or its number.
func (s Status) String() string {
	if s < Status(len(statusText)) {
		return statusText[s]
	}
	return fmt.Sprintf("refused, status %d", uint64(s))
}

// Known reports whether s is a status of this version. A dialer takes any other
// one for Refused.
func (s Status) Known() bool { return s <= Elsewhere }

// MaxStatus is the most that ParseStatus needs, in bytes.
const MaxStatus = 8 + 2

// AppendStatus appends s. Elsewhere is followed by the UDP port, which must not
// be 0; for all others port is left out.
func AppendStatus(b []byte, s Status, port uint16) []byte {
	b = wire.AppendVarint(b, uint64(s))
	if s == Elsewhere {
		if port == 0 {
			panic("BUG: STATUS elsewhere without a port")
		}
		b = binary.BigEndian.AppendUint16(b, port)
	}
	return b
}

// ParseStatus reads the STATUS at the start of b, and returns its size. With
// ErrShort, n is how many bytes are missing at least. Any other error is a
// *MalformedError.
func ParseStatus(b []byte) (s Status, port uint16, n int, err error) {
	v, n := wire.ConsumeVarint(b)
	if n < 0 {
		return 0, 0, missing(b), ErrShort
	}
	if Status(v) != Elsewhere {
		return Status(v), 0, n, nil
	}
	if have := len(b) - n; have < 2 {
		return 0, 0, 2 - have, ErrShort
	}
	if port = binary.BigEndian.Uint16(b[n:]); port == 0 {
		return 0, 0, 0, &MalformedError{"STATUS", "elsewhere is at port 0"}
	}
	return Elsewhere, port, n + 2, nil
}
