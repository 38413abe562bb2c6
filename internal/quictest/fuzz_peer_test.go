package quictest

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// peerRun is a connection whose peer does what bytes say, with real keys.
type peerRun struct {
	t       *testing.T
	r       *RawPeer
	own     []*core.Stream
	pending [][]byte // frames of the next packet
	asked   [8]byte  // data of the newest PATH_CHALLENGE
	prover  netip.AddrPort

	seen   int                     // datagrams that were counted
	sentAt int                     // SentBytes that were counted
	sent   map[netip.AddrPort]int  // bytes of UDP payload that we sent from an address
	got    map[netip.AddrPort]int  // and that came there
	proved map[netip.AddrPort]bool // the address answered a challenge
	homes  [3]netip.AddrPort       // addresses that the peer has
}

// FuzzPeerScript lets a peer with keys send any frames in any packet, with any
// number, from several addresses, in both roles and with 0-RTT, while the
// application does this and that. Whatever comes, the connection lives or ends
// with an error that is the peer's, within its limits.
func FuzzPeerScript(f *testing.F) {
	var all []byte
	for k := range byte(len(peerFrames)) {
		all = append(all, k, 0, 1, 2, 0xa0, 0, 0, 0)
	}
	for how := range byte(4) {
		f.Add(how, all)
		f.Add(how, append(bytes.Repeat([]byte{0xa0, 0, 0, 1, 0xb0, 0, 3, 3}, 4), all...))
		f.Add(how, []byte("\x08\x00\x00\x00\xa0\x00\x00\x01\xb0\x00\x05\x05\x0a\x00\x00\x01\xa0\x00\x00\x01\x12\x00\x10\x02\xa0\x00\x00\x02"))
		f.Add(how, []byte("\x03\x00\x00\x04\x13\x00\x04\x02\xa0\x00\x00\x00\xc0\x01\x00\x20\xd0\x05\x00\x00\x18\x00\x01\x01\x18\x00\x02\x01\x18\x00\x03\x03\xa0\x00\x01\x00"))
	}
	f.Fuzz(func(t *testing.T, how byte, ops []byte) {
		if len(ops) > 4*300 {
			return
		}
		p := newPeerRun(t, how)
		for len(ops) >= 4 && p.r.Conn.Err() == nil {
			p.do(ops[0], ops[1], ops[2], ops[3])
			p.check()
			ops = ops[4:]
		}
		p.end()
	})
}

func newPeerRun(t *testing.T, how byte) *peerRun {
	p := &peerRun{t: t, sent: map[netip.AddrPort]int{}, got: map[netip.AddrPort]int{}, proved: map[netip.AddrPort]bool{}}
	switch how % 4 {
	case 0, 1:
		p.r = NewRawClient(t, extended).Connect()
	case 2:
		p.r = NewRawServer(t, extended).Connect()
	case 3:
		p.r = rawEarly(t)
		p.r.Connect()
	}
	p.r.AutoAck = how&4 == 0
	home := p.r.local
	p.homes = [3]netip.AddrPort{home, netip.AddrPortFrom(home.Addr(), home.Port()+1), netip.AddrPortFrom(home.Addr().Next(), home.Port())}
	p.proved[home] = true
	p.seen, p.sentAt = p.r.GotDatagrams, p.r.SentBytes
	return p
}

