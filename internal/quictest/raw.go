package quictest

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// The packet number spaces, by short names for tests.
const (
	Initial   = recovery.Initial
	Handshake = recovery.Handshake
	App       = recovery.AppData
)

// RawOptions describes a RawPeer. The zero value completes a handshake.
type RawOptions struct {
	// Config changes the configuration of the connection under test.
	Config func(cfg *core.Config)
	// Params changes what the RawPeer announces; Extra is appended to its
	// transport parameters as it is; NoParams leaves the extension out.
	Params   func(p *wire.Params)
	Extra    []byte
	NoParams bool
	// TLS changes the RawPeer's TLS configuration.
	TLS func(cfg *tls.Config)
	// Retry makes the server under test ask for a Retry.
	Retry bool
	// Seed is where the chance of TLS comes from; 0 = 1. Two RawPeers of a test
	// say different hellos only with different seeds.
	Seed uint64
	// EmptyID gives the RawPeer a connection ID of no bytes.
	EmptyID bool
	// Version is what the RawPeer speaks, 0 = Version1. A server's RawPeer goes on
	// in Upgrade if that is not 0; a client's follows its server.
	Version, Upgrade wire.Version
}

// RawPeer is a scripted peer: it has the keys and no rules. It completes a
// handshake with the connection under test, then sends any frame in any packet
// with any number, and keeps the decoded replies for the test to look at. There
// is no network: what is sent arrives at once, time moves by Advance only.
type RawPeer struct {
	Clock  netsim.Clock
	Conn   *core.Conn // under test; nil at first if it is a server's
	Router *core.Router[*core.Conn]
	Events []core.Event
	Opened []*core.Stream

	// Replies are the packets that came and no want has looked at yet.
	Replies []Reply
	// SentBytes and GotBytes count UDP payload, as the RawPeer sees it.
	SentBytes, GotBytes, GotDatagrams int
	// AutoAck acknowledges what comes in at once.
	AutoAck bool

	t          testing.TB
	client     bool // the RawPeer is
	opts       RawOptions
	cfg        core.Config
	local      netip.AddrPort // the RawPeer's
	remote     netip.AddrPort
	version    wire.Version
	first      wire.Version // what version was at first
	DCID, SCID []byte       // the connection's ID, and our own
	odcid      []byte
	initialID  []byte // of which the Initial keys are derived
	idLen      int    // bytes of our own IDs
	Token      []byte
	sp         [recovery.NumSpaces]rawSpace
	phase      bool
	early      *crypt.Keys // of 0-RTT packets; nil = none
	tls        *tls.QUICConn
	batch      core.Batch
	params     *wire.Params // of the connection under test
	complete   bool
	done       bool // HANDSHAKE_DONE came
}

// rawSpace is one packet number space of a RawPeer.
type rawSpace struct {
	read, write *crypt.Keys
	next        uint64
	got         []uint64 // numbers received, in order
	largest     int64
	out         []byte // CRYPTO data to send
	outAt       uint64
	in          map[uint64][]byte // CRYPTO data received, by offset
	inAt        uint64
}

// Reply is one packet of the connection under test, decoded.
type Reply struct {
	Type     wire.PacketType
	Version  wire.Version // 0 in a short header
	Number   uint64
	Frames   []wire.Frame
	Datagram int // which datagram it came in, counted from 1
	Size     int // bytes of that datagram
	Phase    bool
	Spin     bool
	DCID     string
	Token    string
	To       netip.AddrPort
	From     netip.Addr
	Socket   int
	Raw      []byte // Retry and Version Negotiation: the packet; nil otherwise
}

// NewRawClient returns a RawPeer that plays the client of a server's connection.
func NewRawClient(t testing.TB, opts RawOptions) *RawPeer {
	return newRaw(t, true, opts)
}

// NewRawServer returns a RawPeer that plays the server of a client's
// connection, which has already sent its ClientHello.
func NewRawServer(t testing.TB, opts RawOptions) *RawPeer {
	r := newRaw(t, false, opts)
	conn, err := core.NewClient(r.Clock.Now(), &r.cfg, r.remote.Addr(), r.local)
	must(err)
	r.Conn = conn
	r.Flush()
	return r
}

func newRaw(t testing.TB, client bool, opts RawOptions) *RawPeer {
	if tt, ok := t.(*testing.T); ok {
		cryptotest.SetGlobalRandom(tt, max(opts.Seed, 1))
	}
	r := &RawPeer{t: t, client: client, opts: opts, version: opts.Version, AutoAck: true}
	if r.version == 0 {
		r.version = wire.Version1
	}
	r.first = r.version
	side := netsim.Left // of the connection under test
	r.remote, r.local = netip.AddrPortFrom(netsim.ClientV4, 50000), netip.AddrPortFrom(netsim.ServerV4, netsim.ServerPort)
	if client {
		side, r.remote, r.local = netsim.Right, r.local, r.remote
	}
	clientTLS, serverTLS := TLSConfigs(r.Clock.Now(), "test")
	r.cfg = virtual.DefaultConfig(7, side)
	r.cfg.TLS = clientTLS
	own := serverTLS
	if client {
		r.cfg.TLS, own = serverTLS, clientTLS
	}
	if opts.Config != nil {
		opts.Config(&r.cfg)
	}
	if opts.TLS != nil {
		opts.TLS(own)
	}
	rc := virtual.RouterConfig(&r.cfg, side)
	if opts.Retry {
		rc.Retry = func(netip.AddrPort) bool { return true }
	}
	r.Router = core.NewRouter[*core.Conn](rc)
	r.batch = core.Batch{Buf: make([]byte, 0, 65507), MaxSegments: 8}
	r.SCID, r.idLen = []byte("rawpeer!"), 8
	if opts.EmptyID {
		r.SCID, r.idLen = []byte{}, 0
	}
	for i := range r.sp {
		r.sp[i].largest, r.sp[i].in = -1, map[uint64][]byte{}
	}
	if client {
		r.odcid = []byte("original")
		r.Reconnect(r.odcid)
		r.startTLS(tls.QUICClient(&tls.QUICConfig{TLSConfig: own}))
	} else {
		r.tls = tls.QUICServer(&tls.QUICConfig{TLSConfig: own})
	}
	t.Cleanup(r.stop)
	return r
}

