package http3_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/http3"
)

func TestGet(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, "%s %s %s %s %v %s", r.Method, r.Host, r.RequestURI, r.Proto, r.TLS.NegotiatedProtocol, r.Header.Get("Cookie"))
		})
		r, _ := http.NewRequest(http.MethodGet, "https://example.org/a?b=c", nil)
		r.Header["Cookie"] = []string{"a=1", "b=2"}
		resp, err := w.roundTripper().RoundTrip(r)
		w.wantBody(resp, err, "GET example.org /a?b=c HTTP/3.0 h3 a=1; b=2")
		if resp.StatusCode != 200 || resp.Proto != "HTTP/3.0" || resp.ContentLength != 43 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("Date") == "" {
			t.Errorf("response is %+v", resp)
		}
	})
}

func TestLargeBodiesBothWays(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) { io.Copy(rw, r.Body) })
		body := make([]byte, 3<<20)
		rand.Read(body)
		r, _ := http.NewRequest(http.MethodPost, "https://example.org/", bytes.NewReader(body))
		resp, err := w.roundTripper().RoundTrip(r)
		w.wantBody(resp, err, string(body))
	})
}

func TestManyRequestsShareAConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.URL.Path) })
		tr := w.roundTripper()
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				path := fmt.Sprintf("/%d", i)
				resp, err := w.get(tr, path)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != path {
					t.Errorf("body is %q, %v; want %q", b, err, path)
				}
			})
		}
		wg.Wait()
	})
}

func TestStatusesWithoutBody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/head":
				io.WriteString(rw, "not for you")
			case "/declared":
				rw.Header().Set("Content-Length", "1000")
			default:
				rw.WriteHeader(http.StatusNoContent)
				if _, err := io.WriteString(rw, "x"); err != http.ErrBodyNotAllowed {
					t.Errorf("write after 204: %v, want ErrBodyNotAllowed", err)
				}
			}
		})
		tr := w.roundTripper()
		for path, length := range map[string]int64{"/head": 11, "/declared": 1000} {
			r, _ := http.NewRequest(http.MethodHead, "https://example.org"+path, nil)
			resp, err := tr.RoundTrip(r)
			w.wantBody(resp, err, "")
			if resp.ContentLength != length {
				t.Errorf("HEAD %s: content-length %d, want %d", path, resp.ContentLength, length)
			}
		}
		resp, err := w.get(tr, "/none")
		w.wantBody(resp, err, "")
		if resp.StatusCode != 204 || resp.Header.Get("Content-Length") != "" {
			t.Errorf("status %d, content-length %q", resp.StatusCode, resp.Header.Get("Content-Length"))
		}
	})
}

func TestTrailersBothWays(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Trailer", "X-Announced")
			io.Copy(rw, r.Body)
			rw.Header().Set("X-Announced", r.Trailer.Get("X-Sum"))
			rw.Header().Set(http.TrailerPrefix+"X-Sudden", "2")
		})
		r, _ := http.NewRequest(http.MethodPut, "https://example.org/", strings.NewReader("body"))
		r.Trailer = http.Header{"X-Sum": {"42"}}
		resp, err := w.roundTripper().RoundTrip(r)
		w.wantBody(resp, err, "body")
		if got := resp.Trailer; got.Get("X-Announced") != "42" || got.Get("X-Sudden") != "2" {
			t.Errorf("trailers are %v", got)
		}
	})
}

func TestInformationalResponses(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</style.css>")
			rw.WriteHeader(http.StatusEarlyHints)
			io.Copy(rw, r.Body)
		})
		var seen []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			seen = append(seen, fmt.Sprint(code, h.Get("Link")))
			return nil
		}}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(w.Context(), trace), http.MethodPost, "https://example.org/", strings.NewReader("x"))
		r.Header.Set("Expect", "100-continue")
		resp, err := w.roundTripper().RoundTrip(r)
		w.wantBody(resp, err, "x")
		if fmt.Sprint(seen) != "[103</style.css> 100]" {
			t.Errorf("informational responses are %q", seen)
		}
	})
}

