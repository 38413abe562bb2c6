package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// frequent makes the RawPeer announce that it can be asked.
func frequent(p *wire.Params) { p.MinAckDelay = time.Millisecond }

// ackFrequency encodes a request that as many packets as threshold may wait.
func ackFrequency(seq, threshold uint64, delay time.Duration, reordering uint64) []byte {
	return encode(wire.Frame{Type: wire.FrameAckFrequency, Sequence: seq, Threshold: threshold, MaxDelay: uint64(delay / time.Microsecond), Reordering: reordering})
}

// asked has sent a request to the connection under test, and has its acknowledgment.
func asked(t *testing.T, threshold uint64, delay time.Duration, reordering uint64, body func(t *testing.T, r *RawPeer)) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		if r.Params().MinAckDelay != time.Millisecond {
			t.Fatalf("draft-ietf-quic-ack-frequency §3: min_ack_delay is %v", r.Params().MinAckDelay)
		}
		r.Send(App, ackFrequency(0, threshold, delay, reordering))
		r.Advance(delay)
		r.WantFrame("the request is ack-eliciting", wire.FrameAck)
		r.Replies = nil
		body(t, r)
	})
}

func TestRequestedThresholdIsKept(t *testing.T) {
	asked(t, 9, time.Second, 1, func(t *testing.T, r *RawPeer) {
		for range 9 {
			r.Send(App, frame(wire.FramePing))
		}
		r.WantSilence("nine packets may wait")
		r.Send(App, frame(wire.FramePing))
		r.WantFrame("draft-ietf-quic-ack-frequency §4: more than that may not", wire.FrameAck)
	})
	asked(t, 0, time.Second, 1, func(t *testing.T, r *RawPeer) {
		for range 5 {
			r.Send(App, frame(wire.FramePing))
			r.WantFrame("draft-ietf-quic-ack-frequency §4: none may wait", wire.FrameAck)
		}
	})
}

// TestRequestedThresholdIsBounded fills the core's maxAckThreshold.
func TestRequestedThresholdIsBounded(t *testing.T) {
	const maxAckThreshold = 1 << 12
	asked(t, wire.MaxVarint, 16*time.Second, 0, func(t *testing.T, r *RawPeer) {
		for range maxAckThreshold - 1 {
			r.Send(App, frame(wire.FramePing))
		}
		r.WantSilence("as many may wait")
		r.Send(App, frame(wire.FramePing))
		r.WantFrame("draft-ietf-quic-ack-frequency §4: a receiver can acknowledge earlier", wire.FrameAck)
	})
}

func TestRequestedDelayIsKept(t *testing.T) {
	for _, delay := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 16383 * time.Millisecond} {
		asked(t, 1<<40, delay, 0, func(t *testing.T, r *RawPeer) {
			r.Send(App, frame(wire.FramePing))
			r.Advance(delay - time.Microsecond)
			r.WantSilence("the delay is not over")
			r.Advance(time.Microsecond)
			r.WantFrame("draft-ietf-quic-ack-frequency §4: now it is", wire.FrameAck)
		})
	}
}

func TestRequestedDelayCountsForWhatWaitsAlready(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		r.Advance(2 * time.Millisecond)
		r.Send(App, ackFrequency(0, 100, 3*time.Millisecond, 1))
		r.WantSilence("two packets wait")
		r.Advance(time.Millisecond)
		r.WantFrame("draft-ietf-quic-ack-frequency §4: the new values count at once", wire.FrameAck)
	})
}

func TestRequestedReorderingThreshold(t *testing.T) {
	// The peer takes a packet for lost when one with a number larger by three
	// is acknowledged: that is when it must hear of it.
	asked(t, 100, time.Second, 3, func(t *testing.T, r *RawPeer) {
		pn := r.NextNumber(App)
		r.SendNumber(App, pn+1, frame(wire.FramePing))
		r.SendNumber(App, pn+2, frame(wire.FramePing))
		r.WantSilence("one packet is missing, two numbers later it may be reordering")
		r.SendNumber(App, pn+3, frame(wire.FramePing))
		r.WantFrame("draft-ietf-quic-ack-frequency §6.2: three numbers later it is loss", wire.FrameAck)
		r.SendNumber(App, pn+4, frame(wire.FramePing))
		r.SendNumber(App, pn+5, frame(wire.FramePing))
		r.WantSilence("of that gap the peer knows")
		r.SendNumber(App, pn, frame(wire.FramePing))
		r.WantSilence("a packet that comes late is no news")
		r.SendNumber(App, pn+7, frame(wire.FramePing))
		r.SendNumber(App, pn+8, frame(wire.FramePing))
		r.WantSilence("another gap")
		r.SendNumber(App, pn+9, frame(wire.FramePing))
		r.WantFrame("draft-ietf-quic-ack-frequency §6.2: three numbers after that", wire.FrameAck)
	})
	asked(t, 100, time.Second, 0, func(t *testing.T, r *RawPeer) {
		pn := r.NextNumber(App)
		for n := range uint64(50) {
			r.SendNumber(App, pn+100-2*n, frame(wire.FramePing))
		}
		r.WantSilence("draft-ietf-quic-ack-frequency §6.2: reordering does not matter")
	})
}

