package quic

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/udp"
)

// trainsPerRead is how many trains one read of the socket takes: what arrived
// together is answered by one acknowledgment.
const trainsPerRead = 4

// A Transport runs QUIC connections on a socket, or on several. Set the fields before the
// first method call and leave them alone after it. The zero value with a Conn
// is ready to use.
type Transport struct {
	// Conn is the socket. A *net.UDPConn is read and written in batches; any other
	// net.PacketConn works, too. The Transport owns it from the first call on.
	Conn net.PacketConn

	// RequireRetry, if set, is asked for every new client whether it must prove its
	// address by a Retry first. It runs on the socket's goroutine and under locks:
	// it must neither block nor call this package.
	RequireRetry func(client netip.AddrPort) bool

	// MaxHandshakes bounds the clients whose handshake is under way. Beyond half of
	// it every new client must prove its address by a Retry, whatever RequireRetry
	// says, so that forged addresses cannot take the other half (RFC 9000 §8.1.2);
	// beyond all of it new clients are not heard. Handshakes compute on at most one
	// goroutine per processor, in the order of their datagrams. 0 = 4096.
	MaxHandshakes int

	// StatelessResetKey lets a restarted server reset connections of its former
	// life; TokenKey lets it accept its former tokens. nil = random.
	StatelessResetKey, TokenKey *[32]byte

	once     sync.Once
	start    error
	reset    crypt.ResetKey
	tokenKey crypt.TokenKey
	guard    earlyGuard

	sockets  atomic.Pointer[[]*socket] // by index; nil = closed. Written under mu
	steering *udp.Steering             // between sockets that share an address; nil = up to the system. Set before init
	readers  sync.WaitGroup

	mu       sync.Mutex // guards all below; a leaf: nothing is locked under it
	router   *core.Router[*Conn]
	conns    map[*Conn]struct{} // bounded by MaxHandshakes, the backlog and what the application accepts
	past     TransportStats     // of connections that are over, and how many ever began
	listener *Listener
	writing  map[*qlogFile]struct{} // logs that are not whole on disk; bounded by the connections
	closed   bool
	refuses  error // why no connection is added; nil = they are
	single   bool  // closes itself with its only connection

	handshakes pool
	batches    sync.Pool // *core.Batch
	copies     sync.Pool // *[copyBuffer]byte
}

// init starts the socket's goroutine.
func (t *Transport) init() error {
	t.once.Do(func() { t.start = t.open() })
	return t.start
}

func (t *Transport) open() error {
	if t.Conn == nil {
		return errors.New("quic: transport without a socket: got nil Conn, want a net.PacketConn")
	}
	var token [32]byte
	for _, k := range []struct {
		dst *[32]byte
		set *[32]byte
	}{{(*[32]byte)(&t.reset), t.StatelessResetKey}, {&token, t.TokenKey}} {
		if k.set != nil {
			*k.dst = *k.set
		} else {
			rand.Read(k.dst[:])
		}
	}
	s, err := newSocket(t, t.Conn)
	if err != nil {
		return err
	}
	t.tokenKey = crypt.NewTokenKey(token)
	t.router = core.NewRouter[*Conn](core.RouterConfig{
		Rand:     rand.Reader,
		ResetKey: &t.reset,
		TokenKey: t.tokenKey,
		Retry:    t.RequireRetry,

		MaxHalfOpen: t.MaxHandshakes,
	})
	t.conns = make(map[*Conn]struct{})
	t.writing = make(map[*qlogFile]struct{})
	t.batches.New = func() any { return &core.Batch{Buf: make([]byte, 0, udp.MaxTrainSize)} }
	t.copies.New = func() any { return new([copyBuffer]byte) }
	t.guard.g = core.NewGuard(time.Now())
	t.mu.Lock()
	t.addLocked(s)
	t.mu.Unlock()
	return nil
}

// LocalAddr returns the address of the first socket.
func (t *Transport) LocalAddr() net.Addr { return t.Conn.LocalAddr() }

