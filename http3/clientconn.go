package http3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed51309289/quiver/quic"
)

// A ClientConn sends requests over one connection. Its methods are safe for
// concurrent use.
type ClientConn struct {
	*session

	mu     sync.Mutex // guards all below
	active int        // requests under way
	away   bool       // the server takes no more requests
}

// NewClientConn begins HTTP/3 on c, which it owns from now on. c's TLS
// handshake must have chosen ALPN.
func NewClientConn(c *quic.Conn) (*ClientConn, error) {
	return newClientConn(c, defaultResponseHeaders)
}

func newClientConn(c *quic.Conn, maxHeader uint64) (*ClientConn, error) {
	cc := &ClientConn{session: newSession(c, false, settings{maxFieldSection: maxHeader})}
	cc.onAway = func(uint64) { cc.goneAway() }
	if err := cc.open(); err != nil {
		return nil, err
	}
	go cc.refuseStreams()
	return cc, nil
}

// refuseStreams is RFC 9114 §6.1: a server opens no bidirectional stream.
func (c *ClientConn) refuseStreams() {
	if _, err := c.conn.AcceptStream(context.Background()); err == nil {
		c.fail(connError(StreamCreationError, "the server opened a bidirectional stream"))
	}
}

// Close closes the connection. Requests that are under way fail.
func (c *ClientConn) Close() error { return c.conn.CloseWithError(uint64(NoError), "") }

// usable reports whether a request may begin.
func (c *ClientConn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.away && c.conn.Context().Err() == nil
}

func (c *ClientConn) closeIdle() bool {
	c.mu.Lock()
	idle := c.active == 0
	c.away = c.away || idle
	c.mu.Unlock()
	if idle {
		c.Close()
	}
	return idle
}

// goneAway obeys a GOAWAY: no new requests, and the end after the last one
// (RFC 9114 §5.2).
func (c *ClientConn) goneAway() {
	c.mu.Lock()
	c.away = true
	idle := c.active == 0
	c.mu.Unlock()
	if idle {
		c.Close()
	}
}

func (c *ClientConn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return false
	}
	c.active++
	return true
}

func (c *ClientConn) done() {
	c.mu.Lock()
	c.active--
	last := c.away && c.active == 0
	c.mu.Unlock()
	if last {
		c.Close()
	}
}

// RoundTrip sends a request and waits for the fields of the response. It is
// for those who manage connections themselves; Transport manages them.
func (c *ClientConn) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := hostOf(r); err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := c.roundTrip(r)
	return resp, unwrapNotProcessed(err)
}

// An exchange is one request and its response.
type exchange struct {
	c      *ClientConn
	st     *quic.Stream
	r      *http.Request
	body   *messageReader
	stop   func() bool  // no longer heed the request's context
	halves atomic.Int32 // of request and response, those that are not over

	mu   sync.Mutex // guards all below
	sent error      // why the request's body could not be read
}

// half ends one half; after the second, nothing of the exchange is left.
func (x *exchange) half() {
	if x.halves.Add(-1) == 0 {
		x.stop()
		x.c.done()
	}
}

func (c *ClientConn) roundTrip(r *http.Request) (*http.Response, error) {
	if !c.begin() {
		return nil, notProcessed{errors.New("http3: the server takes no more requests on this connection")}
	}
	x, err := c.start(r)
	if err != nil {
		c.done()
		return nil, err
	}
	resp, err := x.response()
	if err == nil {
		return resp, nil
	}
	defer x.half()
	if v, ok := errors.AsType[*violation](err); ok && v.stream {
		abort(x.st, v.code)
	} else {
		abort(x.st, RequestCancelled)
	}
	return nil, x.publicError(c.fail(err))
}

// start opens a stream and sends the request; a body goes on by itself.
func (c *ClientConn) start(r *http.Request) (*exchange, error) {
	head, err := c.requestFields(r)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	ctx := r.Context()
	st, err := c.conn.OpenStreamSync(ctx)
	if err != nil {
		if ctx.Err() != nil {
			closeBody(r)
			return nil, context.Cause(ctx)
		}
		return nil, notProcessed{publicError(err)}
	}
	x := &exchange{c: c, st: st, r: r, body: newMessageReader(st, c.own.maxFieldSection)}
	x.stop = context.AfterFunc(ctx, func() { abort(st, RequestCancelled) })
	x.halves.Store(1)
	if r.Body == nil || r.Body == http.NoBody {
		_, err = st.WriteFinal(head)
	} else if _, err = st.Write(head); err == nil {
		x.halves.Store(2)
		go x.sendBody()
		return x, nil
	}
	closeBody(r)
	if err != nil && !stopped(err) {
		x.stop()
		abort(st, RequestCancelled)
		return nil, publicError(err)
	}
	return x, nil
}

// stopped reports whether the server does not want more of a request, which is
// no failure (RFC 9114 §4.1).
func stopped(err error) bool {
	reset, ok := errors.AsType[*quic.StreamError](err)
	return ok && reset.Remote
}

