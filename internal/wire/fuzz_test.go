package wire

import (
	"bytes"
	"testing"
)

// FuzzFrame reads a payload frame by frame and asks that each frame, written
// anew, reads the same.
func FuzzFrame(f *testing.F) {
	for _, tc := range frames {
		f.Add(unhex(f, tc.in))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for len(payload) > 0 {
			var got, again Frame
			n, err := Next(payload, &got)
			if err != nil {
				return
			}
			if n < 1 || n > len(payload) {
				t.Fatalf("frame of %d bytes in a payload of %d", n, len(payload))
			}
			b, ok := rewrite(&got)
			if ok {
				if m, err := Next(b, &again); err != nil || m != len(b) || !equivalent(&got, &again) {
					t.Fatalf("%x = %+v\nwritten as %x = %+v, %d, %v", payload[:n], got, b, again, m, err)
				}
			}
			payload = payload[n:]
		}
	})
}

// rewrite writes f with the writer for its type, and reports false for what
// they do not write: padding, data of 2^14 bytes or more, more than 64 ranges.
func rewrite(f *Frame) ([]byte, bool) {
	switch {
	case f.Type == FramePadding || len(f.Data) >= 1<<14 || f.Ack.Count > 63:
		return nil, false
	case f.Type.IsStream():
		return append(AppendStreamHeader(nil, f.StreamID, f.Offset, len(f.Data), f.Fin), f.Data...), true
	case f.Type.IsDatagram():
		return AppendDatagram(nil, f.Data), true
	case f.Type == FrameCrypto:
		return append(AppendCryptoHeader(nil, f.Offset, len(f.Data)), f.Data...), true
	case f.Type == FrameAck:
		return AppendAck(nil, 1<<16, f.Ack.AppendRanges(nil, 64), f.Ack.Delay, nil), true
	case f.Type == FrameAckECN:
		return AppendAck(nil, 1<<16, f.Ack.AppendRanges(nil, 64), f.Ack.Delay, &ECNCounts{f.Ack.ECT0, f.Ack.ECT1, f.Ack.CE}), true
	}
	return AppendFrame(nil, f), true
}

// equivalent compares all but how something was written.
func equivalent(a, b *Frame) bool {
	x, y := *a, *b
	if x.Type.IsStream() && y.Type.IsStream() {
		x.Type, y.Type = FrameStream, FrameStream
	}
	if x.Type.IsDatagram() && y.Type.IsDatagram() {
		x.Type, y.Type = FrameDatagram, FrameDatagram
	}
	if !same(x.Ack.AppendRanges(nil, 64), y.Ack.AppendRanges(nil, 64)) {
		return false
	}
	x.Ack.ranges, y.Ack.ranges = nil, nil
	return same(x, y)
}

// FuzzHeader reads a packet as every kind of packet, and asks that a long
// header, written anew, reads the same.
func FuzzHeader(f *testing.F) {
	for _, b := range headerSamples(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkHeader(t, b)
		var h, again Header
		if !ParseLong(b, &h) || h.Type > PacketHandshake || h.Length-h.PNOffset < 2 || h.Length-h.PNOffset >= 1<<14 {
			return
		}
		out, at := AppendLong(nil, h.Type, h.Version, h.DCID, h.SCID, h.Token, 5, 2)
		PutVarint2(out[at:], uint64(h.Length-h.PNOffset))
		out = append(out, b[h.PNOffset+2:h.Length]...)
		if !ParseLong(out, &again) || again.Type != h.Type || again.Version != h.Version || !bytes.Equal(again.DCID, h.DCID) ||
			!bytes.Equal(again.SCID, h.SCID) || !bytes.Equal(again.Token, h.Token) || again.Length-again.PNOffset != h.Length-h.PNOffset {
			t.Fatalf("%+v written anew reads as %+v", h, again)
		}
	})
}

// FuzzParams asks that parameters that parse, written anew, parse the same.
func FuzzParams(f *testing.F) {
	p, bare := fullParams(), DefaultParams()
	bare.Grease = 27
	f.Add(AppendParams(nil, &p), true)
	f.Add(AppendParams(nil, &bare), false)
	f.Fuzz(func(t *testing.T, b []byte, fromServer bool) {
		p, err := ParseParams(b, fromServer)
		if err != nil {
			if _, ok := err.(*ParamError); !ok {
				t.Fatalf("error %v is not a *ParamError", err)
			}
			return
		}
		again, err := ParseParams(AppendParams(nil, p), fromServer)
		if err != nil || !same(flat(p), flat(again)) {
			t.Fatalf("%+v written anew parses as %+v, %v", flat(p), again, err)
		}
	})
}
