package quictest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

func (r *RawPeer) has(k core.EventKind) bool {
	for _, e := range r.Events {
		if e.Kind == k {
			return true
		}
	}
	return false
}

func TestApplicationCloseCarriesCodeAndReason(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Conn.Close(r.Clock.Now(), 42, "enough")
		r.Flush()
		_, f := r.WantFrame("Close tells the peer", wire.FrameApplicationClose)
		if f.Code != 42 || string(f.Data) != "enough" {
			t.Errorf("close says %d %q, want 42 \"enough\"", f.Code, f.Data)
		}
	})
}

func TestApplicationCloseIsHiddenDuringTheHandshake(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, id := range []recovery.SpaceID{Initial, Handshake} {
			r := reach(t, client, id)
			r.Replies = nil
			r.Conn.Close(r.Clock.Now(), 42, "secret")
			r.Flush()
			n := 0
			for _, p := range r.Replies {
				for _, f := range p.Frames {
					if f.Type == wire.FrameApplicationClose && p.Type != wire.Packet1RTT {
						t.Errorf("RFC 9000 §10.2.3: the application's close in a %v packet", p.Type)
					}
					if f.Type == wire.FrameConnectionClose {
						n++
						if f.Code != uint64(core.ApplicationError) || len(f.Data) > 0 {
							t.Errorf("RFC 9000 §10.2.3: close says %v %q, want APPLICATION_ERROR", core.Code(f.Code), f.Data)
						}
					}
				}
			}
			if n == 0 {
				t.Errorf("%v, %v: no CONNECTION_CLOSE", side(client), id)
			}
		}
	}
}

func TestClosingAnswersEverMoreRarely(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Conn.Close(r.Clock.Now(), 0, "")
		r.Flush()
		before := r.GotDatagrams
		for range 1000 {
			r.Send(App, frame(wire.FramePing))
		}
		if n := r.GotDatagrams - before; n < 1 || n > 11 {
			t.Errorf("RFC 9000 §10.2.1: %d answers to 1000 packets, want 1 to 11", n)
		}
	})
}

func TestDrainingIsSilent(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, encode(wire.Frame{Type: wire.FrameConnectionClose, Code: 0x1234, Data: []byte("why not")}))
		var pe *core.PeerError
		if !errors.As(r.Conn.Err(), &pe) || pe.Code != 0x1234 || pe.Reason != "why not" {
			t.Fatalf("RFC 9000 §20: error %v, want the peer's unknown code", r.Conn.Err())
		}
		r.Replies = nil
		for range 10 {
			r.Send(App, frame(wire.FramePing))
		}
		r.Advance(10 * time.Second)
		r.WantSilence("RFC 9000 §10.2.2: draining sends nothing")
	})
}

func TestClosingAndDrainingLastThreeProbeTimeouts(t *testing.T) {
	for _, byPeer := range []bool{false, true} {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			s := r.Conn.Stats()
			if byPeer {
				r.Send(App, encode(wire.Frame{Type: wire.FrameConnectionClose}))
			} else {
				r.Conn.Close(r.Clock.Now(), 0, "")
				r.Flush()
			}
			least := 3 * (s.SmoothedRTT + 25*time.Millisecond)
			r.Advance(least - time.Millisecond)
			if r.has(core.EventDrained) {
				t.Fatalf("RFC 9000 §10.2: forgotten before %v", least)
			}
			r.Advance(10 * time.Second)
			if !r.has(core.EventDrained) || !r.Conn.Deadline().IsZero() {
				t.Fatal("RFC 9000 §10.2: never forgotten")
			}
			if r.Router.Len() != 0 {
				t.Errorf("the router keeps %d IDs", r.Router.Len())
			}
		})
	}
}

func TestIdleConnectionEndsInSilence(t *testing.T) {
	tests := []struct {
		name       string
		ours, peer time.Duration
		want       time.Duration
	}{
		{"ours is smaller", 10 * time.Second, 20 * time.Second, 10 * time.Second},
		{"the peer's is smaller", 20 * time.Second, 10 * time.Second, 10 * time.Second},
		{"only the peer has one", 0, 10 * time.Second, 10 * time.Second},
		{"only we have one", 10 * time.Second, 0, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := RawOptions{
				Config: func(cfg *core.Config) { cfg.IdleTimeout = tt.ours; cfg.MaxMTU = 0 },
				Params: func(p *wire.Params) { p.MaxIdleTimeout = tt.peer },
			}
			testSides(t, opts, func(t *testing.T, r *RawPeer) {
				r.Send(App, padding(1))
				r.Advance(tt.want - time.Millisecond)
				r.WantOpen("RFC 9000 §10.1: just before the timeout")
				r.Send(App, padding(1))
				r.Advance(tt.want - time.Millisecond)
				r.WantOpen("RFC 9000 §10.1: a packet restarts the timer")
				r.Replies = nil
				r.Advance(time.Millisecond)
				var idle *core.IdleTimeoutError
				if !errors.As(r.Conn.Err(), &idle) || !r.has(core.EventDrained) {
					t.Fatalf("RFC 9000 §10.1: after the timeout: %v", r.Conn.Err())
				}
				r.WantSilence("RFC 9000 §10.1: silently closed")
			})
		})
	}
}

func TestIdleTimeoutIsAtLeastThreeProbeTimeouts(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.IdleTimeout = time.Millisecond; cfg.MaxMTU = 0 }}
	r := NewRawClient(t, opts)
	r.AutoAck = false // no sample: the initial RTT counts
	r.SendCrypto(Initial)
	r.Advance(2 * time.Second) // the initial PTO is about a second
	r.WantOpen("RFC 9000 §10.1: three probe timeouts at least")
}

func TestIdleTimerRestartsWithTheFirstAckElicitingPacket(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.IdleTimeout = 10 * time.Second; cfg.MaxMTU = 0 }}
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		r.Send(App, padding(1))
		r.Advance(6 * time.Second)
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("x"))
		r.Flush()
		r.Advance(9 * time.Second)
		r.WantOpen("RFC 9000 §10.1: sending restarts the timer")
		r.Advance(1100 * time.Millisecond)
		if r.Conn.Err() == nil {
			t.Fatal("RFC 9000 §10.1: probes restarted the timer, too")
		}
	})
}

func TestKeepAliveKeepsAlive(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) {
		cfg.KeepAlive = 3 * time.Second
		cfg.IdleTimeout = 10 * time.Second
		cfg.MaxMTU = 0
	}}
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		r.Advance(time.Minute)
		r.WantOpen("RFC 9000 §10.1.2: PINGs keep the connection alive")
		pings := 0
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FramePing {
					pings++
				}
			}
		}
		if pings < 15 || pings > 21 {
			t.Errorf("%d PINGs in a minute, want one every 3 s", pings)
		}
	})
}

func TestHandshakeTimesOut(t *testing.T) {
	for _, client := range []bool{false, true} {
		r := reach(t, client, Initial)
		r.AutoAck = false
		for range 13 { // the peer stays, but says nothing of use
			r.Advance(10 * time.Second)
			if r.Conn.Err() == nil {
				r.Send(Initial, padding(10))
			}
		}
		var late *core.HandshakeTimeoutError
		if !errors.As(r.Conn.Err(), &late) {
			t.Errorf("%s: after 130 s: %v, want a handshake timeout", side(client), r.Conn.Err())
		}
	}
}
