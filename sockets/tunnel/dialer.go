package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// A Dialer opens streams to peers, on connections that it keeps. Set the fields
// before the first call and leave them alone after it. Its methods are safe for
// concurrent use.
type Dialer struct {
	// Transport is where connections leave from.
	Transport *quic.Transport
	// Config is what connections are to be beyond what tunnels need. nil = the
	// defaults of package quic.
	Config *quic.Config
	// Options tune the connections.
	Options Options

	once  sync.Once
	conf  *quic.Config
	links links
	peers map[peerKey]*peer // guarded by links.mu; limit: maxPeers
}

// maxPeers is to how many peers at once a Dialer has connections, or tries to.
// limit: what programs can make it dial.
const maxPeers = 16384

// A Target says where a stream is to go.
type Target struct {
	// Peer is the address and the UDP port of the acceptor.
	Peer netip.AddrPort
	// Key names the identity that is expected of the peer, and our own if there are
	// several: connections are shared by streams of one Peer and one Key.
	Key string
	// TLS makes the configuration of a new connection. It is called once for each,
	// by a goroutine of its own.
	TLS func() (*tls.Config, error)
	// Confirm is asked after the handshake of a new connection and before the first
	// stream: it may write down who answered, and its error ends the connection. A
	// connection that begins with early data is of a peer that was confirmed before,
	// and is not asked about. nil = whom TLS took is who was meant.
	Confirm func(tls.ConnectionState) error
	// Open says which TCP connection the stream is.
	Open tcpq.Open

	// Optimistic lets Dial return before the acceptor has answered, and bytes go
	// right behind OPEN. A refusal then comes as an error of Read and Write.
	Optimistic bool
	// EarlyData lets bytes of an Optimistic stream leave in 0-RTT packets, which
	// somebody else can send again. Without it they wait for the handshake.
	EarlyData bool
	// OwnConnection gives the stream a QUIC connection for itself, which ends with it.
	OwnConnection bool
}

type peerKey struct {
	addr netip.AddrPort
	key  string
}

// peer is what a Dialer has to one peer for one identity. The lock of the
// Dialer's links guards it.
type peer struct {
	links   []*link  // bounded by Options.Connections
	attempt *attempt // nil = none is under way
}

// attempt is a connection that is being made, for all who wait for it.
type attempt struct {
	done chan struct{} // closed when link or err is there
	link *link
	err  error
}

func (d *Dialer) init() {
	d.once.Do(func() {
		d.conf = d.Options.dialConfig(d.Config)
		d.peers = make(map[peerKey]*peer)
		d.links.wait = orDefault(d.Options.Unused, defaultUnused)
		d.links.over = d.forget
	})
}

// Dial opens a stream: it sends OPEN on a connection to the target's peer, a new
// one if there is none, and waits for the STATUS. Errors are a *StatusError, if
// the acceptor refused; a *PeerError, if there is no connection; ctx's; and
// ErrClosed. StatusOf turns each into what a program is to be told. Who got a
// Stream must close it.
//
// A connection that turns out to be broken costs a Dial time, not success: until
// the acceptor has answered, OPEN may be sent again on another one. The program
// over there may then see a connection that ends at once without a byte.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Stream, error) {
	d.init()
	if t.Optimistic {
		t.Open.Flags |= tcpq.Optimistic
	}
	for first := true; ; first = false {
		l, fresh, err := d.connected(ctx, &t)
		if err != nil {
			return nil, err
		}
		s, err := d.open(ctx, l, &t, fresh)
		if err == nil || fresh || !first || !lost(err) && err != errSilent || ctx.Err() != nil {
			return s, wrap(&t, err)
		}
	}
}

// wrap names the peer in the end of a connection.
func wrap(t *Target, err error) error {
	if err != nil && lost(err) {
		return &PeerError{t.Peer, err}
	}
	return err
}

