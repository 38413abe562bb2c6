package quictest

import (
	"fmt"
	"testing"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// anyFrame has one valid frame of every type of RFC 9000 §19 for a connection
// that plays client or server, and the packets in which RFC 9000 §12.4 lets it
// come: I, H, 0, 1; §12.5 counts for 0.
var anyFrame = []struct {
	name  string
	frame []byte
	where string
}{
	{"PADDING", padding(1), "IH01"},
	{"PING", frame(wire.FramePing), "IH01"},
	{"ACK", ack(wire.AckRange{}), "IH1"},
	{"RESET_STREAM", encode(wire.Frame{Type: wire.FrameResetStream}), "01"},
	{"STOP_SENDING", encode(wire.Frame{Type: wire.FrameStopSending}), "01"},
	{"CRYPTO", crypto(1<<15, []byte{1}), "IH1"},
	{"NEW_TOKEN", encode(wire.Frame{Type: wire.FrameNewToken, Data: []byte{1}}), "1"},
	{"STREAM", stream(0, 0, "x", false), "01"},
	{"MAX_DATA", encode(wire.Frame{Type: wire.FrameMaxData}), "01"},
	{"MAX_STREAM_DATA", encode(wire.Frame{Type: wire.FrameMaxStreamData}), "01"},
	{"MAX_STREAMS bidi", encode(wire.Frame{Type: wire.FrameMaxStreamsBidi}), "01"},
	{"MAX_STREAMS uni", encode(wire.Frame{Type: wire.FrameMaxStreamsUni}), "01"},
	{"DATA_BLOCKED", encode(wire.Frame{Type: wire.FrameDataBlocked}), "01"},
	{"STREAM_DATA_BLOCKED", encode(wire.Frame{Type: wire.FrameStreamDataBlocked}), "01"},
	{"STREAMS_BLOCKED bidi", encode(wire.Frame{Type: wire.FrameStreamsBlockedBidi}), "01"},
	{"STREAMS_BLOCKED uni", encode(wire.Frame{Type: wire.FrameStreamsBlockedUni}), "01"},
	{"NEW_CONNECTION_ID", encode(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: []byte("12345678")}), "01"},
	{"RETIRE_CONNECTION_ID", encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 1}), "1"},
	{"PATH_CHALLENGE", encode(wire.Frame{Type: wire.FramePathChallenge}), "01"},
	{"PATH_RESPONSE", encode(wire.Frame{Type: wire.FramePathResponse}), "1"},
	{"CONNECTION_CLOSE", encode(wire.Frame{Type: wire.FrameConnectionClose}), "IH01"},
	{"CONNECTION_CLOSE app", encode(wire.Frame{Type: wire.FrameApplicationClose}), "01"},
	{"HANDSHAKE_DONE", frame(wire.FrameHandshakeDone), "1"},
}

// reach takes a handshake as far as packets of a space can be sent, and no
// further.
func reach(t *testing.T, client bool, id recovery.SpaceID, change ...func(cfg *core.Config)) *RawPeer {
	var r *RawPeer
	opts := RawOptions{Config: func(cfg *core.Config) {
		for _, f := range change {
			f(cfg)
		}
	}}
	if client {
		r = NewRawServer(t, opts)
	} else {
		r = NewRawClient(t, opts)
		r.AutoAck = id != Initial // a Handshake packet ends the Initial space
		r.SendCrypto(Initial)
	}
	switch {
	case id == App:
		return r.Connect()
	case id == Handshake && client:
		r.SendCrypto(Initial)
		r.Send(Handshake, frame(wire.FramePing)) // for a packet to acknowledge
	}
	return r
}

func TestFrameInForbiddenPacketIsAProtocolViolation(t *testing.T) {
	spaces := []struct {
		mark byte
		id   recovery.SpaceID
	}{{'I', Initial}, {'H', Handshake}, {'1', App}}
	for _, client := range []bool{false, true} {
		for _, f := range anyFrame {
			for _, s := range spaces {
				name := fmt.Sprintf("%s in %v packet to %s", f.name, s.id, side(client))
				t.Run(name, func(t *testing.T) {
					r := reach(t, client, s.id)
					frameIn(t, r, f.name, f.frame, s.id, allowed(f.where, s.mark))
				})
			}
		}
	}
}

func side(client bool) string {
	if client {
		return "client"
	}
	return "server"
}

func allowed(where string, mark byte) bool {
	for i := range len(where) {
		if where[i] == mark {
			return true
		}
	}
	return false
}

