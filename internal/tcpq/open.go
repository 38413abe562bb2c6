package tcpq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/seed51309289/quiver/internal/wire"
)

// Flags of an OPEN. Bits that are not known are ignored.
type Flags uint64

// The flags.
const (
	Optimistic Flags = 1 << iota // bytes may follow OPEN before the STATUS
	KeepAlive                    // the program asked for SO_KEEPALIVE
	NoDelay                      // the program asked for TCP_NODELAY
)

// Open is the first thing on a stream: who wants to talk to whom.
type Open struct {
	// Dest is where the program connects to: the acceptor looks only at the port
	// unless it speaks for other hosts. Its port is never 0.
	Dest netip.AddrPort
	// Source is the program's address as it sees it; zero = not told.
	Source netip.AddrPort
	Flags  Flags
	// Name is the host name that Dest was found by, in ASCII; "" = not known.
	Name string
}

const (
	maxOpen   = 1024 // limit: bytes of an OPEN after type and length
	maxFields = 64   // limit: fields of an OPEN, known or not
	maxName   = 253  // limit: bytes of a host name (RFC 1035 §2.3.4)
)

// MaxOpen is the most that ParseOpen needs, in bytes.
const MaxOpen = 2*8 + maxOpen

// typeOpen is the type of the one message that may begin a stream.
const typeOpen = 0x01

// Types of the fields of an OPEN.
const (
	fieldDest   = 0x01
	fieldSource = 0x02
	fieldFlags  = 0x03
	fieldName   = 0x04
)

// ErrShort says that bytes are missing: more of them may make it right.
var ErrShort = errors.New("tcpq: more bytes needed")

// A MalformedError says why bytes are not what the wire asks for.
type MalformedError struct {
	What string // "OPEN" or "STATUS"
	Why  string
}

func (e *MalformedError) Error() string { return "tcpq: malformed " + e.What + ": " + e.Why }

func malformedOpen(format string, args ...any) error {
	return &MalformedError{"OPEN", fmt.Sprintf(format, args...)}
}

// AppendOpen appends o. A Dest that is not valid or has port 0, and a Name that
// is no host name, are bugs of the caller and panic; see ValidName. The zone of
// an address means nothing elsewhere, and is left out.
func AppendOpen(b []byte, o *Open) []byte {
	if !o.Dest.IsValid() || o.Dest.Port() == 0 || o.Name != "" && !ValidName(o.Name) {
		panic("BUG: OPEN without a destination, or with a name that is none")
	}
	b = append(b, typeOpen)
	at := len(b)
	b = wire.AppendVarint2(b, 0)
	b = appendAddr(b, fieldDest, o.Dest)
	if o.Source.IsValid() {
		b = appendAddr(b, fieldSource, o.Source)
	}
	if o.Flags != 0 {
		flags := min(uint64(o.Flags), wire.MaxVarint)
		b = append(b, fieldFlags, byte(wire.SizeVarint(flags)))
		b = wire.AppendVarint(b, flags)
	}
	if o.Name != "" {
		b = append(b, fieldName)
		b = wire.AppendVarint(b, uint64(len(o.Name)))
		b = append(b, o.Name...)
	}
	wire.PutVarint2(b[at:], uint64(len(b)-at-2))
	return b
}

func appendAddr(b []byte, field byte, ap netip.AddrPort) []byte {
	ip := ap.Addr().Unmap()
	if ip.Is4() {
		a := ip.As4()
		b = append(append(b, field, 6), a[:]...)
	} else {
		a := ip.As16()
		b = append(append(b, field, 18), a[:]...)
	}
	return binary.BigEndian.AppendUint16(b, ap.Port())
}

// ParseOpen reads the OPEN at the start of b, and returns its size. With
// ErrShort, n is how many bytes are missing at least: who reads just so many
// never takes what follows. Any other error is a *MalformedError.
func ParseOpen(b []byte) (o Open, n int, err error) {
	kind, n1 := wire.ConsumeVarint(b)
	if n1 < 0 {
		return o, missing(b) + 1, ErrShort
	}
	if kind != typeOpen {
		return o, 0, malformedOpen("begins with type %#x, want %#x", kind, typeOpen)
	}
	size, n2 := wire.ConsumeVarint(b[n1:])
	if n2 < 0 {
		return o, missing(b[n1:]), ErrShort
	}
	if size > maxOpen {
		return o, 0, malformedOpen("has %d bytes, want at most %d", size, maxOpen)
	}
	n = n1 + n2
	if have := len(b) - n; have < int(size) {
		return o, int(size) - have, ErrShort
	}
	err = o.parse(b[n : n+int(size)])
	if err != nil {
		return Open{}, 0, err
	}
	return o, n + int(size), nil
}

// missing is how many bytes the varint at the start of b lacks, which is not whole.
func missing(b []byte) int {
	if len(b) == 0 {
		return 1
	}
	return 1<<(b[0]>>6) - len(b)
}

// parse reads the fields.
func (o *Open) parse(b []byte) error {
	var seen [fieldName + 1]bool
	for count := 0; len(b) > 0; count++ {
		if count == maxFields {
			return malformedOpen("has more than %d fields", maxFields)
		}
		kind, n1 := wire.ConsumeVarint(b)
		if n1 < 0 {
			return malformedOpen("a field's type is cut short")
		}
		size, n2 := wire.ConsumeVarint(b[n1:])
		if n2 < 0 || size > uint64(len(b)-n1-n2) {
			return malformedOpen("field %#x is cut short", kind)
		}
		value := b[n1+n2 : n1+n2+int(size)]
		b = b[n1+n2+int(size):]
		if kind == 0 || kind > fieldName {
			continue // of a later version
		}
		if seen[kind] {
			return malformedOpen("field %#x is there twice", kind)
		}
		seen[kind] = true
		if err := o.field(kind, value); err != nil {
			return err
		}
	}
	if !seen[fieldDest] {
		return malformedOpen("has no destination")
	}
	return nil
}

// field takes a field that is known.
func (o *Open) field(kind uint64, value []byte) (err error) {
	switch kind {
	case fieldDest:
		if o.Dest, err = parseAddr(kind, value); err == nil && o.Dest.Port() == 0 {
			err = malformedOpen("destination %v has port 0", o.Dest)
		}
	case fieldSource:
		o.Source, err = parseAddr(kind, value)
	case fieldFlags:
		flags, n := wire.ConsumeVarint(value)
		if n != len(value) {
			return malformedOpen("flags are not one integer")
		}
		o.Flags = Flags(flags)
	case fieldName:
		if !validName(value) {
			return malformedOpen("host name %q: want 1 to %d letters, digits, dots, hyphens or underscores", value, maxName)
		}
		o.Name = string(value)
	}
	return err
}

func parseAddr(kind uint64, value []byte) (netip.AddrPort, error) {
	var ip netip.Addr
	switch len(value) {
	case 6:
		ip = netip.AddrFrom4([4]byte(value))
	case 18:
		if ip = netip.AddrFrom16([16]byte(value)); ip.Is4In6() {
			return netip.AddrPort{}, malformedOpen("field %#x: address %v is one of IPv4, want it in 4 bytes", kind, ip)
		}
	default:
		return netip.AddrPort{}, malformedOpen("field %#x has %d bytes, want 6 or 18", kind, len(value))
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(value[len(value)-2:])), nil
}

// ValidName reports whether an OPEN may carry s as a host name: 1 to 253 ASCII
// letters, digits, dots, hyphens and underscores (RFC 1035 §2.3.1, and what is
// found in the wild).
func ValidName(s string) bool { return validName(s) }

func validName[T string | []byte](s T) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxName
}
