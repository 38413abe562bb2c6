package wasm

import "unicode/utf8"

// reader walks over b up to end. After the first fault it stays at it and returns zeros, so that a parser may check once at the end of an
// item; a loop whose count comes from the input checks each time.
type reader struct {
	b        []byte
	pos, end int
	section  string // for errors
	err      *Error // the first fault
}

func (r *reader) fail(offset int, format string, args ...any) {
	if r.err == nil {
		r.err = malformed(offset, r.section, format, args...)
	}
	r.pos = r.end
}

// at is pos as a call, for literals: Go orders calls among each other, and nothing else.
func (r *reader) at() int { return r.pos }

func (r *reader) more() bool { return r.err == nil && r.pos < r.end }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.fail(r.pos, "ends early")
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

// skip passes n bytes and returns them.
func (r *reader) skip(n uint32) []byte {
	if uint64(n) > uint64(r.end-r.pos) {
		r.fail(r.pos, "%d bytes announced, %d left", n, r.end-r.pos)
		return nil
	}
	r.pos += int(n)
	return r.b[r.pos-int(n) : r.pos]
}

// u32 reads an unsigned LEB128 integer. Padding is well-formed, linkers leave it; bits beyond the 32nd are not.
func (r *reader) u32() uint32 {
	start := r.pos
	var v uint32
	for shift := 0; ; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.fail(start, "an integer does not fit into 32 bits")
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 integer of that many bits: 32, 33 or 64.
func (r *reader) signed(bits int) int64 {
	start := r.pos
	var v int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		left := bits - shift // bits that this byte may carry
		if left < 7 {
			// The bits beyond the last one must repeat its sign, and this is the last byte.
			sign := int8(c<<1) >> left
			if c >= 0x80 || sign != 0 && sign != -1 {
				r.fail(start, "a signed integer does not fit into %d bits", bits)
				return 0
			}
		}
		v |= int64(c&0x7f) << shift
		if c < 0x80 {
			if c&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the length of a vector whose entries take at least one byte each, and refuses more than limit.
func (r *reader) count(what string, limit int) int {
	start := r.pos
	n := r.u32()
	if uint64(n) > uint64(limit) {
		r.fail(start, "%d %s, at most %d are allowed", n, what, limit)
		return 0
	}
	if int(n) > r.end-r.pos {
		r.fail(start, "%d %s announced in %d bytes", n, what, r.end-r.pos)
		return 0
	}
	return int(n)
}

// name reads a string of the format: its length and UTF-8.
func (r *reader) name() string {
	start := r.pos
	s := r.skip(r.u32())
	if !utf8.Valid(s) {
		r.fail(start, "a name is not UTF-8")
		return ""
	}
	return string(s)
}

// appendU32 appends v in its shortest encoding.
func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendS64 appends v in its shortest signed encoding.
func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
