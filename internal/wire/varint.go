package wire

import "encoding/binary"

// MaxVarint is the largest value that a variable-length integer can hold
// (RFC 9000 §16).
const MaxVarint = 1<<62 - 1

// SizeVarint returns the number of bytes that AppendVarint writes for v:
// 1, 2, 4 or 8.
func SizeVarint(v uint64) int {
	switch {
	case v < 1<<6:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<30:
		return 4
	}
	return 8
}

// AppendVarint appends v in its shortest encoding (RFC 9000 §16). A value
// above MaxVarint is a bug of the caller and panics.
func AppendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return append(b, byte(v>>8)|0x40, byte(v))
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|0x80000000)
	case v <= MaxVarint:
		return binary.BigEndian.AppendUint64(b, v|0xc000000000000000)
	}
	panic("BUG: varint out of range")
}

// AppendVarint2 appends v, which must be below 2^14, in exactly two bytes: the
// form for length fields that are filled in later.
func AppendVarint2(b []byte, v uint64) []byte {
	return append(b, byte(v>>8)|0x40, byte(v))
}

// PutVarint2 overwrites the first two bytes of b with v, which must be below 2^14.
func PutVarint2(b []byte, v uint64) {
	b[0], b[1] = byte(v>>8)|0x40, byte(v)
}

// ConsumeVarint returns the integer at the start of b and the number of bytes
// it takes, or n = -1 if b is too short.
func ConsumeVarint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, -1
	}
	b0 := b[0]
	if b0 < 0x40 {
		return uint64(b0), 1
	}
	switch b0 >> 6 {
	case 1:
		if len(b) >= 2 {
			return uint64(b0&0x3f)<<8 | uint64(b[1]), 2
		}
	case 2:
		if len(b) >= 4 {
			return uint64(binary.BigEndian.Uint32(b) & 0x3fffffff), 4
		}
	case 3:
		if len(b) >= 8 {
			return binary.BigEndian.Uint64(b) & 0x3fffffffffffffff, 8
		}
	}
	return 0, -1
}

// reader walks over a byte slice; after the first short read it stays bad and
// returns zeros, so that a parser checks once at the end.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) varint() uint64 {
	v, n := ConsumeVarint(r.b)
	if n < 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	p := r.bytes(1)
	if p == nil {
		return 0
	}
	return p[0]
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}