// connected returns a link that the caller uses, and whether it is new.
func (d *Dialer) connected(ctx context.Context, t *Target) (l *link, fresh bool, err error) {
	if t.OwnConnection {
		l, err = d.connectAlone(ctx, t)
		return l, true, err
	}
	key := peerKey{t.Peer, t.Key}
	for {
		d.links.mu.Lock()
		p, err := d.peer(key)
		if err != nil {
			d.links.mu.Unlock()
			return nil, false, err
		}
		l := p.least()
		grow := l != nil && l.count > 0 && len(p.links) < d.connections()
		a := p.attempt
		if a == nil && (l == nil || grow) {
			a = d.try(key, p, t)
		}
		if l != nil && l.use() {
			d.links.mu.Unlock()
			return l, fresh, nil
		}
		d.links.mu.Unlock()
		if a == nil {
			continue // the link ended a moment ago
		}
		fresh = true
		select {
		case <-a.done:
			if a.err != nil {
				return nil, false, a.err
			}
		case <-ctx.Done():
			return nil, false, fmt.Errorf("tunnel: connecting to %v: %w", t.Peer, ctx.Err())
		}
	}
}

func (d *Dialer) connections() int { return max(d.Options.Connections, 1) }

// peer returns what there is to a peer, or a new one. The caller holds links.mu.
func (d *Dialer) peer(key peerKey) (*peer, error) {
	if d.links.closed {
		return nil, ErrClosed
	}
	if p := d.peers[key]; p != nil {
		return p, nil
	}
	if len(d.peers) >= maxPeers {
		return nil, ErrTooManyPeers
	}
	p := new(peer)
	d.peers[key] = p
	return p, nil
}

// least returns the link with the fewest streams, or nil.
func (p *peer) least() *link {
	var best *link
	for _, l := range p.links {
		if l.conn.Context().Err() == nil && (best == nil || l.count < best.count) {
			best = l
		}
	}
	return best
}

// try begins a connection. The caller holds links.mu.
func (d *Dialer) try(key peerKey, p *peer, t *Target) *attempt {
	p.attempt = &attempt{done: make(chan struct{})}
	go d.run(key, p, *t)
	return p.attempt
}

// run makes a connection for all who wait for it.
func (d *Dialer) run(key peerKey, p *peer, t Target) {
	l, err := d.connect(&t, false)
	d.links.mu.Lock()
	a := p.attempt
	p.attempt, a.link, a.err = nil, l, err
	if l != nil && !l.retired {
		p.links = append(p.links, l)
	}
	d.drop(key, p)
	if l != nil {
		l.unuse() // nobody may have waited for it
	}
	d.links.mu.Unlock()
	close(a.done)
}

// connectAlone makes a connection for one stream. If ctx ends first, nobody uses
// it.
func (d *Dialer) connectAlone(ctx context.Context, t *Target) (*link, error) {
	a, own := &attempt{done: make(chan struct{})}, *t
	go func() {
		a.link, a.err = d.connect(&own, true)
		close(a.done)
	}()
	select {
	case <-a.done:
		return a.link, a.err
	case <-ctx.Done():
	}
	go func() {
		if <-a.done; a.err == nil {
			d.links.mu.Lock()
			defer d.links.mu.Unlock()
			a.link.unuse()
		}
	}()
	return nil, fmt.Errorf("tunnel: connecting to %v: %w", t.Peer, ctx.Err())
}

// drop forgets a peer to which there is nothing. The caller holds links.mu.
func (d *Dialer) drop(key peerKey, p *peer) {
	if len(p.links) == 0 && p.attempt == nil && d.peers[key] == p {
		delete(d.peers, key)
	}
}

// forget takes a link out of the pool. The caller holds links.mu.
func (d *Dialer) forget(l *link) {
	key := peerKey{l.peer, l.key}
	if p := d.peers[key]; p != nil {
		p.links = slices.DeleteFunc(p.links, func(o *link) bool { return o == l })
		d.drop(key, p)
	}
}

