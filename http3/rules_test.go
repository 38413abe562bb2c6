package http3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/http3"
)

const (
	data, head, cancelPush, settings, pushPromise, goAway, maxPushID = 0x0, 0x1, 0x3, 0x4, 0x5, 0x7, 0xd
)

func ok(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		w.WriteHeader(200)
	}
}

// RFC 9114 §6.2, §7.2: what breaks the connection at a server.
func TestServerClosesTheConnectionOn(t *testing.T) {
	control := []byte{0}
	for _, tc := range []struct {
		name string
		uni  [][]byte // streams beside the control stream, which has sent SETTINGS
		ctl  []byte   // more on the control stream
		req  []byte   // a request stream
		want http3.ErrCode
	}{
		{name: "DATA before HEADERS", req: frame(data, []byte("x")), want: http3.FrameUnexpected},
		{name: "CANCEL_PUSH on a request stream", req: frame(cancelPush, varint(0)), want: http3.FrameUnexpected},
		{name: "SETTINGS on a request stream", req: frame(settings), want: http3.FrameUnexpected},
		{name: "GOAWAY on a request stream", req: frame(goAway, varint(0)), want: http3.FrameUnexpected},
		{name: "MAX_PUSH_ID on a request stream", req: frame(maxPushID, varint(0)), want: http3.FrameUnexpected},
		{name: "PUSH_PROMISE of a client", req: frame(pushPromise, varint(0)), want: http3.FrameUnexpected},
		{name: "PING of HTTP/2", req: frame(0x6), want: http3.FrameUnexpected},
		{name: "PRIORITY of HTTP/2 after HEADERS", req: cat(getRoot(), frame(0x2)), want: http3.FrameUnexpected},
		{name: "HEADERS after trailers", req: cat(getRoot(), headers("a", "b"), headers("a", "b")), want: http3.FrameUnexpected},
		{name: "DATA after trailers", req: cat(getRoot(), headers("a", "b"), frame(data, []byte("x"))), want: http3.FrameUnexpected},
		{name: "SETTINGS twice", ctl: frame(settings), want: http3.FrameUnexpected},
		{name: "DATA on the control stream", ctl: frame(data), want: http3.FrameUnexpected},
		{name: "HEADERS on the control stream", ctl: getRoot(), want: http3.FrameUnexpected},
		{name: "PUSH_PROMISE on the control stream", ctl: frame(pushPromise, varint(0)), want: http3.FrameUnexpected},
		{name: "WINDOW_UPDATE of HTTP/2 on the control stream", ctl: frame(0x8), want: http3.FrameUnexpected},
		{name: "CONTINUATION of HTTP/2 on the control stream", ctl: frame(0x9), want: http3.FrameUnexpected},
		{name: "a second control stream", uni: [][]byte{cat(control, frame(settings))}, want: http3.StreamCreationError},
		{name: "a second encoder stream", uni: [][]byte{{2}, {2}}, want: http3.StreamCreationError},
		{name: "a second decoder stream", uni: [][]byte{{3}, {3}}, want: http3.StreamCreationError},
		{name: "a push stream of a client", uni: [][]byte{{1, 0}}, want: http3.StreamCreationError},
		{name: "GOAWAY of two integers", ctl: frame(goAway, varint(0, 0)), want: http3.FrameError},
		{name: "an empty GOAWAY", ctl: frame(goAway), want: http3.FrameError},
		{name: "a GOAWAY of ten bytes", ctl: frame(goAway, make([]byte, 10)), want: http3.FrameError},
		{name: "GOAWAY that grows", ctl: cat(frame(goAway, varint(1)), frame(goAway, varint(2))), want: http3.IDError},
		{name: "MAX_PUSH_ID that shrinks", ctl: cat(frame(maxPushID, varint(5)), frame(maxPushID, varint(4))), want: http3.IDError},
		{name: "CANCEL_PUSH of nothing", ctl: frame(cancelPush, varint(7)), want: http3.IDError},
		{name: "Set Dynamic Table Capacity above the limit", uni: [][]byte{{2, 0x3f, 0xe1, 0x1f}}, want: http3.QPACKEncoderStreamError},
		{name: "an insertion into a table without room", uni: [][]byte{{2, 0xc0, 0x01, 'x'}}, want: http3.QPACKEncoderStreamError},
		{name: "Insert Count Increment of zero", uni: [][]byte{{3, 0x00}}, want: http3.QPACKDecoderStreamError},
		{name: "Section Acknowledgment of nothing", uni: [][]byte{{3, 0x84}}, want: http3.QPACKDecoderStreamError},
		{name: "a cancelled stream of 70 bits", uni: [][]byte{cat([]byte{3, 0x7f}, []byte(strings.Repeat("\xff", 11)))}, want: http3.QPACKDecoderStreamError},
		{name: "a static index that does not exist", req: frame(head, []byte{0, 0, 0xff, 0x25}), want: http3.QPACKDecompressionFailed},
		{name: "a reference to the dynamic table", req: frame(head, []byte{2, 0, 0x80}), want: http3.QPACKDecompressionFailed},
		{name: "a field section without prefix", req: frame(head), want: http3.QPACKDecompressionFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := &rawPeer{w.T, w.dial()}
				ctl := p.uni(cat(control, frame(settings)))
				p.write(ctl, tc.ctl)
				for _, b := range tc.uni {
					p.uni(b)
				}
				if tc.req != nil {
					p.bidi(tc.req)
				}
				p.wantClosed(tc.want)
			})
		})
	}
}

