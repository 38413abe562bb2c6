package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/quic"
)

var loopback = net.IPv4(127, 0, 0, 1)

const (
	idleTimeout = 15 * time.Second
	opTimeout   = 40 * time.Second // for one stream; longer means that it hangs
)

// server serves clients of all lives until it is closed.
type server struct {
	*soak
	t     *quic.Transport
	l     *quic.Listener
	conns sync.WaitGroup
	loop  sync.WaitGroup
}

// listen opens the servers: one stays in version 1, and one moves clients to
// version 2. Both ask some clients for a Retry.
func (s *soak) listen() error {
	client, tlsConfig, err := configs()
	if err != nil {
		return err
	}
	s.book.tls = client
	for i, versions := range [][]quic.Version{nil, {quic.Version2, quic.Version1}} {
		srv, err := s.newServer(tlsConfig, versions)
		if err != nil {
			s.close()
			return fmt.Errorf("server %d: %w", i+1, err)
		}
		s.servers = append(s.servers, srv)
	}
	return nil
}

func (s *soak) newServer(tlsConfig *tls.Config, versions []quic.Version) (*server, error) {
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback})
	if err != nil {
		return nil, err
	}
	srv := &server{soak: s, t: &quic.Transport{Conn: sock,
		RequireRetry: func(client netip.AddrPort) bool { return client.Port()%4 == 0 }}}
	srv.l, err = srv.t.Listen(tlsConfig, &quic.Config{Versions: versions, MaxIdleTimeout: s.idle, Allow0RTT: true,
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		srv.t.Close()
		return nil, err
	}
	srv.loop.Go(srv.accept)
	return srv, nil
}

// close closes the servers, with what is left of their connections.
func (s *soak) close() {
	for _, srv := range s.servers {
		srv.t.Close()
		srv.loop.Wait()
		srv.conns.Wait()
	}
}

func (s *server) accept() {
	for {
		c, err := s.l.Accept(context.Background())
		if err != nil {
			return
		}
		s.conns.Go(func() { s.serve(c) })
	}
}

// guest is a server's side of a connection.
type guest struct {
	*soak
	conn *quic.Conn
	life atomic.Pointer[life] // nil = the client has not said who it is
	met  chan struct{}        // closed when it has
	work sync.WaitGroup
}

func (s *server) serve(c *quic.Conn) {
	g := &guest{soak: s.soak, conn: c, met: make(chan struct{})}
	ctx := c.Context()
	g.work.Go(func() {
		for {
			stream, err := c.AcceptStream(ctx)
			if err != nil {
				return
			}
			g.work.Go(func() { g.handle(stream) })
		}
	})
	g.work.Go(func() {
		for {
			stream, err := c.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			g.work.Go(func() { g.handleUni(stream) })
		}
	})
	g.work.Go(g.echo)
	g.work.Go(g.settle)
	<-ctx.Done()
	g.work.Wait()
	s.ended("server", g.life.Load(), context.Cause(ctx))
}

// check enters a fault for an error that the end of the connection does not
// explain.
func (g *guest) check(v verb, err error) {
	if err != nil && g.conn.Context().Err() == nil {
		g.fault("%v: server: %s: %v", g.life.Load(), v, err)
	}
}

// meet finds the life of a stream's order.
func (g *guest) meet(o *order) {
	if l := g.book.find(o.Life); l != nil && g.life.CompareAndSwap(nil, l) {
		close(g.met)
	}
}

// settle notes that the handshake is over, and known to be.
func (g *guest) settle() {
	for _, c := range []<-chan struct{}{g.met, g.conn.HandshakeComplete()} {
		select {
		case <-c:
		case <-g.conn.Context().Done():
			return
		}
	}
	g.life.Load().settled.Store(true)
}

func (g *guest) handleUni(s *quic.ReceiveStream) {
	s.SetReadDeadline(time.Now().Add(opTimeout))
	defer s.Close()
	o, err := readOrder(s)
	if err == nil {
		g.meet(&o)
		err = g.readAll(s, o.Seed, int(o.Up))
	}
	g.check(oneWay, err)
}

// echo returns datagrams.
func (g *guest) echo() {
	for {
		b, err := g.conn.ReceiveDatagram(g.conn.Context())
		if err != nil {
			return
		}
		if err := g.checkDatagram(b); err != nil {
			g.fault("%v: server: datagram: %v", g.life.Load(), err)
		}
		g.conn.SendDatagram(b) // as far as the path takes it
	}
}

func (g *guest) handle(s *quic.Stream) {
	s.SetDeadline(time.Now().Add(opTimeout))
	defer s.Close()
	o, err := readOrder(s)
	if err != nil {
		// A reset may overtake the order.
		var reset *quic.StreamError
		if !errors.As(err, &reset) {
			g.check(exchange, err)
		}
		return
	}
	g.meet(&o)
	g.check(o.Verb, g.obey(s, &o))
}

// obey does the server's part of a bidirectional stream.
func (g *guest) obey(s *quic.Stream, o *order) error {
	switch o.Verb {
	case resetUp:
		n, err := g.read(s, o.Seed, int(o.At)+1)
		if !gaveUp(err, o.Code) {
			return fmt.Errorf("read %d bytes of %d: got %w, want a reset with code %d", n, o.At, err, o.Code)
		}
		return g.answer(s, o)
	case stopUp:
		if _, err := g.read(s, o.Seed, int(o.At)); err != nil {
			return err
		}
		s.CancelRead(uint64(o.Code))
		return g.answer(s, o)
	case resetDown, keepDown:
		if err := write(s, o.Seed+1, int(o.At)); err != nil {
			return err
		}
		if o.Verb == keepDown {
			s.SetReliableBoundary()
		}
		s.CancelWrite(uint64(o.Code))
		return g.readAll(s, o.Seed, int(o.Up))
	case push:
		return g.push(s, o)
	case hangUp:
		if l := g.life.Load(); l != nil {
			l.over.Store(true)
		}
		g.conn.CloseWithError(uint64(o.Code), "as you wish")
		return nil
	}
	// exchange and stopDown
	answered := make(chan error, 1)
	go func() { answered <- g.answer(s, o) }()
	err := g.readAll(s, o.Seed, int(o.Up))
	if late := <-answered; err == nil {
		err = late
	}
	return err
}

// answer writes what the client wants, unless it wants no more of it.
func (g *guest) answer(s *quic.Stream, o *order) error {
	err := write(s, o.Seed+1, int(o.Down))
	if o.Verb == stopDown && gaveUp(err, o.Code) {
		return nil
	}
	s.CloseWrite()
	return err
}

// push sends a stream of the server's own.
func (g *guest) push(s *quic.Stream, o *order) error {
	ctx, cancel := context.WithTimeout(g.conn.Context(), opTimeout)
	defer cancel()
	u, err := g.conn.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	defer u.Close()
	u.SetWriteDeadline(time.Now().Add(opTimeout))
	if _, err := u.Write(o.encode()); err != nil {
		return err
	}
	if err := write(u, o.Seed+1, int(o.Down)); err != nil {
		return err
	}
	return g.readAll(s, o.Seed, int(o.Up))
}
