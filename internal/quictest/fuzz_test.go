package quictest

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// opsRun is a Pair whose applications and network do what bytes say.
type opsRun struct {
	t      *testing.T
	p      *Pair
	sides  [2]*Peer
	opened [2][]*core.Stream // all that a side knows, in order
	fate   []byte            // of the next datagrams
	closed bool              // an application closed on purpose
	read   map[string]uint64 // bytes read, by side and stream
	wrote  map[string]uint64
}

// FuzzConnOps runs two honest endpoints through any sequence of commands and
// network faults. Whatever happens, neither may accuse the other of an error,
// and once the network heals everything that was written arrives.
func FuzzConnOps(f *testing.F) {
	f.Add([]byte{0, 0, 16, 0, 200, 80, 0, 0})
	f.Add([]byte("\x01\x00\x11\x00\xff\x21\x00\x01\x62\x30\x05\x00\x40\x00\x09\x51\x00\x03"))
	f.Add([]byte("\x00\x00\x10\x00\xff\x80\xaa\x01\x80\x55\x02\x10\x00\xff\x70\x00\x00\x20\x00\x00\x90\x00\x00"))
	f.Add([]byte("\x00\x01\x00\x10\x00\x20\xd0\x00\x00\x10\x00\xff\x80\xaa\x01\x50\x00\x07\xb0\xff\xff\xb1\x10\x10\xc0\x00\x00\x70\x00\x10"))
	f.Add([]byte("\x00\x00\x10\x00\xff\xe0\x00\x00\x11\x00\xff\x70\x00\x10\xe0\x01\x01\x70\x00\x20\xe1\x00\x00\x10\x00\xff\xe0\x02\x01\x70\x00\x40"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 3*400 {
			return
		}
		r := newOpsRun(t)
		for len(ops) >= 3 && !r.closed {
			r.do(ops[0], ops[1], ops[2])
			r.check()
			ops = ops[3:]
		}
		r.settle()
	})
}

func newOpsRun(t *testing.T) *opsRun {
	r := &opsRun{t: t, read: map[string]uint64{}, wrote: map[string]uint64{}}
	opts := Options{
		Config: func(_ netsim.Side, cfg *core.Config) {
			cfg.StreamWindow, cfg.MaxStreamWindow = 4000, 20_000
			cfg.ConnWindow, cfg.MaxConnWindow = 6000, 30_000
			cfg.SendBuffer, cfg.MaxSendBuffer = 8000, 100_000
			cfg.MaxStreamsBidi, cfg.MaxStreamsUni = 4, 4
			cfg.IdleTimeout = time.Hour
			cfg.MaxDatagramFrame, cfg.ResetStreamAt = 65535, true
		},
		Tap: r.tap,
	}
	r.p = NewPair(t, 1, opts)
	r.p.Server.OnConn = func(c *Peer) {
		r.sides[1] = c
		c.OnEvent = func(e core.Event) { r.note(1, e) }
	}
	c := r.p.Dial()
	r.sides[0] = c
	c.OnEvent = func(e core.Event) { r.note(0, e) }
	if !r.p.Run(5*time.Second, func() bool { return c.Confirmed }) {
		t.Fatal("no handshake on a perfect link")
	}
	t.Cleanup(func() {
		for _, s := range r.sides {
			s.Abandon(r.p.Clock.Now(), io.EOF)
		}
	})
	return r
}

func (r *opsRun) note(side int, e core.Event) {
	if e.Kind == core.EventOpened {
		r.opened[side] = append(r.opened[side], e.Stream)
	}
}

// tap drops, or spoils, the next datagrams as r.fate says.
func (r *opsRun) tap(_ netsim.Side, d []byte) []byte {
	if len(r.fate) == 0 {
		return d
	}
	f := r.fate[0]
	r.fate = r.fate[1:]
	switch f % 4 {
	case 0, 1:
		return d
	case 2:
		return nil
	}
	d[int(f)*7%len(d)] ^= 1 << (f >> 5)
	return d
}

