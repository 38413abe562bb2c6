package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/seed51309289/quiver/quic"
)

// A Transport is an http.RoundTripper that speaks HTTP/3, with one connection
// to each host that it keeps for further requests. Set the fields before the
// first request and leave them alone after it. The zero value is ready to use;
// all methods are safe for concurrent use.
type Transport struct {
	// TLSClientConfig is for all connections; its NextProtos are replaced by
	// ALPN, its ServerName, if empty, by the host. nil = the defaults.
	TLSClientConfig *tls.Config
	// QUICConfig tunes the connections; nil = the defaults.
	QUICConfig *quic.Config
	// Dial makes a connection to addr, host:port. nil = from a UDP socket that
	// all connections of the Transport share.
	Dial func(ctx context.Context, addr string, tlsConfig *tls.Config, conf *quic.Config) (*quic.Conn, error)
	// MaxResponseHeaderBytes bounds the fields of a response, in bytes as RFC 9114
	// §4.2.2 counts them. 0 = 10 MiB.
	MaxResponseHeaderBytes int64

	mu     sync.Mutex       // guards all below
	hosts  map[string]*host // bounded by the hosts that the application asks
	shared *quic.Transport  // nil before the first connection without Dial
	closed bool
}

const defaultResponseHeaders = 10 << 20

var _ http.RoundTripper = (*Transport)(nil)

// A host is one connection, or the attempt at one.
type host struct {
	began context.Context // of the request that began it
	ready chan struct{}   // closed when one of the two is set
	conn  *ClientConn
	err   error
}

// RoundTrip sends a request and waits for the fields of the response. A
// request that the server said it did not process is sent once more over a new
// connection, if its body can be had again. Errors of the peer are *Error.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	addr, err := hostOf(r)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	for first := true; ; first = false {
		h, err := t.connection(r.Context(), addr)
		if err != nil {
			closeBody(r)
			return nil, err
		}
		resp, err := h.conn.roundTrip(r)
		if err == nil || !first || !errors.Is(err, errNotProcessed) {
			return resp, unwrapNotProcessed(err)
		}
		t.forget(addr, h)
		if r, err = again(r, err); err != nil {
			return nil, err
		}
	}
}

// errNotProcessed marks errors after which a request may be sent again
// (RFC 9114 §4.1.1, §5.2).
var errNotProcessed = errors.New("request was not processed")

type notProcessed struct{ error }

func (e notProcessed) Is(target error) bool { return target == errNotProcessed }
func (e notProcessed) Unwrap() error        { return e.error }

func unwrapNotProcessed(err error) error {
	if n, ok := errors.AsType[notProcessed](err); ok {
		return n.error
	}
	return err
}

// again makes a request ready to be sent a second time.
func again(r *http.Request, cause error) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	if r.GetBody == nil {
		return nil, unwrapNotProcessed(cause)
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	second := *r
	second.Body = body
	return &second, nil
}

// hostOf is where a request goes, as host:port.
func hostOf(r *http.Request) (string, error) {
	switch {
	case r.URL == nil || r.URL.Scheme != "https":
		return "", fmt.Errorf("http3: request for %v: want the scheme https", r.URL)
	case r.URL.Host == "":
		return "", fmt.Errorf("http3: request for %v: no host", r.URL)
	case r.Method != "" && !validMethod(r.Method):
		return "", fmt.Errorf("http3: method %q is not valid", r.Method)
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return "", fmt.Errorf("http3: field name %q is not valid", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return "", fmt.Errorf("http3: value of field %s is not valid", name)
			}
		}
	}
	name, port := r.URL.Hostname(), r.URL.Port()
	if port == "" {
		port = "443"
	}
	if ascii, err := idna.Lookup.ToASCII(name); err == nil {
		name = ascii
	}
	return net.JoinHostPort(strings.ToLower(name), port), nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// connection waits for a connection to addr that can be used.
func (t *Transport) connection(ctx context.Context, addr string) (*host, error) {
	for {
		h, ours := t.host(ctx, addr)
		select {
		case <-h.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if h.err == nil {
			return h, nil
		}
		// Another request began the dial, and was given up: that is not our failure.
		if ours || h.began.Err() == nil {
			return nil, h.err
		}
	}
}

// host returns the connection to addr, or begins one: ours says that it did.
// The first who asks lends its context to the dial.
func (t *Transport) host(ctx context.Context, addr string) (h *host, ours bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.hosts[addr]; h != nil && h.usable() {
		return h, false
	}
	h = &host{ready: make(chan struct{}), began: ctx}
	if t.closed {
		h.err = fmt.Errorf("http3: transport: %w", net.ErrClosed)
		close(h.ready)
		return h, true
	}
	if t.hosts == nil {
		t.hosts = make(map[string]*host)
	}
	t.hosts[addr] = h
	go func() {
		h.conn, h.err = t.connect(ctx, addr)
		close(h.ready)
	}()
	return h, true
}

// usable reports whether requests can still begin, or will be able to.
func (h *host) usable() bool {
	select {
	case <-h.ready:
		return h.err == nil && h.conn.usable()
	default:
		return true
	}
}

// forget lets the next request make a new connection; the old one ends with
// its last request.
func (t *Transport) forget(addr string, h *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hosts[addr] == h {
		delete(t.hosts, addr)
	}
}

func (t *Transport) connect(ctx context.Context, addr string) (*ClientConn, error) {
	cfg := t.TLSClientConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	cfg.NextProtos = []string{ALPN}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	dial := t.Dial
	if dial == nil {
		dial = t.dialShared
	}
	c, err := dial(ctx, addr, cfg, t.QUICConfig)
	if err != nil {
		return nil, fmt.Errorf("http3: no connection to %s: %w", addr, err)
	}
	return newClientConn(c, t.maxHeaderBytes())
}

func (t *Transport) maxHeaderBytes() uint64 {
	if t.MaxResponseHeaderBytes <= 0 {
		return defaultResponseHeaders
	}
	return uint64(t.MaxResponseHeaderBytes)
}

// dialShared dials from the one socket of the Transport.
func (t *Transport) dialShared(ctx context.Context, addr string, cfg *tls.Config, conf *quic.Config) (*quic.Conn, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.shared == nil && !t.closed {
		var sock *net.UDPConn
		if sock, err = net.ListenUDP("udp", nil); err == nil {
			t.shared = &quic.Transport{Conn: sock}
		}
	}
	shared := t.shared
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if shared == nil {
		return nil, net.ErrClosed
	}
	return shared.Dial(ctx, at, cfg, conf)
}

// CloseIdleConnections closes the connections without a request.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for addr, h := range t.hosts {
		select {
		case <-h.ready:
			if h.err != nil || h.conn.closeIdle() {
				delete(t.hosts, addr)
			}
		default:
		}
	}
}

// Close closes all connections, and what the Transport opened. Requests that
// are under way fail.
func (t *Transport) Close() error {
	t.mu.Lock()
	hosts, shared := t.hosts, t.shared
	t.hosts, t.shared, t.closed = nil, nil, true
	t.mu.Unlock()
	for _, h := range hosts {
		select {
		case <-h.ready:
			if h.err == nil {
				h.conn.Close()
			}
		default: // it ends with its socket, or the one who called Dial ends it
		}
	}
	if shared == nil {
		return nil
	}
	return shared.Close()
}
