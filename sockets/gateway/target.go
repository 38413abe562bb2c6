package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// allowed is where relays may connect to.
type allowed struct {
	all   *policy.Set
	local *policy.Set // of these, what names this machine alone
}

func newAllowed(lists []string) (a allowed, err error) {
	if a.all, err = policy.ParseSet("--allow-to", lists); err != nil {
		return a, err
	}
	var named []string
	for item := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if item = strings.TrimSpace(item); namesThisMachine(item) {
			named = append(named, item)
		}
	}
	a.local, err = policy.ParseSet("--allow-to", named)
	return a, err
}

// namesThisMachine reports whether an item of a list is about addresses that each machine has for itself.
func namesThisMachine(item string) bool {
	host := item
	if h, _, err := net.SplitHostPort(item); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if prefix, err := netip.ParsePrefix(host); err == nil {
		return prefix.Bits() > 0 && thisMachine(prefix.Addr())
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && thisMachine(addr)
}

// thisMachine reports whether addr leads to this machine, or not beyond its links, whoever asks.
func thisMachine(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast()
}

func (a *allowed) has(dest netip.AddrPort) bool {
	return a.all.Has(dest) && (!thisMachine(dest.Addr()) || a.local.Has(dest))
}

// connectTo makes the TCP connection that a stream asks for.
func (g *Gateway) connectTo(ctx context.Context, p *Pair, open *tcpq.Open) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	if p.out.host != "" {
		return dialTCP(ctx, net.JoinHostPort(p.out.host, fmt.Sprint(p.out.port)))
	}
	addrs, err := g.addresses(ctx, target{name: open.Name, addr: open.Dest.Addr().Unmap()})
	if err != nil {
		return nil, err
	}
	err = &deniedError{fmt.Sprintf("--allow-to does not have %s", targetOf(open))}
	tries := 0
	for _, addr := range addrs {
		dest := netip.AddrPortFrom(addr, open.Dest.Port())
		if !g.allowTo.has(dest) {
			continue
		}
		c, e := dialTCP(ctx, dest.String())
		if err = e; err == nil {
			return c, nil
		}
		if tries++; tries == maxTries || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func dialTCP(ctx context.Context, addr string) (*net.TCPConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

func targetOf(open *tcpq.Open) target {
	if open.Name != "" {
		return target{name: open.Name, port: open.Dest.Port()}
	}
	return target{addr: open.Dest.Addr(), port: open.Dest.Port()}
}

// deniedError says that somebody asked for what it may not have.
type deniedError struct{ why string }

func (e *deniedError) Error() string { return e.why }

// statusOf is what the far side is told of an error.
func statusOf(err error) tcpq.Status {
	var timeout net.Error
	var name *net.DNSError
	_, unresolved := errors.AsType[*unresolvedError](err)
	_, denied := errors.AsType[*deniedError](err)
	switch {
	case err == nil:
		return tcpq.Accepted
	case denied:
		return tcpq.Denied
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS):
		return tcpq.Overloaded
	case errors.Is(err, hostUnreachable):
		return tcpq.HostUnreachable
	case errors.Is(err, netUnreachable):
		return tcpq.NetUnreachable
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return tcpq.TimedOut
	case unresolved, errors.As(err, &name):
		return tcpq.HostUnreachable
	}
	return tcpq.Refused
}

// statusOfDial is what a client of a proxy is told.
func statusOfDial(err error) tcpq.Status {
	if _, ok := errors.AsType[*unresolvedError](err); ok {
		return tcpq.HostUnreachable
	}
	return tunnel.StatusOf(err)
}