// do runs one command: its kind and the side in op, a stream in a, a size or
// code in b.
func (r *opsRun) do(op, a, b byte) {
	side := int(op & 1)
	c := r.sides[side]
	now := r.p.Clock.Now()
	var s *core.Stream
	if n := len(r.opened[side]); n > 0 {
		s = r.opened[side][int(a)%n]
	}
	switch kind := op >> 4; {
	case kind == 0:
		if s, ok := c.Open(a&1 != 0); ok {
			r.opened[side] = append(r.opened[side], s)
		}
	case kind == 7:
		r.p.Run(time.Duration(b)*time.Duration(b)*time.Millisecond, func() bool { return false })
	case kind == 8:
		for bits := range 8 {
			r.fate = append(r.fate, a*b+byte(bits)*(a|1))
		}
	case kind == 9:
		c.UpdateKeys(now)
	case kind == 10 && b > 250:
		c.Close(now, uint64(a), "closed on purpose")
		r.closed = true
	case kind == 11:
		c.SendDatagram(make([]byte, int(a)*int(b)/32))
	case kind == 12:
		c.ReadDatagram()
	case kind == 14 && side == 0:
		r.move(c, a, b)
	case kind == 14:
		c.RotateIDs(now)
	case s == nil:
	case kind == 13 && s.CanSend():
		c.SetReliableBoundary(s)
	case kind == 1 && s.CanSend(), kind == 2 && s.CanSend():
		n, err := c.Write(s, make([]byte, int(b)*40))
		if err == nil {
			r.wrote[key(side, s)] += uint64(n)
		}
	case kind == 3 && s.CanSend():
		c.CloseWrite(s)
	case kind == 4 && s.CanReceive(), kind == 6 && s.CanReceive():
		n, _ := c.Read(now, s, make([]byte, int(b)*40))
		r.read[key(side, s)] += uint64(n)
	case kind == 5 && b < 64 && s.CanSend():
		c.Reset(s, uint64(b))
	case kind == 5 && b > 192 && s.CanReceive():
		c.Stop(now, s, uint64(b))
	}
	c.Flush()
}

// move lets the network forget the client's address, or the client go to a
// socket of its own will.
func (r *opsRun) move(c *Peer, a, b byte) {
	e := r.p.Client
	next := netip.AddrPortFrom(e.Addr.Addr(), e.Addr.Port()+1)
	if b&1 != 0 {
		next = netip.AddrPortFrom(e.Addr.Addr().Next(), e.Addr.Port()+1)
	}
	if a&1 == 0 {
		e.Addr = next
		return
	}
	next = netip.AddrPortFrom(next.Addr(), next.Port()+1000+uint16(len(e.More)))
	e.More = append(e.More, next)
	if c.Move(r.p.Clock.Now(), len(e.More), next.Addr(), r.p.Server.Addr) != nil {
		e.More = e.More[:len(e.More)-1]
	}
}

// key names a direction of a stream by its reader's or writer's side.
func key(side int, s *core.Stream) string { return fmt.Sprintf("%d/%d", side, s.ID()) }

// check holds after every command.
func (r *opsRun) check() {
	r.t.Helper()
	for i, c := range r.sides {
		if n := c.Stats().InFlight; n < 0 {
			r.t.Fatalf("side %d has %d bytes in flight", i, n)
		}
		var local *core.LocalError
		if errors.As(c.Err(), &local) && !local.App {
			r.t.Fatalf("side %d accuses its honest peer: %v", i, c.Err())
		}
		if c.Err() != nil && !r.closed {
			r.t.Fatalf("side %d ended: %v", i, c.Err())
		}
	}
}

// settle heals the network, ends all streams, reads all of them, and expects
// both sides to come to rest.
func (r *opsRun) settle() {
	r.fate = nil
	r.sides[0].SendDatagram([]byte{0}) // the server learns where its client is now
	r.sides[0].Flush()
	done := func() bool { r.readAll(); return r.closed || r.allRead() }
	for side, c := range r.sides {
		for _, s := range r.opened[side] {
			if s.CanSend() {
				c.CloseWrite(s)
			}
		}
		c.Flush()
	}
	if !r.p.Run(10*time.Minute, done) {
		r.t.Fatalf("streams never end: wrote %v, read %v", r.wrote, r.read)
	}
	r.check()
	if !r.closed { // let acknowledgments come home
		r.p.Run(time.Minute, func() bool { return false })
		r.check()
		r.wantRest()
		return
	}
	r.p.Run(2*time.Hour, func() bool { return false })
	if !(r.sides[0].Drained && r.sides[1].Drained) {
		r.t.Fatal("a closed connection is not forgotten")
	}
}

// wantRest checks that nothing is under way any more.
func (r *opsRun) wantRest() {
	for i, c := range r.sides {
		if n := c.Stats().InFlight; n != 0 {
			r.t.Fatalf("side %d at rest has %d bytes in flight", i, n)
		}
	}
}