func TestOnlyTheFirstOfMarkedPacketsIsUrgentOnceAsked(t *testing.T) {
	const ce = 3
	send := func(r *RawPeer, ecn uint8) {
		r.SendFrom(ecn, r.Packet(App, r.NextNumber(App), frame(wire.FramePing)))
	}
	asked(t, 100, time.Second, 1, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false // its ACKs are packets without a mark
		send(r, ce)
		r.WantFrame("draft-ietf-quic-ack-frequency §6.3: the first mark", wire.FrameAck)
		send(r, ce)
		send(r, ce)
		r.WantSilence("draft-ietf-quic-ack-frequency §6.3: the next ones are no news")
		send(r, 0)
		send(r, ce)
		r.WantFrame("another first one", wire.FrameAck)
	})
}

func TestOldRequestsAreIgnored(t *testing.T) {
	asked(t, 0, time.Second, 1, func(t *testing.T, r *RawPeer) {
		r.Send(App, ackFrequency(7, 3, time.Second, 1))
		r.Send(App, ackFrequency(5, 0, time.Second, 1))
		r.Send(App, ackFrequency(7, 0, time.Second, 1))
		r.WantSilence("draft-ietf-quic-ack-frequency §4: only a larger sequence number counts")
		r.Send(App, ackFrequency(8, 0, time.Second, 1))
		r.WantFrame("and it does", wire.FrameAck)
	})
}

func TestRequestsThatCannotBeKeptAreErrors(t *testing.T) {
	for name, delay := range map[string]time.Duration{"below min_ack_delay": 999 * time.Microsecond, "2^14 ms": 1 << 14 * time.Millisecond, "a century": 100 * 365 * 24 * time.Hour} {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			r.Send(App, ackFrequency(0, 1, delay, 1))
			r.WantClose("draft-ietf-quic-ack-frequency §4: "+name, core.ProtocolViolation)
		})
	}
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, []byte{0x40, 0xaf, 0, 0})
		r.WantClose("cut short", core.FrameEncodingError)
	})
	for _, delay := range []time.Duration{25*time.Millisecond + time.Microsecond, time.Hour} {
		r := NewRawClient(t, RawOptions{Params: func(p *wire.Params) { p.MinAckDelay = delay }})
		r.SendCrypto(Initial)
		r.WantClose("draft-ietf-quic-ack-frequency §3: min_ack_delay above max_ack_delay", core.TransportParameterError)
	}
}

func TestImmediateAckIsAnsweredAtOnce(t *testing.T) {
	asked(t, 100, time.Second, 1, func(t *testing.T, r *RawPeer) {
		r.Send(App, frame(wire.FramePing))
		r.WantSilence("a packet that may wait")
		r.Send(App, frame(wire.FrameImmediateAck))
		if _, f := r.WantFrame("draft-ietf-quic-ack-frequency §5: one that may not", wire.FrameAck); f.Ack.FirstRange == 0 {
			t.Error("the first packet is not acknowledged with it")
		}
		r.Send(App, frame(wire.FramePing))
		r.WantSilence("the next may wait again")
	})
}

func TestExtensionFramesHaveTheirPlace(t *testing.T) {
	for _, f := range [][]byte{frame(wire.FrameImmediateAck), ackFrequency(0, 1, time.Second, 1), datagram("x"), resetAt(0, 0, 0, 0)} {
		for _, client := range []bool{false, true} {
			for _, id := range []recovery.SpaceID{Initial, Handshake} {
				r := reach(t, client, id)
				r.Replies = nil
				r.Send(id, f)
				r.WantClose("RFC 9000 §12.4: no frame of Initial and Handshake packets", core.ProtocolViolation)
			}
		}
	}
}