// peerFrames make a frame of three bytes.
var peerFrames = []func(p *peerRun, a, b, c byte) []byte{
	func(p *peerRun, a, b, c byte) []byte {
		return stream(p.id(a), uint64(b), string(padding(int(c)&0x3f)), c&0x40 != 0)
	},
	func(p *peerRun, a, b, c byte) []byte { return resetStream(p.id(a), uint64(b), uint64(c)) },
	func(p *peerRun, a, b, c byte) []byte { return resetAt(p.id(a), 1, uint64(b), uint64(min(b, c))) },
	func(p *peerRun, a, b, c byte) []byte {
		return encode(wire.Frame{Type: wire.FrameStopSending, StreamID: p.id(a), Code: uint64(b)})
	},
	func(p *peerRun, a, b, c byte) []byte {
		return encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: p.id(a), Limit: uint64(b) << (c & 63) & wire.MaxVarint})
	},
	func(p *peerRun, a, b, c byte) []byte {
		types := []wire.FrameType{wire.FrameMaxData, wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni, wire.FrameDataBlocked, wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni}
		return encode(wire.Frame{Type: types[int(a)%len(types)], Limit: uint64(b) << (c & 31)})
	},
	func(p *peerRun, a, b, c byte) []byte { return newID(uint64(a), uint64(min(a, b))) },
	func(p *peerRun, a, b, c byte) []byte {
		return encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: uint64(a)})
	},
	func(p *peerRun, a, b, c byte) []byte { return challenge(a) },
	func(p *peerRun, a, b, c byte) []byte {
		if c&1 != 0 {
			return challengeAnswer([8]byte{a})
		}
		if p.prover.IsValid() {
			p.proved[p.prover] = true
		}
		return challengeAnswer(p.asked)
	},
	func(p *peerRun, a, b, c byte) []byte { return datagram(string(padding(int(a) * int(b) / 64))) },
	func(p *peerRun, a, b, c byte) []byte {
		return ackFrequency(uint64(a), uint64(b), time.Duration(c)*10*time.Millisecond, uint64(b>>4))
	},
	func(p *peerRun, a, b, c byte) []byte { return frame(wire.FrameImmediateAck) },
	func(p *peerRun, a, b, c byte) []byte {
		return encode(wire.Frame{Type: wire.FrameNewToken, Data: padding(1 + int(a))})
	},
	func(p *peerRun, a, b, c byte) []byte { return crypto(uint64(a)<<(b&15), padding(int(c))) },
	func(p *peerRun, a, b, c byte) []byte { return frame(wire.FrameHandshakeDone) },
	func(p *peerRun, a, b, c byte) []byte {
		largest := p.r.sp[App].largest - int64(a&7)
		if largest < 0 {
			return padding(1)
		}
		return ack(wire.AckRange{Smallest: uint64(max(0, largest-int64(b&15))), Largest: uint64(largest)})
	},
	func(p *peerRun, a, b, c byte) []byte { return ack(p.r.Ranges(App)...) },
	func(p *peerRun, a, b, c byte) []byte { return frame(wire.FramePing) },
	func(p *peerRun, a, b, c byte) []byte { return padding(int(a) + 1) },
	func(p *peerRun, a, b, c byte) []byte { return []byte{a, b, c} },
	func(p *peerRun, a, b, c byte) []byte {
		return encode(wire.Frame{Type: wire.FrameStreamDataBlocked, StreamID: p.id(a), Limit: uint64(b)})
	},
}

func challengeAnswer(data [8]byte) []byte {
	return encode(wire.Frame{Type: wire.FramePathResponse, Path: data})
}

// id is a stream of the peer, mostly, or one of the application's.
func (p *peerRun) id(a byte) uint64 {
	if n := len(p.own); n > 0 && a&0x80 != 0 {
		return p.own[int(a)%n].ID()
	}
	return p.r.peerStream(uint64(a&3), a&4 != 0)
}

// do runs one operation of four bytes.
func (p *peerRun) do(op, a, b, c byte) {
	r := p.r
	switch kind := op >> 4; {
	case kind < 10:
		if len(p.pending) < 40 {
			p.pending = append(p.pending, peerFrames[int(op)%len(peerFrames)](p, a, b, c))
		}
	case kind == 10:
		p.send(a, b, c)
	case kind == 11:
		r.Advance(time.Duration(b) * time.Duration(c) * time.Millisecond / 8)
	case kind == 12:
		p.app(a, b, c)
	case kind == 13:
		pkt := r.Packet(App, r.NextNumber(App), frame(wire.FramePing), padding(20))
		pkt[int(a)%len(pkt)] ^= 1 << (b & 7)
		p.count()
		r.SendDatagram(pkt)
	case kind == 14:
		r.AutoAck = a&1 == 0
	case a > 250:
		r.Conn.Close(r.Clock.Now(), uint64(b), "")
		r.Flush()
	}
}

