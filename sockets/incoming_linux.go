package sockets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// deliverLimit is how long a listener whose backlog is full may take.
const deliverLimit = 20 * time.Second

// incoming brings a stream of a peer to the program's listener.
func (s *supervisor) incoming(in *tunnel.Incoming) {
	from := callerOf(in.From, in.Open.Source.Addr(), s.fabric.Local)
	to, ok := s.reachable(in.Open.Dest, in.From.Addr(), func() netip.Addr { return localOf(in) })
	if !ok {
		in.Refuse(tcpq.Denied)
		return
	}
	d := s.conf.Policy.Listen(to)
	if !d.QUIC { // ours is not reached so, but another run may have a listener at this port that is
		s.turnAway(in, to, syscall.ECONNREFUSED)
		return
	}
	if !s.allowed(in, d.Allow) {
		s.log.Info("a peer was not let in", "peer", from, "to", to, "rule", d.Rule)
		in.Refuse(tcpq.Denied)
		return
	}
	c := s.conns.add(to, from, inward, d.Rule)
	defer s.conns.remove(c)
	ctx, cancel := context.WithTimeout(s.ctx, deliverLimit)
	defer cancel()
	leg, err := s.fabric.Deliver(ctx, from, to)
	if err != nil {
		s.shortage(err)
		s.log.Debug("not delivered", "from", from, "to", to, "error", err)
		s.turnAway(in, to, err)
		return
	}
	stream, err := in.Accept()
	if err != nil {
		reset(leg)
		return
	}
	s.conns.open(c)
	quicFar{stream}.join(leg, c)
}

// callerOf returns who the program here is told that it is connected with: whom the packets are from, whatever OPEN says, unless those come
// from this host. Who is on it may call from each address that it has, as one may whose socket is bound; but only over loopback from loopback.
func callerOf(packets netip.AddrPort, said netip.Addr, local func(netip.Addr) bool) netip.AddrPort {
	from, said := packets.Addr().Unmap(), said.Unmap()
	overLoopback := from.IsLoopback()
	if said.BitLen() != from.BitLen() || !overLoopback && !local(from) {
		return packets
	}
	if said.IsLoopback() && overLoopback || !said.IsLoopback() && local(said) {
		return netip.AddrPortFrom(said, packets.Port())
	}
	return packets
}

// reachable returns where a peer gets that asks for dest. What only this host may reach, its loopback addresses, only it reaches. An
// address that is not ours is that of a translator before us: the peer means the address at which its packets arrived.
func (s *supervisor) reachable(dest netip.AddrPort, peer netip.Addr, local func() netip.Addr) (netip.AddrPort, bool) {
	addr := dest.Addr().Unmap()
	peer = peer.Unmap()
	switch {
	case addr.IsLoopback():
		return netip.AddrPortFrom(addr, dest.Port()), peer.IsLoopback() || s.fabric.Local(peer)
	case s.fabric.Local(addr):
		return netip.AddrPortFrom(addr, dest.Port()), true
	}
	at := local().Unmap()
	return netip.AddrPortFrom(at, dest.Port()), at.IsValid()
}

// localOf returns the address at which the packets of a peer arrive: if that is not known, the one from which packets to it would leave.
func localOf(in *tunnel.Incoming) netip.Addr {
	if a, ok := in.Conn().LocalAddr().(*net.UDPAddr); ok && !a.IP.IsUnspecified() {
		return a.AddrPort().Addr()
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(in.From)) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}

// allowed reports whether a rule lets a peer in. Who it is is only certain after the handshake.
func (s *supervisor) allowed(in *tunnel.Incoming, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(s.ctx, deliverLimit)
	defer cancel()
	if in.AwaitHandshake(ctx) != nil {
		return false
	}
	return slices.ContainsFunc(patterns, s.id.Of(in.Conn().ConnectionState().TLS).Matches)
}

// turnAway tells the far side of a delivery that failed. If nobody listens here, another run of this host may have the listener.
func (s *supervisor) turnAway(in *tunnel.Incoming, to netip.AddrPort, err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		if port, _, ok := s.published.Elsewhere(s.ctx, to.Port()); ok {
			in.Elsewhere(port)
			return
		}
		in.Refuse(tcpq.Refused)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		in.Refuse(tcpq.TimedOut)
	default:
		in.Refuse(tcpq.Overloaded)
	}
}

// plainIncoming brings a connection that came over plain TCP to the program's listener, and returns when it is there.
func (s *supervisor) plainIncoming(there *net.TCPConn) {
	from := there.RemoteAddr().(*net.TCPAddr).AddrPort()
	to := there.LocalAddr().(*net.TCPAddr).AddrPort()
	from, to = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	ctx, cancel := context.WithTimeout(s.ctx, deliverLimit)
	defer cancel()
	leg, err := s.fabric.Deliver(ctx, from, to)
	if err != nil {
		s.shortage(err)
		reset(there)
		return
	}
	c := s.conns.add(to, from, inward, "tcp")
	s.conns.open(c)
	go func() {
		defer s.conns.remove(c)
		tcpFar{there}.join(leg, c)
	}()
}
