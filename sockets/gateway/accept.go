package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// accept takes TCP connections until the listener is closed. Errors that pass, such as too many open files, cost a moment.
func (g *Gateway) accept(i *tcpInlet) {
	for pause := time.Duration(0); ; {
		leg, err := i.listener.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			if g.seldom.may("accept", time.Now()) {
				g.log.Error("a connection was not taken", "at", i.listener.Addr(), "error", err)
			}
			select {
			case <-time.After(pause):
			case <-g.hard.Done():
			}
			continue
		}
		pause = 0
		c := g.conns.add(i.pair, addrPort(leg.RemoteAddr()), leg)
		if c == nil {
			g.full("connections", maxConns)
			reset(leg)
			continue
		}
		g.workers.Go(func() {
			defer c.remove()
			if i.pair.in.scheme == overSOCKS {
				g.fromProxy(i, c, leg)
			} else {
				g.fromTCP(i, c, leg)
			}
		})
	}
}

// full says that there is no room, now and then.
func (g *Gateway) full(of string, limit int) {
	if g.seldom.may(of, time.Now()) {
		g.log.Warn(fmt.Sprintf("no room for more than %d %s", limit, of))
	}
}

// fromTCP carries a plain TCP connection to the far side.
func (g *Gateway) fromTCP(i *tcpInlet, c *conn, leg *net.TCPConn) {
	source, err := g.sourceOf(leg)
	if err != nil {
		g.log.Info("not taken", "from", leg.RemoteAddr(), "error", err)
		reset(leg)
		return
	}
	c.asks(source, i.pair.out.beyond(addrPort(leg.LocalAddr()).Port()))
	stream, err := i.route.dial(g.hard, target{}, source, addrPort(leg.LocalAddr()))
	if err != nil {
		g.failed(c, err)
		reset(leg)
		return
	}
	g.carry(c, leg, stream)
}

// sourceOf returns whose connection it is: that of a proxy before us begins with a header which says so.
func (g *Gateway) sourceOf(leg *net.TCPConn) (netip.AddrPort, error) {
	source := addrPort(leg.RemoteAddr())
	if !slices.ContainsFunc(g.conf.ProxyFrom, func(p netip.Prefix) bool { return p.Contains(source.Addr().WithZone("")) }) {
		return source, nil
	}
	over, ok := g.conns.handshake()
	if !ok {
		g.full("handshakes", maxHandshakes)
		return source, errors.New("too many handshakes")
	}
	defer over()
	leg.SetReadDeadline(time.Now().Add(g.conf.patience))
	said, _, err := readProxy(leg)
	leg.SetReadDeadline(time.Time{})
	if err == nil && said.IsValid() {
		source = said
	}
	return source, err
}

// fromProxy carries a connection of a program that uses the proxy.
func (g *Gateway) fromProxy(i *tcpInlet, c *conn, leg *net.TCPConn) {
	over, ok := g.conns.handshake()
	if !ok {
		g.full("handshakes", maxHandshakes)
		reset(leg)
		return
	}
	leg.SetDeadline(time.Now().Add(g.conf.patience))
	t, reply, err := proxyRequest(leg, g.conf.Users)
	over()
	if err != nil {
		g.log.Info("not taken", "from", leg.RemoteAddr(), "error", err)
		hangUp(leg)
		return
	}
	source := addrPort(leg.RemoteAddr())
	c.asks(source, t)
	stream, err := i.route.dial(g.hard, t, source, addrPort(leg.LocalAddr()))
	leg.SetDeadline(time.Now().Add(g.conf.patience)) // for the answer
	if err != nil {
		g.failed(c, err)
		leg.Write(reply(statusOfDial(err)))
		hangUp(leg)
		return
	}
	if _, err := leg.Write(reply(tcpq.Accepted)); err != nil {
		abort(stream)
		reset(leg)
		return
	}
	leg.SetDeadline(time.Time{})
	g.carry(c, leg, stream)
}

// proxyRequest reads what a client of the proxy wants, in the one or the other protocol, and how it is to be answered.
func proxyRequest(rw io.ReadWriter, users Users) (t target, reply func(tcpq.Status) []byte, err error) {
	var first [1]byte
	if _, err := io.ReadFull(rw, first[:]); err != nil {
		return t, nil, ended(err, "proxy: the connection ended before the request")
	}
	if first[0] == socksVersion {
		t, err = socks(rw, users)
		return t, func(s tcpq.Status) []byte { return socksReply(socksCode(s)) }, err
	}
	t, err = connect(rw, first[0], users)
	return t, func(s tcpq.Status) []byte { return connectReply(connectStatus(s)) }, err
}

const (
	hangUpWithin = time.Second
	maxIgnored   = 64 << 10 // bytes of a client that is not listened to any more
)

