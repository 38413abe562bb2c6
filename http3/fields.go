package http3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/quic-go/qpack"
	"golang.org/x/net/http/httpguts"
)

// field is one field line; names are lower case (RFC 9114 §4.2).
type field = qpack.HeaderField

// fieldOverhead is what a field line counts beyond its bytes (RFC 9114 §4.2.2).
const fieldOverhead = 32

// errFieldsTooLarge says that a field section is larger than its limit.
var errFieldsTooLarge = errors.New("field section is larger than its limit")

// fieldWriter encodes a field section.
type fieldWriter struct {
	buf  bytes.Buffer
	enc  *qpack.Encoder
	size uint64 // as RFC 9114 §4.2.2 counts
}

func newFieldWriter() *fieldWriter {
	w := new(fieldWriter)
	w.enc = qpack.NewEncoder(&w.buf)
	return w
}

func (w *fieldWriter) add(name, value string) {
	w.size += uint64(len(name) + len(value) + fieldOverhead)
	w.enc.WriteField(field{Name: name, Value: value}) // to memory: does not fail
}

// addHeader adds all of h but what skip says and what HTTP/3 does without:
// the fields of one connection (RFC 9114 §4.2).
func (w *fieldWriter) addHeader(h http.Header, skip func(name string) bool) {
	for name, values := range h {
		if skip != nil && skip(name) || connectionSpecific(strings.ToLower(name)) || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		for _, v := range values {
			if strings.EqualFold(name, "te") && v != "trailers" || !httpguts.ValidHeaderFieldValue(v) {
				continue
			}
			w.add(strings.ToLower(name), v)
		}
	}
}

// frame appends the section as a HEADERS frame, and starts over.
func (w *fieldWriter) frame(b []byte) []byte {
	b = append(appendFrameHeader(b, frameHeaders, w.buf.Len()), w.buf.Bytes()...)
	w.buf.Reset()
	w.enc.Close()
	w.size = 0
	return b
}

// readFields decodes an encoded field section whose decoded size is at most
// limit (RFC 9114 §4.2.2).
func readFields(section []byte, limit uint64) ([]field, error) {
	if len(section) < 2 {
		return nil, connError(QPACKDecompressionFailed, "field section of %d bytes has no prefix", len(section))
	}
	next := qpack.NewDecoder().Decode(section)
	var fields []field
	var size uint64
	for {
		f, err := next()
		if err == io.EOF {
			return fields, nil
		}
		if err != nil {
			return nil, connError(QPACKDecompressionFailed, "%v", err)
		}
		// Decoded, not encoded: one byte can stand for kilobytes.
		if size += uint64(len(f.Name) + len(f.Value) + fieldOverhead); size > limit {
			return nil, errFieldsTooLarge
		}
		fields = append(fields, f)
	}
}

// connectionSpecific reports fields that have no place in HTTP/3 (RFC 9114 §4.2).
func connectionSpecific(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// addField adds a field that is no pseudo-header to h.
func addField(h http.Header, f field) error {
	switch {
	// RFC 9114 §4.2: names are lower case.
	case f.Name != strings.ToLower(f.Name) || !httpguts.ValidHeaderFieldName(f.Name):
		return malformed("field name %q", f.Name)
	case !httpguts.ValidHeaderFieldValue(f.Value):
		return malformed("value of field %s", f.Name)
	case connectionSpecific(f.Name) || f.Name == "te" && f.Value != "trailers":
		return malformed("field %s: %s", f.Name, f.Value)
	}
	name := http.CanonicalHeaderKey(f.Name)
	if name == "Cookie" && h.Get(name) != "" {
		// RFC 9114 §4.2.1: crumbs of a cookie are put together.
		h.Set(name, h.Get(name)+"; "+f.Value)
		return nil
	}
	h[name] = append(h[name], f.Value)
	return nil
}

// parseTrailers reads the fields after a body, among which there is no
// pseudo-header (RFC 9114 §4.3).
func parseTrailers(fields []field) (http.Header, error) {
	h := make(http.Header, len(fields))
	for _, f := range fields {
		if f.IsPseudo() {
			return nil, malformed("pseudo-header %s in trailers", f.Name)
		}
		if err := addField(h, f); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// pseudo collects pseudo-headers: each once, before all others, and none but
// those named (RFC 9114 §4.3).
type pseudo struct {
	values map[string]string // bounded by the names that are allowed
	late   bool
}

func (p *pseudo) take(f field, allowed ...string) error {
	for _, name := range allowed {
		if name != f.Name {
			continue
		}
		if _, twice := p.values[name]; twice {
			return malformed("%s occurs twice", name)
		}
		if p.late {
			return malformed("%s comes after other fields", name)
		}
		if !httpguts.ValidHeaderFieldValue(f.Value) {
			return malformed("value of %s", name)
		}
		if p.values == nil {
			p.values = make(map[string]string, len(allowed))
		}
		p.values[name] = f.Value
		return nil
	}
	return malformed("pseudo-header %s", f.Name)
}