// RFC 9114 §7.2.4: SETTINGS that cannot be.
func TestServerRefusesSettings(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  http3.ErrCode
	}{
		{"missing", frame(maxPushID, varint(0)), http3.MissingSettings},
		{"behind a reserved frame", frame(0x21), http3.MissingSettings},
		{"with one twice", frame(settings, varint(6, 100, 6, 100)), http3.SettingsError},
		{"of HTTP/2", frame(settings, varint(2, 0)), http3.SettingsError},
		{"cut short", frame(settings, varint(6)), http3.FrameError},
		{"of a megabyte", cat(varint(settings), varint(1<<20)), http3.ExcessiveLoad}, // maxSettingsBytes
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := &rawPeer{w.T, w.dial()}
				p.uni(cat([]byte{0}, tc.bytes))
				p.wantClosed(tc.want)
			})
		})
	}
}

// RFC 9114 §6.2.1, RFC 9204 §4.2.
func TestCriticalStreamsMustNotEnd(t *testing.T) {
	for name, begin := range map[string][]byte{"control": cat([]byte{0}, frame(settings)), "encoder": {2}, "decoder": {3}} {
		t.Run(name+" ends", func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := &rawPeer{w.T, w.dial()}
				p.uni(begin).Close()
				p.wantClosed(http3.ClosedCriticalStream)
			})
		})
		t.Run(name+" is reset", func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := &rawPeer{w.T, w.dial()}
				s := p.uni(begin)
				p.wantOpen()
				s.CancelWrite(0)
				p.wantClosed(http3.ClosedCriticalStream)
			})
		})
	}
}

// RFC 9114 §4.1.2: malformed requests are stream errors, and nobody else's trouble.
func TestServerResetsMalformedRequests(t *testing.T) {
	const m, s, a, p = ":method", ":scheme", ":authority", ":path"
	post := []string{m, "POST", s, "https", a, "x", p, "/"}
	for _, tc := range []struct {
		name   string
		fields []string
		body   []byte
	}{
		{name: "without :method", fields: []string{s, "https", a, "x", p, "/"}},
		{name: "without :scheme", fields: []string{m, "GET", a, "x", p, "/"}},
		{name: "without :path", fields: []string{m, "GET", s, "https", a, "x"}},
		{name: "without :authority and Host", fields: []string{m, "GET", s, "https", p, "/"}},
		{name: "with an empty :path", fields: []string{m, "GET", s, "https", a, "x", p, ""}},
		{name: "with a relative :path", fields: []string{m, "GET", s, "https", a, "x", p, "y"}},
		{name: "with an empty :authority", fields: []string{m, "GET", s, "https", a, "", p, "/"}},
		{name: "with a user in :authority", fields: []string{m, "GET", s, "https", a, "u@x", p, "/"}},
		{name: "with a Host that is not :authority", fields: []string{m, "GET", s, "https", a, "x", p, "/", "host", "y"}},
		{name: "with :method twice", fields: []string{m, "GET", m, "GET", s, "https", a, "x", p, "/"}},
		{name: "with a method that is none", fields: []string{m, "G T", s, "https", a, "x", p, "/"}},
		{name: "with :status", fields: []string{m, "GET", s, "https", a, "x", p, "/", ":status", "200"}},
		{name: "with an unknown pseudo-header", fields: []string{m, "GET", s, "https", a, "x", p, "/", ":foo", "bar"}},
		{name: "with a pseudo-header after a field", fields: []string{m, "GET", s, "https", a, "x", "foo", "bar", p, "/"}},
		{name: "with :protocol, which was not offered", fields: []string{m, "CONNECT", ":protocol", "websocket", s, "https", a, "x", p, "/"}},
		{name: "CONNECT with :path", fields: []string{m, "CONNECT", a, "x:1", p, "/"}},
		{name: "with an upper-case name", fields: []string{m, "GET", s, "https", a, "x", p, "/", "Foo", "bar"}},
		{name: "with a name that is none", fields: []string{m, "GET", s, "https", a, "x", p, "/", "f oo", "bar"}},
		{name: "with an empty name", fields: []string{m, "GET", s, "https", a, "x", p, "/", "", "bar"}},
		{name: "with a line feed in a value", fields: []string{m, "GET", s, "https", a, "x", p, "/", "foo", "a\nb"}},
		{name: "with a NUL in a value", fields: []string{m, "GET", s, "https", a, "x", p, "/", "foo", "a\x00b"}},
		{name: "with a carriage return in :path", fields: []string{m, "GET", s, "https", a, "x", p, "/\r"}},
		{name: "with Connection", fields: []string{m, "GET", s, "https", a, "x", p, "/", "connection", "close"}},
		{name: "with Transfer-Encoding", fields: []string{m, "GET", s, "https", a, "x", p, "/", "transfer-encoding", "chunked"}},
		{name: "with TE of gzip", fields: []string{m, "GET", s, "https", a, "x", p, "/", "te", "gzip"}},
		{name: "with a Content-Length that is none", fields: append(post, "content-length", "+1")},
		{name: "with two Content-Lengths", fields: append(post, "content-length", "1", "content-length", "2")},
		{name: "with less body than Content-Length", fields: append(post, "content-length", "4"), body: frame(data, []byte("abc"))},
		{name: "with more body than Content-Length", fields: append(post, "content-length", "2"), body: frame(data, []byte("abc"))},
		{name: "with a pseudo-header in the trailers", fields: post, body: headers(":path", "/")},
		{name: "with an upper-case name in the trailers", fields: post, body: headers("Foo", "bar")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := w.rawClient()
				s := p.bidi(cat(headers(tc.fields...), tc.body))
				s.CloseWrite()
				p.wantReset(s, http3.MessageError)
				other := p.bidi(getRoot())
				other.CloseWrite()
				p.wantStatus(other, "200")
			})
		})
	}
}

