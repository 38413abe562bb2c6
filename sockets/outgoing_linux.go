package sockets

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// connectLimit is how long a connection attempt may take. The kernel gives up after about two minutes too (tcp_syn_retries).
const connectLimit = 120 * time.Second

// A far is the far half of a connection: it is open there, and waits for its near half.
type far interface {
	join(leg *net.TCPConn, c *conn)
	drop()
}

// outgoing answers what the program connects to.
func (s *supervisor) outgoing() {
	for {
		held, err := s.fabric.Next()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("connections of the program are not seen any more", "error", err)
			}
			return
		}
		go s.answer(held)
	}
}

// answer connects one held connection with its far side, or refuses it.
func (s *supervisor) answer(held *fabric.Held) {
	if s.own(held) {
		if err := held.Native(); err != nil {
			s.log.Debug("not put back", "to", held.Dest, "error", err)
		}
		return
	}
	if held.Dest.Port() == 0 { // where nobody listens, ever
		held.Refuse(fabric.Refused)
		return
	}
	d := s.decide(held)
	c := s.conns.add(held.App, held.Dest, outward, d.Rule)
	defer s.conns.remove(c)
	ctx, cancel := context.WithTimeout(s.wanted, connectLimit)
	defer cancel()
	go func() {
		select {
		case <-held.Gone():
			cancel()
		case <-ctx.Done():
		}
	}()
	there, err := s.reach(ctx, held, d, c)
	if err != nil {
		s.refuse(held, d, err)
		return
	}
	leg, err := held.Connect()
	if err != nil {
		there.drop()
		s.shortage(err)
		s.log.Debug("the program did not wait", "to", held.Dest, "error", err)
		return
	}
	s.conns.open(c)
	there.join(leg, c)
}

// own reports whether the program connects to itself: to an address of this host at which it listens, or a socket to its own name.
func (s *supervisor) own(held *fabric.Held) bool {
	if held.App == held.Dest {
		return true
	}
	if !s.fabric.Local(held.Dest.Addr()) {
		return false
	}
	listening, err := s.fabric.Listening(held.Dest)
	return err == nil && listening
}

// decide is what the policy says of a connection.
func (s *supervisor) decide(held *fabric.Held) policy.Decision {
	if held.Mark == fabric.MarkProto {
		return s.conf.Policy.Asked(held.Dest)
	}
	return s.conf.Policy.Connect(held.Dest)
}

// reach opens the far half as d says.
func (s *supervisor) reach(ctx context.Context, held *fabric.Held, d policy.Decision, c *conn) (far, error) {
	switch d.Via {
	case policy.QUIC:
		return s.overQUIC(ctx, held, d)
	case policy.TCP:
		return overTCP(ctx, held)
	case policy.Auto:
		return s.overEither(ctx, held, d)
	}
	if d.Unresolved != "" {
		return nil, noAddress(d)
	}
	return nil, errRefusedByPolicy
}

var errRefusedByPolicy = errors.New("refused by policy")

// overQUIC opens a stream to the supervisor, or gateway, of the destination. Where one host has several runs, the one at the port that all
// know says which port it is.
func (s *supervisor) overQUIC(ctx context.Context, held *fabric.Held, d policy.Decision) (far, error) {
	stream, err := s.dial(ctx, held, d)
	if elsewhere, ok := errors.AsType[*tunnel.StatusError](err); ok && elsewhere.Status == tcpq.Elsewhere {
		d.Peer = netip.AddrPortFrom(d.Peer.Addr(), elsewhere.Port)
		stream, err = s.dial(ctx, held, d)
	}
	if err != nil {
		return nil, err
	}
	return quicFar{stream}, nil
}

func (s *supervisor) dial(ctx context.Context, held *fabric.Held, d policy.Decision) (*tunnel.Stream, error) {
	expect := s.expected(d)
	return s.dialer.Dial(ctx, tunnel.Target{
		Peer: d.Peer,
		Key:  expect,
		TLS: func() (*tls.Config, error) {
			s.notePeer(d.Peer.Addr())
			return s.id.Client(d.Peer, expect)
		},
		Confirm:       func(state tls.ConnectionState) error { return s.id.Confirm(d.Peer, expect, state) },
		Open:          tcpq.Open{Dest: held.Dest, Source: held.App, Name: d.Name},
		EarlyData:     d.EarlyData,
		Optimistic:    d.Optimistic,
		OwnConnection: s.conf.OwnConnections,
	})
}

type quicFar struct{ stream *tunnel.Stream }

func (f quicFar) join(leg *net.TCPConn, c *conn) {
	c.over("quic", f.stream, f.stream.Abandon)
	r := tunnel.Pump(leg, f.stream)
	c.up, c.down = r.Sent, r.Received
}

func (f quicFar) drop() {
	f.stream.Reset(tcpq.CodeReset)
	f.stream.Stop(tcpq.CodeReset)
	f.stream.Close()
}

// refuse tells the program that there is no connection, in the way of the kernel, and the user if it is about trust.
func (s *supervisor) refuse(held *fabric.Held, d policy.Decision, err error) {
	s.shortage(err)
	s.alarms.raise(s.log, d.Peer, err)
	s.refused.Add(1)
	reason := reasonOf(err)
	s.log.Debug("refused", "to", held.Dest, "via", d.Via, "as", reason, "error", err)
	if err := held.Refuse(reason); err != nil {
		s.log.Debug("the refusal was not sent", "to", held.Dest, "error", err)
	}
}

// reasonOf is what the kernel would say of an error.
func reasonOf(err error) fabric.Reason {
	switch tunnel.StatusOf(err) {
	case tcpq.HostUnreachable:
		return fabric.HostUnreachable
	case tcpq.NetUnreachable:
		return fabric.NetUnreachable
	case tcpq.TimedOut:
		return fabric.TimedOut
	}
	return fabric.Refused
}
