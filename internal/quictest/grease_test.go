package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

func noGrease(cfg *core.Config) { cfg.NoGrease = true }

func TestShortHeaderWithFixedBitOfZeroIsDropped(t *testing.T) {
	testSides(t, RawOptions{Config: noGrease}, func(t *testing.T, r *RawPeer) {
		r.SendDatagram(r.PacketBits(App, r.NextNumber(App), wire.ShortFixedBit, challenge(1)))
		r.WantSilence("RFC 9000 §17.3.1: a fixed bit of zero")
		r.WantOpen("and harms nothing")
	})
}

func TestFixedBitOfZeroIsTakenIfWeAnnouncedThat(t *testing.T) {
	for _, client := range []bool{false, true} {
		r := reach(t, client, Handshake)
		r.Replies = nil
		r.SendDatagram(r.PacketBits(Handshake, r.NextNumber(Handshake), wire.ShortFixedBit, frame(wire.FramePing)))
		r.WantFrame("RFC 9287 §3: a Handshake packet", wire.FrameAck)
	}
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		if !r.Params().GreaseQUICBit {
			t.Fatal("RFC 9287 §3: grease_quic_bit is not announced")
		}
		r.SendDatagram(r.PacketBits(App, r.NextNumber(App), wire.ShortFixedBit, challenge(1)))
		r.WantFrame("RFC 9287 §3: a 1-RTT packet", wire.FramePathResponse)
	})
}

func TestFirstInitialWithFixedBitOfZeroIsDropped(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	hello := crypto(0, r.sp[Initial].out[:900])
	r.SendDatagram(r.PacketBits(Initial, 0, wire.ShortFixedBit, hello, padding(300)))
	if r.Conn != nil {
		t.Error("RFC 9287 §3.1: a client without a token cannot know that we would take it")
	}
	r.Token = []byte("of an earlier connection")
	r.SendDatagram(r.PacketBits(Initial, 1, wire.ShortFixedBit, hello, padding(300)))
	if r.Conn == nil {
		t.Error("RFC 9287 §3.1: with a token it may")
	}
}

// firstBytes counts the packets of each side by what their fixed bit is.
type firstBytes struct{ set, clear [2]int }

func (f *firstBytes) tap(from netsim.Side, d []byte) []byte {
	eachPacket(d, func(h *wire.Header, b0 byte) {
		if b0&wire.ShortFixedBit != 0 {
			f.set[from]++
		} else {
			f.clear[from]++
		}
	})
	return d
}

// eachPacket calls f for the packets of a datagram as an observer sees them.
func eachPacket(d []byte, f func(h *wire.Header, b0 byte)) {
	for len(d) > 0 {
		var h wire.Header
		if wire.IsLongHeader(d[0]) {
			if !wire.ParseLong(d, &h) {
				return
			}
		} else if !wire.ParseShort(d, core.LocalIDLen, &h) {
			return
		}
		f(&h, d[0])
		d = d[h.Length:]
	}
}

func TestFixedBitIsRandomOnceThePeerTakesThat(t *testing.T) {
	var f firstBytes
	p := NewPair(t, Seed(t, 8), Options{Tap: f.tap})
	serve(p)
	runTransfer(t, p, []byte("1000000"))
	for side, name := range []string{"client", "server"} {
		total := f.set[side] + f.clear[side]
		if f.clear[side] < total/3 || f.set[side] < total/3 {
			t.Errorf("RFC 9287 §3.1: the %s cleared the bit of %d packets in %d, want about half", name, f.clear[side], total)
		}
	}
}

func TestFixedBitIsSetForPeersThatWantIt(t *testing.T) {
	for _, quiet := range []netsim.Side{netsim.Left, netsim.Right} {
		var f firstBytes
		p := NewPair(t, Seed(t, 9), Options{Tap: f.tap, Config: func(side netsim.Side, cfg *core.Config) { cfg.NoGrease = side == quiet }})
		serve(p)
		runTransfer(t, p, []byte("100000"))
		if f.clear != [2]int{} {
			t.Errorf("RFC 9287 §3.1: side %v took no grease; cleared bits: %v", quiet, f.clear)
		}
	}
}

func TestClientClearsNoBitBeforeItKnowsItsServer(t *testing.T) {
	var first []byte
	p := NewPair(t, Seed(t, 10), Options{Tap: func(from netsim.Side, d []byte) []byte {
		if from == netsim.Left && p0(d) == wire.PacketInitial {
			first = append(first, d[0])
		}
		return d
	}})
	p.Server.Router.Accept(nil)
	p.Dial()
	p.Run(20*time.Second, func() bool { return false })
	if len(first) < 5 {
		t.Fatalf("%d Initials, want some to look at", len(first))
	}
	for _, b0 := range first {
		if b0&wire.ShortFixedBit == 0 {
			t.Fatal("RFC 9287 §3.1: a client without the server's parameters cleared the bit")
		}
	}
}

// p0 is the type of the first packet of a datagram.
func p0(d []byte) (t wire.PacketType) {
	var h wire.Header
	t = wire.Packet1RTT
	if wire.IsLongHeader(d[0]) && wire.ParseLong(d, &h) {
		t = h.Type
	}
	return t
}

func TestGreaseCanBeTurnedOff(t *testing.T) {
	testSides(t, RawOptions{Config: noGrease}, func(t *testing.T, r *RawPeer) {
		p := r.Params()
		if p.GreaseQUICBit {
			t.Error("grease_quic_bit is announced")
		}
		for i := range p.Versions.Available.Len() {
			if v := p.Versions.Available.At(i); v.Reserved() {
				t.Errorf("version %v is offered", v)
			}
		}
	})
}
