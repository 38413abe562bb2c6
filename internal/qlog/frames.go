package qlog

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/seed51309289/quiver/internal/wire"
)

// Bounds on one event, whatever the peer sent.
const (
	maxFrames    = 64       // limit: frames that are listed per packet
	maxAckRanges = 32       // limit: ranges that are listed per ACK frame
	maxVersions  = 16       // limit: versions that are listed
	maxFrame     = 4 << 10  // bytes that one listed frame never exceeds; a test holds it
	maxEvent     = 16 << 10 // limit: bytes after which no further frame is listed
)

// defaultExponent is the ack_delay_exponent until parameters say otherwise (RFC 9000 §18.2).
const defaultExponent = 3

// frames lists the frames of a payload, as many as the limits allow; that some
// are missing is said in frames_truncated, a member of our own.
func (l *Log) frames(payload []byte, exponent uint8) {
	e := &l.e
	e.array("frames")
	for n := 0; len(payload) > 0; n++ {
		if n == maxFrames || len(e.b) > maxEvent {
			e.endArray()
			e.bool("frames_truncated", true)
			return
		}
		size, err := wire.Next(payload, &l.frame)
		e.comma()
		e.raw("{")
		if err != nil {
			// The size of a frame that cannot be decoded is not known either.
			e.str("frame_type", "unknown")
			e.uint("frame_type_bytes", uint64(l.frame.Type))
			e.rawLength(len(payload))
			e.end()
			break
		}
		l.oneFrame(size, exponent)
		e.end()
		payload = payload[size:]
	}
	e.endArray()
}

func (l *Log) oneFrame(size int, exponent uint8) {
	e, f := &l.e, &l.frame
	if f.Type.IsStream() {
		e.str("frame_type", "stream")
		e.uint("stream_id", f.StreamID)
		e.uint("offset", f.Offset)
		if f.Fin {
			e.bool("fin", true)
		}
		e.rawLength(len(f.Data))
		return
	}
	e.str("frame_type", frameTypeName(f.Type))
	switch f.Type {
	case wire.FramePadding:
		e.object("raw")
		e.uint("payload_length", uint64(size))
		e.end()
	case wire.FrameAck, wire.FrameAckECN:
		l.ack(&f.Ack, exponent)
	case wire.FrameResetStream:
		e.uint("stream_id", f.StreamID)
		e.applicationError(f.Code)
		e.uint("final_size", f.FinalSize)
	case wire.FrameStopSending:
		e.uint("stream_id", f.StreamID)
		e.applicationError(f.Code)
	case wire.FrameCrypto:
		e.uint("offset", f.Offset)
		e.rawLength(len(f.Data))
	case wire.FrameNewToken:
		e.object("token")
		e.rawInfo(f.Data)
		e.end()
	case wire.FrameMaxData:
		e.uint("maximum", f.Limit)
	case wire.FrameMaxStreamData:
		e.uint("stream_id", f.StreamID)
		e.uint("maximum", f.Limit)
	case wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni:
		e.str("stream_type", streamType(f.Type == wire.FrameMaxStreamsUni))
		e.uint("maximum", f.Limit)
	case wire.FrameDataBlocked:
		e.uint("limit", f.Limit)
	case wire.FrameStreamDataBlocked:
		e.uint("stream_id", f.StreamID)
		e.uint("limit", f.Limit)
	case wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni:
		e.str("stream_type", streamType(f.Type == wire.FrameStreamsBlockedUni))
		e.uint("limit", f.Limit)
	case wire.FrameNewConnectionID:
		e.uint("sequence_number", f.Sequence)
		e.uint("retire_prior_to", f.RetirePriorTo)
		e.uint("connection_id_length", uint64(len(f.ConnID)))
		e.hex("connection_id", f.ConnID)
		e.hex("stateless_reset_token", f.ResetToken[:])
	case wire.FrameRetireConnectionID:
		e.uint("sequence_number", f.Sequence)
	case wire.FrameDatagram, wire.FrameDatagramLength:
		e.rawLength(len(f.Data))
	case wire.FrameResetStreamAt:
		e.uint("stream_id", f.StreamID)
		e.applicationError(f.Code)
		e.uint("final_size", f.FinalSize)
		e.uint("reliable_size", f.Reliable)
	case wire.FrameAckFrequency:
		e.uint("sequence_number", f.Sequence)
		e.uint("ack_eliciting_threshold", f.Threshold)
		e.millis("requested_max_ack_delay", ackDelay(f.MaxDelay, 0))
		e.uint("reordering_threshold", f.Reordering)
	case wire.FramePathChallenge, wire.FramePathResponse:
		e.hex("data", f.Path[:])
	case wire.FrameConnectionClose, wire.FrameApplicationClose:
		l.closeFrame(f)
	default:
		l.pluginFrame(f)
	}
}