// TestSenderAsksForFewerAcknowledgments runs a long transfer, and counts.
func TestSenderAsksForFewerAcknowledgments(t *testing.T) {
	counts := map[bool]int{}
	for _, asks := range []bool{false, true} {
		opts := bothWays(netsim.LinkConfig{Delay: 20 * time.Millisecond, Bandwidth: 100_000_000, QueuePackets: 500})
		if !asks {
			opts.Config = func(_ netsim.Side, cfg *core.Config) { cfg.AckPolicy = quiet{} }
		}
		p := NewPair(t, Seed(t, 1), opts)
		serve(p)
		runTransfer(t, p, []byte("10000000"))
		counts[asks] = p.Client.Conns[0].DatagramsSent
		if took := p.Clock.Since(); took > 2*time.Second {
			t.Errorf("asking %v: 10 MB take %v", asks, took)
		}
	}
	if counts[true] > counts[false]/3 {
		t.Errorf("%d datagrams of acknowledgments when asked, %d when not, want far fewer", counts[true], counts[false])
	}
}

func TestProbesAskForAnAcknowledgmentAtOnce(t *testing.T) {
	probed := func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("hello"))
		r.Flush()
		r.Replies = nil
		r.Advance(2 * time.Second)
	}
	testSides(t, RawOptions{Params: frequent}, func(t *testing.T, r *RawPeer) {
		probed(t, r)
		r.WantFrame("draft-ietf-quic-ack-frequency §5: a probe should not wait", wire.FrameImmediateAck)
	})
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		probed(t, r)
		r.WantNoFrame("a peer that does not know the frame", wire.FrameImmediateAck)
	})
}

// TestRequestFollowsTheWindow looks at the requests of a sender whose window
// grows and collapses.
func TestRequestFollowsTheWindow(t *testing.T) {
	r := NewRawClient(t, RawOptions{Params: frequent, Config: func(cfg *core.Config) { cfg.MaxMTU = 0; cfg.SendBuffer = 1 << 22 }}).Connect()
	s, _ := r.Conn.Open(true)
	r.AutoAck = false
	for range 10 { // a round trip each
		r.Conn.Write(s, padding(1<<20))
		r.Flush()
		r.Advance(20 * time.Millisecond)
		r.AckAll()
		r.Flush()
	}
	var seqs, thresholds []uint64
	for _, p := range r.Replies {
		for _, f := range p.Frames {
			if f.Type == wire.FrameAckFrequency {
				seqs, thresholds = append(seqs, f.Sequence), append(thresholds, f.Threshold)
				if f.MaxDelay < 1000 || f.MaxDelay > 25_000 || f.Reordering != 3 {
					t.Errorf("asked for a delay of %d µs and reordering of %d", f.MaxDelay, f.Reordering)
				}
			}
		}
	}
	if len(seqs) < 2 || seqs[0] != 0 || thresholds[len(thresholds)-1] <= thresholds[0] {
		t.Fatalf("requests %v with thresholds %v, want several that grow, numbered from 0", seqs, thresholds)
	}
	for i, n := range seqs {
		if n != uint64(i) {
			t.Errorf("draft-ietf-quic-ack-frequency §4: sequence numbers %v, want them to grow", seqs)
		}
	}
	if len(seqs) > 8 {
		t.Errorf("%d requests: too many for a window that grows", len(seqs))
	}
}

// TestLostRequestIsRepeated loses the packet with an ACK_FREQUENCY frame.
func TestLostRequestIsRepeated(t *testing.T) {
	r := NewRawClient(t, RawOptions{Params: frequent, Config: func(cfg *core.Config) { cfg.MaxMTU = 0; cfg.SendBuffer = 1 << 22 }}).Connect()
	s, _ := r.Conn.Open(true)
	asked := func() (n int) {
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FrameAckFrequency {
					n++
				}
			}
		}
		return n
	}
	r.AutoAck = false
	for n := 0; n < 10 && asked() == 0; n++ { // a round trip each; after the request nothing arrives
		r.AckAll()
		r.Conn.Write(s, padding(1<<20))
		r.Flush()
		r.Advance(20 * time.Millisecond)
	}
	before := asked()
	r.Advance(5 * time.Second)
	if before == 0 || asked() <= before {
		t.Errorf("draft-ietf-quic-ack-frequency §4: %d requests, %d after a loss", before, asked())
	}
}

// quiet is the built-in policy without requests to the peer.
type quiet struct{}

func (quiet) AckAt(s *hook.AckState) hook.Instant { return recovery.DefaultAckPolicy.AckAt(s) }
