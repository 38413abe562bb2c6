package quictest

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// wantBounded runs attack and checks what it left: bytes on the heap, and no
// goroutine or file. The packets that the RawPeer keeps are forgotten first.
func wantBounded(t *testing.T, r *RawPeer, limit int64, attack func()) {
	t.Helper()
	before := NewBudget(t)
	attack()
	r.forget()
	before.WantBack(limit)
	runtime.KeepAlive(r)
}

func (r *RawPeer) forget() {
	r.Replies, r.Events = nil, nil
	for i := range r.sp {
		r.sp[i].got = nil
	}
}

// TestPacketsAwaitingKeysAreBounded fills the core's maxHeldPackets and
// maxHeldBytes.
func TestPacketsAwaitingKeysAreBounded(t *testing.T) {
	r := reach(t, false, Initial)
	// Nothing of this can be opened: the keys are not there yet, or never.
	junk := make([]byte, 1200)
	copy(junk, wire.AppendShort(nil, r.DCID, 1, 4, false, false))
	long, lengthAt := wire.AppendLong(nil, wire.PacketHandshake, r.version, r.DCID, r.SCID, nil, 1, 4)
	wire.PutVarint2(long[lengthAt:], 1000)
	long = append(long, make([]byte, 1000)...)
	wantBounded(t, r, 64<<10+64<<10, func() {
		for range 5000 {
			r.SendDatagram(append([]byte(nil), junk...))
			r.SendDatagram(append([]byte(nil), long...))
		}
	})
	r.WantOpen("RFC 9001 §5.7: junk is bounded and dropped")
	r.AutoAck = true
	r.SendCrypto(Handshake)
	if !r.Conn.Established() {
		t.Error("the handshake did not survive the junk")
	}
}

// TestStreamGapsAreBounded fills the core's maxGaps.
func TestStreamGapsAreBounded(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		id := r.peerStream(0, true)
		wantBounded(t, r, 2<<20, func() {
			var off uint64 = 1
			for r.Conn.Err() == nil && off < 200_000 {
				var frames [][]byte
				for range 100 {
					frames = append(frames, stream(id, off, "x", false))
					off += 2
				}
				r.Send(App, frames...)
			}
		})
		if r.Conn.Err() == nil {
			t.Error("RFC 9000 §21.9: a stream of 100000 separate bytes was borne")
		}
	})
}

func TestWholeWindowOfUnreadDataIsBounded(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		wantBounded(t, r, 4<<20, func() {
			for n := range uint64(100) { // one byte at the far end of every stream's window
				r.Send(App, stream(r.peerStream(n, true), 2600, "x", false))
				r.Send(App, stream(r.peerStream(n, false), 2600, "x", false))
			}
		})
		r.WantOpen("all within the limits")
	})
}

func TestStreamsAreGrantedOnlyAsTheApplicationFinishes(t *testing.T) {
	testSides(t, RawOptions{Config: small}, func(t *testing.T, r *RawPeer) {
		for n := range uint64(3) {
			r.Send(App, stream(r.peerStream(n, false), 0, "x", false))
			r.Send(App, encode(wire.Frame{Type: wire.FrameResetStream, StreamID: r.peerStream(n, false), FinalSize: 1}))
		}
		r.WantNoFrame("rapid reset: the application has not seen one of them", wire.FrameMaxStreamsBidi)
		for _, s := range r.Opened {
			r.Conn.Read(r.Clock.Now(), s, make([]byte, 1))
			r.Conn.Reset(s, 0)
		}
		r.Flush()
		r.Send(App, frame(wire.FramePing))
		r.Send(App, frame(wire.FramePing))
		r.Send(App, encode(wire.Frame{Type: wire.FramePing}))
		if _, f := r.WantFrame("finished streams make room", wire.FrameMaxStreamsBidi); f.Limit > 6 {
			t.Errorf("limit %d after 3 of 3 streams", f.Limit)
		}
	})
}

func TestFloodsOfSmallFramesLeaveNothingBehind(t *testing.T) {
	floods := map[string]func(r *RawPeer, n int) []byte{
		"PING": func(r *RawPeer, n int) []byte { return frame(wire.FramePing) },
		"DATA_BLOCKED": func(r *RawPeer, n int) []byte {
			return encode(wire.Frame{Type: wire.FrameDataBlocked, Limit: uint64(n)})
		},
		"STREAMS_BLOCKED": func(r *RawPeer, n int) []byte {
			return encode(wire.Frame{Type: wire.FrameStreamsBlockedBidi, Limit: uint64(n)})
		},
		"MAX_DATA": func(r *RawPeer, n int) []byte { return encode(wire.Frame{Type: wire.FrameMaxData, Limit: uint64(n)}) },
		"MAX_STREAMS": func(r *RawPeer, n int) []byte {
			return encode(wire.Frame{Type: wire.FrameMaxStreamsUni, Limit: uint64(n)})
		},
		"PATH_CHALLENGE":      func(r *RawPeer, n int) []byte { return challenge(byte(n)) },
		"every second packet": func(r *RawPeer, n int) []byte { r.NextNumber(App); return frame(wire.FramePing) },
	}
	for name, f := range floods {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{}).Connect()
			wantBounded(t, r, 512<<10, func() {
				for n := range 5_000 {
					r.Send(App, f(r, n))
					if n%100 == 0 {
						r.forget()
					}
				}
			})
			r.WantOpen("a flood is borne")
		})
	}
}