// requestFields is the HEADERS frame of a request (RFC 9114 §4.3.1).
func (c *ClientConn) requestFields(r *http.Request) ([]byte, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	f := newFieldWriter()
	f.add(":method", method)
	f.add(":authority", host)
	if method != http.MethodConnect {
		f.add(":scheme", r.URL.Scheme)
		f.add(":path", r.URL.RequestURI())
	}
	if n := r.ContentLength; n > 0 || n == 0 && r.Body == nil && needsLength(method) {
		f.add("content-length", strconv.FormatInt(n, 10))
	}
	if _, set := r.Header["User-Agent"]; !set {
		f.add("user-agent", "quiver")
	}
	if len(r.Trailer) > 0 {
		f.add("trailer", trailerNames(r.Trailer))
	}
	f.addHeader(r.Header, func(name string) bool {
		name = http.CanonicalHeaderKey(name)
		return name == "Host" || name == "Content-Length" || name == "Trailer"
	})
	// RFC 9114 §4.2.2: the server said how much it takes.
	if limit := c.peerSettings().maxFieldSection; f.size > limit {
		return nil, fmt.Errorf("http3: request fields of %d bytes, the server takes %d", f.size, limit)
	}
	return f.frame(nil), nil
}

// needsLength reports methods for which no body is worth a word (RFC 9110 §8.6).
func needsLength(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

func trailerNames(h http.Header) string {
	var names []string
	for name := range h {
		names = append(names, strings.ToLower(name))
	}
	return strings.Join(names, ", ")
}

// requestBuffer is how much of a request's body is read at once, in bytes.
const requestBuffer = 16 << 10

var requestBuffers = sync.Pool{New: func() any { return new([requestBuffer]byte) }}

// sendBody sends the body and the trailers of the request.
func (x *exchange) sendBody() {
	defer x.half()
	defer x.r.Body.Close()
	memory := requestBuffers.Get().(*[requestBuffer]byte)
	defer requestBuffers.Put(memory)
	const room = 8 // for the header of a DATA frame
	var total int64
	for {
		n, err := x.r.Body.Read(memory[room:])
		total += int64(n)
		if declared := x.r.ContentLength; err == nil && declared > 0 && total > declared || err == io.EOF && declared > 0 && total != declared {
			err = fmt.Errorf("http3: request body has %d bytes or more, ContentLength is %d", total, declared)
		}
		if n > 0 && (err == nil || err == io.EOF) {
			header := appendFrameHeader(memory[:0], frameData, n)
			start := room - len(header)
			copy(memory[start:], header)
			if _, err := x.st.Write(memory[start : room+n]); err != nil {
				return // the response says why, if there is one
			}
		}
		if err == io.EOF {
			x.st.WriteFinal(x.trailers())
			return
		}
		if err != nil {
			x.mu.Lock()
			x.sent = err
			x.mu.Unlock()
			abort(x.st, RequestCancelled)
			return
		}
	}
}

func (x *exchange) trailers() []byte {
	if len(x.r.Trailer) == 0 {
		return nil
	}
	f := newFieldWriter()
	f.addHeader(x.r.Trailer, nil)
	return f.frame(nil)
}

// maxInformational bounds the 1xx responses before the response. limit: RFC 9114 §10.5.
const maxInformational = 16

// response waits for the response.
func (x *exchange) response() (*http.Response, error) {
	for range maxInformational {
		fields, err := x.body.fields()
		if err == io.EOF {
			return nil, malformed("the stream ends without a response")
		}
		if errors.Is(err, errFieldsTooLarge) {
			return nil, &violation{code: ExcessiveLoad, reason: fmt.Sprintf("response fields are larger than %d bytes", x.c.own.maxFieldSection), stream: true}
		}
		if err != nil {
			return nil, err
		}
		resp, err := parseResponse(fields)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 {
			return x.finish(resp), nil
		}
		if err := x.informational(resp); err != nil {
			return nil, err
		}
	}
	return nil, &violation{code: ExcessiveLoad, reason: fmt.Sprintf("more than %d informational responses", maxInformational), stream: true}
}

func (x *exchange) informational(resp *http.Response) error {
	trace := httptrace.ContextClientTrace(x.r.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return nil
	}
	return trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header))
}

// finish gives the response its body.
func (x *exchange) finish(resp *http.Response) *http.Response {
	state := x.c.conn.ConnectionState().TLS
	resp.Request, resp.TLS = x.r, &state
	x.body.declared = resp.ContentLength
	x.body.trailers = func(h http.Header) { resp.Trailer = h }
	if x.r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		x.body.declared = 0 // RFC 9110 §6.4.1: whatever content-length says
	}
	resp.Body = &responseBody{x: x}
	return resp
}

// publicError prefers what the caller did to what came of it.
func (x *exchange) publicError(err error) error {
	if ctx := x.r.Context(); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	x.mu.Lock()
	sent := x.sent
	x.mu.Unlock()
	if sent != nil {
		return sent
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Remote && e.Code == RequestRejected {
		return notProcessed{err}
	}
	return err
}

// A responseBody is what the caller reads, and closes.
type responseBody struct {
	x    *exchange
	over sync.Once // read to its end, or given up

	mu     sync.Mutex // guards all below
	closed bool
}

// Read reads the body. After the end of the request's context it fails with
// the context's cause.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.x.body.Read(p)
	if err == nil {
		return n, nil
	}
	defer b.over.Do(b.x.half)
	if err == io.EOF {
		return n, err
	}
	if v, ok := errors.AsType[*violation](err); ok && v.stream {
		abort(b.x.st, v.code)
	}
	return n, unwrapNotProcessed(b.x.publicError(b.x.c.fail(err)))
}

// Close gives up what was not read.
func (b *responseBody) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.over.Do(func() {
		b.x.st.CancelRead(uint64(RequestCancelled))
		if b.x.halves.Load() == 2 {
			b.x.st.CancelWrite(uint64(RequestCancelled)) // the answer to it is not wanted
		}
		b.x.half()
	})
	return nil
}
