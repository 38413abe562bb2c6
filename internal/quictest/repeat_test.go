package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// TestLostControlFramesAreRepeatedAsTheyStandNow loses a packet with a frame, and
// wants the information again, the newest of it (RFC 9000 §13.3).
func TestLostControlFramesAreRepeatedAsTheyStandNow(t *testing.T) {
	for name, tc := range map[string]struct {
		frame wire.FrameType
		cause func(r *RawPeer) // makes the connection send the frame
		then  func(r *RawPeer) // changes what it has to say, after the loss; nil = nothing
		again func(first, f *wire.Frame) bool
	}{
		"RESET_STREAM": {frame: wire.FrameResetStream,
			cause: func(r *RawPeer) {
				s, _ := r.Conn.Open(true)
				r.Conn.Write(s, []byte("hello"))
				r.Flush()
				r.Conn.Reset(s, 7)
			},
			again: func(first, f *wire.Frame) bool { return f.Code == 7 && f.FinalSize == first.FinalSize }},
		"STOP_SENDING": {frame: wire.FrameStopSending,
			cause: func(r *RawPeer) { r.Conn.Stop(r.Clock.Now(), r.Opened[0], 8) },
			again: func(first, f *wire.Frame) bool { return f.StreamID == first.StreamID && f.Code == 8 }},
		"MAX_DATA": {frame: wire.FrameMaxData,
			cause: func(r *RawPeer) { r.take60(0) },
			then:  func(r *RawPeer) { r.take60(1); r.take60(2) },
			again: func(first, f *wire.Frame) bool { return f.Limit > first.Limit }},
		"MAX_STREAM_DATA": {frame: wire.FrameMaxStreamData,
			cause: func(r *RawPeer) { r.take60(0) },
			again: func(first, f *wire.Frame) bool { return f.StreamID == first.StreamID && f.Limit >= first.Limit }},
		"RETIRE_CONNECTION_ID": {frame: wire.FrameRetireConnectionID,
			cause: func(r *RawPeer) { r.Send(App, newID(1, 1)) },
			again: func(first, f *wire.Frame) bool { return f.Sequence == first.Sequence }},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRawClient(t, RawOptions{Config: func(cfg *core.Config) {
				cfg.StreamWindow, cfg.MaxStreamWindow, cfg.ConnWindow, cfg.MaxConnWindow, cfg.MaxMTU = 100, 100, 100, 100, 0
			}}).Connect()
			r.Send(App, stream(r.peerStream(0, true), 0, "x", false))
			r.Advance(30 * time.Millisecond)
			r.AutoAck, r.Replies = false, nil
			tc.cause(r)
			r.Flush()
			p, first := r.WantFrame("the frame", tc.frame)
			if tc.then != nil {
				tc.then(r)
				r.Flush()
			}
			r.Replies = nil
			r.Advance(3 * time.Second) // probes, of which the last arrives: all before it is lost
			last := r.sp[App].got[len(r.sp[App].got)-1]
			r.Send(App, ack(wire.AckRange{Smallest: last, Largest: last}))
			r.WantFrame("RFC 9000 §13.3: again, as it stands now", tc.frame, func(f *wire.Frame) bool { return tc.again(&first, f) })
			for _, q := range r.Replies {
				if q.Number == p.Number {
					t.Errorf("RFC 9000 §12.3: packet %d twice", q.Number)
				}
			}
		})
	}
}

// take60 sends 60 bytes on a stream of its own, and reads them.
func (r *RawPeer) take60(n uint64) {
	id := r.peerStream(n+1, true)
	r.Send(App, stream(id, 0, string(padding(60)), false))
	r.Conn.Read(r.Clock.Now(), r.Opened[len(r.Opened)-1], make([]byte, 60))
}

func TestOtherBytesAtOneOffsetHarmNobody(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		id := r.peerStream(0, true)
		r.Send(App, stream(id, 2, "bbbb", false))
		r.Send(App, stream(id, 0, "aaaa", false))
		r.Send(App, stream(id, 1, "ccccc", true))
		buf := make([]byte, 10)
		n, err := r.Conn.Read(r.Clock.Now(), r.Opened[0], buf)
		if err != nil || n != 6 {
			t.Fatalf("%d bytes, %v, want 6", n, err)
		}
		for i, sent := range []string{"a", "ac", "abc", "abc", "bc", "bc"} { // RFC 9000 §2.2: any of what was sent there
			found := false
			for j := range len(sent) {
				found = found || buf[i] == sent[j]
			}
			if !found {
				t.Errorf("byte %d is %q, sent were %q", i, buf[i], sent)
			}
		}
		r.WantOpen("RFC 9000 §2.2: an endpoint MAY treat it as an error, and we do not")
	})
}
