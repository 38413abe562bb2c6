package http3

import (
	"bufio"
	"errors"
	"io"
	"net/http"
)

// A messageReader takes one direction of a request stream apart: HEADERS, any
// number of DATA, and trailers (RFC 9114 §4.1).
type messageReader struct {
	frames
	limit    uint64 // of a field section, decoded
	declared int64  // content-length; -1 = none
	got      int64  // bytes of body
	inData   bool
	end      error               // once the body is read: io.EOF, or why not
	trailers func(h http.Header) // called before the end; nil = dropped
}

func newMessageReader(r io.Reader, limit uint64) *messageReader {
	return &messageReader{frames: frames{r: newBuffered(r)}, limit: limit, declared: -1}
}

// streamBuffer is how many bytes of a request stream are read at once. Larger
// reads of a body go past it.
const streamBuffer = 2 << 10

func newBuffered(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, streamBuffer) }

// fields reads a field section: the next frame must be HEADERS. At the end of
// the stream it returns io.EOF.
func (m *messageReader) fields() ([]field, error) {
	typ, err := m.nextKnown()
	if err != nil {
		return nil, err
	}
	if typ != frameHeaders {
		// RFC 9114 §4.1: DATA before HEADERS, and what belongs elsewhere (§7.2).
		return nil, m.unexpected(typ)
	}
	return m.section()
}

func (m *messageReader) section() ([]field, error) {
	// Encoded, a section is smaller than it counts decoded, unless its encoder
	// means harm.
	b, err := m.payload(m.limit + 16)
	if errors.Is(err, errTooLong) {
		return nil, errFieldsTooLarge
	}
	if err != nil {
		return nil, err
	}
	return readFields(b, m.limit)
}

func (m *messageReader) unexpected(typ uint64) error {
	return connError(FrameUnexpected, "frame of type %#x on a request stream", typ)
}

// Read reads the body. At its end come the trailers and io.EOF.
func (m *messageReader) Read(p []byte) (int, error) {
	if m.end != nil {
		return 0, m.end
	}
	if len(p) == 0 {
		return 0, nil
	}
	for m.left == 0 || !m.inData {
		if err := m.nextData(); err != nil {
			m.end = err
			return 0, err
		}
	}
	n, err := m.read(p)
	m.got += int64(n)
	// RFC 9114 §4.1.2: more than the content-length.
	if err == nil && m.declared >= 0 && m.got > m.declared {
		err = malformed("body is longer than its content-length, %d", m.declared)
	}
	m.end = err
	return n, err
}

// nextData goes to the next DATA frame, or finds the end.
func (m *messageReader) nextData() error {
	typ, err := m.nextKnown()
	switch {
	case err == io.EOF:
		return m.complete()
	case err != nil:
		return err
	case typ == frameData:
		m.inData = true
		return nil
	case typ != frameHeaders:
		return m.unexpected(typ)
	}
	fields, err := m.section()
	if err != nil {
		return err
	}
	h, err := parseTrailers(fields)
	if err != nil {
		return err
	}
	if m.trailers != nil {
		m.trailers(h)
	}
	// RFC 9114 §4.1: nothing follows trailers.
	if typ, err = m.nextKnown(); err == nil {
		return m.unexpected(typ)
	}
	if err != io.EOF {
		return err
	}
	return m.complete()
}

// complete checks the length of a body that has come to its end.
func (m *messageReader) complete() error {
	if m.declared >= 0 && m.got != m.declared {
		return malformed("body has %d bytes, its content-length is %d", m.got, m.declared)
	}
	return io.EOF
}
