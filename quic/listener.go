package quic

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// maxBacklog bounds the connections that are established and not accepted;
// beyond it they are refused.
const maxBacklog = 1024

// connectionRefused is the transport error of a full backlog (RFC 9000 §20.1).
const refusedReason = "backlog is full"

// A Listener accepts connections. Its methods are safe for concurrent use.
type Listener struct {
	t    *Transport
	tls  *tls.Config
	conf *Config
	owns bool // the Transport closes with it

	mu      sync.Mutex // guards all below; a leaf
	backlog []*Conn
	ready   chan struct{} // has a token while backlog is not empty
	err     error
	failed  chan struct{}
}

func newListener(t *Transport, tlsConfig *tls.Config, conf *Config) *Listener {
	return &Listener{t: t, tls: tlsConfig, conf: conf, ready: make(chan struct{}, 1), failed: make(chan struct{})}
}

// Accept waits for the next connection whose handshake is complete. After
// Close the error is net.ErrClosed.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	for {
		if c, err := l.take(); c != nil || err != nil {
			return c, err
		}
		select {
		case <-l.ready:
		case <-l.failed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *Listener) take() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.backlog) == 0 {
		return nil, l.err
	}
	c := l.backlog[0]
	l.backlog[0] = nil
	l.backlog = l.backlog[1:]
	if len(l.backlog) > 0 {
		l.signal()
	}
	return c, nil
}

func (l *Listener) signal() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// put adds an established connection. The caller holds its lock.
func (l *Listener) put(c *Conn) {
	l.mu.Lock()
	full := len(l.backlog) >= maxBacklog || l.err != nil
	if !full {
		l.backlog = append(l.backlog, c)
		l.signal()
	}
	l.mu.Unlock()
	if full {
		c.refuse()
	}
}

func (l *Listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.failed)
	}
}

// Addr returns the address of the socket.
func (l *Listener) Addr() net.Addr { return l.t.LocalAddr() }

// Close stops accepting. Connections that were accepted go on, unless the
// Listener came from ListenAddr: then its socket closes, and all with it.
func (l *Listener) Close() error {
	l.fail(net.ErrClosed)
	l.t.mu.Lock()
	if l.t.listener == l {
		l.t.listener = nil
		l.t.router.Accept(false)
	}
	l.t.mu.Unlock()
	if l.owns {
		return l.t.Close()
	}
	return nil
}
