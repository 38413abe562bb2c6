package sockets

import (
	"net/netip"
	"os"
	"slices"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// publish lets quiver ps see this run.
func (s *supervisor) publish() {
	p, err := control.Publish(s.ctx, s.snapshot, s.ports.where)
	if err != nil {
		s.log.Warn("quiver ps will not show this run", "error", err)
		return
	}
	s.published = p
}

// snapshot is what quiver ps and quiver status show.
func (s *supervisor) snapshot() control.Program {
	p := control.Program{
		PID: os.Getppid(), Kind: control.Run, Mode: string(s.mode), Command: s.conf.Command,
		Policy: s.conf.Policy.String(), Started: s.started, Processes: len(descendants(os.Getpid())),
		Listeners: s.ports.listeners(), UDP: s.ports.addresses(),
	}
	if s.child != nil {
		p.Child = s.child.Pid
	}
	streams := map[streamKey]tunnel.StreamInfo{}
	for _, info := range s.tunnels() {
		p.Peers = append(p.Peers, peerOf(&info))
		p.Counters.BytesUp += info.Sent
		p.Counters.BytesDown += info.Received
		for _, st := range info.Streams {
			streams[streamKey{info.Dialed, st.Dest, st.Source}] = st
		}
	}
	for _, c := range s.conns.list() {
		p.Conns = append(p.Conns, c.snapshot(streams))
	}
	p.Counters.Conns = s.conns.joined()
	p.Counters.Fallbacks = s.fallbacks.Load()
	p.Counters.Refused = s.refused.Load()
	p.Counters.Trapped = s.traps.count.Load()
	held := s.fabric.Stats()
	p.Counters.Held, p.Counters.Dropped = held.Held, held.Dropped
	slices.SortFunc(p.Conns, func(a, b control.Conn) int { return a.Since.Compare(b.Since) })
	return p
}

// A streamKey names the TCP connection of a stream.
type streamKey struct {
	dialed       bool
	dest, source netip.AddrPort
}

// tunnels are the QUIC connections of this run, in both directions.
func (s *supervisor) tunnels() []tunnel.ConnInfo {
	out := s.dialer.Snapshot()
	for _, e := range s.ports.all() {
		out = append(out, e.server.Snapshot()...)
	}
	return out
}

// peerOf is what a QUIC connection looks like from outside.
func peerOf(info *tunnel.ConnInfo) control.Peer {
	p := control.Peer{
		Address: info.Peer, Direction: control.In, Identity: info.Key, State: "open", Since: info.Since,
		RTT: info.RTT, PacketsLost: info.PacketsLost, BytesSent: info.Sent, BytesReceived: info.Received,
		StreamsOpen: len(info.Streams), StreamsTotal: info.StreamsEver,
	}
	if info.Dialed {
		p.Direction = control.Out
	}
	return p
}

// snapshot is what a TCP connection looks like from outside.
func (n *conn) snapshot(streams map[streamKey]tunnel.StreamInfo) control.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := control.Conn{App: n.app, Dest: n.dest, Direction: string(n.direction), Via: n.via, State: "connecting", Since: n.since, Rule: n.rule}
	if n.joined {
		c.State = "open"
	}
	if n.stream == nil {
		return c
	}
	open := n.stream.Open()
	st := streams[streamKey{n.direction == outward, open.Dest, open.Source}]
	c.Name, c.BytesUp, c.BytesDown = st.Name, st.Sent, st.Received
	return c
}
