package http3

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// responseBuffer is how many bytes of a body wait for more, so that a small
// response leaves in one piece.
const responseBuffer = 4 << 10

var responseBuffers = sync.Pool{New: func() any { return new([responseBuffer]byte) }}

// A responseWriter writes one response. It is safe for use by the handler's
// goroutine and by the one that reads the body.
type responseWriter struct {
	st   *quic.Stream
	head bool   // the request was a HEAD
	gone func() // the client gave the request up

	mu       sync.Mutex // guards all below
	header   http.Header
	status   int      // 0 = WriteHeader was not called
	sent     bool     // the fields went out
	length   int64    // content-length that the handler declared; -1 = none
	written  int64    // bytes of body that the handler wrote
	trailers []string // names that it announced; bounded by what the handler announces
	memory   *[responseBuffer]byte
	buf      []byte // of memory: body that waits; bounded by memory
	err      error  // of the stream
}

var (
	_ http.ResponseWriter = (*responseWriter)(nil)
	_ http.Flusher        = (*responseWriter)(nil)
)

// Header returns the fields that go out with the first byte of the body.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader sets the status. Statuses of 1xx go out at once.
func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.informational(status)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setStatus(status)
}

func (w *responseWriter) setStatus(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.length = status, -1
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	} else {
		w.header.Del("Content-Length")
	}
	for _, line := range w.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

// informational sends a response before the response (RFC 9110 §15.2).
func (w *responseWriter) informational(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent {
		return
	}
	f := newFieldWriter()
	f.add(":status", strconv.Itoa(status))
	if status != http.StatusContinue {
		f.addHeader(w.header, nil)
	}
	w.send(f.frame(nil), false)
}

// bodyless reports whether the response has no body whatever is written
// (RFC 9110 §6.4.1).
func (w *responseWriter) bodyless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// Write writes body. It returns when the bytes are buffered.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setStatus(http.StatusOK)
	if w.bodyless() {
		return 0, http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.head {
		return len(p), w.err
	}
	if len(w.buf)+len(p) <= responseBuffer {
		if w.memory == nil {
			w.memory = responseBuffers.Get().(*[responseBuffer]byte)
			w.buf = w.memory[:0]
		}
		w.buf = append(w.buf, p...)
		return len(p), w.err
	}
	w.sendBody(p)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Flush sends what waits.
func (w *responseWriter) Flush() { w.FlushError() }

// FlushError is Flush, and says what came of it.
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setStatus(http.StatusOK)
	if !w.sent || len(w.buf) > 0 {
		w.sendBody(nil)
	}
	return w.err
}

// SetReadDeadline bounds reads of the body, for http.ResponseController.
func (w *responseWriter) SetReadDeadline(t time.Time) error { return w.st.SetReadDeadline(t) }

// SetWriteDeadline bounds writes, for http.ResponseController.
func (w *responseWriter) SetWriteDeadline(t time.Time) error { return w.st.SetWriteDeadline(t) }

// EnableFullDuplex is always so, for http.ResponseController.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// sendBody sends the fields, if they have not gone yet, what waits, and p, as
// one DATA frame.
func (w *responseWriter) sendBody(p []byte) {
	var b []byte
	if !w.sent {
		b = w.fields(nil, false)
	}
	if n := len(w.buf) + len(p); n > 0 {
		b = append(appendFrameHeader(b, frameData, n), w.buf...)
	}
	w.buf = w.buf[:0]
	w.send(b, false)
	if len(p) > 0 {
		w.send(p, false)
	}
}

// fields appends the HEADERS frame of the response; whole says that what waits
// is the whole body.
func (w *responseWriter) fields(b []byte, whole bool) []byte {
	w.sent = true
	f := newFieldWriter()
	f.add(":status", strconv.Itoa(w.status))
	if len(w.header["Date"]) == 0 {
		f.add("date", time.Now().UTC().Format(http.TimeFormat))
	}
	if len(w.buf) > 0 && len(w.header["Content-Type"]) == 0 && len(w.header["Content-Encoding"]) == 0 {
		f.add("content-type", http.DetectContentType(w.buf))
	}
	if whole && w.length < 0 && !w.bodyless() && (!w.head || w.written > 0) && len(w.trailers) == 0 {
		f.add("content-length", strconv.FormatInt(w.written, 10))
	}
	f.addHeader(w.header, w.isTrailer)
	return f.frame(b)
}

// isTrailer reports whether a field of the header goes after the body: those
// announced by Trailer, and those with http.TrailerPrefix.
func (w *responseWriter) isTrailer(name string) bool {
	return slices.Contains(w.trailers, name) || strings.HasPrefix(name, http.TrailerPrefix)
}

// appendTrailers appends the trailers, if there are any.
func (w *responseWriter) appendTrailers(b []byte) []byte {
	h := make(http.Header)
	for name, values := range w.header {
		if w.isTrailer(name) {
			h[strings.TrimPrefix(name, http.TrailerPrefix)] = values
		}
	}
	if len(h) == 0 {
		return b
	}
	f := newFieldWriter()
	f.addHeader(h, nil)
	return f.frame(b)
}

// finish ends the response after the handler.
func (w *responseWriter) finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setStatus(http.StatusOK)
	var b []byte
	if !w.sent {
		b = w.fields(nil, true)
	}
	if len(w.buf) > 0 {
		b = append(appendFrameHeader(b, frameData, len(w.buf)), w.buf...)
	}
	if w.memory != nil {
		responseBuffers.Put(w.memory)
		w.memory, w.buf = nil, nil
	}
	if w.length >= 0 && w.written < w.length && !w.head && !w.bodyless() && w.err == nil {
		// The peer would find the message malformed: let it see a failure instead.
		w.err = http.ErrContentLength
		return w.err
	}
	w.send(w.appendTrailers(b), true)
	return w.err
}

// send writes to the stream, unless that has failed.
func (w *responseWriter) send(b []byte, final bool) {
	if w.err != nil {
		return
	}
	if final {
		_, w.err = w.st.WriteFinal(b)
	} else {
		_, w.err = w.st.Write(b)
	}
	if w.err != nil {
		w.err = publicError(w.err)
		w.gone()
	}
}
