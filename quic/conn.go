package quic

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/udp"
	"github.com/seed51309289/quiver/internal/wire"
)

// A Conn is a QUIC connection. Its methods are safe for concurrent use.
//
// When a connection ends, its blocked calls and all later ones return the
// reason: *ApplicationError, *TransportError, *IdleTimeoutError,
// *HandshakeTimeoutError, *UnreachableError, *StatelessResetError or
// *VersionNegotiationError. All are net.ErrClosed.
type Conn struct {
	t        *Transport
	listener *Listener // of a server's connection
	qlog     *qlogFile
	place    atomic.Pointer[place]
	paths    PathStore // nil = nothing is remembered

	handshaking     atomic.Bool // datagrams go to inbox
	ignorePreferred bool
	inbox           inbox

	mu          sync.Mutex // guards core and all below; no system call, wait or callback under it
	core        *core.Conn
	early       bool          // the listener has it before the handshake is complete
	flushing    bool          // somebody is in flush
	dirty       bool          // the one in flush must look again
	later       bool          // somebody is about to flush
	halfOpen    bool          // counted by the router
	handshaken  bool          // established is closed, or will be made so
	unread      int           // streams with something that nobody has looked at
	quiet       chan struct{} // closed when nobody is in flush; nil = nobody waits for that
	moving      *move         // by Migrate; nil = none
	established chan struct{} // closed when the handshake is complete; nil = nobody asked
	confirmed   chan struct{} // closed when the handshake is confirmed; nil = nobody waits for that
	timer       *time.Timer
	armed       time.Time // when timer fires; zero = not armed

	accepted                      [2]queue[*Stream] // streams of the peer; index 1 = unidirectional
	change                        [2]cond           // accepted changed, or the peer allows more streams
	datagramArrived, datagramRoom cond
	closeErr                      error

	flushLater func()   // afterOthers; nil = never needed
	lastFilled StreamID // plus one, of the stream that a BuffersReader wrote to; 0 = none

	tokens   *tokens   // of a client; nil = kept nowhere
	extender *extender // nil = nobody follows extensions
	notes    *notes    // nil = nobody listens
	watched  *socket   // it hears ICMP for this connection; nil = it does not, or no longer

	ctx    context.Context // nil = never asked for
	cancel context.CancelCauseFunc
}

func newConn(t *Transport, l *Listener, remote netip.AddrPort) *Conn {
	c := &Conn{t: t, listener: l}
	c.place.Store(&place{remote: remote})
	c.handshaking.Store(true)
	return c
}

func newClientConn(ctx context.Context, t *Transport, remote netip.AddrPort, tlsConfig *tls.Config, conf *Config, early bool) (*Conn, error) {
	tlsConfig, err := clientTLS(tlsConfig)
	if err != nil {
		return nil, err
	}
	if tlsConfig.ClientSessionCache != nil && tlsConfig.Time == nil {
		tlsConfig = tlsConfig.Clone()
		tlsConfig.Time = time.Now // the core corrects the age of tickets by it
	}
	c := newConn(t, nil, remote)
	now := time.Now()
	cfg := c.own(now, t.coreConfig(conf), conf, nil)
	cfg.TLS = tlsConfig
	c.ignorePreferred = conf != nil && conf.IgnorePreferredAddress
	cfg.Early, cfg.Context = early, context.WithoutCancel(ctx)
	if conf != nil {
		c.useTokens(cfg, conf.TokenStore, tlsConfig.ServerName)
	}
	attach, err := c.extend(conf, cfg)
	if err == nil {
		c.core, err = core.NewClient(now, cfg, netip.Addr{}, remote)
	}
	if err == nil {
		if err = c.attachAll(now, attach); err != nil {
			c.core.Abandon(now, err)
			for ok := true; ok; { // with the last event those that were attached end
				_, ok = c.core.NextEvent()
			}
		}
	}
	if err != nil {
		c.qlog.close()
		return nil, err
	}
	return c, nil
}

