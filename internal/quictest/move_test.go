package quictest

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// flight is one datagram of a Pair, as a stranger sees it.
type flight struct {
	src, dst netip.AddrPort
	dcid     string // of a short header, else ""
	size     int
}

// mover is a Pair whose client has a second socket, and what crossed the network.
type mover struct {
	*Pair
	client, server *Peer
	flights        []flight
	dead           map[netip.AddrPort]bool // addresses that no datagram reaches or leaves
}

func newMover(t *testing.T, more netip.AddrPort, config func(side netsim.Side, cfg *core.Config)) *mover {
	t.Helper()
	m := &mover{dead: map[netip.AddrPort]bool{}}
	m.Pair = NewPair(t, Seed(t, 5), Options{Config: config, Pass: func(src, dst netip.AddrPort, d []byte) bool {
		f := flight{src: src, dst: dst, size: len(d)}
		if !wire.IsLongHeader(d[0]) {
			f.dcid = string(d[1:9])
		}
		m.flights = append(m.flights, f)
		return !m.dead[src] && !m.dead[dst]
	}})
	m.Client.More = []netip.AddrPort{more}
	m.Server.OnConn = func(c *Peer) { m.server = c; c.Serve(answer) }
	m.client = m.Dial()
	if !m.Run(5*time.Second, func() bool { return m.client.Confirmed }) {
		t.Fatal("no handshake")
	}
	m.Run(time.Second, func() bool { return false }) // connection IDs arrive
	return m
}

// move asks the client to go to its second socket.
func (m *mover) move() error {
	err := m.client.Move(m.Clock.Now(), 1, m.Client.More[0].Addr(), m.Pair.Server.Addr)
	m.client.Flush()
	return err
}

// fetch transfers n bytes.
func (m *mover) fetch(n string) {
	m.t.Helper()
	f := m.client.Get([]byte(n))
	if !m.Run(time.Minute, func() bool { return f.Done }) || f.Err != nil || !bytes.Equal(f.Body.Bytes(), answer(f.Request)) {
		m.t.Fatalf("fetch of %s bytes: done %v, %v", n, f.Done, f.Err)
	}
}

// uses reports whether any datagram of a side left from an address.
func (m *mover) uses(src netip.AddrPort) bool {
	for _, f := range m.flights {
		if f.src == src {
			return true
		}
	}
	return false
}

func TestClientMovesToAnotherAddress(t *testing.T) {
	for name, to := range map[string]netip.AddrPort{"port": otherPort, "address": otherHost, "family": netip.AddrPortFrom(netsim.ClientV6, 50000)} {
		t.Run(name, func(t *testing.T) {
			m := newMover(t, to, nil)
			m.fetch("100000")
			m.flights = nil
			if err := m.move(); err != nil {
				t.Fatal(err)
			}
			first := m.flights[0]
			if first.src != to || first.size != wire.MinInitialDatagram {
				t.Errorf("RFC 9000 §8.2.1: %+v, want a challenge of 1200 bytes from %v", first, to)
			}
			m.fetch("300000")
			if m.client.Moves != 1 || m.server.Moves != 1 {
				t.Errorf("client moved %d times, server %d, want once each", m.client.Moves, m.server.Moves)
			}
			m.Run(5*time.Second, func() bool { return false })
			if len(m.client.Idle) != 1 || m.client.Idle[0] != 0 {
				t.Errorf("idle sockets %v, want the first one", m.client.Idle)
			}
			if m.client.Paths() != 1 || m.server.Paths() != 1 {
				t.Errorf("client keeps %d paths, server %d, want 1", m.client.Paths(), m.server.Paths())
			}
			m.flights = nil
			m.fetch("1000")
			if m.uses(m.Pair.Client.Addr) {
				t.Error("the old address is still in use")
			}
		})
	}
}