// connect makes a connection, which the caller uses.
func (d *Dialer) connect(t *Target, own bool) (*link, error) {
	conf, err := t.TLS()
	if err != nil {
		return nil, &PeerError{t.Peer, err}
	}
	if !slices.Contains(conf.NextProtos, tcpq.ALPN) {
		conf = conf.Clone()
		conf.NextProtos = []string{tcpq.ALPN}
	}
	dial := d.Transport.DialEarly
	if d.Options.NoEarlyData {
		dial = d.Transport.Dial
	}
	conn, err := dial(context.Background(), net.UDPAddrFromAddrPort(t.Peer), conf, d.conf) // bounded by the handshake's time-out
	if err != nil {
		return nil, &PeerError{t.Peer, err}
	}
	if err := t.confirm(conn); err != nil {
		conn.CloseWithError(tcpq.CodeNone, "")
		return nil, &PeerError{t.Peer, err}
	}
	d.links.mu.Lock()
	defer d.links.mu.Unlock()
	l, ok := d.links.add(conn, t.Peer, t.Key)
	if !ok {
		go conn.CloseWithError(tcpq.CodeNone, "")
		if d.links.closed {
			return nil, ErrClosed
		}
		return nil, ErrTooManyPeers
	}
	l.own = own
	l.count++
	return l, nil
}

// confirm asks Confirm about a connection whose handshake is complete.
func (t *Target) confirm(conn *quic.Conn) error {
	if t.Confirm == nil {
		return nil
	}
	state := conn.ConnectionState().TLS
	if !state.HandshakeComplete {
		return nil
	}
	return t.Confirm(state)
}

// open opens a stream on a link that the caller uses, and lets go of it on an
// error.
func (d *Dialer) open(ctx context.Context, l *link, t *Target, fresh bool) (*Stream, error) {
	for {
		s, err := d.openOn(ctx, l, t, fresh)
		if err == nil {
			return s, nil
		}
		if errors.Is(err, quic.Err0RTTRejected) {
			if err = awaitHandshake(ctx, l.conn); err == nil {
				continue
			}
		}
		d.links.mu.Lock()
		l.unuse()
		d.links.mu.Unlock()
		return nil, err
	}
}

func (d *Dialer) openOn(ctx context.Context, l *link, t *Target, fresh bool) (*Stream, error) {
	isEarly := !complete(l.conn)
	if isEarly && t.Optimistic && !t.EarlyData {
		if err := awaitHandshake(ctx, l.conn); err != nil {
			return nil, err
		}
		isEarly = false
	}
	qs, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	var buf [128]byte
	w := doubt{d: d, l: l, t: t, qs: qs}
	if !fresh {
		w.heard = l.conn.ConnectionStats().PacketsReceived
	}
	if _, err = qs.Write(tcpq.AppendOpen(buf[:0], &t.Open)); err == nil && !t.Optimistic {
		qs.SetReadContext(ctx)
		if fresh {
			err = readStatus(qs, &t.Open)
		} else {
			err = w.readStatus()
		}
		qs.SetReadContext(context.Background()) // none
	}
	if err != nil {
		qs.CancelWrite(tcpq.CodeReset)
		qs.CancelRead(tcpq.CodeReset)
		return nil, err
	}
	s := newStream(l, qs, &t.Open)
	s.unanswered = t.Optimistic
	if isEarly && t.Optimistic {
		s.early = new(early)
	}
	return s, nil
}

// Close ends the Dialer. Until ctx is done it waits for streams to end, and for
// what was written to arrive; those that are left end with tcpq.CodeStopping. It
// returns when all connections are closed. The Transport stays open.
func (d *Dialer) Close(ctx context.Context) {
	d.init()
	d.links.close(ctx)
}

// Moved tells the Dialer that this host's addresses or routes have changed: each
// connection moves to a new socket (quic.Conn.Migrate), all at once. Those that
// cannot stay where they are, as if packets had been lost; the number of them,
// and their errors, come back.
func (d *Dialer) Moved(ctx context.Context) (stayed int, err error) {
	d.init()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, l := range d.links.list() {
		wg.Go(func() {
			if err := l.conn.Migrate(ctx, nil); err != nil && l.conn.Context().Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("connection to %v: %w", l.peer, err))
			}
		})
	}
	wg.Wait()
	return len(errs), errors.Join(errs...)
}
