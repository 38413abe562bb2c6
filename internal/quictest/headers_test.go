package quictest

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestReservedBitsAreAProtocolViolation(t *testing.T) {
	for _, bits := range []byte{0x08, 0x10, 0x18} {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			r.SendDatagram(r.PacketBits(App, r.NextNumber(App), bits, frame(wire.FramePing)))
			r.WantClose("RFC 9000 §17.3.1: reserved bits of a short header", core.ProtocolViolation)
		})
	}
	for _, bits := range []byte{0x04, 0x08, 0x0c} {
		r := reach(t, true, Handshake)
		r.Replies = nil
		r.SendDatagram(r.PacketBits(Handshake, r.NextNumber(Handshake), bits, frame(wire.FramePing)))
		r.WantClose("RFC 9000 §17.2: reserved bits of a long header", core.ProtocolViolation)
	}
}

func TestPacketsThatAreNotOfThisVersionAreDropped(t *testing.T) {
	spoil := map[string]func(pkt []byte) []byte{
		"fixed bit of zero": func(p []byte) []byte { p[0] &^= 0x40; return p },
		"truncated":         func(p []byte) []byte { return p[:len(p)-1] },
		"too short for a sample": func(p []byte) []byte {
			return p[:9+4+15]
		},
		"one byte":      func(p []byte) []byte { return p[:1] },
		"flipped tag":   func(p []byte) []byte { p[len(p)-1] ^= 1; return p },
		"flipped body":  func(p []byte) []byte { p[15] ^= 1; return p },
		"empty":         func(p []byte) []byte { return nil },
		"unknown DCID":  func(p []byte) []byte { p[3] ^= 1; return p },
		"only a header": func(p []byte) []byte { return p[:9] },
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			testSides(t, RawOptions{Config: func(cfg *core.Config) { cfg.ResetKey = nil }}, func(t *testing.T, r *RawPeer) {
				r.AutoAck = false
				pkt := r.Packet(App, r.NextNumber(App), frame(wire.FramePing), padding(30))
				r.SendDatagram(f(pkt))
				r.Advance(100 * time.Millisecond)
				r.WantNoFrame("a packet that does not authenticate is dropped", wire.FrameAck)
				r.WantOpen("and harms nothing")
				r.Send(App, frame(wire.FramePing))
				r.Advance(100 * time.Millisecond)
				r.WantFrame("the connection goes on", wire.FrameAck)
			})
		})
	}
}

func TestLongHeaderWithFixedBitOfZeroIsDropped(t *testing.T) {
	for _, client := range []bool{false, true} {
		r := reach(t, client, Handshake, noGrease)
		r.Replies = nil
		r.SendDatagram(r.PacketBits(Handshake, r.NextNumber(Handshake), 0x40, frame(wire.FramePing)))
		r.WantSilence("RFC 9000 §17.2: a fixed bit of zero")
		r.Send(Handshake, frame(wire.FramePing))
		r.WantFrame("the connection goes on", wire.FrameAck)
	}
}

func TestDuplicatePacketIsProcessedOnce(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		pkt := r.Packet(App, r.NextNumber(App), encode(wire.Frame{Type: wire.FramePathChallenge, Path: [8]byte{1}}))
		r.SendDatagram(bytes.Clone(pkt))
		r.WantFrame("the first is answered", wire.FramePathResponse)
		r.SendDatagram(pkt)
		r.WantNoFrame("RFC 9000 §12.3: the second is a duplicate", wire.FramePathResponse)
	})
}

func TestOldPacketNumbersCountAsDuplicates(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.SendNumber(App, 1<<20, frame(wire.FramePing))
		r.Replies = nil
		r.SendNumber(App, 1<<20-2000, encode(wire.Frame{Type: wire.FramePathChallenge}))
		r.WantNoFrame("RFC 9000 §12.3: not certain to be new", wire.FramePathResponse)
		r.SendNumber(App, 1<<20-500, encode(wire.Frame{Type: wire.FramePathChallenge}))
		r.WantFrame("a late one that is known to be new", wire.FramePathResponse)
	})
}

