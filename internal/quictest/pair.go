package quictest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// maxSteps bounds a run: a connection that never comes to rest is a bug.
const maxSteps = 4_000_000

// Options describes a Pair. The zero value is a perfect link of 15 ms each way.
type Options struct {
	ToServer, ToClient netsim.LinkConfig
	NAT                netsim.NAT // in front of the client
	// Config changes the configuration of a side after the defaults were set.
	Config func(side netsim.Side, cfg *core.Config)
	Retry  bool // the server asks every client for a Retry
	// Tap, if set, sees every datagram as it leaves and may change it; nil drops it.
	Tap func(from netsim.Side, datagram []byte) []byte
	// Pass, if set, sees every datagram with its addresses after that, and
	// reports whether the way between them exists.
	Pass func(src, dst netip.AddrPort, datagram []byte) bool
	// Transcript records every datagram, for comparing runs.
	Transcript bool
}

// Pair is a client's and a server's endpoint with the network between them.
type Pair struct {
	Seed   uint64
	Clock  netsim.Clock
	Sim    *netsim.Sim
	Client *Endpoint
	Server *Endpoint

	t    testing.TB
	opts Options
	log  strings.Builder

	remark func(ecn uint8) uint8 // what the path does to ECN marks; nil = nothing, dropMark = drops the packet
	marked int                   // datagrams that left with a mark
}

// dropMark is no ECN codepoint: a path that returns it drops the packet.
const dropMark = 0xff

// Endpoint is one side: a Router, its connections, and its clock's reader.
type Endpoint struct {
	Side   netsim.Side
	Addr   netip.AddrPort   // of its first socket, as others see it: a test may change it
	More   []netip.AddrPort // of the others, in order
	Config core.Config
	Conns  []*Peer

	home   netip.Addr
	pair   *Pair
	router *core.Router[*Peer]
	batch  core.Batch
	// OnConn is told of a new connection at the server before its first event.
	OnConn func(p *Peer)
}

// Peer is one connection with what its application does.
type Peer struct {
	*core.Conn
	End *Endpoint
	// OnEvent is the application; it runs after every flush.
	OnEvent func(e core.Event)

	Established, Confirmed, Closed, Drained bool
	Sent, Received                          int // bytes of UDP payload
	DatagramsSent                           int
	Moves                                   int   // how often the path changed
	MoveErr                                 error // of the last one that failed
	Idle                                    []int // sockets that no path uses any more
}

// Seed returns the seed of a test: SIM_SEED if that is set, else fallback. It
// is printed, so that a failure can be had again.
func Seed(t testing.TB, fallback uint64) uint64 {
	t.Helper()
	if s := os.Getenv("SIM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatalf("SIM_SEED=%q: want a number", s)
		}
		fallback = n
	}
	t.Logf("SIM_SEED=%d", fallback)
	return fallback
}

// NewPair makes both endpoints; nothing is sent yet.
func NewPair(t *testing.T, seed uint64, opts Options) *Pair {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	if reflect.DeepEqual(opts.ToServer, netsim.LinkConfig{}) && reflect.DeepEqual(opts.ToClient, netsim.LinkConfig{}) {
		opts.ToServer.Delay, opts.ToClient.Delay = 15*time.Millisecond, 15*time.Millisecond
	}
	p := &Pair{Seed: seed, t: t, opts: opts}
	scenario := netsim.NewScenario(opts.ToServer, opts.ToClient)
	scenario.NAT = opts.NAT
	p.Sim = netsim.NewSim(scenario, seed)
	client, server := TLSConfigs(p.Clock.Now(), "test")
	p.Client = p.newEndpoint(netsim.Left, netip.AddrPortFrom(netsim.ClientV4, 50000))
	p.Server = p.newEndpoint(netsim.Right, netip.AddrPortFrom(netsim.ServerV4, netsim.ServerPort))
	p.Client.Config.TLS, p.Server.Config.TLS = client, server
	for _, e := range []*Endpoint{p.Client, p.Server} {
		if opts.Config != nil {
			opts.Config(e.Side, &e.Config)
		}
		if e.Side == netsim.Right {
			e.router.Accept(e.Config.Versions)
		}
	}
	return p
}

func (p *Pair) newEndpoint(side netsim.Side, addr netip.AddrPort) *Endpoint {
	e := &Endpoint{Side: side, Addr: addr, home: addr.Addr(), pair: p}
	e.batch.Buf = make([]byte, 0, 65507)
	e.batch.MaxSegments = 8
	e.Config = defaultConfig(p.Seed, side)
	cfg := routerConfig(&e.Config, side)
	if p.opts.Retry {
		cfg.Retry = func(netip.AddrPort) bool { return true }
	}
	e.router = core.NewRouter[*Peer](cfg)
	return e
}