func TestConnectionIDServesOnOnePathOnly(t *testing.T) {
	m := newMover(t, otherHost, nil)
	m.fetch("100000")
	if err := m.move(); err != nil {
		t.Fatal(err)
	}
	m.fetch("300000")
	m.Run(5*time.Second, func() bool { return false })
	type way struct{ src, dst netip.AddrPort }
	ways := map[string]way{}
	for _, f := range m.flights {
		if f.dcid == "" {
			continue
		}
		if w, seen := ways[f.dcid]; seen && w != (way{f.src, f.dst}) {
			t.Fatalf("RFC 9000 §9.5: ID %x from %v to %v, and from %v to %v", f.dcid, w.src, w.dst, f.src, f.dst)
		}
		ways[f.dcid] = way{f.src, f.dst}
	}
	if len(ways) != 4 {
		t.Errorf("%d connection IDs in use, want two in each direction", len(ways))
	}
}

func TestMoveThatGetsNoAnswerChangesNothing(t *testing.T) {
	m := newMover(t, otherHost, nil)
	m.dead[otherHost] = true
	if err := m.move(); err != nil {
		t.Fatal(err)
	}
	if err := m.move(); !errors.Is(err, core.ErrMoving) {
		t.Errorf("a second move: %v, want ErrMoving", err)
	}
	m.Run(10*time.Second, func() bool { return m.client.MoveErr != nil })
	if !errors.Is(m.client.MoveErr, core.ErrNoAnswer) || len(m.client.Idle) != 1 || m.client.Idle[0] != 1 {
		t.Errorf("move: %v, idle sockets %v; want ErrNoAnswer and socket 1", m.client.MoveErr, m.client.Idle)
	}
	m.fetch("100000")
	if m.client.Moves != 0 {
		t.Error("the client moved all the same")
	}
}

func TestMoveCanBeCanceled(t *testing.T) {
	m := newMover(t, otherHost, nil)
	if err := m.move(); err != nil {
		t.Fatal(err)
	}
	m.client.CancelMove(m.Clock.Now())
	m.client.Flush()
	m.fetch("100000")
	if m.client.Moves != 0 || len(m.client.Idle) != 1 {
		t.Errorf("moved %d times, idle sockets %v; want neither move nor path", m.client.Moves, m.client.Idle)
	}
}

func TestMoveIsRefusedForAReason(t *testing.T) {
	own := netip.AddrPortFrom(netsim.ServerV4, netsim.ServerPort)
	for _, test := range []struct {
		name string
		opts RawOptions
		give int // spare connection IDs
		to   netip.AddrPort
		want error
	}{
		{name: "no spare connection ID", to: own, want: core.ErrNoSpareID},
		{name: "disabled by the peer", opts: RawOptions{Params: func(p *wire.Params) { p.DisableMigration = true }}, give: 1, to: own, want: core.ErrMoveDisabled},
		{name: "an address of somebody else", give: 1, to: otherHost, want: core.ErrMoveNowhere},
		{name: "zero-length connection ID", opts: RawOptions{EmptyID: true}, to: own, want: core.ErrNoSpareID},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewRawServer(t, test.opts).Connect()
			for i := range test.give {
				r.Send(App, newID(uint64(i+1), 0))
			}
			if err := r.Conn.Move(r.Clock.Now(), 1, netsim.ClientV4, test.to); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			r.WantOpen("a refusal harms nothing")
		})
	}
	t.Run("handshake not confirmed", func(t *testing.T) {
		r := NewRawServer(t, RawOptions{})
		if err := r.Conn.Move(r.Clock.Now(), 1, netsim.ClientV4, own); !errors.Is(err, core.ErrMoveTooEarly) {
			t.Errorf("RFC 9000 §9: got %v", err)
		}
	})
	t.Run("server", func(t *testing.T) {
		r := NewRawClient(t, RawOptions{}).Connect()
		if err := r.Conn.Move(r.Clock.Now(), 1, netsim.ServerV4, r.local); !errors.Is(err, core.ErrServerMoves) {
			t.Errorf("RFC 9000 §9: got %v", err)
		}
	})
}

func TestReboundClientIsServedAlthoughMigrationIsDisabled(t *testing.T) {
	r := NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { cfg.DisableActiveMigration = true }}).Connect()
	if !r.Params().DisableMigration {
		t.Fatal("RFC 9000 §18.2: disable_active_migration is not announced")
	}
	r.local = otherPort
	r.Send(App, frame(wire.FramePing), large())
	r.answer(otherPort)
	r.WantOpen("RFC 9000 §9: the network may change the address")
}

