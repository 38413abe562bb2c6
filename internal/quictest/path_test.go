package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

func challenge(n byte) []byte {
	return encode(wire.Frame{Type: wire.FramePathChallenge, Path: [8]byte{n}})
}

func TestPathChallengeIsAnsweredInALargeDatagram(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, challenge(7))
		p, f := r.WantFrame("RFC 9000 §8.2.2: an answer", wire.FramePathResponse)
		if f.Path != [8]byte{7} {
			t.Errorf("answer %x, want the same data", f.Path)
		}
		if p.Size < wire.MinInitialDatagram {
			t.Errorf("RFC 9000 §8.2.2: answer in a datagram of %d bytes, want at least 1200", p.Size)
		}
		r.WantNoFrame("RFC 9000 §8.2.2: one answer for one challenge", wire.FramePathResponse)
	})
}

func TestLostPathResponseIsNotRepeated(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		r.Send(App, challenge(7))
		r.WantFrame("an answer", wire.FramePathResponse)
		r.Advance(5 * time.Second)
		r.WantNoFrame("RFC 9000 §13.3: not repeated", wire.FramePathResponse)
	})
}

// TestPathChallengeFloodIsBounded fills the core's maxPathResponses.
func TestPathChallengeFloodIsBounded(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false // the window fills, answers have to wait
		var all [][]byte
		for i := range 100 {
			all = append(all, challenge(byte(i)))
		}
		for range 100 {
			r.Send(App, all...)
		}
		answers := 0
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FramePathResponse {
					answers++
				}
			}
		}
		if answers > 4*100 {
			t.Errorf("%d answers to 100 datagrams of 100 challenges, want at most 4 each", answers)
		}
		r.WantOpen("a flood is borne")
	})
}

func TestUnknownPathResponseIsIgnored(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, encode(wire.Frame{Type: wire.FramePathResponse, Path: [8]byte{1}}))
		r.WantOpen("RFC 9000 §8.2.3: an answer to no challenge")
	})
}

func TestServerSendsAtMostThreeTimesWhatItGot(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.AutoAck = false
	check := func(when string) {
		t.Helper()
		if r.GotBytes > 3*r.SentBytes {
			t.Fatalf("RFC 9000 §8.1: %s: sent %d bytes for %d", when, r.GotBytes, r.SentBytes)
		}
	}
	hello := r.sp[Initial].out
	r.Send(Initial, crypto(0, hello[:900]))
	check("half a hello")
	r.Send(Initial, crypto(900, hello[900:]))
	check("a hello")
	if r.GotBytes < 1200 {
		t.Fatalf("only %d bytes came", r.GotBytes)
	}
	for range 60 {
		r.Advance(time.Second)
		check("probe timeouts")
	}
	r.Send(Initial, []byte{0x40, 0x01}, padding(1000)) // a violation
	check("CONNECTION_CLOSE")
	if r.Conn.Err() == nil {
		t.Fatal("not closed")
	}
	for range 20 {
		r.Send(Initial, padding(1))
		r.SendDatagram(r.Packet(Initial, r.NextNumber(Initial), padding(10)))
		check("closing")
	}
}

func TestSmallDatagramsRaiseTheAllowanceByTheirBytesOnly(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.AutoAck = false
	hello := r.sp[Initial].out
	r.Send(Initial, crypto(0, hello[:900]))
	r.Send(Initial, crypto(900, hello[900:]))
	for range 200 {
		r.SendDatagram(r.Packet(Initial, r.NextNumber(Initial), frame(wire.FramePing), padding(20)))
		r.Advance(100 * time.Millisecond)
		if r.GotBytes > 3*r.SentBytes {
			t.Fatalf("RFC 9000 §8.1: sent %d bytes for %d", r.GotBytes, r.SentBytes)
		}
	}
}

func TestHandshakePacketLiftsTheLimit(t *testing.T) {
	big := RawOptions{Config: func(cfg *core.Config) {
		leaf := cfg.TLS.Certificates[0].Certificate[0]
		for range 40 { // a chain of 16 kB and more, beyond what 3 times allows
			cfg.TLS.Certificates[0].Certificate = append(cfg.TLS.Certificates[0].Certificate, leaf)
		}
	}}
	r := NewRawClient(t, big)
	r.AutoAck = false
	r.SendCrypto(Initial)
	if r.GotBytes > 3*r.SentBytes || r.GotBytes < 3*r.SentBytes-1200 {
		t.Fatalf("RFC 9000 §8.1: sent %d bytes for %d, want nearly 3 times", r.GotBytes, r.SentBytes)
	}
	before := r.GotBytes
	r.Advance(10 * time.Second)
	if r.GotBytes != before {
		t.Fatalf("RFC 9002 §6.2.2.1: a blocked server sent %d bytes", r.GotBytes-before)
	}
	r.Send(Handshake, ack(r.Ranges(Handshake)...))
	r.Advance(3 * time.Second)
	if r.GotBytes <= 3*r.SentBytes {
		t.Errorf("RFC 9000 §8.1: a Handshake packet validates the address; sent %d for %d", r.GotBytes, r.SentBytes)
	}
}

func TestClientProbesWhenTheServerMayBeBlocked(t *testing.T) {
	r := NewRawServer(t, RawOptions{})
	r.Send(Initial, ack(r.Ranges(Initial)...)) // nothing is in flight any more
	r.Replies = nil
	r.Advance(5 * time.Second)
	p, _ := r.WantFrame("RFC 9002 §6.2.2.1: an Initial PING", wire.FramePing)
	if p.Type != wire.PacketInitial || p.Size < wire.MinInitialDatagram {
		t.Errorf("probe in a %v packet of %d bytes, want a padded Initial", p.Type, p.Size)
	}
}