func newServerConn(t *Transport, l *Listener, now time.Time, in *core.Incoming) (*Conn, error) {
	c := newConn(t, l, in.Remote)
	c.place.Load().socket = in.Socket
	cfg := c.own(now, l.core, l.conf, in.OriginalDCID.Bytes())
	in.Context = context.WithValue(context.Background(), connKey{}, c)
	attach, extendErr := c.extend(l.conf, cfg)
	var err error
	if c.core, err = core.NewServer(now, cfg, in); err != nil {
		c.qlog.close()
		return c, err
	}
	if extendErr == nil {
		extendErr = c.attachAll(now, attach)
	}
	if extendErr != nil && c.notes != nil {
		c.noteAt(slog.LevelWarn, "no extensions", slog.Any("error", extendErr))
	}
	return c, nil
}

// own adds to a configuration what is this connection's only: its log, and what
// is known of the path to the peer. Without that, shared is returned as it is.
// odcid is nil in a client, which has not chosen it yet.
func (c *Conn) own(now time.Time, shared *core.Config, conf *Config, odcid []byte) *core.Config {
	own := *shared
	if conf != nil && conf.Logger != nil {
		c.notes = &notes{log: conf.Logger, leakAfter: conf.StreamLeakAfter}
		c.note("connection started")
	}
	c.qlog = openQLog(c.t, conf, odcid, now)
	own.Log = c.qlog.log()
	known := false
	if conf != nil && conf.CarefulResume != nil {
		c.paths = conf.CarefulResume
		own.SavedPath, known = c.paths.Take(c.place.Load().remote.Addr())
	}
	if c.qlog == nil && !known && (conf == nil || conf.Extensions == nil) {
		return shared
	}
	return &own
}

// coreConfig applies the defaults to conf, which may be nil.
func (t *Transport) coreConfig(conf *Config) *core.Config {
	if conf == nil {
		conf = &Config{}
	}
	cfg := &core.Config{
		Rand: rand.Reader, Versions: conf.versions(),
		IdleTimeout:      orDefault(conf.MaxIdleTimeout, defaultIdleTimeout),
		HandshakeTimeout: orDefault(conf.HandshakeTimeout, defaultHandshakeTimeout),
		KeepAlive:        max(conf.KeepAlivePeriod, 0),
		Congestion:       conf.newCongestion,
		MaxMTU:           orDefault(conf.MaxDatagramSize, defaultMaxDatagram),
		NoECN:            conf.DisableECN,
		L4S:              conf.L4S,
		NoGrease:         conf.DisableGrease,
		FirstVersion:     wire.Version(conf.FirstVersion),
		ResetKey:         &t.reset,
		NoSpin:           conf.DisableSpinBit,

		DisableActiveMigration: conf.DisableActiveMigration,
	}
	if t.steering != nil {
		cfg.ShapeID = t.steering.Shape
	}
	conf.Limits.apply(cfg)
	conf.extensions(cfg)
	return cfg
}

// flush sends what the core has to send, hands its events out, and arms the
// timer. The caller holds c.mu, which flush releases: nothing is sent under it.
func (c *Conn) flush(now time.Time) {
	c.drainEvents()
	if c.flushing {
		c.dirty = true
		c.mu.Unlock()
		return
	}
	c.flushing = true
	b := c.t.batches.Get().(*core.Batch)
	socket, _, _ := c.core.Path()
	if s := c.t.socket(socket); s != nil {
		b.MaxSegments = s.conn.MaxSegments()
	}
	for {
		c.dirty = false
		for c.core.Transmit(now, b) {
			c.mu.Unlock()
			err := c.t.write(b.Socket, b.Buf, b.Segment, b.Remote, b.Local, b.ECN)
			c.mu.Lock()
			now = time.Now() // others had the connection meanwhile
			if err != nil {
				c.notSent(now, b, err)
			}
		}
		c.drainEvents()
		if !c.dirty {
			break
		}
		now = time.Now()
	}
	c.flushing = false
	if c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
	c.arm(now)
	got, news, extender, watched := c.newTokens(), c.newNotes(), c.takeExtender(), c.takeWatched()
	c.mu.Unlock()
	c.t.batches.Put(b)
	unwatch(watched)
	c.tokens.put(got)
	c.tell(news)
	c.tellExtender(extender)
}

// awaitFlush returns when nobody is in flush: what was to be sent is sent.
func (c *Conn) awaitFlush() {
	c.mu.Lock()
	if !c.flushing {
		c.mu.Unlock()
		return
	}
	if c.quiet == nil {
		c.quiet = make(chan struct{})
	}
	quiet := c.quiet
	c.mu.Unlock()
	<-quiet
}