// Names by frame type; STREAM and what is not in the table are handled apart.
var frameNames = [...]string{
	wire.FramePadding:            "padding",
	wire.FramePing:               "ping",
	wire.FrameAck:                "ack",
	wire.FrameAckECN:             "ack",
	wire.FrameResetStream:        "reset_stream",
	wire.FrameStopSending:        "stop_sending",
	wire.FrameCrypto:             "crypto",
	wire.FrameNewToken:           "new_token",
	wire.FrameMaxData:            "max_data",
	wire.FrameMaxStreamData:      "max_stream_data",
	wire.FrameMaxStreamsBidi:     "max_streams",
	wire.FrameMaxStreamsUni:      "max_streams",
	wire.FrameDataBlocked:        "data_blocked",
	wire.FrameStreamDataBlocked:  "stream_data_blocked",
	wire.FrameStreamsBlockedBidi: "streams_blocked",
	wire.FrameStreamsBlockedUni:  "streams_blocked",
	wire.FrameNewConnectionID:    "new_connection_id",
	wire.FrameRetireConnectionID: "retire_connection_id",
	wire.FramePathChallenge:      "path_challenge",
	wire.FramePathResponse:       "path_response",
	wire.FrameConnectionClose:    "connection_close",
	wire.FrameApplicationClose:   "connection_close",
	wire.FrameHandshakeDone:      "handshake_done",
	wire.FrameImmediateAck:       "immediate_ack",
}

func frameTypeName(t wire.FrameType) string {
	if t.IsStream() {
		return "stream"
	}
	if t < wire.FrameType(len(frameNames)) {
		return frameNames[t]
	}
	switch t {
	case wire.FrameResetStreamAt:
		return "reset_stream_at"
	case wire.FrameDatagram, wire.FrameDatagramLength:
		return "datagram"
	case wire.FrameAckFrequency:
		return "ack_frequency"
	}
	switch {
	case t.IsPluginControl():
		return pluginFrameNames[t-wire.FramePluginOffer]
	case t.IsPlugin():
		return "plugin"
	}
	return "unknown"
}

func streamType(uni bool) string {
	if uni {
		return "unidirectional"
	}
	return "bidirectional"
}

func (l *Log) ack(a *wire.Ack, exponent uint8) {
	e := &l.e
	e.millis("ack_delay", ackDelay(a.Delay, exponent))
	e.array("acked_ranges")
	for _, r := range a.AppendRanges(l.ranges[:0], maxAckRanges) {
		e.comma()
		e.raw("[")
		e.uintValue(r.Smallest)
		if r.Largest != r.Smallest {
			e.uintValue(r.Largest)
		}
		e.endArray()
	}
	e.endArray()
	if a.ECN {
		e.uint("ect0", a.ECT0)
		e.uint("ect1", a.ECT1)
		e.uint("ce", a.CE)
	}
}

// ackDelay scales an ack_delay field; a peer may write a delay that no clock can hold.
func ackDelay(field uint64, exponent uint8) time.Duration {
	const most = math.MaxInt64 / uint64(time.Microsecond)
	if field > most>>exponent {
		return math.MaxInt64
	}
	return time.Duration(field<<exponent) * time.Microsecond
}

func (l *Log) closeFrame(f *wire.Frame) {
	e := &l.e
	if f.Type == wire.FrameApplicationClose {
		e.str("error_space", "application")
		e.applicationError(f.Code)
	} else {
		e.str("error_space", "transport")
		e.transportError("error", f.Code)
		if f.Culprit != 0 {
			e.uint("trigger_frame_type", uint64(f.Culprit))
		}
	}
	if len(f.Data) == 0 {
		return
	}
	if utf8.Valid(f.Data) {
		e.text("reason", f.Data)
		return
	}
	e.hex("reason_bytes", f.Data)
}