func TestFlushSendsWhatIsThere(t *testing.T) {
	inWorld(t, func(w *world) {
		more := make(chan struct{})
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			io.WriteString(rw, "first")
			rw.(http.Flusher).Flush()
			<-more
			io.WriteString(rw, "second")
		})
		resp, err := w.get(w.roundTripper(), "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "first" {
			t.Fatalf("read %q, %v", b, err)
		}
		close(more)
		w.wantBody(resp, nil, "second")
	})
}

func TestHandlerThatPanicsResetsItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		var log bytes.Buffer
		w.serve(&http3.Server{
			Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					panic("a bug")
				}
			}),
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		tr := w.roundTripper()
		_, err := w.get(tr, "/")
		w.wantError(err, http3.InternalError, true)
		resp, err := w.get(tr, "/other")
		w.wantBody(resp, err, "")
		if !strings.Contains(log.String(), "a bug") {
			t.Errorf("the log is %q", log.String())
		}
	})
}

func (w *world) wantError(err error, code http3.ErrCode, remote bool) {
	w.Helper()
	var e *http3.Error
	if !errors.As(err, &e) || e.Code != code || e.Remote != remote {
		w.Errorf("got %v, want %v, remote %v", err, code, remote)
	}
}

func TestHandlerThatWritesTooLittleOrTooMuch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "4")
			if _, err := io.WriteString(rw, r.URL.Path); len(r.URL.Path) > 4 && err != http.ErrContentLength {
				t.Errorf("write of too much: %v, want ErrContentLength", err)
			}
		})
		tr := w.roundTripper()
		resp, err := w.get(tr, "/abc")
		w.wantBody(resp, err, "/abc")
		for _, path := range []string{"/a", "/abcd"} {
			resp, err := w.get(tr, path)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			w.wantError(err, http3.InternalError, true)
		}
	})
}

func TestContextOfARequest(t *testing.T) {
	inWorld(t, func(w *world) {
		gone := make(chan error, 2)
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.(http.Flusher).Flush()
			for {
				if _, err := rw.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			<-r.Context().Done()
			gone <- r.Context().Err()
		})
		tr := w.roundTripper()
		ctx, cancel := context.WithCancel(w.Context())
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.org/", nil)
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("read after cancel: %v, want context.Canceled", err)
		}
		resp.Body.Close()
		if err := <-gone; err != context.Canceled {
			t.Errorf("the handler's context ended with %v", err)
		}
		if resp, err = w.get(tr, "/"); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // without reading it
		<-gone
	})
}

func TestServerMayAnswerBeforeTheRequestIsWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusForbidden) })
		body, feed := io.Pipe()
		r, _ := http.NewRequest(http.MethodPost, "https://example.org/", body)
		resp, err := w.roundTripper().RoundTrip(r)
		w.wantBody(resp, err, "")
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", resp.StatusCode)
		}
		for err == nil {
			_, err = feed.Write(make([]byte, 1000))
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the body was closed with %v", err)
		}
	})
}

func TestRequestBodyThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(ok)
		broken := errors.New("disk on fire")
		body, feed := io.Pipe()
		feed.CloseWithError(broken)
		r, _ := http.NewRequest(http.MethodPost, "https://example.org/", body)
		if _, err := w.roundTripper().RoundTrip(r); !errors.Is(err, broken) {
			t.Errorf("round trip: %v, want %v", err, broken)
		}
	})
}

