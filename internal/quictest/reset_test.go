package quictest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// partial is a connection under test, and a peer, that understand
// RESET_STREAM_AT.
var partial = RawOptions{
	Config: func(cfg *core.Config) { cfg.ResetStreamAt = true; cfg.MaxMTU = 0 },
	Params: func(p *wire.Params) { p.ResetStreamAt = true },
}

func resetAt(id, code, final, reliable uint64) []byte {
	return encode(wire.Frame{Type: wire.FrameResetStreamAt, StreamID: id, Code: code, FinalSize: final, Reliable: reliable})
}

func resetStream(id, code, final uint64) []byte {
	return encode(wire.Frame{Type: wire.FrameResetStream, StreamID: id, Code: code, FinalSize: final})
}

// wantRead reads all that there is, and wants that text and then a reset with a
// code; -1 means that there is nothing yet.
func (r *RawPeer) wantRead(what string, s *core.Stream, text string, code int) {
	r.t.Helper()
	var got []byte
	buf := make([]byte, 7)
	for {
		n, err := r.Conn.Read(r.Clock.Now(), s, buf)
		got = append(got, buf[:n]...)
		var se *core.StreamError
		switch {
		case errors.As(err, &se):
			if code < 0 || se.Code != uint64(code) || !se.Remote {
				r.t.Fatalf("%s: %v, want code %d", what, err, code)
			}
		case err != nil || n == 0 && code >= 0:
			r.t.Fatalf("%s: after %q: %v, want a reset with code %d", what, got, err, code)
		case n > 0:
			continue
		}
		if string(got) != text {
			r.t.Fatalf("%s: read %q, want %q", what, got, text)
		}
		return
	}
}

func TestReliableBytesAreReadBeforeTheReset(t *testing.T) {
	testSides(t, partial, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, true)
		r.Send(App, stream(id, 0, "hello", false), resetAt(id, 9, 30, 11))
		s := r.Opened[0]
		r.wantRead("the reset waits", s, "hello", -1)
		r.Send(App, stream(id, 20, "beyond", false))
		r.wantRead("what lies beyond is no use", s, "", -1)
		r.Send(App, stream(id, 5, " world, and more", false))
		r.wantRead("draft-ietf-quic-reliable-stream-reset §5: the reliable bytes, then the reset", s, " world", 9)
		r.WantOpen("the end of the stream")
	})
}

func TestReliableSizeOnlyFalls(t *testing.T) {
	const text = "0123456789"
	for name, tc := range map[string]struct {
		frames func(id uint64) [][]byte
		want   string
	}{
		"again, with more":     {func(id uint64) [][]byte { return [][]byte{resetAt(id, 1, 10, 4), resetAt(id, 1, 10, 8)} }, "0123"},
		"again, with less":     {func(id uint64) [][]byte { return [][]byte{resetAt(id, 1, 10, 8), resetAt(id, 1, 10, 3)} }, "012"},
		"a reset of all":       {func(id uint64) [][]byte { return [][]byte{resetAt(id, 1, 10, 8), resetStream(id, 1, 10)} }, ""},
		"after a reset of all": {func(id uint64) [][]byte { return [][]byte{resetStream(id, 1, 10), resetAt(id, 1, 10, 8)} }, ""},
		"none at all":          {func(id uint64) [][]byte { return [][]byte{resetAt(id, 1, 10, 0)} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			testSides(t, partial, func(t *testing.T, r *RawPeer) {
				id := r.peerStream(0, false)
				r.Send(App, tc.frames(id)...)
				r.Send(App, stream(id, 0, text[:9], false))
				r.wantRead(name, r.Opened[0], tc.want, 1)
			})
		})
	}
}

func TestResetAfterMoreWasReadThanIsReliable(t *testing.T) {
	testSides(t, partial, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, true)
		r.Send(App, stream(id, 0, "0123456789", false))
		r.wantRead("no reset yet", r.Opened[0], "0123456789", -1)
		r.Send(App, resetAt(id, 5, 20, 4))
		r.wantRead("nothing is left", r.Opened[0], "", 5)
	})
}

