package http3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// A serverConn is one client's connection.
type serverConn struct {
	*session
	server *Server

	requests sync.WaitGroup
	mu       sync.Mutex // guards all below
	next     uint64     // no request with this ID or above was taken
	active   int        // requests under way
	leaving  bool       // GOAWAY was sent: requests from next on are rejected
}

func (c *serverConn) serve() error {
	err := c.open()
	for err == nil {
		var st *quic.Stream
		if st, err = c.conn.AcceptStream(context.Background()); err == nil {
			c.take(st)
		}
	}
	c.requests.Wait()
	return publicError(err)
}

// take begins a request, or rejects it.
func (c *serverConn) take(st *quic.Stream) {
	if !c.begin(st.StreamID()) {
		// RFC 9114 §5.2: it was not processed, and may be sent again elsewhere.
		abort(st, RequestRejected)
		return
	}
	c.requests.Go(func() {
		defer c.done()
		if err := c.serveRequest(st); err != nil {
			c.giveUp(st, err)
		}
	})
}

func (c *serverConn) begin(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving {
		return false
	}
	c.next = max(c.next, id+4)
	c.active++
	return true
}

func (c *serverConn) done() {
	c.mu.Lock()
	c.active--
	last := c.leaving && c.active == 0
	c.mu.Unlock()
	if last {
		c.leave()
	}
}

// goAway takes no more requests, and closes when those under way are done.
func (c *serverConn) goAway() {
	c.mu.Lock()
	again := c.leaving
	c.leaving = true
	id, idle := c.next, c.active == 0
	c.mu.Unlock()
	if again {
		return
	}
	c.sendGoAway(id)
	if idle {
		c.leave()
	}
}

// leave closes a connection after its last response. What was written may not
// have arrived yet, and closing would end that: the client closes, too, when
// it has read it, so we wait for that for a while.
func (c *serverConn) leave() {
	const linger = 5 * time.Second
	timer := time.AfterFunc(linger, func() { c.conn.CloseWithError(uint64(NoError), "") })
	context.AfterFunc(c.conn.Context(), func() { timer.Stop() })
}

// abort gives a stream up in both directions.
func abort(st *quic.Stream, code ErrCode) {
	st.CancelRead(uint64(code))
	st.CancelWrite(uint64(code))
}

// giveUp ends a request for an error of the client's, or of the network's.
func (c *serverConn) giveUp(st *quic.Stream, err error) {
	if v, ok := errors.AsType[*violation](err); ok && v.stream {
		abort(st, v.code)
		return
	}
	c.fail(err)
	abort(st, InternalError)
}

func (c *serverConn) serveRequest(st *quic.Stream) error {
	if d := c.server.headerTimeout(); d > 0 {
		st.SetReadDeadline(time.Now().Add(d))
	}
	body := newMessageReader(st, c.own.maxFieldSection)
	fields, err := body.fields()
	switch {
	case err == io.EOF:
		// RFC 9114 §4.1: the stream ends without a request.
		return &violation{code: RequestIncomplete, reason: "no HEADERS", stream: true}
	case errors.Is(err, errFieldsTooLarge):
		return c.tooLarge(st)
	case err != nil:
		return err
	}
	st.SetReadDeadline(time.Time{})
	r, err := parseRequest(fields)
	if err != nil {
		return err
	}
	return c.handle(st, r, body)
}

// tooLarge answers a request whose fields are beyond what we take (RFC 9114 §4.2.2).
func (c *serverConn) tooLarge(st *quic.Stream) error {
	w := newFieldWriter()
	w.add(":status", "431")
	_, err := st.WriteFinal(w.frame(nil))
	st.CancelRead(uint64(ExcessiveLoad))
	return err
}

// handle runs the handler and ends the stream.
func (c *serverConn) handle(st *quic.Stream, r *http.Request, body *messageReader) error {
	ctx, cancel := context.WithCancel(context.WithValue(c.conn.Context(), http.LocalAddrContextKey, c.conn.LocalAddr()))
	defer cancel()
	ctx = context.WithValue(ctx, http.ServerContextKey, c.server)
	state := c.conn.ConnectionState().TLS
	r.TLS, r.RemoteAddr = &state, c.conn.RemoteAddr().String()
	r = r.WithContext(ctx)
	w := &responseWriter{st: st, header: make(http.Header), head: r.Method == http.MethodHead, gone: cancel}
	rb := &requestBody{message: body, w: w, gone: cancel, expects: r.Header.Get("Expect") == "100-continue"}
	body.declared = r.ContentLength
	body.trailers = func(h http.Header) { r.Trailer = h }
	r.Body = rb
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	if !c.run(w, r) {
		abort(st, InternalError)
		return nil
	}
	if broken := rb.violation(); broken != nil {
		return broken // RFC 9114 §4.1.2: a malformed request gets no response
	}
	err := w.finish()
	// RFC 9114 §4.1: the rest of a request that was answered is not needed.
	st.CancelRead(uint64(NoError))
	if err != nil {
		st.CancelWrite(uint64(InternalError))
	}
	return nil
}

// run reports whether the handler came back; if not, it panicked.
func (c *serverConn) run(w *responseWriter, r *http.Request) (ok bool) {
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler && c.server.Logger != nil {
			c.server.Logger.Error("http3: handler panicked", "client", r.RemoteAddr, "method", r.Method, "uri", r.RequestURI, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.server.handler().ServeHTTP(w, r)
	return true
}

// A requestBody is what the handler reads.
type requestBody struct {
	message *messageReader
	w       *responseWriter
	gone    func() // the client gave the request up
	expects bool   // the client waits for 100 (Continue) before it sends

	mu     sync.Mutex // guards all below
	broken error      // a violation
	closed bool
}

// Read reads the body.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.expects {
		b.expects = false
		b.w.informational(http.StatusContinue)
	}
	n, err := b.message.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if _, ok := errors.AsType[*violation](err); ok {
		b.broken = err
	}
	b.gone()
	return n, publicError(err)
}

// Close ends reading; the handler need not call it.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *requestBody) violation() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}
