package wire

import (
	"errors"
	"fmt"
)

// FrameType is the type field of a frame (RFC 9000 §19).
type FrameType uint64

// The frames of RFC 9000 §19. STREAM and ACK stand for their whole ranges: the
// flag bits are in the fields of Frame.
const (
	FramePadding            FrameType = 0x00
	FramePing               FrameType = 0x01
	FrameAck                FrameType = 0x02
	FrameAckECN             FrameType = 0x03
	FrameResetStream        FrameType = 0x04
	FrameStopSending        FrameType = 0x05
	FrameCrypto             FrameType = 0x06
	FrameNewToken           FrameType = 0x07
	FrameStream             FrameType = 0x08 // to 0x0f: | 4 offset | 2 length | 1 fin
	FrameMaxData            FrameType = 0x10
	FrameMaxStreamData      FrameType = 0x11
	FrameMaxStreamsBidi     FrameType = 0x12
	FrameMaxStreamsUni      FrameType = 0x13
	FrameDataBlocked        FrameType = 0x14
	FrameStreamDataBlocked  FrameType = 0x15
	FrameStreamsBlockedBidi FrameType = 0x16
	FrameStreamsBlockedUni  FrameType = 0x17
	FrameNewConnectionID    FrameType = 0x18
	FrameRetireConnectionID FrameType = 0x19
	FramePathChallenge      FrameType = 0x1a
	FramePathResponse       FrameType = 0x1b
	FrameConnectionClose    FrameType = 0x1c
	FrameApplicationClose   FrameType = 0x1d
	FrameHandshakeDone      FrameType = 0x1e

	// Frames of extensions, which both sides must have agreed on.
	FrameImmediateAck   FrameType = 0x1f // draft-ietf-quic-ack-frequency §5
	FrameResetStreamAt  FrameType = 0x24 // draft-ietf-quic-reliable-stream-reset §4
	FrameDatagram       FrameType = 0x30 // RFC 9221 §4: to the end of the packet
	FrameDatagramLength FrameType = 0x31 // RFC 9221 §4: with a length
	FrameAckFrequency   FrameType = 0xaf // draft-ietf-quic-ack-frequency §4
)

// Frame is one decoded frame of any type: a union, so that a packet is walked
// without allocation. Only the fields named for its type have a meaning; byte
// slices point into the packet.
type Frame struct {
	Type FrameType // STREAM and ACK types keep their flag bits

	StreamID uint64
	Offset   uint64 // STREAM, CRYPTO
	Data     []byte // STREAM, CRYPTO, DATAGRAM; the token of NEW_TOKEN; the reason phrase of a close
	Fin      bool   // STREAM

	// Limit is the maximum of MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS and of
	// their BLOCKED counterparts.
	Limit uint64

	Code      uint64    // RESET_STREAM, RESET_STREAM_AT, STOP_SENDING, CONNECTION_CLOSE
	FinalSize uint64    // RESET_STREAM, RESET_STREAM_AT
	Reliable  uint64    // RESET_STREAM_AT: bytes that are delivered all the same
	Culprit   FrameType // CONNECTION_CLOSE: the frame that caused it

	Ack Ack // ACK

	Sequence      uint64 // NEW_CONNECTION_ID, RETIRE_CONNECTION_ID, ACK_FREQUENCY, control frames of plugins
	RetirePriorTo uint64
	ConnID        []byte
	ResetToken    [16]byte
	Path          [8]byte // PATH_CHALLENGE, PATH_RESPONSE

	// ACK_FREQUENCY: Threshold is how many ack-eliciting packets may wait for
	// an acknowledgment, MaxDelay how long, in microseconds, and Reordering
	// after how much reordering none may wait; 0 = reordering does not matter.
	Threshold, MaxDelay, Reordering uint64

	// Control frames of plugins: Local is the plugin's number, Status that of a
	// PLUGIN_ANSWER. Data is the body of an offer, the reason phrase, the content,
	// the message, the list of a PLUGIN_KEEP; or the body of a plugin's own frame.
	Local, Status uint64
}