func TestSilentPeerCostsBoundedMemory(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	wantBounded(t, r, 2<<20, func() {
		for range 10_000 { // nothing is ever acknowledged
			r.Conn.Write(s, padding(1000))
			r.Flush()
		}
	})
	if n, err := r.Conn.Write(s, padding(1<<20)); n > 0 || err != nil {
		t.Errorf("the buffer took %d more bytes, %v", n, err)
	}
}

// TestHalfOpenConnectionsAreLimited fills the core's maxHalfOpen.
func TestHalfOpenConnectionsAreLimited(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	kinds := map[core.RouteKind]int{}
	for i := range 5000 {
		id := binary.BigEndian.AppendUint64(nil, uint64(i))
		r.Reconnect(id)
		pkt := r.Packet(Initial, 0, crypto(0, r.sp[Initial].out[:1000]), padding(200))
		d := core.Datagram{Data: pkt, Remote: netip.AddrPortFrom(r.local.Addr(), uint16(i)), Local: r.remote.Addr()}
		route := r.Router.Route(r.Clock.Now(), &d)
		kinds[route.Kind]++
		if route.Kind == core.RouteNew {
			r.Router.HalfOpen(1)
		}
	}
	if kinds[core.RouteNew] != 2048 || kinds[core.RouteReply] != 5000-2048 {
		t.Errorf("RFC 9000 §21.3: %d connections and %d Retries of 5000 Initials, want 2048 connections and Retries from there on",
			kinds[core.RouteNew], kinds[core.RouteReply])
	}
}

func TestInjectedInitialsDoNotCrash(t *testing.T) {
	// Initial keys are public: an attacker on the path can do this to a client.
	for _, payload := range [][]byte{
		ack(wire.AckRange{Smallest: 0, Largest: 5000}),
		encode(wire.Frame{Type: wire.FrameConnectionClose, Code: 1}),
		crypto(0, []byte{2, 0, 0, 4, 1, 2, 3, 4}),
		frame(wire.FramePing),
		{0xff},
	} {
		for _, client := range []bool{false, true} {
			r := reach(t, client, Initial)
			r.Send(Initial, payload)
			r.Advance(10 * time.Second)
		}
	}
}

func TestMalformedCoalescedPacketsRetainNothing(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	hello := r.Packet(Initial, 0, crypto(0, r.sp[Initial].out[:100]), padding(900))
	wantBounded(t, r, 64<<10, func() {
		for i := range 5_000 {
			pkt := append([]byte(nil), hello...)
			pkt[500] ^= byte(1 + i%255) // does not authenticate
			pkt = append(pkt, hello[:200]...)
			r.SendDatagram(pkt)
		}
	})
	if r.Conn != nil || r.Router.Len() != 0 {
		t.Error("a forged Initial made a connection")
	}
}

func TestPersistentCongestionCollapsesTheWindow(t *testing.T) {
	r := NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { cfg.MaxMTU = 0 }}).Connect()
	for range 20 { // samples of 40 ms
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, padding(1000))
		r.Conn.CloseWrite(s)
		r.Flush()
		r.Advance(40 * time.Millisecond)
		r.Send(App, ack(r.Ranges(App)...))
	}
	before := r.Conn.Stats().CongestionWindow
	s, _ := r.Conn.Open(true)
	for range 100 {
		r.Conn.Write(s, padding(1000))
		r.Flush()
		r.Advance(40 * time.Millisecond)
	}
	for n := r.GotDatagrams; r.GotDatagrams == n; {
		r.Advance(10 * time.Millisecond) // to a fresh probe, which is not delayed
	}
	last := r.sp[App].got[len(r.sp[App].got)-1]
	r.Send(App, ack(wire.AckRange{Smallest: last, Largest: last}))
	if got := r.Conn.Stats().CongestionWindow; got > 3*recovery.BaseMTU { // the minimum, and what was just acknowledged
		t.Errorf("RFC 9002 §7.6.2: window %d after four seconds of loss (%d before), want at most %d", got, before, 3*recovery.BaseMTU)
	}
}

func TestRefusedRetryTokensOfOtherKinds(t *testing.T) {
	// A token as a NEW_TOKEN frame would carry it counts as none (RFC 9000 §8.1.3).
	r := NewRawClient(t, RawOptions{})
	var secret [32]byte
	token, err := crypt.NewTokenKey(secret).Seal(r.cfg.Rand, &crypt.Token{Kind: crypt.TokenAddress, Addr: r.local, Time: r.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r.Token = token
	r.SendCrypto(Initial)
	if r.Conn == nil {
		t.Fatal("RFC 9000 §8.1.3: a token of another server counts as none")
	}
}