// notSent looks at an error of the socket. Most mean no more than a lost
// datagram; but a client that never heard of the server, and whose own host
// knows no way there, need not wait for its timeout. The caller holds c.mu.
func (c *Conn) notSent(now time.Time, b *core.Batch, err error) {
	switch {
	case errors.Is(err, udp.ErrTooBig):
		c.core.TooBig(now, b.Segment)
	case errors.Is(err, udp.ErrUnreachable) && c.listener == nil && !c.core.Heard():
		c.core.Abandon(now, &UnreachableError{Addr: c.RemoteAddr(), Err: err})
	}
}

// flushLocked is flush for a caller that goes on under c.mu.
func (c *Conn) flushLocked() {
	c.flush(time.Now())
	c.mu.Lock()
}

// unlock releases c.mu. A control frame that a command left goes soon: with what
// the caller does next, if that sends something.
func (c *Conn) unlock() {
	if c.core.NeedsTransmit() {
		c.flushSoon()
		return
	}
	c.mu.Unlock()
}

// refuse closes a connection that nobody will accept (RFC 9000 §20.1). The
// caller holds c.mu.
func (c *Conn) refuse(why string) {
	c.core.CloseTransport(time.Now(), core.ConnectionRefused, why)
}

// arm sets the timer if the deadline moved forward. A deadline that moves back
// leaves it: it fires early once, and is set again then.
func (c *Conn) arm(now time.Time) {
	at := c.core.Deadline()
	if at.IsZero() || !c.armed.IsZero() && !at.Before(c.armed) {
		return
	}
	c.armed = at
	if c.timer == nil {
		c.timer = time.AfterFunc(at.Sub(now), c.tick)
		return
	}
	c.timer.Reset(at.Sub(now))
}

// tick is the timer's function.
func (c *Conn) tick() {
	now := time.Now()
	c.mu.Lock()
	c.armed = time.Time{}
	if at := c.core.Deadline(); !at.IsZero() && !at.After(now) {
		c.core.Tick(now)
	}
	if c.handshaking.Load() && !c.core.Handshaking() {
		c.endHandshake()
	}
	c.flush(now)
}

// drainEvents takes the core's news. The caller holds c.mu.
func (c *Conn) drainEvents() {
	for {
		e, ok := c.core.NextEvent()
		if !ok {
			return
		}
		switch e.Kind {
		case core.EventReadable:
			w := c.wrap(e.Stream)
			w.in.arrived()
			w.in.tell(c.core.ReadErr(e.Stream))
		case core.EventWritable:
			c.wrap(e.Stream).out.tell(c.core.WriteErr(e.Stream))
		case core.EventOpened:
			uni := !e.Stream.CanSend()
			c.accepted[kind(uni)].push(c.wrap(e.Stream))
			c.change[kind(uni)].broadcast()
		case core.EventStreams:
			c.change[kind(e.Uni)].broadcast()
		case core.EventDatagram:
			c.datagramArrived.broadcast()
		case core.EventDatagramRoom:
			c.datagramRoom.broadcast()
		case core.EventToken:
			c.gotToken(e.Data)
		case core.EventEarly:
			c.early = true
			c.listener.put(c)
		case core.EventEstablished:
			c.handleEstablished()
		case core.EventConfirmed:
			c.handleConfirmed()
		case core.EventMoved, core.EventMoveFailed, core.EventSocketIdle:
			c.handlePath(&e)
		case core.EventPlugin, core.EventExtension:
			c.newsOf(&e)
		case core.EventClosed:
			c.handleClosed(e.Err)
		case core.EventDrained:
			c.handleDrained()
		default:
			c.t.routeEvent(c, &e)
		}
	}
}

// routeEvent keeps the router's table.
func (t *Transport) routeEvent(c *Conn, e *core.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Kind {
	case core.EventIDIssued:
		t.router.Add(e.ID, c)
	case core.EventIDRetired:
		t.router.Remove(e.ID)
	case core.EventResetToken:
		t.router.AddReset(e.Token, c)
	case core.EventTokenGone:
		t.router.RemoveReset(e.Token)
	}
}

func (c *Conn) handleEstablished() {
	c.handshaken = true
	if c.established != nil {
		close(c.established)
	}
	if c.notes != nil {
		c.noteEstablished()
	}
	c.noLongerHalfOpen()
	if c.listener != nil && !c.early {
		c.listener.put(c)
	}
}

