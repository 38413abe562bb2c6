package quictest

import (
	"io"
	"testing"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// peerStream is the n-th stream that the RawPeer opens.
func (r *RawPeer) peerStream(n uint64, uni bool) uint64 {
	id := n << 2
	if !r.client {
		id |= 1
	}
	if uni {
		id |= 2
	}
	return id
}

// ownStream is the n-th stream that the connection under test opens.
func (r *RawPeer) ownStream(n uint64, uni bool) uint64 { return r.peerStream(n, uni) ^ 1 }

// small makes the limits small enough to be met.
func small(cfg *core.Config) {
	cfg.StreamWindow, cfg.MaxStreamWindow = 100, 100
	cfg.ConnWindow, cfg.MaxConnWindow = 250, 250
	cfg.MaxStreamsBidi, cfg.MaxStreamsUni = 3, 3
}

func TestStreamRulesHaveTheirErrorCode(t *testing.T) {
	reset := func(id, size uint64) []byte {
		return encode(wire.Frame{Type: wire.FrameResetStream, StreamID: id, FinalSize: size})
	}
	ten := "0123456789"
	tests := []struct {
		name   string
		frames func(r *RawPeer) [][]byte
		want   core.Code
	}{
		{"data beyond the stream's limit", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 91, ten, false)}
		}, core.FlowControlError},
		{"data beyond the connection's limit", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 90, ten, false), stream(r.peerStream(1, false), 90, ten, false), stream(r.peerStream(2, false), 41, ten, false)}
		}, core.FlowControlError},
		{"a reset stream's size counts for the connection", func(r *RawPeer) [][]byte {
			return [][]byte{reset(r.peerStream(0, false), 100), stream(r.peerStream(1, false), 90, ten, false), stream(r.peerStream(2, false), 41, ten, false)}
		}, core.FlowControlError},
		{"a final size beyond the stream's limit", func(r *RawPeer) [][]byte {
			return [][]byte{reset(r.peerStream(0, false), 101)}
		}, core.FlowControlError},
		{"stream number above the limit", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(3, false), 0, ten, false)}
		}, core.StreamLimitError},
		{"unidirectional stream number above the limit", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(3, true), 0, ten, false)}
		}, core.StreamLimitError},
		{"largest stream number", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(1<<60-1, true), 0, ten, false)}
		}, core.StreamLimitError},
		{"data past the final size", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 0, ten, true), stream(r.peerStream(0, false), 10, "x", false)}
		}, core.FinalSizeError},
		{"final size changed by a later end", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 0, ten, true), stream(r.peerStream(0, false), 0, "012", true)}
		}, core.FinalSizeError},
		{"end below what was received", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 0, ten, false), stream(r.peerStream(0, false), 0, "012", true)}
		}, core.FinalSizeError},
		{"reset below what was received", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.peerStream(0, false), 0, ten, false), reset(r.peerStream(0, false), 9)}
		}, core.FinalSizeError},
		{"reset with another final size", func(r *RawPeer) [][]byte {
			return [][]byte{reset(r.peerStream(0, false), 9), reset(r.peerStream(0, false), 10)}
		}, core.FinalSizeError},
		{"data past the final size of a reset", func(r *RawPeer) [][]byte {
			return [][]byte{reset(r.peerStream(0, false), 9), stream(r.peerStream(0, false), 0, ten, false)}
		}, core.FinalSizeError},
		{"RESET_STREAM on a send-only stream", func(r *RawPeer) [][]byte {
			return [][]byte{reset(r.ownStream(0, true), 0)}
		}, core.StreamStateError},
		{"STREAM on a send-only stream", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.ownStream(0, true), 0, ten, false)}
		}, core.StreamStateError},
		{"STREAM on a stream that is ours to open", func(r *RawPeer) [][]byte {
			return [][]byte{stream(r.ownStream(0, false), 0, ten, false)}
		}, core.StreamStateError},
		{"STREAM_DATA_BLOCKED on a send-only stream", func(r *RawPeer) [][]byte {
			return [][]byte{encode(wire.Frame{Type: wire.FrameStreamDataBlocked, StreamID: r.ownStream(0, true)})}
		}, core.StreamStateError},
		{"STOP_SENDING on a stream that is ours to open", func(r *RawPeer) [][]byte {
			return [][]byte{encode(wire.Frame{Type: wire.FrameStopSending, StreamID: r.ownStream(0, false)})}
		}, core.StreamStateError},
		{"STOP_SENDING on a receive-only stream", func(r *RawPeer) [][]byte {
			return [][]byte{encode(wire.Frame{Type: wire.FrameStopSending, StreamID: r.peerStream(0, true)})}
		}, core.StreamStateError},
		{"MAX_STREAM_DATA on a stream that is ours to open", func(r *RawPeer) [][]byte {
			return [][]byte{encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: r.ownStream(0, false)})}
		}, core.StreamStateError},
		{"MAX_STREAM_DATA on a receive-only stream", func(r *RawPeer) [][]byte {
			return [][]byte{encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: r.peerStream(0, true)})}
		}, core.StreamStateError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			testSides(t, RawOptions{Config: small}, func(t *testing.T, r *RawPeer) {
				frames := tt.frames(r)
				for _, f := range frames[:len(frames)-1] {
					r.Send(App, f)
					r.WantOpen("up to here all is well")
				}
				r.Send(App, frames[len(frames)-1])
				r.WantClose(tt.name, tt.want)
			})
		})
	}
}