// Ack is the content of an ACK frame (RFC 9000 §19.3).
type Ack struct {
	Largest    uint64
	Delay      uint64 // in units of 2^ack_delay_exponent microseconds
	FirstRange uint64 // numbers before Largest in its range
	ranges     []byte // gap and length pairs, checked
	Count      uint64 // ranges after the first
	ECN        bool
	ECT0       uint64
	ECT1       uint64
	CE         uint64
}

// IsStream reports whether t is one of the eight STREAM types.
func (t FrameType) IsStream() bool { return t&^7 == FrameStream }

// IsDatagram reports whether t is one of the two DATAGRAM types.
func (t FrameType) IsDatagram() bool { return t&^1 == FrameDatagram }

// AckEliciting reports whether a packet with a frame of type t must be
// acknowledged (RFC 9002 §2).
func (t FrameType) AckEliciting() bool {
	switch t {
	case FramePadding, FrameAck, FrameAckECN, FrameConnectionClose, FrameApplicationClose:
		return false
	}
	return true
}

// Probing reports whether t may be sent on a path that is not yet in use (RFC 9000 §9.1).
func (t FrameType) Probing() bool {
	switch t {
	case FramePadding, FramePathChallenge, FramePathResponse, FrameNewConnectionID:
		return true
	}
	return false
}

var frameNames = [...]string{
	"PADDING", "PING", "ACK", "ACK", "RESET_STREAM", "STOP_SENDING", "CRYPTO", "NEW_TOKEN",
	"STREAM", "STREAM", "STREAM", "STREAM", "STREAM", "STREAM", "STREAM", "STREAM",
	"MAX_DATA", "MAX_STREAM_DATA", "MAX_STREAMS", "MAX_STREAMS", "DATA_BLOCKED", "STREAM_DATA_BLOCKED",
	"STREAMS_BLOCKED", "STREAMS_BLOCKED", "NEW_CONNECTION_ID", "RETIRE_CONNECTION_ID",
	"PATH_CHALLENGE", "PATH_RESPONSE", "CONNECTION_CLOSE", "CONNECTION_CLOSE", "HANDSHAKE_DONE",
	"IMMEDIATE_ACK",
}

// String returns the name that the type has in its specification, or the number.
func (t FrameType) String() string {
	if t < FrameType(len(frameNames)) {
		return frameNames[t]
	}
	switch t {
	case FrameResetStreamAt:
		return "RESET_STREAM_AT"
	case FrameDatagram, FrameDatagramLength:
		return "DATAGRAM"
	case FrameAckFrequency:
		return "ACK_FREQUENCY"
	}
	switch {
	case t.IsPluginControl():
		return pluginFrameNames[t-FramePluginOffer]
	case t.IsPlugin():
		return fmt.Sprintf("PLUGIN %#x", uint64(t))
	}
	return fmt.Sprintf("frame %#x", uint64(t))
}

// Errors of Next. Both are FRAME_ENCODING_ERROR on a connection, except that
// ErrFrameType may also mean a frame that was not negotiated (RFC 9000 §12.4).
var (
	ErrFrame     = errors.New("malformed frame")
	ErrFrameType = errors.New("unknown frame type")
)

// Next decodes the frame at the start of b into f and returns its size. A run
// of PADDING is one frame. On an error f.Type tells which frame it was.
func Next(b []byte, f *Frame) (n int, err error) {
	t, n := ConsumeVarint(b)
	if n < 0 {
		f.Type = FramePadding
		return 0, ErrFrame
	}
	f.Type = FrameType(t)
	if f.Type.IsStream() {
		return nextStream(b, n, f)
	}
	// RFC 9000 §12.4: the type is in its shortest form.
	if n != SizeVarint(t) {
		return 0, ErrFrame
	}
	if f.Type == FramePadding {
		return paddingLen(b), nil
	}
	r := reader{b: b[n:]}
	if err := f.body(&r); err != nil {
		return 0, err
	}
	if r.bad {
		return 0, ErrFrame
	}
	return len(b) - len(r.b), nil
}

