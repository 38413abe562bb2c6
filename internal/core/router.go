package core

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// retryLifetime is how long a Retry token is valid (RFC 9000 §8.1.3: short).
	retryLifetime = 10 * time.Second
	// tokenLifetime is how long a token of a NEW_TOKEN frame is valid, and how long
	// the Router remembers that it was used.
	tokenLifetime = 24 * time.Hour
	// maxHalfOpen bounds the server connections whose handshake is not complete,
	// unless RouterConfig.MaxHalfOpen does. limit: RFC 9000 §21.3.
	maxHalfOpen = 4096
	// maxRepliesPerSecond bounds stateless resets and Version Negotiation
	// packets. limit: RFC 9000 §10.3.3, §21.11.
	maxRepliesPerSecond = 1000
)

// RouterConfig is what a Router must be told.
type RouterConfig struct {
	Accept   bool // new connections are welcome (a server)
	Versions []wire.Version
	Rand     io.Reader
	ResetKey *crypt.ResetKey // nil = no stateless resets
	TokenKey crypt.TokenKey
	// Retry says whether a client at addr must prove its address first; nil = never.
	Retry func(addr netip.AddrPort) bool
	// MaxHalfOpen bounds the connections whose handshake is not complete: beyond
	// half of it new clients must prove their address with a Retry, so that forged
	// addresses leave room for others; beyond all of it their Initials are
	// dropped. 0 = maxHalfOpen.
	MaxHalfOpen int
}

// RouteKind is what to do with a datagram.
type RouteKind uint8

// The answers of Route.
const (
	RouteDrop  RouteKind = iota
	RouteConn            // it belongs to Conn
	RouteNew             // it begins a connection: New
	RouteReply           // send Reply back
	RouteReset           // it is a stateless reset of Conn
)

// Route is where a datagram goes.
type Route[C any] struct {
	Kind  RouteKind
	Conn  C
	New   *Incoming
	Reply []byte
}

// Router is the demultiplexer: it owns the table of connection IDs of one
// socket and answers for connections that do not exist (RFC 9000 §5.2). C is
// how the driver names a connection. Not safe for concurrent use.
type Router[C any] struct {
	cfg      RouterConfig
	own      map[uint64]C   // IDs that we chose, all of LocalIDLen bytes; bounded by maxLocalIDs for each connection
	foreign  map[ConnID]C   // first destination IDs of clients; bounded by one for each connection
	resets   map[[16]byte]C // stateless reset tokens of peers; bounded by maxRemoteIDs for each connection
	halfOpen int
	tokens   replays // of NEW_TOKEN frames that were used
	replies  int
	second   time.Time // when replies was last reset to zero
}

// NewRouter returns an empty Router.
func NewRouter[C any](cfg RouterConfig) *Router[C] {
	if cfg.MaxHalfOpen <= 0 {
		cfg.MaxHalfOpen = maxHalfOpen
	}
	return &Router[C]{cfg: cfg, own: make(map[uint64]C), foreign: make(map[ConnID]C), resets: make(map[[16]byte]C), tokens: replays{window: tokenLifetime}}
}

// Add routes an ID to a connection.
func (r *Router[C]) Add(id ConnID, conn C) {
	if id.Len() == LocalIDLen {
		r.own[binary.BigEndian.Uint64(id.Bytes())] = conn
		return
	}
	r.foreign[id] = conn
}

// Remove stops routing an ID.
func (r *Router[C]) Remove(id ConnID) {
	if id.Len() == LocalIDLen {
		delete(r.own, binary.BigEndian.Uint64(id.Bytes()))
		return
	}
	delete(r.foreign, id)
}

// AddReset lets a stateless reset with token reach conn.
func (r *Router[C]) AddReset(token [16]byte, conn C) { r.resets[token] = conn }

// RemoveReset forgets a token.
func (r *Router[C]) RemoveReset(token [16]byte) { delete(r.resets, token) }

// HalfOpen counts the server's connections under way: n is +1 when one begins,
// -1 when its handshake completes or fails. It returns how many there are.
func (r *Router[C]) HalfOpen(n int) int {
	r.halfOpen += n
	return r.halfOpen
}

// Accept says in which versions new connections are welcome; none = they are
// not.
func (r *Router[C]) Accept(versions []wire.Version) {
	r.cfg.Accept, r.cfg.Versions = len(versions) > 0, versions
}

// Len returns the number of IDs in the table.
func (r *Router[C]) Len() int { return len(r.own) + len(r.foreign) }

