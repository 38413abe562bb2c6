package quictest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
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
	late   []lateDatagram    // copies of datagrams that arrive later, or again
	closed bool              // an application closed on purpose
	read   map[string]uint64 // bytes read, by side and stream
	wrote  map[string]uint64
}

// lateDatagram is a datagram with its way.
type lateDatagram struct {
	src, dst netip.AddrPort
	data     []byte
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
	f.Add([]byte("\x00\x00\x10\x00\xff\x80\x05\x01\x10\x00\x80\x80\x01\x05\x10\x00\x80\xf0\x00\x00\x70\x00\x09\x41\x00\xff\xf0\x00\x00"))
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
		Tap:  r.tap,
		Pass: r.pass,
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

// tap drops, or spoils, the next datagrams as r.fate says. Its two bits are 2 and
// 3 for that; 1 is for pass.
func (r *opsRun) tap(_ netsim.Side, d []byte) []byte {
	if len(r.fate) == 0 {
		return d
	}
	switch f := r.fate[0]; f % 4 {
	case 2:
		r.fate = r.fate[1:]
		return nil
	case 3:
		d[int(f)*7%len(d)] ^= 1 << (f >> 5)
	}
	return d
}

// pass keeps a copy of the next datagram for later, or the datagram itself.
func (r *opsRun) pass(src, dst netip.AddrPort, d []byte) bool {
	if len(r.fate) == 0 {
		return true
	}
	f := r.fate[0]
	r.fate = r.fate[1:]
	if f%4 != 1 || len(r.late) == 20 {
		return true
	}
	r.late = append(r.late, lateDatagram{src, dst, bytes.Clone(d)})
	return f&4 != 0
}

// release lets the late datagrams arrive, the last one first.
func (r *opsRun) release() {
	for _, d := range slices.Backward(r.late) {
		from := netsim.Left
		if d.src == r.p.Server.Addr {
			from = netsim.Right
		}
		r.p.Sim.Send(r.p.Clock.Now(), from, netsim.Packet{Data: d.data, Src: d.src, Dst: d.dst, UDP: true})
	}
	r.late = nil
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
	case kind == 15:
		r.release()
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
		n, err := c.Write(s, content(s, r.wrote[key(side, s)], int(b)*40))
		if err == nil {
			r.wrote[key(side, s)] += uint64(n)
		}
	case kind == 3 && s.CanSend():
		c.CloseWrite(s)
	case kind == 4 && s.CanReceive(), kind == 6 && s.CanReceive():
		r.take(side, s, int(b)*40)
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

// content is what an application writes on a stream at an offset.
func content(s *core.Stream, at uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := at + uint64(i)
		b[i] = byte(s.ID()*31 + x + x>>8*7)
	}
	return b
}

// take reads up to n bytes and checks that they are the next ones that were
// written, each of them once.
func (r *opsRun) take(side int, s *core.Stream, n int) (got int, err error) {
	r.t.Helper()
	buf := make([]byte, n)
	got, err = r.sides[side].Read(r.p.Clock.Now(), s, buf)
	k := key(side, s)
	if want := content(s, r.read[k], got); !bytes.Equal(buf[:got], want) {
		r.t.Fatalf("side %d read other bytes on stream %d at %d than were written", side, s.ID(), r.read[k])
	}
	r.read[k] += uint64(got)
	if from := key(1-side, s); r.read[k] > r.wrote[from] {
		r.t.Fatalf("side %d read %d bytes of stream %d, of %d", side, r.read[k], s.ID(), r.wrote[from])
	}
	return got, err
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
		r.checkTimers(i, c)
	}
}

// checkTimers lets everything that is due happen: a deadline that stays in the
// past would keep a driver busy for nothing.
func (r *opsRun) checkTimers(side int, c *Peer) {
	now := r.p.Clock.Now()
	for range maxStill {
		if at := c.Deadline(); at.IsZero() || at.After(now) {
			return
		}
		c.Tick(now)
		c.Flush()
	}
	r.t.Fatalf("side %d is due again and again at %v", side, r.p.Clock.Since())
}

// settle heals the network, ends all streams, reads all of them, and expects
// both sides to come to rest.
func (r *opsRun) settle() {
	r.fate = nil
	r.release()
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
	for side, c := range r.sides {
		for _, s := range r.opened[side] {
			if s.CanSend() { // streams that the peer opened meanwhile, too
				c.CloseWrite(s)
			}
			for s.CanReceive() {
				if n, err := r.take(side, s, 8192); n == 0 || err != nil {
					break
				}
			}
		}
		c.Flush()
	}
}

// allRead reports whether every stream has ended for its readers.
func (r *opsRun) allRead() bool {
	for side := range r.sides {
		for _, s := range r.opened[side] {
			if !s.CanReceive() {
				continue
			}
			if _, err := r.take(side, s, 1); err == nil {
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
