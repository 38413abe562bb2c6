package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// ALPN is the application protocol of HTTP/3 (RFC 9114 §3.1).
const ALPN = "h3"

// A Server serves an http.Handler over HTTP/3. Set the fields before the first
// method call and leave them alone after it. All methods are safe for
// concurrent use.
type Server struct {
	// Addr is the UDP address to listen on, host:port. "" = ":443".
	Addr string
	// Handler answers the requests; each runs in a goroutine of its own. The
	// ResponseWriter is an http.Flusher, and http.ResponseController sets its
	// deadlines. nil = http.DefaultServeMux.
	Handler http.Handler
	// TLSConfig needs a certificate; its NextProtos are replaced by ALPN.
	TLSConfig *tls.Config
	// QUICConfig tunes the connections; nil = the defaults. Its stream limit is
	// how many requests a client has in flight.
	QUICConfig *quic.Config
	// MaxHeaderBytes bounds the fields of a request, in bytes as RFC 9114 §4.2.2
	// counts them; larger ones are answered with 431. 0 = http.DefaultMaxHeaderBytes.
	MaxHeaderBytes int
	// ReadHeaderTimeout bounds how long a request's fields may take to come.
	// 0 = 10 s, negative = none.
	ReadHeaderTimeout time.Duration
	// Logger is told of handlers that panic. nil = nobody is.
	Logger *slog.Logger

	mu        sync.Mutex                         // guards all below
	listeners map[*quic.Listener]*quic.Transport // bounded by the calls of Serve
	conns     map[*serverConn]struct{}           // bounded by the connections of the listeners
	closing   bool
	idle      chan struct{} // closed when closing and the last connection is gone; nil = nobody waits
}

const defaultHeaderTimeout = 10 * time.Second

// ErrServerClosed is what Serve returns after Shutdown and Close: http.ErrServerClosed.
var ErrServerClosed = http.ErrServerClosed

// ListenAndServeTLS serves on Addr with the certificate and key of two PEM
// files, until Shutdown or Close; then it returns ErrServerClosed.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("http3: %w", err)
	}
	return s.listenAndServe([]tls.Certificate{cert})
}

// ListenAndServe serves on Addr with the certificate of TLSConfig, until
// Shutdown or Close; then it returns ErrServerClosed.
func (s *Server) ListenAndServe() error { return s.listenAndServe(nil) }

func (s *Server) listenAndServe(certs []tls.Certificate) error {
	addr := s.Addr
	if addr == "" {
		addr = ":443"
	}
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return fmt.Errorf("http3: %w", err)
	}
	sock, err := net.ListenUDP("udp", at)
	if err != nil {
		return fmt.Errorf("http3: %w", err)
	}
	return s.serve(sock, certs)
}

// Serve serves on sock until Shutdown or Close; then it returns
// ErrServerClosed. It owns sock, and closes it.
func (s *Server) Serve(sock net.PacketConn) error { return s.serve(sock, nil) }

func (s *Server) serve(sock net.PacketConn, certs []tls.Certificate) error {
	t := &quic.Transport{Conn: sock}
	cfg := s.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if certs != nil {
		cfg.Certificates = certs
	}
	cfg.NextProtos = []string{ALPN}
	l, err := t.Listen(cfg, s.QUICConfig)
	if err != nil {
		return errors.Join(err, t.Close())
	}
	return s.serveListener(l, t)
}

// ServeListener serves connections that l accepts, until Shutdown or Close;
// then it returns ErrServerClosed, and l is closed. The TLS configuration of l
// must offer ALPN; it may offer other protocols, whose connections are refused.
func (s *Server) ServeListener(l *quic.Listener) error { return s.serveListener(l, nil) }

func (s *Server) serveListener(l *quic.Listener, t *quic.Transport) error {
	if !s.track(l, t) {
		closeAll(l, t)
		return ErrServerClosed
	}
	defer s.untrack(l)
	for {
		c, err := l.Accept(context.Background())
		if err != nil {
			if s.isClosing() {
				return ErrServerClosed
			}
			return err
		}
		go s.ServeConn(c)
	}
}

// ServeConn serves one connection until it ends, and returns why: an *Error
// of NoError when one side was done. It owns c.
func (s *Server) ServeConn(c *quic.Conn) error {
	if proto := c.ConnectionState().TLS.NegotiatedProtocol; proto != ALPN {
		c.CloseWithError(uint64(VersionFallback), "the protocol is not "+ALPN)
		return fmt.Errorf("http3: connection speaks %q, want %q", proto, ALPN)
	}
	sc := &serverConn{
		server:  s,
		session: newSession(c, true, settings{maxFieldSection: uint64(s.maxHeaderBytes())}),
	}
	if !s.addConn(sc) {
		c.CloseWithError(uint64(NoError), "")
		return ErrServerClosed
	}
	defer s.removeConn(sc)
	return sc.serve()
}

func (s *Server) maxHeaderBytes() int {
	if s.MaxHeaderBytes <= 0 {
		return http.DefaultMaxHeaderBytes
	}
	return s.MaxHeaderBytes
}

func (s *Server) headerTimeout() time.Duration {
	switch {
	case s.ReadHeaderTimeout == 0:
		return defaultHeaderTimeout
	case s.ReadHeaderTimeout < 0:
		return 0
	}
	return s.ReadHeaderTimeout
}

func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}

func (s *Server) track(l *quic.Listener, t *quic.Transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[*quic.Listener]*quic.Transport)
	}
	s.listeners[l] = t
	return true
}

func (s *Server) untrack(l *quic.Listener) {
	s.mu.Lock()
	t, open := s.listeners[l]
	delete(s.listeners, l)
	s.mu.Unlock()
	if open {
		closeAll(l, t)
	}
}

func closeAll(l *quic.Listener, t *quic.Transport) {
	l.Close()
	if t != nil {
		t.Close()
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) addConn(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) removeConn(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Shutdown stops accepting, lets the requests that are under way finish
// (RFC 9114 §5.2), and then closes everything. When ctx is done first, it closes
// all the same and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	conns := s.connsLocked()
	var idle chan struct{}
	if len(conns) > 0 {
		if s.idle == nil {
			s.idle = make(chan struct{})
		}
		idle = s.idle
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.goAway()
	}
	var err error
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return errors.Join(err, s.Close())
}

// Close closes all connections and what Serve listens on.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	conns, listeners := s.connsLocked(), s.listeners
	s.listeners = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.conn.CloseWithError(uint64(NoError), "")
	}
	for l, t := range listeners {
		closeAll(l, t)
	}
	return nil
}

func (s *Server) connsLocked() []*serverConn {
	return slices.AppendSeq(make([]*serverConn, 0, len(s.conns)), maps.Keys(s.conns))
}