// Route decides about the datagram d, which arrived at now. A train of
// datagrams of one peer with one destination ID needs one call.
func (r *Router[C]) Route(now time.Time, d *Datagram) Route[C] {
	if len(d.Data) == 0 {
		return Route[C]{}
	}
	if !wire.IsLongHeader(d.Data[0]) {
		return r.routeShort(now, d)
	}
	inv, ok := wire.ParseInvariant(d.Data)
	if !ok {
		return Route[C]{}
	}
	if conn, ok := r.lookup(inv.DCID); ok {
		return Route[C]{Kind: RouteConn, Conn: conn}
	}
	if !r.cfg.Accept || inv.Version == wire.VersionNegotiation {
		return Route[C]{}
	}
	if !r.speaks(inv.Version) {
		return r.negotiateVersion(now, d, &inv)
	}
	return r.routeInitial(now, d)
}

// Owner returns whom an ID belongs to that was issued here.
func (r *Router[C]) Owner(id []byte) (conn C, ok bool) { return r.lookup(id) }

func (r *Router[C]) lookup(id []byte) (conn C, ok bool) {
	if len(id) == LocalIDLen {
		conn, ok = r.own[binary.BigEndian.Uint64(id)]
		return conn, ok
	}
	if len(r.foreign) == 0 || len(id) > wire.MaxConnIDLen {
		return conn, false
	}
	conn, ok = r.foreign[MakeConnID(id)]
	return conn, ok
}

func (r *Router[C]) speaks(v wire.Version) bool {
	for _, ours := range r.cfg.Versions {
		if ours == v {
			return true
		}
	}
	return false
}

// routeShort handles a packet that belongs to no handshake.
func (r *Router[C]) routeShort(now time.Time, d *Datagram) Route[C] {
	if len(d.Data) > LocalIDLen {
		if conn, ok := r.lookup(d.Data[1 : 1+LocalIDLen]); ok {
			return Route[C]{Kind: RouteConn, Conn: conn}
		}
	}
	if len(d.Data) >= minStatelessReset {
		if conn, ok := r.resets[[16]byte(d.Data[len(d.Data)-16:])]; ok {
			return Route[C]{Kind: RouteReset, Conn: conn}
		}
	}
	return r.statelessReset(now, d)
}

// statelessReset tells a peer that its connection is gone (RFC 9000 §10.3). It
// is one byte smaller than what it answers, so that two endpoints that reset
// each other stop, and never larger than a packet that needs no more.
func (r *Router[C]) statelessReset(now time.Time, d *Datagram) Route[C] {
	const most = 43 // bytes: RFC 9000 §10.3 asks for as much to look like any packet
	size := min(len(d.Data)-1, most)
	if r.cfg.ResetKey == nil || size < minStatelessReset || !r.mayReply(now) {
		return Route[C]{}
	}
	reply := make([]byte, size)
	if _, err := io.ReadFull(r.cfg.Rand, reply); err != nil {
		return Route[C]{}
	}
	reply[0] = reply[0]&0x3f | wire.ShortFixedBit
	token := r.cfg.ResetKey.Token(d.Data[1 : 1+LocalIDLen])
	copy(reply[size-16:], token[:])
	return Route[C]{Kind: RouteReply, Reply: reply}
}

// negotiateVersion answers a version that we do not speak (RFC 9000 §5.2.2,
// §6.1), unless the datagram is too small to begin a connection.
func (r *Router[C]) negotiateVersion(now time.Time, d *Datagram, inv *wire.Invariant) Route[C] {
	if len(d.Data) < wire.MinInitialDatagram || !r.mayReply(now) {
		return Route[C]{}
	}
	var random [5]byte
	if _, err := io.ReadFull(r.cfg.Rand, random[:]); err != nil {
		return Route[C]{}
	}
	// RFC 9000 §6.3: a reserved version keeps peers from relying on the list.
	versions := append([]wire.Version{reservedVersion([4]byte(random[1:]))}, r.cfg.Versions...)
	return Route[C]{Kind: RouteReply, Reply: wire.AppendVersionNegotiation(nil, random[0], inv.DCID, inv.SCID, versions)}
}

// mayReply bounds the packets that are sent for no connection.
func (r *Router[C]) mayReply(now time.Time) bool {
	if now.Sub(r.second) >= time.Second {
		r.second, r.replies = now, 0
	}
	r.replies++
	return r.replies <= maxRepliesPerSecond
}

