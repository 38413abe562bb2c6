package virtual

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

const (
	maxBatch    = 65507 // bytes of UDP payload in one datagram of IPv4
	maxSegments = 8     // datagrams in a batch
	maxDatagram = 1500  // bytes that a buffer holds without growing
	maxFlushes  = 10_000
)

// Endpoint is one side: a Router, its connections, and its clock's reader.
type Endpoint struct {
	Side   netsim.Side
	Addr   netip.AddrPort   // of its first socket, as others see it: a test may change it
	More   []netip.AddrPort // of the others, in order
	Config core.Config
	Conns  []*Peer
	Router *core.Router[*Peer]
	// OnConn is told of a new connection before it sends and before its first event.
	OnConn func(p *Peer)

	home  netip.Addr
	pair  *Pair
	batch core.Batch
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

func (p *Pair) newEndpoint(side netsim.Side, addr netip.AddrPort) *Endpoint {
	e := &Endpoint{Side: side, Addr: addr, home: addr.Addr(), pair: p}
	e.batch.Buf = make([]byte, 0, maxBatch)
	e.batch.MaxSegments = maxSegments
	e.Config = DefaultConfig(p.Seed, side)
	cfg := RouterConfig(&e.Config, side)
	if p.opts.Retry {
		cfg.Retry = func(netip.AddrPort) bool { return true }
	}
	e.Router = core.NewRouter[*Peer](cfg)
	return e
}

// Add makes conn one of the endpoint's connections; whoever made it flushes it.
func (e *Endpoint) Add(conn *core.Conn) *Peer {
	peer := &Peer{Conn: conn, End: e}
	e.Conns = append(e.Conns, peer)
	if e.OnConn != nil {
		e.OnConn(peer)
	}
	return peer
}

// Now returns the time of the pair's clock.
func (p *Peer) Now() time.Time { return p.End.pair.Clock.Now() }

// Flush lets a connection send what a command of the application left to send.
func (p *Peer) Flush() { p.End.flush(p) }

// Receive is what a driver's socket goroutine does with a datagram.
func (e *Endpoint) Receive(pkt *netsim.Packet) {
	now := e.pair.Clock.Now()
	d := core.Datagram{Data: pkt.Data, Remote: pkt.Src, Local: pkt.Dst.Addr(), ECN: pkt.ECN, Socket: 1 + slices.Index(e.More, pkt.Dst)}
	if d.Socket == 0 && pkt.Dst != e.Addr {
		return // nobody listens there
	}
	if d.Socket == 0 {
		d.Local = e.home // a host behind a translator knows its own address alone
	}
	switch r := e.Router.Route(now, &d); r.Kind {
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
		e.Send(r.Reply, d.Socket, d.Remote, 0)
	}
}

func (e *Endpoint) accept(now time.Time, in *core.Incoming, d *core.Datagram) {
	conn, err := core.NewServer(now, &e.Config, in)
	if err != nil {
		e.pair.fail("accept: %w", err)
		return
	}
	size := len(d.Data)
	conn.Receive(now, d)
	if !conn.Heard() {
		return
	}
	peer := e.Add(conn)
	peer.Received += size
	e.Router.HalfOpen(1)
	e.flush(peer)
}

// flush sends, and drains the events, until both are quiet.
func (e *Endpoint) flush(c *Peer) {
	now := e.pair.Clock.Now()
	for range maxFlushes {
		for c.Transmit(now, &e.batch) {
			e.sendBatch(c)
		}
		if !e.drain(c) {
			return
		}
	}
	e.pair.fail("events without end")
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
		e.Router.Add(ev.ID, c)
	case core.EventIDRetired:
		e.Router.Remove(ev.ID)
	case core.EventResetToken:
		e.Router.AddReset(ev.Token, c)
	case core.EventTokenGone:
		e.Router.RemoveReset(ev.Token)
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
		e.Send(buf[:n], b.Socket, b.Remote, b.ECN)
		buf = buf[n:]
	}
}

// Send puts a datagram of one of the endpoint's sockets on the link.
func (e *Endpoint) Send(data []byte, socket int, to netip.AddrPort, ecn uint8) {
	p, from := e.pair, e.Addr
	if socket > 0 {
		from = e.More[socket-1]
	}
	data = p.copyOf(data)
	if p.opts.Tap != nil {
		if data = p.opts.Tap(e.Side, data); data == nil {
			return
		}
	}
	if p.opts.Pass != nil && !p.opts.Pass(from, to, data) {
		return
	}
	if ecn != 0 {
		p.Marked++
	}
	if p.Remark != nil {
		if ecn = p.Remark(ecn); ecn == DropMark {
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
	e.Router = core.NewRouter[*Peer](cfg)
}