func frameIn(t *testing.T, r *RawPeer, name string, f []byte, id recovery.SpaceID, ok bool) {
	// These two are for one direction only, wherever they come.
	if id == App && r.client && (name == "NEW_TOKEN" || name == "HANDSHAKE_DONE") {
		ok = false
	}
	r.Replies = nil
	r.Send(id, f)
	if !ok {
		r.WantClose(name+" is not allowed here", core.ProtocolViolation)
		return
	}
	switch name {
	case "CONNECTION_CLOSE", "CONNECTION_CLOSE app":
		if r.Conn.Err() == nil {
			t.Fatal("the connection did not notice the close")
		}
		return
	case "STREAM", "RESET_STREAM", "STOP_SENDING", "MAX_STREAM_DATA", "STREAM_DATA_BLOCKED":
		if !r.client {
			r.WantClose("stream 0 is the client's own and not open", core.StreamStateError)
			return
		}
	}
	r.WantOpen(name + " is allowed here")
}

func TestBadFramesHaveTheirErrorCode(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
		want  core.Code
	}{
		{"unknown frame type", []byte{0x40, 0x7f}, core.FrameEncodingError},
		{"largest frame type", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, core.FrameEncodingError},
		{"PING in two bytes", []byte{0x40, 0x01}, core.FrameEncodingError},
		{"no frames", nil, core.ProtocolViolation},
		{"truncated frame", []byte{byte(wire.FrameMaxData)}, core.FrameEncodingError},
		{"MAX_STREAMS above 2^60", []byte{0x12, 0xd0, 0, 0, 0, 0, 0, 0, 1}, core.FrameEncodingError},
		{"STREAMS_BLOCKED above 2^60", []byte{0x16, 0xd0, 0, 0, 0, 0, 0, 0, 1}, core.FrameEncodingError},
		{"empty NEW_TOKEN", []byte{0x07, 0x00}, core.FrameEncodingError},
		{"CRYPTO beyond 2^62", []byte{0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, core.FrameEncodingError},
		{"STREAM beyond 2^62", []byte{0x0e, 0x40, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, core.FrameEncodingError},
		{"ACK of a packet never sent", ack(wire.AckRange{Smallest: 0, Largest: 1 << 20}), core.ProtocolViolation},
		{"ACK range below zero", []byte{0x02, 5, 0, 0, 6}, core.FrameEncodingError},
		{"ACK gap below zero", []byte{0x02, 5, 0, 1, 0, 5, 0}, core.FrameEncodingError},
		{"NEW_CONNECTION_ID with an empty ID", append([]byte{0x18, 1, 0, 0}, make([]byte, 16)...), core.FrameEncodingError},
		{"NEW_CONNECTION_ID with 21 bytes", append([]byte{0x18, 1, 0, 21}, make([]byte, 21+16)...), core.FrameEncodingError},
		{"retire_prior_to above the sequence", append([]byte{0x18, 1, 2, 8}, make([]byte, 8+16)...), core.FrameEncodingError},
		{"RETIRE_CONNECTION_ID never issued", encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 99}), core.ProtocolViolation},
		{"RETIRE_CONNECTION_ID of its own packet", encode(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 0}), core.ProtocolViolation},
		{"CRYPTO far ahead", crypto(1<<20, []byte{1}), core.CryptoBufferExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
				r.Send(App, tt.frame)
				r.WantClose(tt.name, tt.want)
			})
		})
	}
}

func TestUnknownFrameIsAnErrorInEveryPacket(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, id := range []recovery.SpaceID{Initial, Handshake, App} {
			for name, c := range map[string]struct {
				frame []byte
				want  core.Code
			}{
				"a type that nobody knows": {[]byte{0x40, 0x7f}, core.FrameEncodingError},
				"a reserved type":          {wire.AppendVarint(nil, 31*7+27), core.FrameEncodingError},
				"a type in two bytes":      {[]byte{0x40, 0x01}, core.FrameEncodingError},
				"a frame that is cut":      {crypto(0, []byte{1, 2, 3})[:4], core.FrameEncodingError},
			} {
				t.Run(fmt.Sprintf("%s in %v packet to %s", name, id, side(client)), func(t *testing.T) {
					r := reach(t, client, id)
					r.Replies = nil
					if c.frame[0] == byte(wire.FrameCrypto) {
						// At the end of the packet, which padding would complete.
						pkt := r.Packet(id, r.NextNumber(id), padding(1200), c.frame)
						r.SendDatagram(pkt)
					} else {
						r.Send(id, c.frame)
					}
					r.WantClose("RFC 9000 §12.4: "+name, c.want)
				})
			}
		}
	}
}

func TestErrorInAppPacketCarriesFrameType(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(App, ack(wire.AckRange{Smallest: 0, Largest: 1 << 20}))
		if f := r.WantClose("RFC 9000 §11: the frame type is told", core.ProtocolViolation); f.Culprit != wire.FrameAck {
			t.Errorf("CONNECTION_CLOSE blames %v, want ACK", f.Culprit)
		}
	})
}

func TestVarintsOfEveryLengthAreAccepted(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		for _, value := range [][]byte{{5}, {0x40, 5}, {0x80, 0, 0, 5}, {0xc0, 0, 0, 0, 0, 0, 0, 5}} {
			r.Send(App, append([]byte{byte(wire.FrameMaxData)}, value...))
			r.WantOpen("RFC 9000 §16: any length may carry a small value")
		}
	})
}