func TestCongestionStateIsKeptForAPortAndNotForAnAddress(t *testing.T) {
	for name, to := range map[string]netip.AddrPort{"port": otherPort, "address": otherHost} {
		t.Run(name, func(t *testing.T) {
			m := newMover(t, to, nil)
			m.fetch("3000000")
			before := m.server.Stats()
			if before.CongestionWindow < 20_000 || before.SmoothedRTT > 100*time.Millisecond {
				t.Fatalf("the path was hardly used: %+v", before)
			}
			if err := m.move(); err != nil {
				t.Fatal(err)
			}
			m.Run(time.Second, func() bool { return m.client.Moves > 0 })
			f := m.client.Get([]byte("10"))
			m.Run(time.Second, func() bool { return m.server.Moves > 0 })
			after := m.server.Stats()
			kept := after.CongestionWindow >= before.CongestionWindow && after.MinRTT == before.MinRTT
			if kept != (name == "port") {
				t.Errorf("RFC 9000 §9.4: window %d and %v before, %d and %v after", before.CongestionWindow, before.MinRTT, after.CongestionWindow, after.MinRTT)
			}
			m.Run(time.Second, func() bool { return f.Done })
		})
	}
}

// Between the server's end of the handshake and the client's, the server has no
// Handshake keys any more, and the client hears nothing at its new address.
func TestClientThatIsMovedBeforeItKnowsOfTheEndOfTheHandshakeIsFound(t *testing.T) {
	link := netsim.LinkConfig{Delay: 15 * time.Millisecond}
	p := NewPair(t, Seed(t, 1), Options{ToServer: link, ToClient: link, NAT: netsim.NAT{First: 50 * time.Millisecond, Addr: true}})
	var server *Peer
	p.Server.OnConn = func(c *Peer) { server = c; c.Serve(answer) }
	c := p.Dial()
	p.Run(time.Second, func() bool { return c.Established })
	f := c.Get([]byte("1000"))
	if !p.Run(time.Second, func() bool { return server != nil && server.Confirmed }) || c.Confirmed {
		t.Fatal("want a server that has confirmed the handshake, and a client that has not heard of it")
	}
	if !p.Run(5*time.Second, func() bool { return f.Done }) || f.Err != nil {
		t.Errorf("RFC 9002 §6.2.4: the client got no answer at its new address: %v", f.Err)
	}
}

// The runner's rebind-port and rebind-addr: the client does not know that it has
// another address, and at times has nothing to say.
func TestTransferSurvivesRebinding(t *testing.T) {
	link := netsim.LinkConfig{Delay: 15 * time.Millisecond, Bandwidth: 10_000_000, QueuePackets: 25}
	for name, addr := range map[string]bool{"port": false, "address": true} {
		t.Run(name, func(t *testing.T) {
			challenged := map[netip.AddrPort]bool{}
			p := NewPair(t, Seed(t, 5), Options{
				ToServer: link, ToClient: link, NAT: netsim.NAT{First: time.Second, Every: time.Second, Addr: addr},
				Config: func(side netsim.Side, cfg *core.Config) {
					if side == netsim.Left {
						cfg.KeepAlive = 200 * time.Millisecond
					}
				},
				Pass: func(src, dst netip.AddrPort, d []byte) bool {
					if src.Port() == netsim.ServerPort && !challenged[dst] {
						challenged[dst] = true
						if len(d) != wire.MinInitialDatagram && len(d) > 100 {
							t.Errorf("the first datagram to %v has %d bytes, want a challenge: 1200, or as little as it needs", dst, len(d))
						}
					}
					return true
				},
			})
			serve(p)
			runTransfer(t, p, []byte("5000000"))
			if len(challenged) < 4 {
				t.Errorf("the server sent to %d addresses, want one for each rebinding", len(challenged))
			}
			if s := p.Server.Conns[0]; s.Paths() > 4 {
				t.Errorf("the server keeps %d paths", s.Paths())
			}
			if took := p.Clock.Since(); took > 10*time.Second {
				t.Errorf("5 MB took %v at 10 Mbit/s, want little more than 4 s", took)
			}
		})
	}
}