func (c *Conn) handleClosed(err error) {
	c.closeErr = publicError(err)
	if c.notes != nil {
		c.note("connection closed", slog.Any("error", c.closeErr))
	}
	c.moved(c.closeErr)
	c.extensionsOver(c.closeErr)
	c.savePath()
	if c.cancel != nil {
		c.cancel(c.closeErr)
	}
	c.noLongerHalfOpen()
	c.change[0].broadcast()
	c.change[1].broadcast()
	c.datagramArrived.broadcast()
	c.datagramRoom.broadcast()
}

func (c *Conn) noLongerHalfOpen() {
	if c.halfOpen {
		c.halfOpen = false
		c.t.mu.Lock()
		c.t.router.HalfOpen(-1)
		c.t.mu.Unlock()
	}
}

func (c *Conn) handleDrained() {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.qlog.close()
	c.t.releaseAll(c)
	c.t.forget(c)
}

// abandon forgets the connection without a word to the peer; err is why.
func (c *Conn) abandon(err error) {
	c.mu.Lock()
	c.core.Abandon(time.Now(), err)
	c.drainEvents()
	news, extender, watched := c.newNotes(), c.takeExtender(), c.takeWatched()
	c.mu.Unlock()
	unwatch(watched)
	c.tell(news)
	c.tellExtender(extender)
}

// CloseWithError ends the connection: the peer learns code and reason, all
// streams end with an *ApplicationError. Data that was not acknowledged may be
// lost. It never fails, and does nothing on a connection that has ended. Codes
// above 2^62-1 count as that; of the reason 256 bytes are sent. When it returns,
// the peer was told, once; it may have to be told again.
func (c *Conn) CloseWithError(code ApplicationErrorCode, reason string) error {
	c.mu.Lock()
	if c.later {
		c.flushLocked() // what was written, or the end of the handshake, before the close
	}
	now := time.Now()
	c.core.Close(now, min(code, wire.MaxVarint), reason)
	c.flush(now)
	c.awaitFlush()
	return nil
}

// Context returns a context that is done when the connection has ended; its
// cause is the reason.
func (c *Conn) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.contextLocked()
}

// contextLocked makes the context when it is first asked for.
func (c *Conn) contextLocked() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if c.closeErr != nil {
			c.cancel(c.closeErr)
		}
	}
	return c.ctx
}

// LocalAddr returns the address of the socket in use, which Migrate changes.
func (c *Conn) LocalAddr() net.Addr {
	return c.t.socketAddr(c.place.Load().socket)
}

// RemoteAddr returns the peer's present address: a client may migrate, and a
// server may have a preferred one (RFC 9000 §9).
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.place.Load().remote) }

// ConnectionState is what a connection negotiated.
type ConnectionState struct {
	TLS     tls.ConnectionState
	Version Version
	// Used0RTT says that the server took early data.
	Used0RTT bool

	// SupportsDatagrams tells which sides take datagrams: this one by
	// Config.EnableDatagrams, and the peer.
	SupportsDatagrams struct{ Local, Remote bool }
	// SupportsStreamResetPartialDelivery tells which sides understand resets
	// that leave the beginning of a stream alone.
	SupportsStreamResetPartialDelivery struct{ Local, Remote bool }
}

// ConnectionState returns what was negotiated. Before the handshake is complete
// TLS is zero, but for what holds for early data: the application protocol.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ConnectionState{Version: Version(c.core.Version()), Used0RTT: c.core.Early() == core.EarlyAccepted}
	if t := c.core.TLSState(); t != nil {
		s.TLS = *t
	}
	p := &s.SupportsStreamResetPartialDelivery
	p.Local, p.Remote = c.core.ResetStreamAt()
	s.SupportsDatagrams.Local, s.SupportsDatagrams.Remote = c.core.Datagrams()
	return s
}

// UpdateKeys begins a key update (RFC 9001 §6), now or as soon as the protocol
// allows one. It reports whether it began; ConnectionStats counts updates.
// Before keys wear out they are updated anyway.
func (c *Conn) UpdateKeys() bool {
	c.mu.Lock()
	now := time.Now()
	ok := c.core.UpdateKeys(now)
	c.flush(now)
	return ok
}