func TestServerTakesWhatItNeedNotUnderstand(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(ok)
		p := &rawPeer{w.T, w.dial()}
		// Reserved settings, frames, and streams (RFC 9114 §7.2.4.1, §7.2.8, §6.2.3).
		ctl := p.uni(cat([]byte{0}, frame(settings, varint(0x21, 5, 0x33, 1, 0x40, 7))))
		p.write(ctl, cat(frame(0x21, []byte("grease")), frame(0xf0700, make([]byte, 3000)), frame(maxPushID, varint(3))))
		p.uni(cat(varint(0x21), []byte("grease")))
		p.uni(nil).Close() // ends before its type
		p.uni([]byte{2, 0x20})
		p.uni([]byte{3, 0x44, 0x7f, 0x00})
		s := p.bidi(cat(frame(0x21), frame(0x40, []byte("x")), getRoot("te", "trailers", "host", "example.org"), frame(0x5f), frame(data), headers("a", "b"), frame(0x21)))
		s.CloseWrite()
		p.wantStatus(s, "200")
		p.wantOpen()
	})
}

func TestServerAsksNotForMoreOfAnUnknownStream(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(ok)
		p := w.rawClient()
		s := p.uni(cat(varint(0x21), []byte("grease")))
		p.wantOpen()
		if _, err := s.Write([]byte("more")); err == nil || !strings.Contains(err.Error(), "0x103") && !strings.Contains(err.Error(), "259") {
			t.Errorf("write: %v, want it stopped with H3_STREAM_CREATION_ERROR", err)
		}
	})
}

func TestStreamThatEndsWithoutARequestIsIncomplete(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(ok)
		p := w.rawClient()
		s := p.bidi(frame(0x21))
		s.CloseWrite()
		p.wantReset(s, http3.RequestIncomplete)
	})
}

func TestFrameCutShortByTheEndOfItsStream(t *testing.T) {
	for name, b := range map[string][]byte{
		"in the type":    {0x40},
		"in the length":  {0x1, 0x40},
		"in HEADERS":     getRoot()[:10],
		"in DATA":        cat(getRoot(), frame(data, []byte("abc"))[:3]),
		"in an unknown":  cat(varint(0x21, 9), []byte("abc")),
		"after the type": {0x1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serveFunc(ok)
				p := w.rawClient()
				p.bidi(b).CloseWrite()
				p.wantClosed(http3.FrameError)
			})
		})
	}
}

// RFC 9114 §4.2.2: counted decoded, so that a bomb of references is one.
func TestRequestFieldsBeyondTheLimitGet431(t *testing.T) {
	bomb := getRoot()
	section := bomb[2:]
	for range 200 {
		section = append(section, 0xd1) // :method GET, 42 bytes when decoded
	}
	for name, req := range map[string][]byte{
		"sent as they are":      getRoot("a", strings.Repeat("x", 5000)),
		"in a bomb":             frame(head, section),
		"of an announced terra": cat(varint(head, 1<<40), make([]byte, 100)),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.serve(&http3.Server{Handler: http.HandlerFunc(ok), MaxHeaderBytes: 4096})
				p := w.rawClient()
				p.wantStatus(p.bidi(req), "431")
				p.wantOpen()
			})
		})
	}
}

func TestRequestFieldsMustComeInTime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serve(&http3.Server{Handler: http.HandlerFunc(ok)})
		p := w.rawClient()
		s := p.bidi(getRoot()[:5])
		_, err := io.Copy(io.Discard, s) // virtual time: the server's ten seconds
		if err == nil {
			t.Error("a request that never comes was answered")
		}
		p.wantOpen()
	})
}
