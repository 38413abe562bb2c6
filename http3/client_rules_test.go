package http3_test

import (
	"strings"
	"testing"

	"github.com/seed51309289/quiver/http3"
)

// RFC 9114 §6, §7: what breaks the connection at a client.
func TestClientClosesTheConnectionOn(t *testing.T) {
	hello := cat([]byte{0}, frame(settings))
	for _, tc := range []struct {
		name string
		uni  [][]byte
		resp []byte
		want http3.ErrCode
	}{
		{name: "a control stream without SETTINGS", uni: [][]byte{{0, 0x7, 1, 0}}, want: http3.MissingSettings},
		{name: "MAX_PUSH_ID of a server", uni: [][]byte{cat(hello, frame(maxPushID, varint(1)))}, want: http3.FrameUnexpected},
		{name: "GOAWAY with an ID that is no request's", uni: [][]byte{cat(hello, frame(goAway, varint(3)))}, want: http3.IDError},
		{name: "a push that was not allowed", uni: [][]byte{hello, {1, 0}}, want: http3.IDError},
		{name: "DATA before HEADERS", uni: [][]byte{hello}, resp: frame(data, []byte("x")), want: http3.FrameUnexpected},
		{name: "DATA after trailers", uni: [][]byte{hello}, resp: cat(headers(":status", "200"), headers("a", "b"), frame(data)), want: http3.FrameUnexpected},
		{name: "an invalid static index", uni: [][]byte{hello}, resp: frame(head, []byte{0, 0, 0xff, 0x25}), want: http3.QPACKDecompressionFailed},
		{name: "a response cut inside a frame", uni: [][]byte{hello}, resp: headers(":status", "200")[:3], want: http3.FrameError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p, result := w.rawServer(nil)
				for _, b := range tc.uni {
					p.uni(b)
				}
				if tc.resp != nil {
					p.accept().WriteFinal(tc.resp)
				}
				p.wantClosed(tc.want)
				w.wantError(<-result, tc.want, false)
			})
		})
	}
}

func TestClientRefusesAStreamOfTheServer(t *testing.T) {
	inWorld(t, func(w *world) {
		p, result := w.rawServer(cat([]byte{0}, frame(settings)))
		p.accept()
		p.bidi([]byte{0x21})
		p.wantClosed(http3.StreamCreationError)
		if err := <-result; err == nil {
			t.Error("the request was answered")
		}
	})
}

// RFC 9114 §4.1.2: malformed responses.
func TestClientGivesUpMalformedResponses(t *testing.T) {
	status := headers(":status", "200")
	for name, resp := range map[string][]byte{
		"without :status":                 headers("a", "b"),
		"with a :status of two digits":    headers(":status", "20"),
		"with a :status that is no":       headers(":status", "abc"),
		"with :status 101":                headers(":status", "101"),
		"with :path":                      headers(":status", "200", ":path", "/"),
		"with Connection":                 headers(":status", "200", "connection", "close"),
		"with an upper-case name":         headers(":status", "200", "Foo", "bar"),
		"with less than Content-Length":   cat(headers(":status", "200", "content-length", "5"), frame(data, []byte("abc"))),
		"with more than Content-Length":   cat(headers(":status", "200", "content-length", "2"), frame(data, []byte("abc"))),
		"with a pseudo-header at the end": cat(status, headers(":status", "200")),
		"which is none":                   nil,
		"which never comes to the point":  []byte(strings.Repeat(string(headers(":status", "103")), 3)),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p, result := w.rawServer(cat([]byte{0}, frame(settings)))
				p.accept().WriteFinal(resp)
				w.wantError(<-result, http3.MessageError, false)
				p.wantOpen()
			})
		})
	}
}

func TestClientTakesABoundedNumberOfInformationalResponses(t *testing.T) {
	inWorld(t, func(w *world) {
		p, result := w.rawServer(cat([]byte{0}, frame(settings)))
		p.accept().Write([]byte(strings.Repeat(string(headers(":status", "103")), 100)))
		w.wantError(<-result, http3.ExcessiveLoad, false) // maxInformational
		p.wantOpen()
	})
}

func TestClientTakesABoundedFieldSection(t *testing.T) {
	inWorld(t, func(w *world) {
		l := w.listen()
		tr := w.roundTripper()
		tr.MaxResponseHeaderBytes = 1000
		result := make(chan error, 1)
		go func() {
			_, err := w.get(tr, "/")
			result <- err
		}()
		c, err := l.Accept(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{w.T, c}
		p.uni(cat([]byte{0}, frame(settings)))
		p.accept().Write(headers(":status", "200", "a", strings.Repeat("x", 1000)))
		w.wantError(<-result, http3.ExcessiveLoad, false)
		p.wantOpen()
	})
}
