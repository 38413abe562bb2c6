package quic

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/internal/udp"
	"github.com/seed51309289/quiver/internal/wire"
)

// UnreachableError ended a client's connection that the server never answered,
// because there is no way to it: this host knows no route, or ICMP said of one
// of the first datagrams that nobody listens on the port, or that host or
// network cannot be reached; see Config.IgnoreUnreachable. It is net.ErrClosed.
type UnreachableError struct {
	Addr net.Addr // of the server, as it was dialed
	// Err says why. It wraps syscall.ECONNREFUSED, EHOSTUNREACH or ENETUNREACH, as
	// the error of a TCP connection would; EADDRNOTAVAIL or EAFNOSUPPORT where the
	// socket can send to no such address.
	Err error
}

func (e *UnreachableError) Error() string {
	return "quic: no way to " + e.Addr.String() + ": " + e.Err.Error()
}

// Unwrap makes the error net.ErrClosed and the reason.
func (e *UnreachableError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }

// icmpError tells what ICMP said from what this host says itself.
type icmpError struct{ reason syscall.Errno }

func (e icmpError) Error() string { return e.reason.Error() + " (ICMP)" }
func (e icmpError) Unwrap() error { return e.reason }

// watcher is a udp.Conn that hears ICMP while it is asked to.
type watcher interface{ Watch(on bool) }

// watch lets the first socket, from which clients begin, hear ICMP until unwatch.
// It returns nil if conf or the socket is against it.
func (t *Transport) watch(conf *Config) *socket {
	s := t.socket(0)
	if s == nil || conf != nil && conf.IgnoreUnreachable {
		return nil
	}
	w, ok := s.conn.(watcher)
	if !ok {
		return nil
	}
	w.Watch(true)
	return s
}

// takeWatched returns the socket that need not hear ICMP for c any more, nil if
// none. The caller holds c.mu, and passes the result to unwatch without it.
func (c *Conn) takeWatched() (s *socket) {
	if c.watched != nil && (c.core.Answered() || c.closeErr != nil) {
		s, c.watched = c.watched, nil
	}
	return s
}

func unwatch(s *socket) {
	if s != nil {
		s.conn.(watcher).Watch(false)
	}
}

// unreachable takes an ICMP message about a datagram of this socket. It is
// believed if it quotes a source connection ID of ours, which only the path
// there sees (RFC 9000 §14.2.1), from a datagram to where the connection goes.
// All that a client sends before the first answer has one.
func (s *socket) unreachable(u *udp.Unreachable) {
	inv, ok := wire.ParseInvariant(u.Quote)
	if !ok {
		return
	}
	s.t.mu.Lock()
	c, ok := s.t.router.Owner(inv.SCID)
	s.t.mu.Unlock()
	if ok {
		c.unreachable(u.To, u.Reason)
	}
}

// unreachable ends a connection that waits for its first answer. One that has it
// ignores ICMP: what reached the peer once may again, and who forges messages
// shall not end connections (RFC 9000 §14.2.1, RFC 8085 §5.2).
func (c *Conn) unreachable(to netip.AddrPort, reason syscall.Errno) {
	c.inbox.mu.Lock()
	answering := c.inbox.queued // the pool may have the answer
	c.inbox.mu.Unlock()
	if answering {
		return
	}
	c.mu.Lock()
	if c.watched == nil || c.core.Answered() || to != c.place.Load().remote {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	c.core.Abandon(now, &UnreachableError{Addr: c.RemoteAddr(), Err: icmpError{reason}})
	c.flush(now)
}