func paddingLen(b []byte) int {
	n := 1
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// nextStream is apart because nearly every frame is one.
func nextStream(b []byte, n int, f *Frame) (int, error) {
	if n != 1 {
		return 0, ErrFrame
	}
	r := reader{b: b[1:]}
	f.StreamID = r.varint()
	f.Offset = 0
	if f.Type&4 != 0 {
		f.Offset = r.varint()
	}
	f.Fin = f.Type&1 != 0
	if f.Type&2 != 0 {
		f.Data = r.bytes(r.varint())
	} else {
		f.Data, r.b = r.b, nil
	}
	// RFC 9000 §19.8: the end of the data is at most 2^62-1.
	if r.bad || f.Offset+uint64(len(f.Data)) > MaxVarint {
		return 0, ErrFrame
	}
	return len(b) - len(r.b), nil
}

func (f *Frame) body(r *reader) error {
	switch f.Type {
	case FramePing, FrameHandshakeDone, FrameImmediateAck:
	case FrameAck, FrameAckECN:
		return f.Ack.parse(r, f.Type == FrameAckECN)
	case FrameResetStream:
		f.StreamID, f.Code, f.FinalSize = r.varint(), r.varint(), r.varint()
	case FrameStopSending:
		f.StreamID, f.Code = r.varint(), r.varint()
	case FrameCrypto:
		f.Offset = r.varint()
		f.Data = r.bytes(r.varint())
		// RFC 9000 §19.6: the end of the data is at most 2^62-1.
		if f.Offset+uint64(len(f.Data)) > MaxVarint {
			return ErrFrame
		}
	case FrameNewToken:
		f.Data = r.bytes(r.varint())
		// RFC 9000 §19.7: an empty token is a FRAME_ENCODING_ERROR.
		if len(f.Data) == 0 {
			return ErrFrame
		}
	case FrameMaxData, FrameDataBlocked:
		f.Limit = r.varint()
	case FrameMaxStreamData, FrameStreamDataBlocked:
		f.StreamID, f.Limit = r.varint(), r.varint()
	case FrameMaxStreamsBidi, FrameMaxStreamsUni, FrameStreamsBlockedBidi, FrameStreamsBlockedUni:
		f.Limit = r.varint()
		// RFC 9000 §19.11, §19.14: a stream count above 2^60 cannot be expressed.
		if f.Limit > MaxStreams {
			return ErrFrame
		}
	case FrameNewConnectionID:
		return f.newConnID(r)
	case FrameRetireConnectionID:
		f.Sequence = r.varint()
	case FramePathChallenge, FramePathResponse:
		copy(f.Path[:], r.bytes(8))
	case FrameConnectionClose:
		f.Code, f.Culprit = r.varint(), FrameType(r.varint())
		f.Data = r.bytes(r.varint())
	case FrameApplicationClose:
		f.Code, f.Culprit = r.varint(), 0
		f.Data = r.bytes(r.varint())
	default:
		return f.extension(r)
	}
	return nil
}

// extension reads the frames of extensions.
func (f *Frame) extension(r *reader) error {
	switch f.Type {
	case FrameDatagram:
		f.Data, r.b = r.b, nil
	case FrameDatagramLength:
		f.Data = r.bytes(r.varint())
	case FrameResetStreamAt:
		f.StreamID, f.Code, f.FinalSize, f.Reliable = r.varint(), r.varint(), r.varint(), r.varint()
		// draft-ietf-quic-reliable-stream-reset §4: more than the stream has
		// cannot be delivered; a FRAME_ENCODING_ERROR.
		if f.Reliable > f.FinalSize {
			return ErrFrame
		}
	case FrameAckFrequency:
		f.Sequence, f.Threshold, f.MaxDelay, f.Reordering = r.varint(), r.varint(), r.varint(), r.varint()
	default:
		if f.Type.IsPlugin() || f.Type.IsPluginControl() {
			return f.plugin(r)
		}
		return ErrFrameType
	}
	return nil
}

// MaxStreams is the largest number of streams of a type (RFC 9000 §4.6).
const MaxStreams = 1 << 60

func (f *Frame) newConnID(r *reader) error {
	f.Sequence, f.RetirePriorTo = r.varint(), r.varint()
	n := r.byte()
	f.ConnID = r.bytes(uint64(n))
	copy(f.ResetToken[:], r.bytes(16))
	// RFC 9000 §19.15: both are FRAME_ENCODING_ERRORs.
	if n < 1 || n > MaxConnIDLen || f.RetirePriorTo > f.Sequence {
		return ErrFrame
	}
	return nil
}