// defaultConfig is what a side of a test runs with; its chance comes from the seed.
func defaultConfig(seed uint64, side netsim.Side) core.Config {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	key[31] = byte(side) + 1
	random := rand.NewChaCha8(key)
	var reset crypt.ResetKey
	random.Read(reset[:])
	return core.Config{
		Rand:             random,
		Versions:         []wire.Version{wire.Version1, wire.Version2},
		IdleTimeout:      60 * time.Second,
		HandshakeTimeout: 120 * time.Second,
		StreamWindow:     256 << 10, MaxStreamWindow: 6 << 20,
		ConnWindow: 512 << 10, MaxConnWindow: 15 << 20,
		SendBuffer: 256 << 10, MaxSendBuffer: 8 << 20,
		MaxStreamsBidi: 100, MaxStreamsUni: 100,
		Congestion: congestion("cubic"),
		MaxMTU:     1452,
		ResetKey:   &reset,
	}
}

func congestion(name string) func(mss int) hook.Congestion {
	return func(mss int) hook.Congestion {
		cc, err := recovery.New(name, mss)
		must(err)
		return cc
	}
}

func routerConfig(cfg *core.Config, side netsim.Side) core.RouterConfig {
	var token [32]byte
	cfg.Rand.Read(token[:])
	key := crypt.NewTokenKey(token)
	cfg.TokenKey = &key
	return core.RouterConfig{
		Accept: side == netsim.Right, Versions: cfg.Versions, Rand: cfg.Rand,
		ResetKey: cfg.ResetKey, TokenKey: key,
	}
}

// Dial starts a connection from the client.
func (p *Pair) Dial() *Peer {
	p.t.Helper()
	e := p.Client
	conn, err := core.NewClient(p.Clock.Now(), &e.Config, e.Addr.Addr(), p.Server.Addr)
	if err != nil {
		p.t.Fatalf("dial: %v", err)
	}
	peer := e.add(conn)
	e.flush(peer)
	return peer
}

func (e *Endpoint) add(conn *core.Conn) *Peer {
	peer := &Peer{Conn: conn, End: e}
	e.Conns = append(e.Conns, peer)
	if e.OnConn != nil {
		e.OnConn(peer)
	}
	return peer
}

// Run moves time on until done reports true, or limit has passed, or nothing
// will ever happen again. It reports whether done did.
func (p *Pair) Run(limit time.Duration, done func() bool) bool {
	p.t.Helper()
	until := p.Clock.Now().Add(limit)
	for range maxSteps {
		if done() {
			return true
		}
		next, ok := p.next()
		if !ok || next.After(until) {
			p.Clock.AdvanceTo(until)
			return false
		}
		p.Clock.AdvanceTo(next)
		p.step()
	}
	p.t.Fatalf("seed %d: no rest after %d steps, at %v", p.Seed, maxSteps, p.Clock.Since())
	return false
}

// Flush lets a connection send what a command of the application left to send.
func (p *Peer) Flush() { p.End.flush(p) }

// next is when the network or a timer has something to do.
func (p *Pair) next() (time.Time, bool) {
	at, ok := p.Sim.Next()
	for _, e := range []*Endpoint{p.Client, p.Server} {
		for _, c := range e.Conns {
			if d := c.Deadline(); !d.IsZero() && (!ok || d.Before(at)) {
				at, ok = d, true
			}
		}
	}
	return at, ok
}

func (p *Pair) step() {
	now := p.Clock.Now()
	for {
		to, pkt, ok := p.Sim.Pop(now)
		if !ok {
			break
		}
		p.endpoint(to).receive(&pkt)
	}
	for _, e := range []*Endpoint{p.Client, p.Server} {
		for _, c := range e.Conns {
			if d := c.Deadline(); !d.IsZero() && !d.After(now) {
				c.Tick(now)
				e.flush(c)
			}
		}
	}
}

func (p *Pair) endpoint(s netsim.Side) *Endpoint {
	if s == netsim.Left {
		return p.Client
	}
	return p.Server
}

// receive is what a driver's socket goroutine does with a datagram.
func (e *Endpoint) receive(pkt *netsim.Packet) {
	now := e.pair.Clock.Now()
	d := core.Datagram{Data: pkt.Data, Remote: pkt.Src, Local: pkt.Dst.Addr(), ECN: pkt.ECN, Socket: 1 + slices.Index(e.More, pkt.Dst)}
	if d.Socket == 0 && pkt.Dst != e.Addr {
		return // nobody listens there
	}
	if d.Socket == 0 {
		d.Local = e.home // a host behind a translator knows its own address alone
	}
	switch r := e.router.Route(now, &d); r.Kind {
	case core.RouteConn:
		r.Conn.Received += len(d.Data)
		r.Conn.Receive(now, &d)
		e.flush(r.Conn)
	case core.RouteNew:
		e.accept(now, r.New, &d)
	case core.RouteReset:
		r.Conn.ResetByPeer(now, &d)
		e.flush(r.Conn)
	case core.RouteReply:
		e.send(r.Reply, d.Socket, d.Remote, 0)
	}
}