// routeInitial begins a connection, or asks the client for a proof of its
// address first.
func (r *Router[C]) routeInitial(now time.Time, d *Datagram) Route[C] {
	var h wire.Header
	// RFC 9000 §14.1: smaller datagrams are discarded. §7.2: the first
	// destination ID has at least 8 bytes. §17.2: and so are those with a fixed
	// bit of zero, unless a token says that we met (RFC 9287 §3.1).
	if len(d.Data) < wire.MinInitialDatagram || !wire.ParseLong(d.Data, &h) ||
		d.Data[0]&fixedBit == 0 && len(h.Token) == 0 || h.Type != wire.PacketInitial || len(h.DCID) < initialIDLen || r.halfOpen >= r.cfg.MaxHalfOpen {
		return Route[C]{}
	}
	in := &Incoming{
		Version: h.Version, DCID: MakeConnID(h.DCID), SCID: MakeConnID(h.SCID),
		OriginalDCID: MakeConnID(h.DCID), Remote: d.Remote, Local: d.Local, Socket: d.Socket,
	}
	if len(h.Token) > 0 {
		if reply, done := r.useToken(now, in, &h); done {
			return reply
		}
	}
	mustRetry := r.halfOpen >= r.cfg.MaxHalfOpen/2 || r.cfg.Retry != nil && r.cfg.Retry(d.Remote)
	if mustRetry && !in.Validated {
		return r.retry(now, in)
	}
	return Route[C]{Kind: RouteNew, New: in}
}

// useToken looks at an Initial's token. done means that the answer is final.
func (r *Router[C]) useToken(now time.Time, in *Incoming, h *wire.Header) (_ Route[C], done bool) {
	t, err := r.cfg.TokenKey.Open(h.Token, in.Remote, now, tokenLifetime)
	if t == nil || t.Kind != crypt.TokenRetry {
		// RFC 9000 §8.1.3: a token that is not ours, or not good any more, counts
		// as none; one from a NEW_TOKEN frame is good once.
		in.Validated = err == nil && t.Kind == crypt.TokenAddress && t.Version == in.Version && r.tokens.add(now, crypt.TokenID(h.Token))
		return Route[C]{}, false
	}
	// RFC 9000 §8.1.2: the token of a Retry comes in time, from the address
	// that got it, to the ID that it gave.
	if err != nil || now.Sub(t.Time) > retryLifetime || t.Version != in.Version || MakeConnID(t.RetrySCID) != in.DCID {
		return r.invalidToken(now, in), true
	}
	in.Validated, in.Retried = true, true
	in.OriginalDCID, in.RetrySCID = MakeConnID(t.OriginalDCID), in.DCID
	return Route[C]{}, false
}

// invalidToken closes a connection that never was. RFC 9000 §8.1.3: a client
// that obeyed one Retry will not obey another, so this is kinder than silence.
func (r *Router[C]) invalidToken(now time.Time, in *Incoming) Route[C] {
	if !r.mayReply(now) {
		return Route[C]{}
	}
	_, keys := crypt.NewInitial(in.Version, in.DCID.Bytes())
	const pnLen = 1
	b := make([]byte, 0, wire.MinInitialDatagram)
	b, lengthAt := wire.AppendLong(b, wire.PacketInitial, in.Version, in.SCID.Bytes(), in.DCID.Bytes(), nil, 0, pnLen)
	pnOffset := len(b) - pnLen
	b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameConnectionClose, Code: uint64(InvalidToken), Data: []byte("Retry token is not valid")})
	wire.PutVarint2(b[lengthAt:], uint64(len(b)+crypt.TagSize-pnOffset))
	return Route[C]{Kind: RouteReply, Reply: keys.Seal(b, pnOffset, pnLen, 0)}
}

// retry answers an Initial with a Retry packet (RFC 9000 §17.2.5).
func (r *Router[C]) retry(now time.Time, in *Incoming) Route[C] {
	var random [LocalIDLen + 1]byte
	if _, err := io.ReadFull(r.cfg.Rand, random[:]); err != nil {
		return Route[C]{}
	}
	scid := random[:LocalIDLen]
	token, err := r.cfg.TokenKey.Seal(r.cfg.Rand, &crypt.Token{
		Kind: crypt.TokenRetry, Version: in.Version, Addr: in.Remote, Time: now,
		OriginalDCID: in.DCID.Bytes(), RetrySCID: scid,
	})
	if err != nil {
		return Route[C]{}
	}
	reply := wire.AppendRetry(nil, in.Version, random[LocalIDLen], in.SCID.Bytes(), scid, token)
	tag := crypt.RetryTag(in.Version, reply, in.DCID.Bytes())
	return Route[C]{Kind: RouteReply, Reply: append(reply, tag[:]...)}
}
