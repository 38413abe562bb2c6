package wire

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// unhex reads bytes that are written as hexadecimal with spaces anywhere.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("hexadecimal %q: %v", s, err)
	}
	return b
}

// same compares what two values print as, in which nil and empty slices are one.
func same(a, b any) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// cut calls f with every proper prefix of b. Each is a copy with no spare
// capacity, so that reading past its end cannot go unnoticed.
func cut(b []byte, f func(prefix []byte)) {
	for n := range b {
		f(append(make([]byte, 0, n), b[:n]...))
	}
}

// flip calls f with b under every single-bit change.
func flip(b []byte, f func(bit int, changed []byte)) {
	for bit := range 8 * len(b) {
		c := append(make([]byte, 0, len(b)), b...)
		c[bit/8] ^= 1 << (bit % 8)
		f(bit, c)
	}
}
