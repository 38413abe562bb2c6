package quic

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/udp"
	"github.com/seed51309289/quiver/internal/wire"
)

// readLoop is the one goroutine of a socket: it runs every connection for
// which something arrives to completion.
func (s *socket) readLoop() {
	defer s.t.readers.Done()
	var trains [trainsPerRead]udp.Train
	in := intake{t: s.t, s: s}
	in.d.Socket = s.index
	s.broken(udp.Serve(s.conn, trains[:], func(arrived []udp.Train) {
		in.now = arrived[0].At
		for i := range arrived {
			in.train(&arrived[i])
		}
		in.leave()
	}))
}

// broken ends everything after an error of the socket that does not pass, and
// was not Close's doing.
func (s *socket) broken(err error) {
	t := s.t
	err = fmt.Errorf("quic: socket: %w", err)
	t.mu.Lock()
	if t.closed || s.closed {
		t.mu.Unlock()
		return
	}
	if s.owner != nil {
		t.mu.Unlock()
		s.owner.abandon(err)
		return
	}
	conns := make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	l := t.listener
	t.refuses = err
	t.mu.Unlock()
	if l != nil {
		l.fail(err)
	}
	for _, c := range conns {
		c.abandon(err)
	}
}

// intake feeds what one read brought to the connections. Datagrams in a row
// for one connection cost one lookup, one lock and one flush: it stays locked
// as current until another one's datagram comes, or the read is used up.
type intake struct {
	t       *Transport
	s       *socket
	now     time.Time
	current *Conn
	id      uint64 // the destination ID of current's last datagram, if short
	d       core.Datagram
}

func (in *intake) train(tr *udp.Train) {
	in.d.Remote, in.d.Local, in.d.ECN = tr.Remote, tr.Local, tr.ECN
	for i := range tr.Len() {
		in.d.Data = tr.Datagram(i)
		in.datagram()
	}
}

func (in *intake) datagram() {
	data := in.d.Data
	short := len(data) > core.LocalIDLen && !wire.IsLongHeader(data[0])
	if short && in.current != nil && binary.BigEndian.Uint64(data[1:]) == in.id {
		in.current.core.Receive(in.now, &in.d)
		return
	}
	in.t.mu.Lock()
	route := in.t.router.Route(in.now, &in.d)
	in.t.mu.Unlock()
	switch route.Kind {
	case core.RouteConn:
		in.deliver(route.Conn, short)
	case core.RouteNew:
		in.leave()
		in.t.accept(in.now, route.New, &in.d)
	case core.RouteReply:
		in.leave()
		in.s.conn.Write(route.Reply, 0, in.d.Remote, in.d.Local, 0) // lost or not: nobody waits for it
	case core.RouteReset:
		in.leave()
		c := route.Conn
		c.mu.Lock()
		c.core.ResetByPeer(in.now, &in.d)
		c.flush(in.now)
	}
}

func (in *intake) deliver(c *Conn, short bool) {
	if c.handshaking.Load() && c.postpone(&in.d) {
		return
	}
	if c != in.current {
		in.leave()
		c.mu.Lock()
		in.current = c
	}
	in.id = 0
	if short {
		in.id = binary.BigEndian.Uint64(in.d.Data[1:])
	}
	c.core.Receive(in.now, &in.d)
}

// leave flushes and unlocks the current connection.
func (in *intake) leave() {
	if in.current != nil {
		in.current.answer(in.now)
		in.current = nil
	}
}

// accept begins a server's connection; the handshake goes on in the pool.
func (t *Transport) accept(now time.Time, in *core.Incoming, d *core.Datagram) {
	t.mu.Lock()
	l := t.listener
	t.mu.Unlock()
	if l == nil {
		return
	}
	c, err := newServerConn(t, l, now, in)
	if err != nil {
		return
	}
	if err := t.add(c); err != nil {
		c.abandon(err)
		return
	}
	c.mu.Lock()
	c.drainEvents()
	c.mu.Unlock()
	c.postpone(d)
}
