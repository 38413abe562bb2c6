package qlog

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/seed51309289/quiver/internal/wire"
)

// Bounds on what one value may take, whatever the peer sent.
const (
	maxString = 256 // limit: bytes of text that are copied into an event, before escaping
	maxHex    = 64  // limit: bytes that are written as hexadecimal, at two digits each
)

// enc appends JSON to b. It has no state beside the text: whether a comma is
// due shows in the last byte.
type enc struct{ b []byte }

func (e *enc) raw(s string) { e.b = append(e.b, s...) }

func (e *enc) comma() {
	switch e.b[len(e.b)-1] {
	case '{', '[':
	default:
		e.b = append(e.b, ',')
	}
}

func (e *enc) key(k string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, k...)
	e.b = append(e.b, '"', ':')
}

// object and array open a member; end and endArray close it.
func (e *enc) object(k string) { e.key(k); e.b = append(e.b, '{') }
func (e *enc) array(k string)  { e.key(k); e.b = append(e.b, '[') }
func (e *enc) end()            { e.b = append(e.b, '}') }
func (e *enc) endArray()       { e.b = append(e.b, ']') }

func (e *enc) uint(k string, v uint64) {
	e.key(k)
	e.b = strconv.AppendUint(e.b, v, 10)
}

// uintValue writes an element of an array.
func (e *enc) uintValue(v uint64) {
	e.comma()
	e.b = strconv.AppendUint(e.b, v, 10)
}

func (e *enc) bool(k string, v bool) {
	e.key(k)
	e.b = strconv.AppendBool(e.b, v)
}

// millis writes d in milliseconds, exact to the microsecond.
func (e *enc) millis(k string, d time.Duration) {
	e.key(k)
	e.b = appendMillis(e.b, d)
}

func appendMillis(b []byte, d time.Duration) []byte {
	us := d.Microseconds()
	if us < 0 {
		b, us = append(b, '-'), -us
	}
	b = strconv.AppendInt(b, us/1000, 10)
	frac := us % 1000
	if frac == 0 {
		return b
	}
	b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// str writes a string that this program made, but does not trust it either.
func (e *enc) str(k, v string) {
	e.key(k)
	e.b = appendString(e.b, v)
}

// text writes bytes from the peer that are likely UTF-8.
func (e *enc) text(k string, v []byte) {
	e.key(k)
	e.b = appendString(e.b, v)
}

// appendString appends v as a JSON string: at most maxString bytes of it, with
// everything escaped that could end the string or the record, and U+FFFD for
// what is not UTF-8.
func appendString[T string | []byte](b []byte, v T) []byte {
	cut := len(v) > maxString
	if cut {
		v = v[:maxString]
	}
	b = append(b, '"')
	for i := 0; i < len(v); {
		c := v[i]
		if c >= utf8.RuneSelf {
			r, n := decodeRune(v[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		b = appendEscaped(b, c)
		i++
	}
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

func decodeRune[T string | []byte](v T) (rune, int) {
	var first [utf8.UTFMax]byte
	return utf8.DecodeRune(first[:copy(first[:], v)])
}

const hexDigits = "0123456789abcdef"

func appendEscaped(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c < 0x20 || c == 0x7f:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, c)
}

// hex writes at most maxHex bytes of v.
func (e *enc) hex(k string, v []byte) {
	e.key(k)
	e.hexValue(v)
}

func (e *enc) hexValue(v []byte) {
	e.b = append(e.b, '"')
	e.b = hex.AppendEncode(e.b, v[:min(len(v), maxHex)])
	e.b = append(e.b, '"')
}

// rawInfo writes a RawInfo: the size of something, and its bytes as far as maxHex allows.
func (e *enc) rawInfo(v []byte) {
	e.object("raw")
	e.uint("length", uint64(len(v)))
	e.hex("data", v)
	e.end()
}

// rawLength writes a RawInfo of a size alone.
func (e *enc) rawLength(n int) {
	e.object("raw")
	e.uint("length", uint64(n))
	e.end()
}

func (e *enc) version(k string, v wire.Version) {
	e.key(k)
	e.versionValue(v)
}

func (e *enc) versionValue(v wire.Version) {
	e.b = append(e.b, '"')
	for shift := 28; shift >= 0; shift -= 4 {
		e.b = append(e.b, hexDigits[v>>shift&15])
	}
	e.b = append(e.b, '"')
}

// addrPort writes the members of an address; those of an invalid one are left out.
func (e *enc) addrPort(a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	ip, port := "ip_v6", "port_v6"
	addr := a.Addr().Unmap()
	if addr.Is4() {
		ip, port = "ip_v4", "port_v4"
	}
	e.key(ip)
	e.b = append(e.b, '"')
	e.b = addr.WithZone("").AppendTo(e.b)
	e.b = append(e.b, '"')
	e.uint(port, uint64(a.Port()))
}
