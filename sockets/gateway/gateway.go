package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// A Gateway carries connections between the sides of its pairs.
type Gateway struct {
	conf    Config
	log     *slog.Logger
	id      *identity.Identity
	allowTo allowed
	started time.Time

	dialer    *tunnel.Dialer // nil: no outlet is QUIC
	inlets    []*tcpInlet    // bounded by the pairs
	endpoints []*endpoint    // bounded by the pairs
	routes    []*route       // bounded by the pairs
	published *control.Publication

	conns   conns
	seldom  seldom
	hard    context.Context // done when the time to drain is over
	cut     context.CancelFunc
	workers sync.WaitGroup
}

// tcpInlet is a listener of TCP, also of proxies.
type tcpInlet struct {
	pair     *Pair
	route    *route
	listener *net.TCPListener
}

// endpoint is a UDP port that takes streams.
type endpoint struct {
	transport *quic.Transport
	listener  *quic.Listener
	server    *tunnel.Server
	byPort    map[uint16]*Pair // by the TCP port that streams ask for; bounded by the pairs
	relay     *Pair            // for all others; nil: none
}

// Open opens all sockets of a gateway. Whoever has it calls Run. The errors are a *ConfigError, those of identity.Load,
// and those of the sockets with the pair that wants them. After one nothing is open.
func Open(ctx context.Context, conf Config) (*Gateway, error) {
	if err := conf.check(); err != nil {
		return nil, &ConfigError{err}
	}
	allowTo, err := newAllowed(conf.AllowTo)
	if err != nil {
		return nil, &ConfigError{err}
	}
	conf.Identity.Protocols = []string{tcpq.ALPN}
	id, err := identity.Load(conf.Identity)
	if err != nil {
		return nil, err
	}
	g := newGateway(conf, id, allowTo)
	for i := range g.conf.Pairs {
		if err := g.openPair(ctx, &g.conf.Pairs[i]); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

func newGateway(conf Config, id *identity.Identity, allowTo allowed) *Gateway {
	g := &Gateway{conf: conf, log: conf.Log, id: id, allowTo: allowTo, started: time.Now()}
	g.conf.Pairs = append([]Pair(nil), conf.Pairs...)
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if conf.patience == 0 {
		g.conf.patience = handshakeWithin
	}
	if conf.Lookup == nil {
		g.conf.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	g.conns.init()
	g.hard, g.cut = context.WithCancel(context.Background())
	context.AfterFunc(g.hard, func() {
		for _, c := range g.conns.list() {
			c.end()
		}
	})
	return g
}

func (g *Gateway) openPair(ctx context.Context, p *Pair) (err error) {
	if p.in.scheme == overQUIC {
		return g.openQUIC(ctx, p)
	}
	i := &tcpInlet{pair: p}
	if g.dialer == nil {
		sock, err := listenUDP(ctx, ":0")
		if err != nil {
			return err
		}
		g.dialer = &tunnel.Dialer{Transport: &quic.Transport{Conn: sock}, Config: g.conf.QUIC}
	}
	if i.route, err = g.newRoute(p); err != nil {
		return &ConfigError{err}
	}
	g.routes = append(g.routes, i.route)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.in.addr)
	if err != nil {
		return fmt.Errorf("--in %s: %w", p.in.text, err)
	}
	i.listener = l.(*net.TCPListener)
	g.inlets = append(g.inlets, i)
	return nil
}

// openQUIC opens a UDP port, or adds the pair to the one that has its address.
func (g *Gateway) openQUIC(ctx context.Context, p *Pair) error {
	e := g.endpointOf(p)
	if e == nil {
		sock, err := listenUDP(ctx, p.in.addr)
		if err != nil {
			return fmt.Errorf("--in %s: %w", p.in.text, err)
		}
		e = &endpoint{transport: &quic.Transport{Conn: sock}, server: &tunnel.Server{}, byPort: map[uint16]*Pair{}}
		g.endpoints = append(g.endpoints, e)
		conf, err := g.id.Server()
		if err != nil {
			return err
		}
		if e.listener, err = e.transport.Listen(conf, e.server.Options.ListenConfig(g.conf.QUIC)); err != nil {
			return fmt.Errorf("--in %s: %w", p.in.text, err)
		}
	}
	if p.out.host == "" {
		e.relay = p
	} else {
		e.byPort[p.wants()] = p
	}
	return nil
}

// endpointOf returns the UDP port that an earlier pair has opened, or nil.
func (g *Gateway) endpointOf(p *Pair) *endpoint {
	for _, e := range g.endpoints {
		for _, q := range e.pairs() {
			if q.in.addr == p.in.addr {
				return e
			}
		}
	}
	return nil
}

// pairs returns those of the endpoint.
func (e *endpoint) pairs() []*Pair {
	var out []*Pair
	for _, port := range slices.Sorted(maps.Keys(e.byPort)) {
		out = append(out, e.byPort[port])
	}
	if e.relay != nil {
		out = append(out, e.relay)
	}
	return out
}

// listenUDP opens a UDP socket, of both families if no host is named.
func listenUDP(ctx context.Context, addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
}

// A Way is a pair at work.
type Way struct {
	Pair Pair
	At   net.Addr // where its inlet is, with the port that a 0 became
}

// Ways returns the ways of a gateway: first those of TCP, then those of QUIC.
func (g *Gateway) Ways() []Way {
	var out []Way
	for _, i := range g.inlets {
		out = append(out, Way{*i.pair, i.listener.Addr()})
	}
	for _, e := range g.endpoints {
		for _, p := range e.pairs() {
			out = append(out, Way{*p, e.listener.Addr()})
		}
	}
	return out
}

// Pin returns that of the gateway's key, by which dialers may know it.
func (g *Gateway) Pin() identity.Pin { return g.id.Pin() }

// Run carries connections until ctx is done. Then it takes no more, waits for those that there are to end, for as long as Config.Drain says, and
// closes everything. It returns nil; what goes wrong on the way is told to the log.
func (g *Gateway) Run(ctx context.Context) error {
	g.publish()
	for _, i := range g.inlets {
		g.workers.Go(func() { g.accept(i) })
	}
	for _, e := range g.endpoints {
		g.workers.Go(func() { g.serve(e) })
	}
	g.workers.Go(func() { g.refresh(ctx) })
	<-ctx.Done()
	g.drain()
	return nil
}

// serve takes streams until the listener is closed.
func (g *Gateway) serve(e *endpoint) {
	err := e.server.Serve(g.hard, e.listener, func(in *tunnel.Incoming) { g.incoming(e, in) })
	if !errors.Is(err, net.ErrClosed) && g.hard.Err() == nil {
		g.log.Error("no more connections are taken over QUIC", "at", e.listener.Addr(), "error", err)
	}
}

// publish lets quiver ps see the gateway.
func (g *Gateway) publish() {
	p, err := control.Publish(g.hard, g.snapshot, g.listens)
	if err != nil {
		g.log.Info("'quiver ps' will not show this gateway", "error", err)
		return
	}
	g.published = p
}

// listens answers other supervisors: where streams for a TCP port of this host come in.
func (g *Gateway) listens(tcp uint16) (udp uint16, ok bool) {
	for _, e := range g.endpoints {
		if e.byPort[tcp] != nil {
			return addrPort(e.listener.Addr()).Port(), true
		}
	}
	return 0, false
}

// refresh looks names up again from time to time.
func (g *Gateway) refresh(ctx context.Context) {
	tick := time.NewTicker(policy.RefreshEvery)
	defer tick.Stop()
	for {
		for _, r := range g.routes {
			g.warnNames(r.rules.Resolve(ctx, g.conf.Lookup))
		}
		g.warnNames(g.allowTo.all.Resolve(ctx, g.conf.Lookup))
		g.warnNames(g.allowTo.local.Resolve(ctx, g.conf.Lookup))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) warnNames(err error) {
	if err != nil && g.seldom.may("names", time.Now()) {
		g.log.Warn(err.Error())
	}
}

// drain ends the gateway.
func (g *Gateway) drain() {
	for _, i := range g.inlets {
		i.listener.Close()
	}
	left, empty := g.conns.stop()
	within := g.conf.Drain
	if within == 0 {
		within = defaultDrain
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(within, 0))
	defer cancel()
	if left > 0 {
		g.log.Info(fmt.Sprintf("stopping: waiting for %d connections, at most %v", left, max(within, 0)))
	}
	select {
	case <-empty:
	case <-ctx.Done():
		g.cut() // those that have no stream yet; those that have one end with it
	}
	g.shutdown(ctx)
	g.close()
	g.workers.Wait()
}

// shutdown lets what was written arrive, until ctx is done.
func (g *Gateway) shutdown(ctx context.Context) {
	var wait sync.WaitGroup
	if g.dialer != nil {
		wait.Go(func() { g.dialer.Close(ctx) })
	}
	for _, e := range g.endpoints {
		wait.Go(func() { e.server.Close(ctx) })
	}
	wait.Wait()
}

// close closes all that is open.
func (g *Gateway) close() {
	g.cut()
	if g.published != nil {
		g.published.Close()
	}
	for _, i := range g.inlets {
		i.listener.Close()
	}
	for _, e := range g.endpoints {
		e.transport.Close()
	}
	if g.dialer != nil {
		g.dialer.Transport.Close()
	}
	g.id.Close()
}

// addrPort returns a socket's address.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