func TestResetStreamAtRulesHaveTheirErrorCode(t *testing.T) {
	tests := []struct {
		name   string
		frames func(r *RawPeer, id uint64) [][]byte
		want   core.Code
	}{
		{"more reliable bytes than there are", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(id, 0, 5, 6)} }, core.FrameEncodingError},
		{"another code", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(id, 1, 5, 3), resetAt(id, 2, 5, 3)} }, core.StreamStateError},
		{"another code in RESET_STREAM", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(id, 1, 5, 3), resetStream(id, 2, 5)} }, core.StreamStateError},
		{"another final size", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(id, 1, 5, 3), resetAt(id, 1, 6, 3)} }, core.FinalSizeError},
		{"a final size below the data", func(r *RawPeer, id uint64) [][]byte {
			return [][]byte{stream(id, 0, "hello", false), resetAt(id, 1, 4, 3)}
		}, core.FinalSizeError},
		{"data beyond the final size", func(r *RawPeer, id uint64) [][]byte {
			return [][]byte{resetAt(id, 1, 4, 3), stream(id, 0, "hello", false)}
		}, core.FinalSizeError},
		{"a final size beyond the limit", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(id, 1, 1<<30, 3)} }, core.FlowControlError},
		{"a stream on which only we send", func(r *RawPeer, id uint64) [][]byte { return [][]byte{resetAt(r.ownStream(0, true), 1, 4, 3)} }, core.StreamStateError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			testSides(t, partial, func(t *testing.T, r *RawPeer) {
				for _, f := range tt.frames(r, r.peerStream(0, true)) {
					r.Send(App, f)
				}
				r.WantClose(tt.name, tt.want)
			})
		})
	}
	t.Run("not negotiated", func(t *testing.T) {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			r.Send(App, resetAt(r.peerStream(0, true), 0, 0, 0))
			r.WantClose("an extension that we did not announce", core.FrameEncodingError)
		})
	})
}

func TestResetStreamAtGivesCreditBack(t *testing.T) {
	opts := partial
	opts.Config = func(cfg *core.Config) { partial.Config(cfg); small(cfg) }
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		for n := range uint64(40) { // each takes 100 of the connection's 250 bytes
			id := r.peerStream(n, true)
			r.Send(App, stream(id, 0, "0123456789", false), resetAt(id, 1, 100, 10))
			r.WantOpen("RFC 9000 §4.5: the final size counts once, and comes back")
			r.wantRead("reliable bytes", r.Opened[n], "0123456789", 1)
			r.Flush()
			r.Send(App, frame(wire.FramePing), frame(wire.FramePing))
			r.Advance(30 * time.Millisecond)
		}
	})
}

// TestOnlyReliableBytesAreSentAgain loses all that was sent before a reset.
func TestOnlyReliableBytesAreSentAgain(t *testing.T) {
	testSides(t, partial, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("keep this"))
		r.Conn.SetReliableBoundary(s)
		r.Conn.Write(s, []byte(", not that"))
		r.Flush()
		r.WantFrame("all of it is sent", wire.FrameStream, func(f *wire.Frame) bool { return len(f.Data) == 19 })
		r.Conn.Reset(s, 77)
		r.Flush()
		_, f := r.WantFrame("draft-ietf-quic-reliable-stream-reset §5: the reset", wire.FrameResetStreamAt)
		if f.Code != 77 || f.FinalSize != 19 || f.Reliable != 9 {
			t.Errorf("code %d, final size %d, reliable %d, want 77, 19, 9", f.Code, f.FinalSize, f.Reliable)
		}
		if _, err := r.Conn.Write(s, []byte("x")); err == nil {
			t.Error("a write after the reset")
		}
		r.Advance(5 * time.Second) // probe timeouts: everything was lost
		again := 0
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type.IsStream() && f.Offset+uint64(len(f.Data)) > 9 || f.Type.IsStream() && f.Fin {
					t.Errorf("bytes %d+%d, fin %v are sent again", f.Offset, len(f.Data), f.Fin)
				}
				if f.Type.IsStream() && string(f.Data) == "keep this" || f.Type == wire.FrameResetStreamAt {
					again++
				}
			}
		}
		if again < 2 {
			t.Errorf("reliable bytes and reset were repeated %d times, want both", again)
		}
		r.AckAll()
		if st := r.Conn.Stats(); st.InFlight != 0 {
			t.Errorf("%d bytes in flight at the end", st.InFlight)
		}
	})
}

