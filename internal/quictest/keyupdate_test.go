package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// updateKeys moves the RawPeer's write keys, and its read keys if both is set,
// to the next phase.
func (r *RawPeer) updateKeys(both bool) {
	s := &r.sp[App]
	s.write, r.phase = s.write.Next(), !r.phase
	if both {
		s.read = s.read.Next()
	}
}

func TestKeyUpdateByThePeerIsFollowed(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for i := range 3 {
			r.updateKeys(true)
			r.Send(App, challenge(byte(i)))
			p, _ := r.WantFrame("RFC 9001 §6.2: the answer is under the new keys", wire.FramePathResponse)
			if p.Phase != r.phase {
				t.Errorf("answer in phase %v, want %v", p.Phase, r.phase)
			}
			r.Advance(5 * time.Second)
		}
	})
}

func TestKeyUpdateIsBegunAndFollowedByThePeer(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for i := range 3 {
			s, _ := r.Conn.Open(true) // something in this phase for the peer to acknowledge
			r.Conn.Write(s, []byte("x"))
			r.Flush()
			r.Send(App, ack(r.Ranges(App)...))
			if !r.Conn.UpdateKeys(r.Clock.Now()) {
				t.Fatalf("update %d is refused", i+1)
			}
			r.sp[App].read = r.sp[App].read.Next()
			r.Replies = nil
			r.Flush()
			p, _ := r.WantFrame("RFC 9001 §6.1: a packet in the new phase", wire.FramePing)
			if p.Phase == r.phase {
				t.Fatal("the phase did not flip")
			}
			r.updateKeys(false)
			r.Send(App, challenge(byte(i)), ack(r.Ranges(App)...))
			r.WantFrame("the peer's new keys are taken", wire.FramePathResponse)
			r.Advance(5 * time.Second)
		}
	})
}

func TestKeyUpdateWaitsForItsTurn(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.SendCrypto(Initial)
	r.SendCrypto(Handshake)
	if !r.Conn.Established() || r.Conn.UpdateKeys(r.Clock.Now()) {
		t.Error("RFC 9001 §6.1: an update before the handshake is confirmed")
	}
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("x"))
		r.Flush()
		r.Send(App, ack(r.Ranges(App)...))
		if !r.Conn.UpdateKeys(r.Clock.Now()) {
			t.Fatal("the first update is refused")
		}
		r.sp[App].read = r.sp[App].read.Next()
		r.AutoAck = false
		r.Flush()
		r.Advance(100 * time.Millisecond)
		if r.Conn.UpdateKeys(r.Clock.Now()) {
			t.Error("RFC 9001 §6.1: a second update before the first is acknowledged")
		}
	})
}

func TestPacketsOfTheOldPhaseAreTakenForAWhile(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		late, later := r.Packet(App, r.NextNumber(App), challenge(1)), r.Packet(App, r.NextNumber(App), challenge(2))
		r.updateKeys(true)
		r.Send(App, challenge(3))
		r.WantFrame("the new phase", wire.FramePathResponse)
		r.SendDatagram(late)
		r.WantFrame("RFC 9001 §6.5: a reordered packet of the old phase", wire.FramePathResponse)
		r.Advance(5 * time.Second)
		r.Replies = nil
		r.SendDatagram(later)
		r.WantNoFrame("RFC 9001 §6.5: three probe timeouts later", wire.FramePathResponse)
		r.WantOpen("and harms nothing")
	})
}

func TestOldKeysWithAHigherNumberAreAKeyUpdateError(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		high := r.Packet(App, 1000, challenge(1))
		r.updateKeys(true)
		r.Send(App, challenge(2))
		r.WantFrame("the new phase", wire.FramePathResponse)
		r.SendDatagram(high)
		r.WantClose("RFC 9001 §6.4: old keys for a higher number", core.KeyUpdateError)
	})
}

func TestOldKeysStayUntilThePeerFollows(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("x"))
		r.Flush()
		r.Send(App, ack(r.Ranges(App)...))
		if !r.Conn.UpdateKeys(r.Clock.Now()) {
			t.Fatal("the update is refused")
		}
		r.sp[App].read = r.sp[App].read.Next()
		r.AutoAck = false // what announces the update gets lost
		r.Flush()
		r.Advance(5 * time.Second)
		r.Send(App, challenge(1))
		r.WantFrame("RFC 9001 §6.5: the peer does not know of the update", wire.FramePathResponse)
		late := r.Packet(App, r.NextNumber(App), challenge(2))
		r.updateKeys(false)
		r.AutoAck = true
		r.Send(App, challenge(3))
		r.WantFrame("the peer follows", wire.FramePathResponse)
		r.Advance(20 * time.Second)
		r.Replies = nil
		r.SendDatagram(late)
		r.WantNoFrame("RFC 9001 §6.5: three probe timeouts later", wire.FramePathResponse)
		r.WantOpen("and harms nothing")
	})
}

func TestTwoUpdatesInARowAreAKeyUpdateError(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		r.updateKeys(true)
		r.Send(App, padding(1)) // nothing to answer: the new phase is never used
		r.updateKeys(true)
		r.Send(App, padding(1))
		if r.Conn.Err() == nil {
			t.Fatal("RFC 9001 §6.2: a second update before the first was answered")
		}
		var le *core.LocalError
		if !asLocal(r.Conn.Err(), &le) || le.Code != uint64(core.KeyUpdateError) {
			t.Errorf("got %v, want KEY_UPDATE_ERROR", r.Conn.Err())
		}
	})
}

func TestForgedPhaseBitsHarmNothing(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for range 1000 {
			pkt := r.PacketBits(App, r.NextNumber(App), wire.ShortKeyPhase, frame(wire.FramePing))
			r.SendDatagram(pkt)
		}
		r.Send(App, challenge(1))
		p, _ := r.WantFrame("the connection goes on", wire.FramePathResponse)
		if p.Phase != r.phase {
			t.Error("RFC 9001 §6.3: a forged bit changed the phase")
		}
	})
}