// hangUp closes a connection so that the client gets what was written last: bytes that nobody has read would make it a reset.
func hangUp(leg *net.TCPConn) {
	leg.CloseWrite()
	leg.SetDeadline(time.Now().Add(hangUpWithin))
	io.Copy(io.Discard, io.LimitReader(leg, maxIgnored))
	leg.Close()
}

// incoming carries a stream to plain TCP.
func (g *Gateway) incoming(e *endpoint, in *tunnel.Incoming) {
	p := e.byPort[in.Open.Dest.Port()]
	if p == nil {
		if p = e.relay; p == nil {
			g.elsewhere(in)
			return
		}
	}
	c := g.conns.add(p, in.From, nil)
	if c == nil {
		if g.ending() {
			in.Refuse(tcpq.NoListener)
			return
		}
		g.full("connections", maxConns)
		in.Refuse(tcpq.Overloaded)
		return
	}
	defer c.remove()
	c.asks(in.From, targetOf(&in.Open))
	ctx, cancel := context.WithCancel(g.hard)
	defer cancel()
	defer context.AfterFunc(in.Context(), cancel)() // who has given up needs no connection
	leg, err := g.connectTo(ctx, p, &in.Open)
	if err == nil {
		err = g.introduce(ctx, in, leg)
	}
	if err != nil {
		g.failed(c, err)
		in.Refuse(statusOf(err))
		return
	}
	stream, err := in.Accept()
	if err != nil {
		reset(leg)
		return
	}
	g.carry(c, leg, stream)
}

// elsewhere answers a stream for a TCP port that is none of ours: a program of this host may have it, under quiver run.
func (g *Gateway) elsewhere(in *tunnel.Incoming) {
	if port, _, ok := g.published.Elsewhere(g.hard, in.Open.Dest.Port()); ok {
		in.Elsewhere(port)
		return
	}
	g.conns.refused.Add(1)
	g.log.Info("refused: no --in is for this TCP port", "from", in.From, "port", in.Open.Dest.Port())
	in.Refuse(tcpq.Refused)
}

// introduce tells a target whose connection it is, if it is to be told. A stream that came in early data may be a replay from anywhere, so it
// waits for the handshake.
func (g *Gateway) introduce(ctx context.Context, in *tunnel.Incoming, leg *net.TCPConn) error {
	if !g.conf.ProxyProtocol {
		return nil
	}
	err := in.AwaitHandshake(ctx)
	if err == nil {
		source := in.From
		if in.Open.Source.IsValid() && g.believes(in) {
			source = in.Open.Source
		}
		_, err = leg.Write(appendProxy(nil, source, in.Open.Dest))
	}
	if err != nil {
		leg.Close()
	}
	return err
}

// believes reports whether a dialer, whose handshake is complete, may speak for others.
func (g *Gateway) believes(in *tunnel.Incoming) bool {
	return len(g.conf.SpeakFor) > 0 && slices.ContainsFunc(g.conf.SpeakFor, g.id.Of(in.Conn().ConnectionState().TLS).Matches)
}

// carry joins the two halves of a connection until it is over.
func (g *Gateway) carry(c *conn, leg *net.TCPConn, stream *tunnel.Stream) {
	if !c.join(leg, stream) {
		abort(stream)
		reset(leg)
		return
	}
	r := tunnel.Pump(leg, stream)
	g.conns.sent.Add(r.Sent)
	g.conns.received.Add(r.Received)
	g.log.Debug("over", "from", c.source, "to", c.dest, "how", r.Ending, "sent", r.Sent, "received", r.Received, "error", r.Err)
}

// failed tells of a connection that is none.
func (g *Gateway) failed(c *conn, err error) {
	g.conns.refused.Add(1)
	text := fmt.Sprintf("%s > %s: %v", c.pair.in.text, c.pair.out.text, err)
	hint := identity.Hint(err)
	switch {
	case hint != "" && g.seldom.may(text, time.Now()): // it will not pass by itself, and the client cannot be told
		g.log.Warn(text + "; " + hint)
	case hint == "":
		g.log.Info("refused", "from", c.source, "to", c.dest, "error", err)
	}
}

// abort gives a stream up.
func abort(s *tunnel.Stream) {
	s.Reset(tcpq.CodeReset)
	s.Stop(tcpq.CodeReset)
	s.Close()
}

const (
	sayEvery = time.Minute // the same thing
	maxSaid  = 256         // limit: things that are said seldom; beyond it all are forgotten
)

// seldom keeps what everybody can cause from filling the log. The zero value is ready.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time // limit: maxSaid
}

// may reports whether it is time to say what again.
func (s *seldom) may(what string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.said[what]; ok && now.Sub(at) < sayEvery {
		return false
	}
	if s.said == nil || len(s.said) >= maxSaid {
		s.said = map[string]time.Time{}
	}
	s.said[what] = now
	return true
}
