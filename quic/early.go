package quic

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// DialEarly connects to a server as Dial does, but returns as soon as data can
// be sent. With a session in tlsConfig's ClientSessionCache from a server with
// 0-RTT that is at once: streams then carry early data, which reaches the server
// with the first flight. Others can send early data again, so it should ask for
// nothing that does harm twice (RFC 9001 §9.2). If the server refuses it, the
// streams fail with Err0RTTRejected. Without such a session DialEarly is Dial.
func (t *Transport) DialEarly(ctx context.Context, addr net.Addr, tlsConfig *tls.Config, conf *Config) (*Conn, error) {
	c, err := t.begin(ctx, addr, tlsConfig, conf, true)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	offered := c.core.Early() == core.EarlyOffered
	c.mu.Unlock()
	if offered {
		return c, nil
	}
	return c.awaitHandshake(ctx, addr)
}

// DialAddrEarly is DialAddr with Transport.DialEarly.
func DialAddrEarly(ctx context.Context, addr string, tlsConfig *tls.Config, conf *Config) (*Conn, error) {
	return dialAddr(ctx, addr, tlsConfig, conf, (*Transport).DialEarly)
}

// HandshakeComplete returns a channel that is closed when the handshake is
// complete: then nothing that is received is a replay, and the peer is who its
// certificate says. If the connection ends before, it is never closed, but
// Context is done. Connections of Dial, and of Accept without 0-RTT, have
// completed it.
func (c *Conn) HandshakeComplete() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.established == nil {
		c.established = make(chan struct{})
		if c.handshaken {
			close(c.established)
		}
	}
	return c.established
}

// earlyGuard is the core's Guard for all connections of a Transport.
type earlyGuard struct {
	mu sync.Mutex // guards g; a leaf
	g  *core.Guard
}

var _ core.EarlyGuard = (*earlyGuard)(nil)

func (e *earlyGuard) Fresh(now, issued time.Time, hello [32]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.g.Fresh(now, issued, hello)
}

func (e *earlyGuard) Record(now time.Time, hello [32]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.g.Record(now, hello)
}
