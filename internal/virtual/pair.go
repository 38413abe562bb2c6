package virtual

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

// maxSteps bounds a run: a connection that never comes to rest is a bug.
const maxSteps = 4_000_000

// Config is what a connection is told.
type Config = core.Config

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
	// ClientTLS and ServerTLS are what the sides begin with; nil = those of TLS.
	ClientTLS, ServerTLS *tls.Config
}

// Pair is a client's and a server's endpoint with the network between them. Not
// safe for concurrent use; any number of Pairs may run at once.
type Pair struct {
	Seed   uint64
	Clock  netsim.Clock
	Sim    *netsim.Sim
	Client *Endpoint
	Server *Endpoint

	// Remark, if set, is what the path does to ECN marks; DropMark drops the packet.
	Remark func(ecn uint8) uint8
	Marked int // datagrams that left with a mark

	opts    Options
	agenda  netsim.Agenda[func()] // what At entered
	spare   [][]byte              // buffers of datagrams that nobody refers to any more
	numbers map[string]uint64     // of extensions, by ID
	log     strings.Builder
	err     error
}

// DropMark is no ECN codepoint: a path that returns it drops the packet.
const DropMark = 0xff

// NewPair makes both endpoints; nothing is sent yet.
func NewPair(seed uint64, opts Options) *Pair {
	if reflect.DeepEqual(opts.ToServer, netsim.LinkConfig{}) && reflect.DeepEqual(opts.ToClient, netsim.LinkConfig{}) {
		opts.ToServer.Delay, opts.ToClient.Delay = 15*time.Millisecond, 15*time.Millisecond
	}
	p := &Pair{Seed: seed, opts: opts}
	scenario := netsim.NewScenario(opts.ToServer, opts.ToClient)
	scenario.NAT = opts.NAT
	p.Sim = netsim.NewSim(scenario, seed)
	if p.recycles() {
		p.Sim.Observe = func(e netsim.Event) {
			if e.Dropped {
				p.recycle(e.Packet.Data)
			}
		}
	}
	p.Client = p.newEndpoint(netsim.Left, netip.AddrPortFrom(netsim.ClientV4, 50000))
	p.Server = p.newEndpoint(netsim.Right, netip.AddrPortFrom(netsim.ServerV4, netsim.ServerPort))
	p.Client.Config.TLS, p.Server.Config.TLS = p.tls()
	for _, e := range []*Endpoint{p.Client, p.Server} {
		if opts.Config != nil {
			opts.Config(e.Side, &e.Config)
		}
		if e.Side == netsim.Right {
			e.Router.Accept(e.Config.Versions)
		}
	}
	return p
}

func (p *Pair) tls() (client, server *tls.Config) {
	if p.opts.ClientTLS == nil || p.opts.ServerTLS == nil {
		client, server = TLS()
	}
	if p.opts.ClientTLS != nil {
		client = p.opts.ClientTLS
	}
	if p.opts.ServerTLS != nil {
		server = p.opts.ServerTLS
	}
	return client, server
}

// Close ends the connections without a word, and with them the goroutines that
// crypto/tls keeps for handshakes that were not completed.
func (p *Pair) Close() {
	for _, e := range []*Endpoint{p.Client, p.Server} {
		for _, c := range e.Conns {
			c.Abandon(p.Clock.Now(), errClosed)
		}
	}
}

var errClosed = errors.New("virtual: the run is over")

// Err returns what went wrong in the driver itself, as opposed to in a
// connection; nil if nothing did.
func (p *Pair) Err() error { return p.err }

func (p *Pair) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("virtual: seed %d, at %v: %w", p.Seed, p.Clock.Since(), fmt.Errorf(format, args...))
	}
}

// Dial starts a connection from the client.
func (p *Pair) Dial() (*Peer, error) {
	e := p.Client
	conn, err := core.NewClient(p.Clock.Now(), &e.Config, e.Addr.Addr(), p.Server.Addr)
	if err != nil {
		return nil, err
	}
	peer := e.Add(conn)
	e.flush(peer)
	return peer, nil
}

// At has f called when the clock shows t, after what the network and the timers
// have for that instant. A t that has passed means at once.
func (p *Pair) At(t time.Time, f func()) { p.agenda.Add(t, f) }

// Run moves time on until done reports true, or limit has passed, or nothing
// will ever happen again. It reports whether done did; Err tells whether the run
// broke off.
func (p *Pair) Run(limit time.Duration, done func() bool) bool {
	until := p.Clock.Now().Add(limit)
	for range maxSteps {
		if p.err != nil {
			return false
		}
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
	p.fail("no rest after %d steps", maxSteps)
	return false
}

// next is when the network, a timer or the agenda has something to do.
func (p *Pair) next() (time.Time, bool) {
	at, ok := p.Sim.Next()
	for _, e := range []*Endpoint{p.Client, p.Server} {
		for _, c := range e.Conns {
			if d := c.Deadline(); !d.IsZero() && (!ok || d.Before(at)) {
				at, ok = d, true
			}
		}
	}
	if t, any := p.agenda.Next(); any && (!ok || t.Before(at)) {
		at, ok = t, true
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
		p.endpoint(to).Receive(&pkt)
		p.recycle(pkt.Data)
	}
	for _, e := range []*Endpoint{p.Client, p.Server} {
		for _, c := range e.Conns {
			if d := c.Deadline(); !d.IsZero() && !d.After(now) {
				c.Tick(now)
				e.flush(c)
			}
		}
	}
	for {
		_, f, ok := p.agenda.Pop(now)
		if !ok {
			return
		}
		f()
	}
}

func (p *Pair) endpoint(s netsim.Side) *Endpoint {
	if s == netsim.Left {
		return p.Client
	}
	return p.Server
}

// recycles reports whether nobody but the Pair sees the datagrams, so that their
// buffers can serve again.
func (p *Pair) recycles() bool { return p.opts.Tap == nil && p.opts.Pass == nil }

func (p *Pair) recycle(b []byte) {
	if p.recycles() {
		p.spare = append(p.spare, b)
	}
}

// copyOf returns a copy of data, in a buffer that served before if there is one.
func (p *Pair) copyOf(data []byte) []byte {
	if n := len(p.spare); n > 0 {
		b := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return append(b[:0], data...)
	}
	return append(make([]byte, 0, max(len(data), maxDatagram)), data...)
}

// Transcript returns a line for every datagram sent so far, if Options asked
// for it.
func (p *Pair) Transcript() string { return p.log.String() }