func (r *opsRun) readAll() {
	var buf [8192]byte
	for side, c := range r.sides {
		for _, s := range r.opened[side] {
			if s.CanSend() { // streams that the peer opened meanwhile, too
				c.CloseWrite(s)
			}
			for s.CanReceive() {
				n, err := c.Read(r.p.Clock.Now(), s, buf[:])
				r.read[key(side, s)] += uint64(n)
				if n == 0 || err != nil {
					break
				}
			}
		}
		c.Flush()
	}
}

// allRead reports whether every stream has ended for its readers.
func (r *opsRun) allRead() bool {
	for side, c := range r.sides {
		for _, s := range r.opened[side] {
			if !s.CanReceive() {
				continue
			}
			if _, err := c.Read(r.p.Clock.Now(), s, make([]byte, 1)); err == nil {
				return false
			}
		}
	}
	return true
}

// extended has small limits and every extension.
var extended = RawOptions{
	Config: func(cfg *core.Config) { small(cfg); cfg.MaxDatagramFrame, cfg.ResetStreamAt = 65535, true },
	Params: func(p *wire.Params) {
		p.MaxDatagramFrame, p.ResetStreamAt, p.MinAckDelay = 65535, true, time.Millisecond
	},
}

// FuzzPostHandshakeFrames sends fuzzed plaintext under real keys, so that it
// gets past the cryptography.
func FuzzPostHandshakeFrames(f *testing.F) {
	for _, a := range anyFrame {
		f.Add(byte(0), a.frame, a.frame)
		f.Add(byte(3), a.frame, stream(0, 0, "hello", true))
	}
	f.Add(byte(0), resetAt(2, 1, 9, 4), stream(2, 0, "hello", false))
	f.Add(byte(2), ackFrequency(0, 5, time.Second, 3), frame(wire.FrameImmediateAck))
	f.Add(byte(1), resetAt(3, 1, 9, 4), datagram("hello"))
	f.Fuzz(func(t *testing.T, how byte, first, second []byte) {
		if len(first) > 1100 || len(second) > 1100 {
			return
		}
		var r *RawPeer
		if how&1 == 0 {
			r = NewRawClient(t, extended).Connect()
		} else {
			r = NewRawServer(t, extended).Connect()
		}
		s, ok := r.Conn.Open(how&2 == 0)
		if ok {
			r.Conn.Write(s, []byte("something of our own"))
		}
		r.AutoAck = how&4 == 0
		for _, payload := range [][]byte{first, second, first} {
			r.Send(App, payload)
			r.Advance(time.Duration(how) * time.Millisecond)
		}
		if n := r.Conn.Stats().InFlight; n < 0 {
			t.Fatalf("%d bytes in flight", n)
		}
		if len(r.Opened) > 2*3 || r.Router.Len() > 6 {
			t.Fatalf("%d streams and %d IDs: more than the limits", len(r.Opened), r.Router.Len())
		}
		for _, s := range r.Opened {
			r.Conn.Read(r.Clock.Now(), s, make([]byte, 100))
		}
		r.Flush()
		r.AutoAck = false
		r.Advance(2 * time.Minute)
		if r.Conn.Err() == nil {
			t.Fatal("a connection with a silent peer lives for ever")
		}
	})
}

// FuzzRouter feeds datagrams of anybody to a server's Router, and to the
// connections that they begin.
func FuzzRouter(f *testing.F) {
	r := NewRawClient(f, RawOptions{})
	hello := r.sp[Initial].out
	first := r.Packet(Initial, 0, crypto(0, hello[:1000]), padding(200))
	f.Add(first, []byte{0x40})
	f.Add(append([]byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a}, first[5:]...), first)
	f.Add(append([]byte{0x40}, make([]byte, 50)...), append(make([]byte, 30), first...))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, retry := range []bool{false, true} {
			r := NewRawClient(t, RawOptions{Retry: retry})
			r.AutoAck = false
			for _, data := range [][]byte{a, b, a} {
				d := core.Datagram{Data: append([]byte(nil), data...), Remote: r.local, Local: r.remote.Addr()}
				switch route := r.Router.Route(r.Clock.Now(), &d); route.Kind {
				case core.RouteReply:
					if len(route.Reply) >= max(len(data), wire.MinInitialDatagram) {
						t.Fatalf("%d bytes answered with %d", len(data), len(route.Reply))
					}
				case core.RouteNew, core.RouteConn:
					r.SendDatagram(append([]byte(nil), data...))
				}
			}
			if r.Router.Len() > 3 {
				t.Fatalf("%d IDs after three datagrams", r.Router.Len())
			}
		}
	})
}
