package gateway

import (
	"net/netip"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/report"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// snapshot is what quiver ps and quiver status show.
func (g *Gateway) snapshot() control.Program {
	p := control.Program{Kind: control.Gateway, Command: g.conf.Command, Started: g.started, Processes: 1}
	for _, i := range g.inlets {
		p.Listeners = append(p.Listeners, control.Listener{TCP: addrPort(i.listener.Addr()), Via: control.TCP, Rule: i.pair.String()})
	}
	for _, e := range g.endpoints {
		udp := addrPort(e.listener.Addr())
		p.UDP = append(p.UDP, udp)
		for _, pair := range e.pairs() {
			p.Listeners = append(p.Listeners, control.Listener{TCP: netip.AddrPortFrom(udp.Addr(), pair.wants()), UDP: udp.Port(), Via: control.QUIC, Rule: pair.String()})
		}
	}
	if g.dialer != nil {
		p.UDP = append(p.UDP, addrPort(g.dialer.Transport.LocalAddr()))
	}
	var streams report.Streams
	p.Peers, streams = report.Of(g.id, g.tunnels())
	p.Counters.Conns, p.Counters.Refused = g.conns.made.Load(), g.conns.refused.Load()
	p.Counters.BytesUp, p.Counters.BytesDown = g.conns.sent.Load(), g.conns.received.Load()
	for _, c := range g.conns.list() {
		now := c.snapshot(streams)
		p.Conns = append(p.Conns, now)
		p.Counters.BytesUp += now.BytesUp
		p.Counters.BytesDown += now.BytesDown
	}
	return p
}

// tunnels are the QUIC connections, in both directions.
func (g *Gateway) tunnels() (out []tunnel.ConnInfo) {
	if g.dialer != nil {
		out = g.dialer.Snapshot()
	}
	for _, e := range g.endpoints {
		out = append(out, e.server.Snapshot()...)
	}
	return out
}

// snapshot is what a TCP connection looks like from outside. Bytes are up from the program that connects.
func (c *conn) snapshot(streams report.Streams) control.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := control.Conn{
		App: c.source, Dest: netip.AddrPortFrom(c.dest.addr, c.dest.port), Name: c.dest.name,
		Direction: control.Out, Via: control.QUIC, State: "connecting", Since: c.since, Rule: c.pair.String(),
	}
	dialed := c.pair.in.scheme != overQUIC
	if !dialed {
		out.Direction = control.In
	}
	if c.stream == nil {
		return out
	}
	open := c.stream.Open()
	st := streams.Find(dialed, c.stream)
	out.State, out.Dest, out.BytesUp, out.BytesDown = "open", open.Dest, st.Sent, st.Received
	return out
}
