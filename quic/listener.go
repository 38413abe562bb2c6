package quic

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// Why a connection is refused.
const (
	refusedFull   = "backlog is full"
	refusedClosed = "listener is closed"
)

// A Listener accepts connections. Its methods are safe for concurrent use.
type Listener struct {
	t    *Transport
	tls  *tls.Config
	conf *Config
	core *core.Config // of all its connections, but for what is a connection's own
	most int          // connections in backlog
	owns bool         // the Transport closes with it

	mu      sync.Mutex // guards all below; a leaf
	backlog queue[*Conn]
	ready   chan struct{} // has a token while backlog is not empty; bounded by its one token
	err     error
	failed  chan struct{}
}

func newListener(t *Transport, tlsConfig *tls.Config, conf *Config) *Listener {
	l := &Listener{t: t, tls: tlsConfig, conf: conf, ready: make(chan struct{}, 1), failed: make(chan struct{})}
	l.core = t.coreConfig(conf)
	l.core.TLS = tlsConfig
	l.core.Guard, l.core.TokenKey = &t.guard, &t.tokenKey
	if conf != nil {
		l.core.Early = conf.Allow0RTT
		l.core.PreferredV4, l.core.PreferredV6 = conf.PreferredAddress.V4, conf.PreferredAddress.V6
	}
	l.most = conf.limits().backlog()
	return l
}

// Accept waits for the next connection whose handshake is complete, or, with
// Config.Allow0RTT, whose client sends early data. It may
// have ended since; then its methods say why. After Close the error is
// net.ErrClosed.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	for {
		if c, err := l.take(); c != nil || err != nil {
			return c, err
		}
		select {
		case <-l.ready:
		case <-l.failed:
		case <-ctx.Done():
			return nil, ctxErr(ctx)
		}
	}
}

func (l *Listener) take() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlog.len() == 0 {
		return nil, l.err
	}
	c := l.backlog.pop()
	if l.backlog.len() > 0 {
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
	why := ""
	switch {
	case l.err != nil:
		why = refusedClosed
	case l.backlog.len() >= l.most:
		why = refusedFull
	default:
		l.backlog.push(c)
		l.signal()
	}
	l.mu.Unlock()
	if why != "" {
		c.refuse(why)
	}
}

// fail lets Accept return err, and refuses the connections that wait for it.
func (l *Listener) fail(err error) {
	l.mu.Lock()
	left := l.backlog
	l.backlog = queue[*Conn]{}
	if l.err == nil {
		l.err = err
		close(l.failed)
	}
	l.mu.Unlock()
	for left.len() > 0 {
		c := left.pop()
		c.mu.Lock()
		c.refuse(refusedClosed)
		c.flush(time.Now())
	}
}

// Addr returns the address of the socket.
func (l *Listener) Addr() net.Addr { return l.t.LocalAddr() }

// Close stops accepting, and refuses connections that nobody has accepted.
// Those that were accepted go on, unless the Listener came from ListenAddr: then
// its socket closes, and all with it.
func (l *Listener) Close() error {
	l.fail(net.ErrClosed)
	l.t.mu.Lock()
	if l.t.listener == l {
		l.t.listener = nil
		l.t.router.Accept(nil)
	}
	l.t.mu.Unlock()
	if l.owns {
		return l.t.Close()
	}
	return nil
}
