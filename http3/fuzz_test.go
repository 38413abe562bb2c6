package http3_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/seed51309289/quiver/http3"
)

// Whatever a field section holds: it is too large, a violation, or fields
// within the limit.
func FuzzFieldSection(f *testing.F) {
	f.Add(getRoot("content-length", "5", "cookie", "a=1")[2:])
	f.Add([]byte{0, 0, 0xd1, 0xd7, 0x50, 0x01, 'x', 0xc1})
	f.Add([]byte{2, 0, 0x80})
	f.Fuzz(func(t *testing.T, section []byte) {
		const limit = 2000
		fields, err := http3.ReadFields(section, limit)
		if err != nil {
			if !http3.IsViolation(err) && err != http3.ErrTooLarge {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		size := 0
		for _, f := range fields {
			size += len(f.Name) + len(f.Value) + 32
		}
		if size > limit {
			t.Fatalf("%d bytes of fields passed a limit of %d", size, limit)
		}
		r, err := http3.ParseRequest(fields)
		if err != nil && !http3.IsViolation(err) {
			t.Fatalf("unexpected error %v", err)
		}
		if err == nil && (r.Method == "" || r.Host == "" || r.URL == nil) {
			t.Fatalf("a request without method, host or URL: %+v", r)
		}
	})
}

// Whatever arrives on a request stream is read to its end, or refused.
func FuzzMessage(f *testing.F) {
	f.Add(cat(getRoot(), frame(data, []byte("abc")), headers("a", "b")))
	f.Add(cat(frame(0x21, []byte("x")), getRoot(), frame(0x2)))
	f.Add(cat(varint(head, 1<<60), []byte("x")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		err := http3.ReadMessage(bytes.NewReader(stream), 2000)
		if err != nil && err != io.EOF && !http3.IsViolation(err) && !errors.Is(err, http3.ErrTooLarge) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}