func (e *Endpoint) accept(now time.Time, in *core.Incoming, d *core.Datagram) {
	conn, err := core.NewServer(now, &e.Config, in)
	if err != nil {
		e.pair.t.Fatalf("accept: %v", err)
	}
	size := len(d.Data)
	conn.Receive(now, d)
	if !conn.Heard() {
		return
	}
	peer := e.add(conn)
	peer.Received += size
	e.router.HalfOpen(1)
	e.flush(peer)
}

// flush sends, and drains the events, until both are quiet.
func (e *Endpoint) flush(c *Peer) {
	now := e.pair.Clock.Now()
	for range 10_000 {
		for c.Transmit(now, &e.batch) {
			e.sendBatch(c)
		}
		if !e.drain(c) {
			return
		}
	}
	e.pair.t.Fatalf("seed %d: events without end", e.pair.Seed)
}

// drain hands all events out and reports whether there were any.
func (e *Endpoint) drain(c *Peer) (any bool) {
	for {
		ev, ok := c.NextEvent()
		if !ok {
			return any
		}
		any = true
		e.note(c, ev)
		if c.OnEvent != nil {
			c.OnEvent(ev)
		}
	}
}

func (e *Endpoint) note(c *Peer, ev core.Event) {
	switch ev.Kind {
	case core.EventIDIssued:
		e.router.Add(ev.ID, c)
	case core.EventIDRetired:
		e.router.Remove(ev.ID)
	case core.EventResetToken:
		e.router.AddReset(ev.Token, c)
	case core.EventTokenGone:
		e.router.RemoveReset(ev.Token)
	case core.EventEstablished:
		c.Established = true
	case core.EventConfirmed:
		c.Confirmed = true
	case core.EventClosed:
		c.Closed = true
	case core.EventDrained:
		c.Drained = true
	case core.EventMoved:
		c.Moves++
	case core.EventMoveFailed:
		c.MoveErr = ev.Err
	case core.EventSocketIdle:
		c.Idle = append(c.Idle, ev.Socket)
	}
}

// sendBatch cuts a batch into datagrams, as the kernel does.
func (e *Endpoint) sendBatch(c *Peer) {
	b := &e.batch
	for buf := b.Buf; len(buf) > 0; {
		n := min(b.Segment, len(buf))
		c.Sent += n
		c.DatagramsSent++
		e.send(buf[:n], b.Socket, b.Remote, b.ECN)
		buf = buf[n:]
	}
}

func (e *Endpoint) send(data []byte, socket int, to netip.AddrPort, ecn uint8) {
	p, from := e.pair, e.Addr
	if socket > 0 {
		from = e.More[socket-1]
	}
	data = append([]byte(nil), data...)
	if p.opts.Tap != nil {
		if data = p.opts.Tap(e.Side, data); data == nil {
			return
		}
	}
	if p.opts.Pass != nil && !p.opts.Pass(from, to, data) {
		return
	}
	if ecn != 0 {
		p.marked++
	}
	if p.remark != nil {
		if ecn = p.remark(ecn); ecn == dropMark {
			return
		}
	}
	if p.opts.Transcript {
		h := fnv.New32a()
		h.Write(data)
		fmt.Fprintf(&p.log, "%v %v %d %08x\n", p.Clock.Since(), e.Side, len(data), h.Sum32())
	}
	p.Sim.Send(p.Clock.Now(), e.Side, netsim.Packet{Data: data, Src: from, Dst: to, ECN: ecn, UDP: true})
}

// Transcript returns a line for every datagram sent so far, if Options asked
// for it.
func (p *Pair) Transcript() string { return p.log.String() }

// Forget makes an endpoint lose all its connections, as a restart does.
func (e *Endpoint) Forget() {
	for _, c := range e.Conns {
		for {
			if _, ok := c.NextEvent(); !ok {
				break
			}
		}
	}
	e.Conns = nil
	cfg := core.RouterConfig{Accept: e.Side == netsim.Right, Versions: e.Config.Versions, Rand: e.Config.Rand, ResetKey: e.Config.ResetKey}
	e.router = core.NewRouter[*Peer](cfg)
}
