package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// maxTries is how many addresses of one name are tried.
const maxTries = 4

// A route is an outlet of QUIC, ready to be dialed.
type route struct {
	g      *Gateway
	out    *outlet
	rules  *policy.Policy // one rule, "connect default quic" with the next hop and its identity
	expect string

	mu    sync.Mutex // guards asked
	asked time.Time  // when an address was last looked for in vain
}

// newRoute makes one for a pair whose outlet is QUIC.
func (g *Gateway) newRoute(p *Pair) (*route, error) {
	r := &route{g: g, out: &p.out, expect: p.out.identity}
	text := "connect default quic"
	if p.out.host != "" {
		text += " via=" + net.JoinHostPort(p.out.host, fmt.Sprint(p.out.port))
	}
	if p.out.identity != "" {
		text += " identity=" + p.out.identity
	}
	rules, err := policy.Parse("--out "+p.out.text, []byte(text))
	if err != nil {
		return nil, err
	}
	r.rules = rules
	if r.expect == "" && g.conf.Identity.CA != "" {
		r.expect = rules.Connect(netip.AddrPort{}).PeerName // who has the name, not just its address
	}
	return r, nil
}

// dial opens a stream for a TCP connection from source. t is where it is to go, as far as the outlet does not say that; local is where it came in.
func (r *route) dial(ctx context.Context, t target, source, local netip.AddrPort) (*tunnel.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	if r.out.host == "" {
		return r.direct(ctx, t, source)
	}
	peer, err := r.hop(ctx)
	if err != nil {
		return nil, err
	}
	switch dest := r.out.dest; {
	case dest != target{}:
		t = dest
	case t == target{}:
		t = target{port: local.Port()}
	}
	open := tcpq.Open{Source: source, Name: t.name, Dest: netip.AddrPortFrom(t.addr, t.port)}
	switch {
	case t.name != "":
		open.Dest = netip.AddrPortFrom(netip.IPv4Unspecified(), t.port)
	case !t.addr.IsValid():
		open.Dest = netip.AddrPortFrom(peer.Addr(), t.port)
	}
	return r.open(ctx, peer, r.expect, open)
}

// hop returns where the next hop is. While its name has no address it is looked for again, but not by everybody at once.
func (r *route) hop(ctx context.Context) (netip.AddrPort, error) {
	d := r.rules.Connect(netip.AddrPort{})
	if d.Unresolved == "" {
		return d.Peer, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.asked) > time.Second {
		r.asked = now
		if err := r.rules.Resolve(ctx, r.g.conf.Lookup); err != nil {
			return netip.AddrPort{}, &unresolvedError{err}
		}
	}
	if d = r.rules.Connect(netip.AddrPort{}); d.Unresolved != "" {
		return netip.AddrPort{}, &unresolvedError{fmt.Errorf("no address of %s", d.Unresolved)}
	}
	return d.Peer, nil
}

// direct dials the destination's own host, at the addresses of its name in turn until one answers.
func (r *route) direct(ctx context.Context, t target, source netip.AddrPort) (*tunnel.Stream, error) {
	addrs, err := r.g.addresses(ctx, t)
	if err != nil {
		return nil, err
	}
	expect := r.expect
	if t.name != "" && expect == "" && r.g.conf.Identity.CA != "" {
		expect = strings.ToLower(t.name)
	}
	for _, addr := range addrs[:min(len(addrs), maxTries)] {
		open := tcpq.Open{Dest: netip.AddrPortFrom(addr, t.port), Source: source, Name: t.name}
		var s *tunnel.Stream
		s, err = r.open(ctx, r.rules.Connect(open.Dest).Peer, expect, open)
		if _, answered := errors.AsType[*tunnel.StatusError](err); err == nil || answered || ctx.Err() != nil {
			return s, err
		}
	}
	return nil, err
}

// open dials one peer, and where that one says it is, instead.
func (r *route) open(ctx context.Context, peer netip.AddrPort, expect string, open tcpq.Open) (*tunnel.Stream, error) {
	s, err := r.g.openStream(ctx, peer, expect, open)
	if e, ok := errors.AsType[*tunnel.StatusError](err); ok && e.Status == tcpq.Elsewhere && e.Port != peer.Port() {
		return r.g.openStream(ctx, netip.AddrPortFrom(peer.Addr(), e.Port), expect, open)
	}
	return s, err
}

func (g *Gateway) openStream(ctx context.Context, peer netip.AddrPort, expect string, open tcpq.Open) (*tunnel.Stream, error) {
	open.Flags = tcpq.NoDelay
	return g.dialer.Dial(ctx, tunnel.Target{
		Peer: peer, Key: expect, Open: open,
		TLS:     func() (*tls.Config, error) { return g.id.Client(peer, expect) },
		Confirm: func(state tls.ConnectionState) error { return g.id.Confirm(peer, expect, state) },
	})
}

// addresses are those of a destination.
func (g *Gateway) addresses(ctx context.Context, t target) ([]netip.Addr, error) {
	if t.name == "" {
		return []netip.Addr{t.addr}, nil
	}
	addrs, err := g.conf.Lookup(ctx, t.name)
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		return nil, &unresolvedError{err}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// unresolvedError says that a name has no address, now.
type unresolvedError struct{ err error }

func (e *unresolvedError) Error() string { return e.err.Error() }
func (e *unresolvedError) Unwrap() error { return e.err }
