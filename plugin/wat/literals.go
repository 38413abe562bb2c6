package wat

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errNumber = errors.New("malformed number")
	errRange  = errors.New("number out of range")
)

// parseUint reads an unsigned number of at most bits bits.
func parseUint(s string, bits int) (uint64, error) {
	digits, base, err := integer(s)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(digits, base, bits)
	if err != nil {
		return 0, errRange
	}
	return n, nil
}

// parseInt reads a number of bits bits with or without sign: -128 to 255 for 8.
func parseInt(s string, bits int) (uint64, error) {
	unsigned, negative := strings.CutPrefix(s, "-")
	if !negative {
		return parseUint(strings.TrimPrefix(s, "+"), bits)
	}
	n, err := parseUint(unsigned, bits)
	if err != nil {
		return 0, err
	}
	if n > 1<<(bits-1) {
		return 0, errRange
	}
	return -n, nil
}

// integer returns the digits of a number without sign, without "0x" and "_".
func integer(s string) (digits string, base int, err error) {
	base = 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = hex, 16
	}
	if !isDigits(s, base) {
		return "", 0, errNumber
	}
	return strings.ReplaceAll(s, "_", ""), base, nil
}

// isDigits reports whether s is digits, with single underscores between them.
func isDigits(s string, base int) bool {
	last := byte('_')
	for i := range len(s) {
		switch {
		case s[i] == '_' && last == '_':
			return false
		case s[i] != '_' && !isDigit(s[i], base):
			return false
		}
		last = s[i]
	}
	return last != '_'
}

func isDigit(c byte, base int) bool {
	return '0' <= c && c <= '9' || base == 16 && ('a' <= c && c <= 'f' || 'A' <= c && c <= 'F')
}

// parseFloat returns the bits of a float of 32 or 64 bits (WebAssembly Core 2.0,
// §6.3.2). It rounds once, to nearest, ties to even.
func parseFloat(s string, bits int) (uint64, error) {
	unsigned := s
	sign := uint64(0)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		unsigned = s[1:]
		if s[0] == '-' {
			sign = 1 << (bits - 1)
		}
	}
	n, err := magnitude(unsigned, bits)
	return sign | n, err
}

func magnitude(s string, bits int) (uint64, error) {
	fraction, infinity := 52, math.Float64bits(math.Inf(1))
	if bits == 32 {
		fraction, infinity = 23, uint64(math.Float32bits(float32(math.Inf(1))))
	}
	payload, ok := strings.CutPrefix(s, "nan:")
	switch {
	case s == "inf":
		return infinity, nil
	case s == "nan":
		return infinity | 1<<(fraction-1), nil
	case ok && strings.HasPrefix(payload, "0x"):
		n, err := parseUint(payload, 64)
		if err == nil && (n == 0 || n >= 1<<fraction) {
			err = errRange
		}
		return infinity | n, err
	}
	return finite(s, bits)
}

// finite reads a decimal or hexadecimal float without sign.
func finite(s string, bits int) (uint64, error) {
	hex, isHex := strings.CutPrefix(s, "0x")
	base, marks, prefix := 10, "eE", ""
	if isHex {
		s, base, marks, prefix = hex, 16, "pP", "0x"
	}
	mantissa, exponent, hasExponent := s, "0", false
	if i := strings.IndexAny(s, marks); i >= 0 {
		mantissa, exponent, hasExponent = s[:i], s[i+1:], true
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	sign := exponent[:min(1, len(exponent))]
	if sign != "-" && sign != "+" {
		sign = ""
	}
	if !isDigits(whole, base) || fraction != "" && !isDigits(fraction, base) || hasExponent && !isDigits(exponent[len(sign):], 10) {
		return 0, errNumber
	}
	clean := prefix + whole + "." + fraction + marks[:1] + exponent
	v, err := strconv.ParseFloat(strings.ReplaceAll(clean, "_", ""), bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil:
		return 0, errNumber
	case bits == 32:
		return uint64(math.Float32bits(float32(v))), nil
	}
	return math.Float64bits(v), nil
}

// unquote returns the bytes of a string token, and the byte in it where an
// escape is wrong, or -1.
func unquote(s string) (b []byte, wrong int) {
	b = make([]byte, 0, len(s))
	for i := 1; i < len(s)-1; {
		if s[i] != '\\' {
			b = append(b, s[i])
			i++
			continue
		}
		c, n := escape(s[i+1 : len(s)-1])
		if n == 0 {
			return b, i
		}
		b = append(b, c...)
		i += 1 + n
	}
	return b, -1
}

var escapes = map[byte]string{'t': "\t", 'n': "\n", 'r': "\r", '"': `"`, '\'': "'", '\\': `\`}

// escape returns what the characters after a backslash mean and how many they
// are, 0 if they mean nothing.
func escape(s string) (meaning string, n int) {
	if s == "" {
		return "", 0
	}
	if m, ok := escapes[s[0]]; ok {
		return m, 1
	}
	if digits, ok := strings.CutPrefix(s, "u{"); ok {
		digits, _, closed := strings.Cut(digits, "}")
		c, err := parseUint("0x"+digits, 32)
		if !closed || strings.HasPrefix(digits, "0x") || err != nil || c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", 0
		}
		return string(rune(c)), len("u{}") + len(digits)
	}
	if len(s) < 2 || !isDigit(s[0], 16) || !isDigit(s[1], 16) {
		return "", 0
	}
	c, _ := strconv.ParseUint(s[:2], 16, 8)
	return string([]byte{byte(c)}), 2
}
