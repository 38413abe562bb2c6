package http3

import "io"

// Names for the tests outside.
type Field = field

var (
	ReadVarint   = readVarint
	ReadFields   = readFields
	ErrTooLarge  = errFieldsTooLarge
	ParseRequest = parseRequest
)

// Headers is a HEADERS frame of names and values in turn.
func Headers(pairs ...string) []byte {
	w := newFieldWriter()
	for i := 0; i < len(pairs); i += 2 {
		w.add(pairs[i], pairs[i+1])
	}
	return w.frame(nil)
}

// ReadMessage reads a message to its end.
func ReadMessage(r io.Reader, limit uint64) error {
	m := newMessageReader(r, limit)
	if _, err := m.fields(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, m)
	return err
}

// IsViolation reports whether err is what a peer did wrong.
func IsViolation(err error) bool { _, ok := err.(*violation); return ok }