// Dial connects to a server and waits until the handshake is complete, or ctx
// is done. tlsConfig needs ServerName and NextProtos; conf may be nil. With a
// ClientSessionCache in tlsConfig it resumes sessions, which saves the server
// its certificate and both sides arithmetic.
func (t *Transport) Dial(ctx context.Context, addr net.Addr, tlsConfig *tls.Config, conf *Config) (*Conn, error) {
	c, err := t.begin(ctx, addr, tlsConfig, conf, false)
	if err != nil {
		return nil, err
	}
	return c.awaitHandshake(ctx, addr)
}

// begin sends the first flight of a connection.
func (t *Transport) begin(ctx context.Context, addr net.Addr, tlsConfig *tls.Config, conf *Config, early bool) (*Conn, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("quic: dial %v: %w", addr, ctxErr(ctx))
	}
	if err := t.init(); err != nil {
		return nil, err
	}
	remote, err := addrPort(addr)
	if err != nil {
		return nil, err
	}
	c, err := newClientConn(ctx, t, remote, tlsConfig, conf, early)
	if err != nil {
		return nil, fmt.Errorf("quic: dial %v: %w", addr, publicError(err))
	}
	if err := t.add(c); err != nil {
		c.abandon(err)
		return nil, fmt.Errorf("quic: dial %v: %w", addr, err)
	}
	watched := t.watch(conf)
	c.mu.Lock()
	c.watched = watched
	c.flush(time.Now())
	return c, nil
}

// awaitHandshake waits until c is established; otherwise it is closed, and the
// error says why.
func (c *Conn) awaitHandshake(ctx context.Context, addr net.Addr) (*Conn, error) {
	select {
	case <-c.HandshakeComplete():
		return c, nil
	case <-c.Context().Done():
		return nil, context.Cause(c.Context())
	case <-ctx.Done():
		c.CloseWithError(0, "")
		return nil, fmt.Errorf("quic: dial %v: %w", addr, ctxErr(ctx))
	}
}

// addrPort turns addr into what datagrams from there carry. No address, or the
// unspecified one, is this machine, as in package net.
func addrPort(addr net.Addr) (netip.AddrPort, error) {
	if addr == nil {
		return netip.AddrPort{}, errors.New("quic: address: got nil, want a *net.UDPAddr")
	}
	var ap netip.AddrPort
	if u, ok := addr.(*net.UDPAddr); ok {
		ap = u.AddrPort()
	} else {
		var err error
		if ap, err = netip.ParseAddrPort(addr.String()); err != nil {
			return ap, fmt.Errorf("quic: address %v: %w", addr, err)
		}
	}
	ip := ap.Addr().Unmap()
	switch {
	case !ip.IsValid(), ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip == netip.IPv6Unspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, ap.Port()), nil
}

// Listen accepts connections on the socket. tlsConfig needs a certificate and
// NextProtos; conf may be nil. A Transport has one Listener at a time. Clients get
// tickets to resume by, unless tlsConfig has SessionTicketsDisabled. Servers that
// are to take each other's tickets, or those of their former life, need keys from
// SetSessionTicketKeys before they listen; otherwise the keys are random.
func (t *Transport) Listen(tlsConfig *tls.Config, conf *Config) (*Listener, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := listenerTLS(tlsConfig)
	if err != nil {
		return nil, fmt.Errorf("quic: listen: %w", err)
	}
	if err := t.init(); err != nil {
		return nil, err
	}
	l := newListener(t, tlsConfig, conf)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refuses != nil {
		return nil, fmt.Errorf("quic: listen: %w", t.refuses)
	}
	if t.listener != nil {
		return nil, errors.New("quic: listen: the transport has a listener already")
	}
	t.listener = l
	t.router.Accept(conf.versions())
	return l, nil
}

// add registers a connection that nobody else knows yet. The error is why the
// Transport has no more use for one.
func (t *Transport) add(c *Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refuses != nil {
		return t.refuses
	}
	t.conns[c] = struct{}{}
	t.past.ConnectionsBegun++
	if c.listener != nil {
		c.halfOpen = true
		t.router.HalfOpen(1)
	}
	return nil
}

// forget drops a connection that is drained. The caller holds its lock.
func (t *Transport) forget(c *Conn) {
	t.mu.Lock()
	t.settle(c)
	last := t.single && len(t.conns) == 0 && !t.closed
	t.mu.Unlock()
	if last {
		go t.Close() // not here: Close waits for the reader, which may be our caller
	}
}