func TestCoalescedPacketForAnotherIDIsIgnored(t *testing.T) {
	r := reach(t, true, Handshake)
	r.Replies = nil
	good := r.Packet(Initial, r.NextNumber(Initial), padding(1100))
	own := r.DCID
	r.DCID = []byte("somebody")
	other := r.Packet(Handshake, r.NextNumber(Handshake), frame(wire.FramePing))
	r.DCID = own
	r.SendDatagram(good, other)
	r.WantSilence("RFC 9000 §12.2: a coalesced packet with another destination ID")
	second := r.Packet(Handshake, r.NextNumber(Handshake), frame(wire.FramePing))
	r.SendDatagram(r.Packet(Initial, r.NextNumber(Initial), padding(1100)), second)
	if p, _ := r.WantFrame("a coalesced packet is handled", wire.FrameAck); p.Type != wire.PacketHandshake {
		t.Errorf("ACK in a %v packet, want handshake", p.Type)
	}
}

func TestCoalescedShortPacketForAnotherIDIsIgnored(t *testing.T) {
	r := reach(t, true, App)
	own := r.DCID
	r.DCID = []byte("somebody")
	other := r.Packet(App, r.NextNumber(App), encode(wire.Frame{Type: wire.FramePathChallenge}))
	r.DCID = own
	r.SendDatagram(r.Packet(Handshake, r.NextNumber(Handshake), padding(30)), other)
	r.WantNoFrame("RFC 9000 §12.2: a short header with another destination ID", wire.FramePathResponse)
}

func TestJunkBehindAGoodPacketIsIgnored(t *testing.T) {
	r := reach(t, true, Handshake)
	r.Replies = nil
	good := r.Packet(Handshake, r.NextNumber(Handshake), frame(wire.FramePing))
	r.SendDatagram(good, []byte{0xe0, 0, 0, 0, 1, 20, 1, 2, 3})
	r.WantFrame("the good packet is acknowledged", wire.FrameAck)
	r.WantOpen("the rest is dropped")
}

func TestServerDiscardsSmallInitials(t *testing.T) {
	for _, size := range []int{600, 1199, 1200} {
		r := NewRawClient(t, RawOptions{})
		s := &r.sp[Initial]
		pkt := func(n int) []byte { return r.Packet(Initial, 0, crypto(0, s.out[:500]), padding(n)) }
		r.SendDatagram(pkt(size - len(pkt(0))))
		if size < wire.MinInitialDatagram {
			if r.Conn != nil || r.GotDatagrams > 0 {
				t.Errorf("RFC 9000 §14.1: an Initial of %d bytes was taken", size)
			}
		} else if r.Conn == nil {
			t.Errorf("an Initial of %d bytes was not taken", size)
		}
	}
}

func TestServerDropsInitialsThatAreNotWellFormed(t *testing.T) {
	initial := func(r *RawPeer) []byte {
		return r.Packet(Initial, 0, crypto(0, r.sp[Initial].out[:1000]), padding(200))
	}
	tests := []struct {
		name  string
		spoil func(r *RawPeer) []byte
	}{
		{"destination ID of 7 bytes", func(r *RawPeer) []byte { r.Reconnect([]byte("seven77")); return initial(r) }},
		{"destination ID of 21 bytes", func(r *RawPeer) []byte { r.Reconnect(make([]byte, 21)); return initial(r) }},
		{"source ID of 21 bytes", func(r *RawPeer) []byte { r.SCID = make([]byte, 21); return initial(r) }},
		{"version 0", func(r *RawPeer) []byte { p := initial(r); clear(p[1:5]); return p }},
		{"fixed bit of zero", func(r *RawPeer) []byte {
			return r.PacketBits(Initial, 0, 0x40, crypto(0, r.sp[Initial].out[:1000]), padding(200))
		}},
		{"forged", func(r *RawPeer) []byte { p := initial(r); p[700] ^= 1; return p }},
		{"length beyond the datagram", func(r *RawPeer) []byte { p := initial(r); return p[:1200] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{})
			r.SendDatagram(tt.spoil(r))
			if r.Conn != nil || r.GotDatagrams > 0 {
				t.Errorf("taken; %d datagrams came back", r.GotDatagrams)
			}
			if r.Router.Len() != 0 {
				t.Errorf("the router keeps %d IDs", r.Router.Len())
			}
		})
	}
}

