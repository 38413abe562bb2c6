package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestEverySecondPacketIsAcknowledgedAtOnce(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		r.WantSilence("the first waits")
		r.Send(App, frame(wire.FramePing))
		r.WantFrame("RFC 9000 §13.2.2: the second does not", wire.FrameAck)
	})
}

func TestAcknowledgmentComesWithinMaxAckDelay(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		r.Advance(24 * time.Millisecond)
		r.WantSilence("24 ms later")
		r.Advance(time.Millisecond)
		r.WantFrame("RFC 9000 §13.2.1: 25 ms later", wire.FrameAck)
	})
}

func TestReorderedPacketIsAcknowledgedAtOnce(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		pn := r.NextNumber(App)
		r.SendNumber(App, pn+2, frame(wire.FramePing))
		r.WantFrame("RFC 9000 §13.2.1: a gap", wire.FrameAck)
		r.SendNumber(App, pn, frame(wire.FramePing))
		r.WantFrame("RFC 9000 §13.2.1: below the largest", wire.FrameAck)
	})
}

func TestHandshakePacketsAreAcknowledgedAtOnce(t *testing.T) {
	for _, id := range []recovery.SpaceID{Initial, Handshake} {
		r := reach(t, false, id)
		r.Replies = nil
		r.Send(id, frame(wire.FramePing))
		r.WantFrame("RFC 9000 §13.2.1: Initial and Handshake at once", wire.FrameAck)
	}
}

func TestPacketsThatElicitNothingAreNotAcknowledged(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for range 100 {
			r.Send(App, padding(1))
			r.Advance(50 * time.Millisecond)
		}
		r.WantNoFrame("RFC 9000 §13.2.1: no ACK for PADDING alone", wire.FrameAck)
	})
}

func TestAckRangesAreBounded(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		base := r.NextNumber(App)
		for i := range uint64(1000) {
			r.SendNumber(App, base+2*i, frame(wire.FramePing))
		}
		last := r.Replies[len(r.Replies)-1].Frames[0]
		if last.Ack.Largest != base+2*999 {
			t.Errorf("RFC 9000 §13.2.3: largest %d, want %d", last.Ack.Largest, base+2*999)
		}
		if last.Ack.Count+1 > recovery.MaxAckRanges {
			t.Errorf("%d ranges, want at most %d", last.Ack.Count+1, recovery.MaxAckRanges)
		}
	})
}

func TestAcknowledgmentOfASkippedNumberIsCaught(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		seen := map[uint64]bool{}
		var highest uint64
		for range 300 {
			r.Send(App, frame(wire.FramePing), encode(wire.Frame{Type: wire.FramePathChallenge}))
			for _, p := range r.Replies {
				seen[p.Number] = true
				highest = max(highest, p.Number)
			}
			r.Replies = nil
		}
		for pn := highest; pn > 0; pn-- {
			if !seen[pn] {
				r.Send(App, ack(wire.AckRange{Smallest: pn, Largest: highest}))
				r.WantClose("RFC 9000 §21.4: an optimistic acknowledgment", core.ProtocolViolation)
				return
			}
		}
		t.Fatalf("no number was skipped up to %d", highest)
	})
}

// TestAckOfFiveHundredRangesIsTaken fills the core's maxAckRangesRead.
func TestAckOfFiveHundredRangesIsTaken(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		for range 1200 { // more packets than ranges, one at a time
			r.Conn.Write(s, []byte("x"))
			r.Flush()
			if r.Conn.Err() != nil {
				t.Fatal(r.Conn.Err())
			}
		}
		got := r.sp[App].got
		var ranges []wire.AckRange
		for i := len(got) - 1; i >= 0 && len(ranges) < 500; i -= 2 {
			ranges = append(ranges, wire.AckRange{Smallest: got[i], Largest: got[i]})
		}
		b := []byte{byte(wire.FrameAck)}
		b = wire.AppendVarint(b, ranges[0].Largest)
		b = append(b, 0)
		b = wire.AppendVarint(b, uint64(len(ranges)-1))
		b = append(b, 0)
		for i := 1; i < len(ranges); i++ {
			b = wire.AppendVarint(b, ranges[i-1].Smallest-ranges[i].Largest-2)
			b = append(b, 0)
		}
		r.Send(App, b)
		r.WantOpen("an ACK of many ranges")
	})
}

func TestUnackedPeerIsProbedEverMoreRarely(t *testing.T) {
	testSides(t, RawOptions{Config: func(cfg *core.Config) { cfg.IdleTimeout = 0; cfg.MaxMTU = 0 }, Params: func(p *wire.Params) { p.MaxIdleTimeout = 0 }}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("hello"))
		r.Flush()
		before := r.GotDatagrams
		r.Advance(time.Minute)
		if n := r.GotDatagrams - before; n > 60 {
			t.Errorf("RFC 9002 §6.2: %d datagrams in a minute without acknowledgment", n)
		} else if n < 8 {
			t.Errorf("only %d datagrams in a minute: are there probes?", n)
		}
	})
}

// TestPeerThatAcknowledgesNothingStopsUs fills recovery's MaxTracked: without an
// acknowledgment nothing that was sent can be forgotten. There it ends: neither
// the records grow nor does a timer fire again and again for an ACK that cannot
// leave.
func TestPeerThatAcknowledgesNothingStopsUs(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	s, _ := r.Conn.Open(true)
	r.Conn.Write(s, padding(1000))
	r.Flush()
	wantBounded(t, r, recovery.MaxTracked*64, func() {
		for n := range 2*recovery.MaxTracked + 5000 {
			r.Send(App, frame(wire.FramePing))
			if n%100 == 0 {
				r.forget()
				r.Advance(100 * time.Microsecond)
			}
		}
		r.Advance(time.Second)
	})
	r.WantOpen("nobody is hurt")
	r.Advance(3 * time.Minute)
	if !r.has(core.EventDrained) {
		t.Errorf("silence did not end the connection: %v", r.Conn.Err())
	}
}

// TestFloodIsAnsweredWithLessThanItCosts holds what the core does about junk
// (RFC 9000 §21.9): it bears it, since nothing grows and no answer is larger.
func TestFloodIsAnsweredWithLessThanItCosts(t *testing.T) {
	for name, junk := range map[string][]byte{"PING": frame(wire.FramePing), "PADDING": padding(1), "IMMEDIATE_ACK": frame(wire.FrameImmediateAck)} {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{}).Connect()
			const packets = 50_000
			sent, got, datagrams := r.SentBytes, r.GotBytes, r.GotDatagrams
			for n := range packets {
				r.Send(App, junk)
				if n%100 == 0 {
					r.forget()
				}
			}
			r.WantOpen("a flood is borne")
			if sent, got := r.SentBytes-sent, r.GotBytes-got; got > sent*11/10 {
				t.Errorf("%d bytes answered with %d", sent, got)
			}
			most := packets / 2
			if name == "PADDING" {
				most = 0
			} else if name == "IMMEDIATE_ACK" {
				most = packets
			}
			if n := r.GotDatagrams - datagrams; n > most+packets/50 {
				t.Errorf("%d packets answered with %d, want at most %d", packets, n, most)
			}
		})
	}
}