// stop ends both handshakes, whose goroutines would stay otherwise.
func (r *RawPeer) stop() {
	r.tls.Close()
	if r.Conn != nil {
		r.Conn.Abandon(r.Clock.Now(), fmt.Errorf("test is over"))
	}
}

// Reconnect makes a client's RawPeer send to dcid, with the Initial keys that
// belong to it.
func (r *RawPeer) Reconnect(dcid []byte) {
	r.DCID, r.initialID = dcid, dcid
	r.sp[Initial].read, r.sp[Initial].write = r.initialKeys(r.version)
}

// initialKeys returns the Initial keys of a version.
func (r *RawPeer) initialKeys(v wire.Version) (read, write *crypt.Keys) {
	client, server := crypt.NewInitial(v, r.initialID)
	if r.client {
		return server, client
	}
	return client, server
}

// goOnIn changes the version of everything that is sent from now on.
func (r *RawPeer) goOnIn(v wire.Version) {
	r.version = v
	_, r.sp[Initial].write = r.initialKeys(v)
}

func (r *RawPeer) startTLS(conn *tls.QUICConn) {
	r.tls = conn
	p := wire.DefaultParams()
	p.MaxIdleTimeout = time.Minute
	p.MaxData, p.MaxStreamLocal, p.MaxStreamRemote, p.MaxStreamUni = 1<<20, 1<<20, 1<<20, 1<<20
	p.MaxStreamsBidi, p.MaxStreamsUni = 100, 100
	p.ActiveConnIDLimit = 4
	p.InitialSCID = r.SCID
	if !r.client {
		p.OriginalDCID = r.odcid
	}
	if r.opts.Params != nil {
		r.opts.Params(&p)
	}
	if r.opts.NoParams {
		r.tls.SetTransportParameters(nil)
	} else {
		r.tls.SetTransportParameters(append(wire.AppendParams(nil, &p), r.opts.Extra...))
	}
	must(r.tls.Start(r.t.Context()))
	r.drainTLS()
}

func (r *RawPeer) drainTLS() {
	for {
		e := r.tls.NextEvent()
		id := map[tls.QUICEncryptionLevel]recovery.SpaceID{
			tls.QUICEncryptionLevelInitial: Initial, tls.QUICEncryptionLevelHandshake: Handshake, tls.QUICEncryptionLevelApplication: App,
		}[e.Level]
		s := &r.sp[id]
		var err error
		if e.Level == tls.QUICEncryptionLevelEarly {
			r.early, err = crypt.New(r.version, e.Suite, e.Data)
			must(err)
			continue
		}
		switch e.Kind {
		case tls.QUICNoEvent:
			return
		case tls.QUICSetReadSecret:
			s.read, err = crypt.New(r.version, e.Suite, e.Data)
		case tls.QUICSetWriteSecret:
			s.write, err = crypt.New(r.version, e.Suite, e.Data)
		case tls.QUICWriteData:
			s.out = append(s.out, e.Data...)
		case tls.QUICTransportParameters:
			r.params, err = wire.ParseParams(e.Data, r.client)
		case tls.QUICHandshakeDone:
			r.complete = true
		}
		must(err)
	}
}

// Params returns the transport parameters of the connection under test.
func (r *RawPeer) Params() *wire.Params { return r.params }

// Connect completes and confirms the handshake, and forgets its packets.
func (r *RawPeer) Connect() *RawPeer {
	r.t.Helper()
	for range 10 {
		r.SendCrypto(Initial)
		r.SendCrypto(Handshake)
		if r.complete && !r.client && !r.done && r.Conn.Established() {
			r.Send(App, frame(wire.FrameHandshakeDone))
			r.done = true
		}
		if r.complete && r.done && r.Conn.Established() {
			r.Advance(30 * time.Millisecond) // what is left to acknowledge
			r.Replies = nil
			return r
		}
	}
	r.t.Fatalf("no handshake: complete %v, confirmed %v, connection %v", r.complete, r.done, r.Conn.Err())
	return nil
}

// SendCrypto sends the handshake data of a space that waits to be sent.
func (r *RawPeer) SendCrypto(id recovery.SpaceID) {
	s := &r.sp[id]
	for len(s.out) > 0 && s.write != nil {
		n := min(len(s.out), 1000)
		data := s.out[:n]
		s.out, s.outAt = s.out[n:], s.outAt+uint64(n)
		r.Send(id, crypto(s.outAt-uint64(n), data))
	}
}

var spaceLevel = [recovery.NumSpaces]tls.QUICEncryptionLevel{
	tls.QUICEncryptionLevelInitial, tls.QUICEncryptionLevelHandshake, tls.QUICEncryptionLevelApplication,
}