func TestUnknownVersionIsAnsweredWithVersionNegotiation(t *testing.T) {
	for _, version := range []uint32{0x1a2a3a4a, 0xff00001d, 0xffffffff, 2} {
		r := NewRawClient(t, RawOptions{})
		pkt := r.Packet(Initial, 0, padding(1200))
		binary.BigEndian.PutUint32(pkt[1:], version)
		r.SendDatagram(bytes.Clone(pkt[:1200]))
		if len(r.Replies) != 1 || r.Replies[0].Type != wire.PacketVersionNegotiation {
			t.Fatalf("version %#x: got %v, want Version Negotiation", version, r.Describe())
		}
		dcid, scid, list, ok := wire.ParseVersionNegotiation(r.Replies[0].Raw)
		if !ok || !bytes.Equal(dcid, r.SCID) || !bytes.Equal(scid, r.DCID) || !list.Contains(wire.Version1) {
			t.Errorf("version %#x: Version Negotiation %x", version, r.Replies[0].Raw)
		}
		if list.Contains(wire.Version(version)) {
			t.Errorf("version %#x is offered", version)
		}
		r.Replies = nil
		r.SendDatagram(pkt[:1199])
		r.WantSilence("RFC 9000 §5.2.2: a datagram too small to begin a connection")
	}
}

func TestClientDropsInitialWithToken(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.Replies = nil
	r.Token = []byte("token")
	r.Send(Initial, frame(wire.FramePing))
	r.WantSilence("RFC 9000 §17.2.2: a server sends no token")
	r.WantOpen("and harms nothing")
	r.Token = nil
	r.Connect()
}

func TestChangedSourceIDIsDiscarded(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		r := reach(t, false, Initial)
		r.Replies, r.SCID = nil, []byte("another!")
		r.Send(Initial, frame(wire.FramePing))
		r.WantSilence("RFC 9000 §7.2: another source ID in a later Initial")
	})
	t.Run("client", func(t *testing.T) {
		r := reach(t, true, Handshake)
		r.Replies, r.SCID = nil, []byte("another!")
		r.Send(Handshake, frame(wire.FramePing))
		r.WantSilence("RFC 9000 §7.2: another source ID in a later packet")
	})
}

func TestClientInitialIsLargeAndItsIDUnpredictable(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	if len(r.odcid) < 8 {
		t.Errorf("RFC 9000 §7.2: destination ID of %d bytes, want at least 8", len(r.odcid))
	}
	for _, p := range r.Replies {
		if p.Size < wire.MinInitialDatagram {
			t.Errorf("RFC 9000 §14.1: Initial in a datagram of %d bytes", p.Size)
		}
	}
	q := NewRawServer(t, RawOptions{Config: func(cfg *core.Config) { cfg.Rand = virtual.DefaultConfig(8, 0).Rand }})
	if bytes.Equal(r.odcid, q.odcid) {
		t.Errorf("two connections chose the ID %x", r.odcid)
	}
}

func TestServerPadsAckElicitingInitials(t *testing.T) {
	r := reach(t, false, Initial)
	n := 0
	for _, p := range r.Replies {
		for _, f := range p.Frames {
			if p.Type == wire.PacketInitial && f.Type.AckEliciting() {
				n++
				if p.Size < wire.MinInitialDatagram {
					t.Errorf("RFC 9000 §14.1: ack-eliciting Initial in a datagram of %d bytes", p.Size)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no ack-eliciting Initial came")
	}
}