// Close closes all connections with code 0, and the sockets. It waits for the
// sockets' goroutines, so it must not be called from a callback.
func (t *Transport) Close() error {
	if err := t.init(); err != nil {
		if t.Conn != nil {
			t.Conn.Close()
		}
		return err
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.readers.Wait()
		return nil
	}
	t.closed, t.refuses = true, net.ErrClosed
	l, conns := t.listener, make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	if l != nil {
		l.fail(net.ErrClosed)
	}
	for _, c := range conns {
		c.CloseWithError(0, "")
		c.abandon(net.ErrClosed)
	}
	err := t.closeSockets()
	t.waitLogs()
	return err
}

// DialAddr dials addr, "host:port", on a socket of its own, which closes with
// the connection. Without a ServerName, tlsConfig's is the host.
func DialAddr(ctx context.Context, addr string, tlsConfig *tls.Config, conf *Config) (*Conn, error) {
	return dialAddr(ctx, addr, tlsConfig, conf, (*Transport).Dial)
}

// dialFunc is Transport.Dial or Transport.DialEarly.
type dialFunc func(t *Transport, ctx context.Context, addr net.Addr, tlsConfig *tls.Config, conf *Config) (*Conn, error)

func dialAddr(ctx context.Context, addr string, tlsConfig *tls.Config, conf *Config, dial dialFunc) (*Conn, error) {
	remote, err := resolve(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("quic: dial %s: %w", addr, err)
	}
	network := "udp4"
	if remote.IP != nil && remote.IP.To4() == nil {
		network = "udp6"
	}
	sock, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, fmt.Errorf("quic: dial %s: %w", addr, err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{}
	}
	if tlsConfig.ServerName == "" && !tlsConfig.InsecureSkipVerify {
		host, _, _ := net.SplitHostPort(addr)
		tlsConfig = tlsConfig.Clone()
		tlsConfig.ServerName = host
	}
	return dialOn(ctx, sock, remote, tlsConfig, conf, dial)
}

// Dial connects to a server as Transport.Dial does, over a socket that the
// connection has for itself and that closes with it, also when Dial fails. For
// more than one connection on a socket use a Transport.
func Dial(ctx context.Context, sock net.PacketConn, addr net.Addr, tlsConfig *tls.Config, conf *Config) (*Conn, error) {
	return dialOn(ctx, sock, addr, tlsConfig, conf, (*Transport).Dial)
}

func dialOn(ctx context.Context, sock net.PacketConn, addr net.Addr, tlsConfig *tls.Config, conf *Config, dial dialFunc) (*Conn, error) {
	t := &Transport{Conn: sock, single: true}
	c, err := dial(t, ctx, addr, tlsConfig, conf)
	if err != nil {
		t.Close()
		return nil, err
	}
	return c, nil
}

// resolve is net.ResolveUDPAddr with a context: of several addresses it prefers
// those of IPv4.
func resolve(ctx context.Context, addr string) (*net.UDPAddr, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil || host == "" {
		return &net.UDPAddr{Port: port}, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	best := max(slices.IndexFunc(ips, func(ip net.IPAddr) bool { return ip.IP.To4() != nil }), 0)
	return &net.UDPAddr{IP: ips[best].IP, Zone: ips[best].Zone, Port: port}, nil
}

// ListenAddr listens on addr, "host:port", on a socket of its own, or on
// Config.Sockets of them, which close with the Listener.
func ListenAddr(addr string, tlsConfig *tls.Config, conf *Config) (*Listener, error) {
	if conf != nil && conf.Sockets > 1 {
		return listenShared(addr, tlsConfig, conf)
	}
	local, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("quic: listen %s: %w", addr, err)
	}
	sock, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, fmt.Errorf("quic: listen %s: %w", addr, err)
	}
	return Listen(sock, tlsConfig, conf)
}

// Listen accepts connections as Transport.Listen does, over a socket that the
// Listener has for itself and that closes with it, also when Listen fails. To
// dial from the same socket, too, use a Transport.
func Listen(sock net.PacketConn, tlsConfig *tls.Config, conf *Config) (*Listener, error) {
	t := &Transport{Conn: sock}
	l, err := t.Listen(tlsConfig, conf)
	if err != nil {
		t.Close()
		return nil, err
	}
	l.owns = true
	return l, nil
}