func TestResetWaitsForCreditForItsReliableBytes(t *testing.T) {
	opts := partial
	opts.Params = func(p *wire.Params) { partial.Params(p); p.MaxStreamUni = 10 }
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, padding(25))
		r.Conn.SetReliableBoundary(s)
		r.Conn.Write(s, padding(25))
		r.Conn.Reset(s, 1)
		r.Flush()
		r.WantFrame("what the limit allows", wire.FrameStream, func(f *wire.Frame) bool { return len(f.Data) == 10 })
		r.Advance(time.Second)
		r.WantNoFrame("a final size beyond the limit would be an error", wire.FrameResetStreamAt)
		r.Send(App, encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: s.ID(), Limit: 1000}))
		r.WantFrame("the rest of the reliable bytes, no more", wire.FrameStream, func(f *wire.Frame) bool { return f.Offset == 10 && len(f.Data) == 15 })
		if _, f := r.WantFrame("then the reset", wire.FrameResetStreamAt); f.FinalSize != 25 || f.Reliable != 25 {
			t.Errorf("final size %d, reliable %d, want 25, 25", f.FinalSize, f.Reliable)
		}
	})
}

func TestStopSendingTakesReliableBytesBack(t *testing.T) {
	testSides(t, partial, func(t *testing.T, r *RawPeer) {
		r.AutoAck = false
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("keep this"))
		r.Conn.SetReliableBoundary(s)
		r.Conn.Reset(s, 77)
		r.Flush()
		r.WantFrame("the reset", wire.FrameResetStreamAt)
		r.Send(App, encode(wire.Frame{Type: wire.FrameStopSending, StreamID: s.ID(), Code: 5}))
		if _, f := r.WantFrame("nobody reads them", wire.FrameResetStream); f.Code != 77 || f.FinalSize != 9 {
			t.Errorf("code %d, final size %d, want 77, 9: neither changes", f.Code, f.FinalSize)
		}
		r.Replies = nil
		r.Advance(5 * time.Second)
		r.WantNoFrame("so they are not sent again", wire.FrameStream)
	})
}

func TestPeerWithoutResetStreamAtGetsAPlainReset(t *testing.T) {
	opts := partial
	opts.Params = nil
	testSides(t, opts, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(true)
		r.Conn.Write(s, []byte("keep this"))
		r.Conn.SetReliableBoundary(s)
		r.Flush()
		r.Conn.Reset(s, 1)
		r.Flush()
		r.WantFrame("the peer did not announce the extension", wire.FrameResetStream)
	})
}

// TestReliableBytesSurviveLoss resets streams over a bad link, and wants what
// was promised, and in the end nothing left of the streams.
func TestReliableBytesSurviveLoss(t *testing.T) {
	opts := bothWays(netsim.LinkConfig{Delay: 10 * time.Millisecond, Loss: 0.1})
	opts.Config = func(_ netsim.Side, cfg *core.Config) { cfg.ResetStreamAt = true }
	p := NewPair(t, Seed(t, 1), opts)
	got := map[uint64]*bytes.Buffer{}
	ends := map[uint64]uint64{}
	p.Server.OnConn = func(c *Peer) {
		c.OnEvent = func(e core.Event) {
			if e.Kind != core.EventReadable {
				return
			}
			id := e.Stream.ID()
			if got[id] == nil {
				got[id] = &bytes.Buffer{}
			}
			var se *core.StreamError
			if _, err := c.ReadSome(e.Stream, got[id]); errors.As(err, &se) {
				ends[id] = se.Code
			}
		}
	}
	c := p.Dial()
	p.Run(5*time.Second, func() bool { return c.Confirmed })
	want := map[uint64][]byte{}
	for n := range 150 { // more than may be open at once
		var s *core.Stream
		ok := p.Run(time.Minute, func() (ok bool) { s, ok = c.Open(true); c.Flush(); return ok })
		if !ok {
			t.Fatalf("stream %d: finished streams do not make room", n)
		}
		data := bytes.Repeat([]byte{byte(n)}, 100*n)
		c.Write(s, data)
		c.SetReliableBoundary(s)
		c.Write(s, padding(3000))
		c.Flush()
		c.Reset(s, uint64(n))
		c.Flush()
		want[s.ID()] = data
	}
	if !p.Run(2*time.Minute, func() bool { return len(ends) == len(want) }) {
		t.Fatalf("%d of %d streams ended", len(ends), len(want))
	}
	for id, data := range want {
		if g := got[id].Bytes(); !bytes.HasPrefix(g, data) || ends[id] != id>>2 {
			t.Errorf("stream %d: %d bytes and code %d, want at least the %d that were promised", id, len(g), ends[id], len(data))
		}
	}
}