func TestExactlyTheLimitsAreAccepted(t *testing.T) {
	testSides(t, RawOptions{Config: small}, func(t *testing.T, r *RawPeer) {
		hundred := string(padding(100))
		r.Send(App, stream(r.peerStream(0, false), 0, hundred, true), stream(r.peerStream(2, true), 0, hundred, true), stream(r.peerStream(2, false), 0, hundred[:50], true))
		r.WantOpen("RFC 9000 §4.1: a limit may be used up")
	})
}

func TestHigherStreamOpensLowerOnes(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, stream(r.peerStream(2, true), 0, "x", false))
		if len(r.Opened) != 3 {
			t.Fatalf("RFC 9000 §2.1: stream number 2 opened %d streams, want 3", len(r.Opened))
		}
		for i, s := range r.Opened {
			if want := r.peerStream(uint64(i), true); s.ID() != want {
				t.Errorf("opened stream %d in place %d, want %d", s.ID(), i, want)
			}
		}
	})
}

func TestStreamIsReadInOrderWhateverTheOrderOfFrames(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, false)
		r.Send(App, stream(id, 6, "ghij", true), stream(id, 3, "defg", false))
		buf := make([]byte, 20)
		if n, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], buf); n != 0 || err != nil {
			t.Fatalf("read %q, %v before the first byte came", buf[:n], err)
		}
		r.Send(App, stream(id, 0, "abcde", false))
		if n, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], buf); string(buf[:n]) != "abcdefghij" || err != nil {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if _, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], buf); err != io.EOF {
			t.Fatalf("read at the end: %v, want EOF", err)
		}
	})
}

func TestStopSendingIsAnsweredWithResetStream(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		s, _ := r.Conn.Open(false)
		if _, err := r.Conn.Write(s, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		r.Flush()
		r.Send(App, encode(wire.Frame{Type: wire.FrameStopSending, StreamID: s.ID(), Code: 77}))
		_, f := r.WantFrame("RFC 9000 §3.5: STOP_SENDING in the Send state", wire.FrameResetStream)
		if f.StreamID != s.ID() || f.Code != 77 || f.FinalSize != 5 {
			t.Errorf("RESET_STREAM %d code %d size %d, want %d, 77, 5", f.StreamID, f.Code, f.FinalSize, s.ID())
		}
		if _, err := r.Conn.Write(s, []byte("more")); err == nil {
			t.Error("a write after STOP_SENDING succeeds")
		}
	})
}

func TestResetReachesTheReader(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, stream(r.peerStream(0, true), 0, "lost", false))
		r.Send(App, encode(wire.Frame{Type: wire.FrameResetStream, StreamID: r.peerStream(0, true), Code: 9, FinalSize: 10}))
		_, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], make([]byte, 10))
		if se, ok := err.(*core.StreamError); !ok || se.Code != 9 || !se.Remote {
			t.Fatalf("read: %v, want a reset by the peer with code 9", err)
		}
	})
}

func TestStopAsksThePeerToStop(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, stream(r.peerStream(0, true), 0, "unwanted", false))
		r.Conn.Stop(r.Clock.Now(), r.Opened[0], 3)
		r.Flush()
		if _, f := r.WantFrame("Stop sends STOP_SENDING", wire.FrameStopSending); f.Code != 3 {
			t.Errorf("STOP_SENDING code %d, want 3", f.Code)
		}
	})
}

func TestFramesOnFinishedStreamsAreIgnored(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, true)
		r.Send(App, stream(id, 0, "x", true))
		buf := make([]byte, 1)
		r.Conn.Read(r.Clock.Now(), r.Opened[0], buf)
		r.Conn.Read(r.Clock.Now(), r.Opened[0], buf)
		for range 3 {
			r.Send(App, stream(id, 0, "x", true), encode(wire.Frame{Type: wire.FrameResetStream, StreamID: id, FinalSize: 1}),
				encode(wire.Frame{Type: wire.FrameStreamDataBlocked, StreamID: id, Limit: 1}))
		}
		r.WantOpen("late frames of a stream that is over")
		if len(r.Opened) != 1 {
			t.Errorf("%d streams were opened, want 1", len(r.Opened))
		}
	})
}

func TestSmallerLimitsAreIgnored(t *testing.T) {
	params := func(p *wire.Params) { p.MaxData, p.MaxStreamUni, p.MaxStreamsUni = 100, 100, 1 }
	testSides(t, RawOptions{Params: params}, func(t *testing.T, r *RawPeer) {
		r.Send(App, encode(wire.Frame{Type: wire.FrameMaxData, Limit: 10}), encode(wire.Frame{Type: wire.FrameMaxStreamsUni, Limit: 0}))
		s, ok := r.Conn.Open(true)
		if !ok {
			t.Fatal("a smaller MAX_STREAMS took a stream away")
		}
		r.Send(App, encode(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: s.ID(), Limit: 10}))
		r.Conn.Write(s, padding(100))
		r.Flush()
		if _, f := r.WantFrame("RFC 9000 §4.1: smaller limits are ignored", wire.FrameStream); len(f.Data) != 100 {
			t.Errorf("sent %d bytes, want 100", len(f.Data))
		}
	})
}