func TestConnectHasNoPath(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, r.Method, " ", r.Host, " ", r.URL.Path)
		})
		p := w.rawClient()
		s := p.bidi(headers(":method", "CONNECT", ":authority", "example.org:25"))
		s.CloseWrite()
		br := bufio.NewReader(s)
		readFrame(br)
		if _, body, err := readFrame(br); err != nil || string(body) != "CONNECT example.org:25 " {
			t.Errorf("body is %q, %v", body, err)
		}
	})
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	inWorld(t, func(w *world) {
		began, more := make(chan struct{}), make(chan struct{})
		s := &http3.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			close(began)
			<-more
			io.WriteString(rw, "whole")
		})}
		w.serve(s)
		tr := w.roundTripper()
		result := make(chan struct{})
		go func() {
			defer close(result)
			resp, err := w.get(tr, "/")
			w.wantBody(resp, err, "whole")
		}()
		<-began
		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		close(more)
		<-result
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if _, err := w.get(tr, "/"); err == nil {
			t.Error("a request after Shutdown was answered")
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &http3.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		w.serve(s)
		result := make(chan error)
		go func() {
			_, err := w.get(w.roundTripper(), "/")
			result <- err
		}()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want context.DeadlineExceeded", err)
		}
		if err := <-result; err == nil {
			t.Error("the request was answered")
		}
	})
}

func TestRequestIsSentAgainWhenItWasRejected(t *testing.T) {
	inWorld(t, func(w *world) {
		l := w.listen()
		tr := w.roundTripper()
		result := make(chan error, 1)
		go func() {
			r, _ := http.NewRequest(http.MethodPost, "https://example.org/", strings.NewReader("body"))
			resp, err := tr.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			result <- err
		}()
		for range 2 { // once, and not for ever
			c, err := l.Accept(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			p := &rawPeer{w.T, c}
			s := p.accept()
			s.CancelRead(uint64(http3.RequestRejected))
			s.CancelWrite(uint64(http3.RequestRejected))
		}
		w.wantError(<-result, http3.RequestRejected, true)
	})
}

func TestGoAwayMovesNewRequestsToANewConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		p, result := w.rawServer(cat([]byte{0}, frame(settings), frame(goAway, varint(4))))
		s := p.accept()
		s.WriteFinal(headers(":status", "200"))
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		p.wantClosed(http3.NoError) // nothing is under way any more
	})
}

func TestTransportReportsWhatItCannotSend(t *testing.T) {
	tr := &http3.Transport{}
	defer tr.Close()
	for _, tc := range []struct {
		name string
		req  func(r *http.Request)
		want string
	}{
		{"http", func(r *http.Request) { r.URL.Scheme = "http" }, "want the scheme https"},
		{"no host", func(r *http.Request) { r.URL.Host = "" }, "no host"},
		{"method", func(r *http.Request) { r.Method = "G T" }, `method "G T" is not valid`},
		{"name", func(r *http.Request) { r.Header["a b"] = []string{"c"} }, `field name "a b" is not valid`},
		{"value", func(r *http.Request) { r.Header["A"] = []string{"c\n"} }, "value of field A is not valid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _ := http.NewRequest(http.MethodGet, "https://example.org/", nil)
			tc.req(r)
			if _, err := tr.RoundTrip(r); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTransportHeedsTheServersLimit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serve(&http3.Server{Handler: http.HandlerFunc(ok), MaxHeaderBytes: 1000})
		tr := w.roundTripper()
		resp, err := w.get(tr, "/") // and the server's SETTINGS are there
		w.wantBody(resp, err, "")
		_, err = w.get(tr, "/"+strings.Repeat("x", 1000))
		if err == nil || !strings.Contains(err.Error(), "the server takes 1000") {
			t.Errorf("got %v, want it refused", err)
		}
	})
}

func TestRequestOutlivesTheOneWhoseDialItSharesAndThatIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.serveFunc(ok)
		tr := w.roundTripper()
		ctx, giveUp := context.WithCancel(w.Context())
		first := make(chan error, 1)
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.org/", nil)
			_, err := tr.RoundTrip(r)
			first <- err
		}()
		time.Sleep(10 * time.Millisecond) // the handshake takes longer
		go func() {
			time.Sleep(10 * time.Millisecond)
			giveUp()
		}()
		resp, err := w.get(tr, "/")
		w.wantBody(resp, err, "")
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the request that was given up ended with %v, want context.Canceled", err)
		}
	})
}