// send sends the pending frames in a packet of some kind, with some number, from
// some address.
func (p *peerRun) send(a, b, c byte) {
	r := p.r
	p.count()
	r.local = p.homes[int(c)%len(p.homes)]
	frames := p.pending
	p.pending = nil
	if len(bytes.Join(frames, nil)) > 1300 {
		return
	}
	pn := r.NextNumber(App)
	switch a >> 6 {
	case 1:
		pn = pn - min(pn, 1+uint64(b&7)) // again
	case 2:
		pn += uint64(b) * uint64(b)
		r.sp[App].next = pn + 1
	}
	switch {
	case a&0x0f == 1:
		r.Send(Initial, frames...)
	case a&0x0f == 2:
		r.Send(Handshake, frames...)
	case a&0x0f == 3 && r.early != nil:
		r.SendDatagram(r.EarlyPacket(pn, frames...))
	case a&0x0f == 4:
		r.SendDatagram(r.PacketBits(App, pn, wire.ShortKeyPhase, frames...))
	default:
		r.SendFrom(b&3, r.Packet(App, pn, frames...))
	}
}

// app is one command of the application under test.
func (p *peerRun) app(a, b, c byte) {
	r, now := p.r, p.r.Clock.Now()
	var s *core.Stream
	if all := append(append([]*core.Stream(nil), p.own...), r.Opened...); len(all) > 0 {
		s = all[int(a)%len(all)]
	}
	switch b % 10 {
	case 0:
		if s, ok := r.Conn.Open(c&1 != 0); ok {
			p.own = append(p.own, s)
		}
	case 1:
		r.Conn.UpdateKeys(now)
	case 2:
		r.Conn.RotateIDs(now)
	case 3:
		r.Conn.SendDatagram(padding(int(c)))
	case 4:
		r.Conn.ReadDatagram()
	default:
		if s != nil {
			p.use(now, s, b, c)
		}
	}
	r.Flush()
}

func (p *peerRun) use(now time.Time, s *core.Stream, b, c byte) {
	switch conn := p.r.Conn; {
	case b%10 == 5 && s.CanSend():
		conn.CloseWrite(s)
	case b%10 == 6 && s.CanSend():
		conn.Reset(s, uint64(c))
	case b%10 == 7 && s.CanReceive():
		conn.Stop(now, s, uint64(c))
	case b%10 == 8 && s.CanReceive():
		conn.Read(now, s, make([]byte, c))
	case s.CanSend():
		conn.Write(s, padding(int(c)*8))
	}
}

// count adds up what went out and came in, by address, and looks for challenges.
func (p *peerRun) count() {
	p.sent[p.r.local] += p.r.SentBytes - p.sentAt
	p.sentAt = p.r.SentBytes
	for _, reply := range p.r.Replies {
		if reply.Datagram > p.seen {
			p.seen = reply.Datagram
			p.got[reply.To] += reply.Size
		}
		for _, f := range reply.Frames {
			if f.Type == wire.FramePathChallenge {
				p.asked, p.prover = f.Path, reply.To
			}
		}
	}
	p.r.Replies = nil
}

// check holds after every operation.
func (p *peerRun) check() {
	p.t.Helper()
	p.count()
	c := p.r.Conn
	if st := c.Stats(); st.InFlight < 0 || st.CongestionWindow < 2*recovery.BaseMTU {
		p.t.Fatalf("%d bytes in flight, window %d", st.InFlight, st.CongestionWindow)
	}
	if n, ids := c.Paths(), p.r.Router.Len(); n > 4 || ids > 10 {
		p.t.Fatalf("%d paths, %d IDs: more than the limits", n, ids)
	}
	for addr, n := range p.got {
		if p.r.client && !p.proved[addr] && n > 3*p.sent[addr] {
			p.t.Fatalf("RFC 9000 §8.1: %d bytes to %v, which sent %d", n, addr, p.sent[addr])
		}
	}
	var local *core.LocalError
	if errors.As(c.Err(), &local) && !local.App && core.Code(local.Code) == core.InternalError {
		p.t.Fatalf("the peer's mistake is called ours: %v", local)
	}
}

// end lets the peer fall silent: everything is forgotten.
func (p *peerRun) end() {
	p.check()
	p.r.AutoAck = false
	for range 3 {
		p.r.Advance(3 * time.Minute)
		p.count()
	}
	if p.r.Conn.Err() == nil || p.r.Router.Len() != 0 {
		p.t.Fatalf("a silent peer is remembered: %d IDs, %v", p.r.Router.Len(), p.r.Conn.Err())
	}
}
