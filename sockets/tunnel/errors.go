package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// A StatusError says that the acceptor did not take a TCP connection.
type StatusError struct {
	Status tcpq.Status
	Dest   netip.AddrPort
	// Port is the UDP port of Elsewhere, else 0.
	Port uint16
}

func (e *StatusError) Error() string {
	if e.Status == tcpq.Elsewhere {
		return fmt.Sprintf("tunnel: %v: the listener answers at UDP port %d", e.Dest, e.Port)
	}
	return fmt.Sprintf("tunnel: %v: %v", e.Dest, e.Status)
}

// A PeerError says that there is no connection to a peer. It wraps the reason.
type PeerError struct {
	Peer netip.AddrPort
	Err  error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("tunnel: no connection to %v: %v", e.Peer, e.Err)
}

// Unwrap returns the reason.
func (e *PeerError) Unwrap() error { return e.Err }

// Errors of a Dialer and a Server.
var (
	// ErrClosed is what Dial returns after Close. It is net.ErrClosed.
	ErrClosed = fmt.Errorf("tunnel: %w", net.ErrClosed)
	// ErrTooManyPeers says that a Dialer has connections to more peers than it keeps
	// apart, and all are in use.
	ErrTooManyPeers = errors.New("tunnel: too many peers at once")
)

// StatusOf returns what a program is to be told of an error of Dial: the
// acceptor's status if it gave one, or what plain TCP would have said in its
// place. nil is Accepted.
func StatusOf(err error) tcpq.Status {
	var (
		status  *StatusError
		stream  *quic.StreamError
		trans   *quic.TransportError
		cert    *tls.CertificateVerificationError
		timeout net.Error
	)
	switch {
	case err == nil:
		return tcpq.Accepted
	case errors.As(err, &status):
		if !status.Status.Known() {
			return tcpq.Refused
		}
		return status.Status
	case errors.Is(err, ErrTooManyPeers):
		return tcpq.Overloaded
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return tcpq.HostUnreachable
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETDOWN):
		return tcpq.NetUnreachable
	case errors.As(err, &cert):
		return tcpq.Denied
	case errors.As(err, &stream):
		if stream.Code == tcpq.CodeTimeout {
			return tcpq.TimedOut
		}
		return tcpq.Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return tcpq.TimedOut
	case errors.As(err, &trans):
		return tcpq.Refused // TLS did not agree, or the peer refuses connections
	}
	return tcpq.Refused
}

// lost reports whether err, of a stream, is that its connection has ended.
func lost(err error) bool {
	var stream *quic.StreamError
	return errors.Is(err, net.ErrClosed) && !errors.As(err, &stream)
}

// stopped returns the code with which the peer gave a direction up.
func stopped(err error) (code uint64, ok bool) {
	var stream *quic.StreamError
	if errors.As(err, &stream) && stream.Remote {
		return stream.Code, true
	}
	return 0, false
}
