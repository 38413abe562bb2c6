package sockets

import (
	"os"
	"slices"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/report"
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
	var streams report.Streams
	p.Peers, streams = report.Of(s.id, s.tunnels())
	p.Counters.Conns, p.Counters.BytesUp, p.Counters.BytesDown = s.conns.sums()
	for _, c := range s.conns.list() {
		now := c.snapshot(streams)
		p.Conns = append(p.Conns, now)
		p.Counters.BytesUp += now.BytesUp
		p.Counters.BytesDown += now.BytesDown
	}
	p.Counters.Fallbacks = s.fallbacks.Load()
	p.Counters.Refused = s.refused.Load()
	p.Counters.Trapped = s.traps.count.Load()
	held := s.fabric.Stats()
	p.Counters.Held, p.Counters.Dropped = held.Held, held.Dropped
	slices.SortFunc(p.Conns, func(a, b control.Conn) int { return a.Since.Compare(b.Since) })
	return p
}

// tunnels are the QUIC connections of this run, in both directions.
func (s *supervisor) tunnels() []tunnel.ConnInfo {
	out := s.dialer.Snapshot()
	for _, e := range s.ports.all() {
		out = append(out, e.server.Snapshot()...)
	}
	return out
}

// snapshot is what a TCP connection looks like from outside.
func (n *conn) snapshot(streams report.Streams) control.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := control.Conn{App: n.app, Dest: n.dest, Direction: string(n.direction), Via: n.via, State: "connecting", Since: n.since, Rule: n.rule}
	if n.joined {
		c.State = "open"
	}
	st := streams.Find(n.direction == outward, n.stream)
	c.Name, c.BytesUp, c.BytesDown = st.Name, st.Sent, st.Received
	return c
}
