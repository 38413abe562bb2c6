package wire

import (
	"bytes"
	"errors"
	"testing"
)

// frames has one row for each type, and the shapes of those that have several.
// A row with open set takes all that is left of the packet.
var frames = []struct {
	name string
	in   string
	want Frame
	open bool
}{
	{name: "PADDING", in: "00 00 00", want: Frame{Type: FramePadding}, open: true},
	{name: "PING", in: "01", want: Frame{Type: FramePing}},
	{name: "ACK", in: "02 4a 80 40 c8 00 05", want: Frame{Type: FrameAck, Ack: Ack{Largest: 0xa80, Delay: 200, FirstRange: 5}}},
	{name: "ACK with ranges", in: "02 0a 00 02 01 00 02 01 00", want: Frame{Type: FrameAck, Ack: Ack{Largest: 10, FirstRange: 1, Count: 2, ranges: []byte{0, 2, 1, 0}}}},
	{name: "ACK down to zero", in: "02 05 00 01 00 03 00", want: Frame{Type: FrameAck, Ack: Ack{Largest: 5, Count: 1, ranges: []byte{3, 0}}}},
	{name: "ACK with ECN", in: "03 0a 00 00 0a 01 02 40 40", want: Frame{Type: FrameAckECN, Ack: Ack{Largest: 10, FirstRange: 10, ECN: true, ECT0: 1, ECT1: 2, CE: 64}}},
	{name: "RESET_STREAM", in: "04 04 41 00 43 e8", want: Frame{Type: FrameResetStream, StreamID: 4, Code: 256, FinalSize: 1000}},
	{name: "STOP_SENDING", in: "05 04 41 00", want: Frame{Type: FrameStopSending, StreamID: 4, Code: 256}},
	{name: "CRYPTO", in: "06 40 40 02 aa bb", want: Frame{Type: FrameCrypto, Offset: 64, Data: []byte{0xaa, 0xbb}}},
	{name: "CRYPTO, empty", in: "06 00 00", want: Frame{Type: FrameCrypto}},
	{name: "NEW_TOKEN", in: "07 01 aa", want: Frame{Type: FrameNewToken, Data: []byte{0xaa}}},
	{name: "STREAM, plain", in: "08 04 aa bb", want: Frame{Type: 0x08, StreamID: 4, Data: []byte{0xaa, 0xbb}}, open: true},
	{name: "STREAM, fin", in: "09 04 aa", want: Frame{Type: 0x09, StreamID: 4, Data: []byte{0xaa}, Fin: true}, open: true},
	{name: "STREAM, length", in: "0a 04 02 aa bb", want: Frame{Type: 0x0a, StreamID: 4, Data: []byte{0xaa, 0xbb}}},
	{name: "STREAM, length and fin", in: "0b 04 00", want: Frame{Type: 0x0b, StreamID: 4, Fin: true}},
	{name: "STREAM, offset", in: "0c 04 43 e8 aa", want: Frame{Type: 0x0c, StreamID: 4, Offset: 1000, Data: []byte{0xaa}}, open: true},
	{name: "STREAM, offset and fin", in: "0d 04 43 e8", want: Frame{Type: 0x0d, StreamID: 4, Offset: 1000, Fin: true}, open: true},
	{name: "STREAM, offset and length", in: "0e 04 43 e8 01 aa", want: Frame{Type: 0x0e, StreamID: 4, Offset: 1000, Data: []byte{0xaa}}},
	{name: "STREAM, all", in: "0f 04 43 e8 01 aa", want: Frame{Type: 0x0f, StreamID: 4, Offset: 1000, Data: []byte{0xaa}, Fin: true}},
	{name: "MAX_DATA", in: "10 80 01 00 00", want: Frame{Type: FrameMaxData, Limit: 65536}},
	{name: "MAX_STREAM_DATA", in: "11 04 43 e8", want: Frame{Type: FrameMaxStreamData, StreamID: 4, Limit: 1000}},
	{name: "MAX_STREAMS bidirectional", in: "12 40 64", want: Frame{Type: FrameMaxStreamsBidi, Limit: 100}},
	{name: "MAX_STREAMS unidirectional", in: "13 03", want: Frame{Type: FrameMaxStreamsUni, Limit: 3}},
	{name: "DATA_BLOCKED", in: "14 43 e8", want: Frame{Type: FrameDataBlocked, Limit: 1000}},
	{name: "STREAM_DATA_BLOCKED", in: "15 04 43 e8", want: Frame{Type: FrameStreamDataBlocked, StreamID: 4, Limit: 1000}},
	{name: "STREAMS_BLOCKED bidirectional", in: "16 40 64", want: Frame{Type: FrameStreamsBlockedBidi, Limit: 100}},
	{name: "STREAMS_BLOCKED unidirectional", in: "17 03", want: Frame{Type: FrameStreamsBlockedUni, Limit: 3}},
	{name: "NEW_CONNECTION_ID", in: "18 02 01 03 a1a2a3 000102030405060708090a0b0c0d0e0f",
		want: Frame{Type: FrameNewConnectionID, Sequence: 2, RetirePriorTo: 1, ConnID: []byte{0xa1, 0xa2, 0xa3}, ResetToken: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}},
	{name: "RETIRE_CONNECTION_ID", in: "19 02", want: Frame{Type: FrameRetireConnectionID, Sequence: 2}},
	{name: "PATH_CHALLENGE", in: "1a 0102030405060708", want: Frame{Type: FramePathChallenge, Path: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{name: "PATH_RESPONSE", in: "1b 0102030405060708", want: Frame{Type: FramePathResponse, Path: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{name: "CONNECTION_CLOSE", in: "1c 0a 06 02 6869", want: Frame{Type: FrameConnectionClose, Code: 10, Culprit: FrameCrypto, Data: []byte("hi")}},
	{name: "CONNECTION_CLOSE of the application", in: "1d 41 00 02 6869", want: Frame{Type: FrameApplicationClose, Code: 256, Data: []byte("hi")}},
	{name: "HANDSHAKE_DONE", in: "1e", want: Frame{Type: FrameHandshakeDone}},
	{name: "IMMEDIATE_ACK", in: "1f", want: Frame{Type: FrameImmediateAck}},
	{name: "RESET_STREAM_AT", in: "24 04 41 00 43 e8 0a", want: Frame{Type: FrameResetStreamAt, StreamID: 4, Code: 256, FinalSize: 1000, Reliable: 10}},
	{name: "RESET_STREAM_AT of a whole stream", in: "24 04 00 07 07", want: Frame{Type: FrameResetStreamAt, StreamID: 4, FinalSize: 7, Reliable: 7}},
	{name: "DATAGRAM", in: "30 aa bb", want: Frame{Type: FrameDatagram, Data: []byte{0xaa, 0xbb}}, open: true},
	{name: "DATAGRAM, empty", in: "30", want: Frame{Type: FrameDatagram}, open: true},
	{name: "DATAGRAM, length", in: "31 02 aa bb", want: Frame{Type: FrameDatagramLength, Data: []byte{0xaa, 0xbb}}},
	{name: "PLUGIN_OFFER", in: "af1c9a50 05 02 03 aabbcc", want: Frame{Type: FramePluginOffer, Sequence: 5, Local: 2, Data: []byte{0xaa, 0xbb, 0xcc}}},
	{name: "PLUGIN_ANSWER", in: "af1c9a51 05 02 02 43e8 02 6869", want: Frame{Type: FramePluginAnswer, Sequence: 5, Local: 2, Status: 2, Code: 1000, Data: []byte("hi")}},
	{name: "PLUGIN_DATA", in: "af1c9a52 02 43e8 00 02 aabb", want: Frame{Type: FramePluginData, Local: 2, Offset: 1000, Data: []byte{0xaa, 0xbb}}},
	{name: "PLUGIN_DATA, fin", in: "af1c9a52 02 43e8 01 00", want: Frame{Type: FramePluginData, Local: 2, Offset: 1000, Fin: true}},
	{name: "MAX_PLUGIN_DATA", in: "af1c9a53 02 43e8", want: Frame{Type: FramePluginMaxData, Local: 2, Limit: 1000}},
	{name: "PLUGIN_READY", in: "af1c9a54 05 02", want: Frame{Type: FramePluginReady, Sequence: 5, Local: 2}},
	{name: "PLUGIN_DETACH", in: "af1c9a55 05 02 07 02 6869", want: Frame{Type: FramePluginDetach, Sequence: 5, Local: 2, Code: 7, Data: []byte("hi")}},
	{name: "PLUGIN_EVENT", in: "af1c9a56 05 02 02 6869", want: Frame{Type: FramePluginEvent, Sequence: 5, Local: 2, Data: []byte("hi")}},
	{name: "PLUGIN_KEEP", in: "af1c9a57 05 03 00 02 05", want: Frame{Type: FramePluginKeep, Sequence: 5, Data: []byte{0, 2, 5}}},
	{name: "frame of a plugin", in: "7a00 02 aabb", want: Frame{Type: FramePlugin, Data: []byte{0xaa, 0xbb}}},
	{name: "frame of a server's plugin, empty", in: "7aff 00", want: Frame{Type: FramePlugin + 255}},
	{name: "ACK_FREQUENCY", in: "40af 05 0a 67 10 03", want: Frame{Type: FrameAckFrequency, Sequence: 5, Threshold: 10, MaxDelay: 10000, Reordering: 3}},
}

func TestFramesDecode(t *testing.T) {
	for _, tc := range frames {
		t.Run(tc.name, func(t *testing.T) {
			in := unhex(t, tc.in)
			var f Frame
			n, err := Next(in, &f)
			if err != nil || n != len(in) || !same(f, tc.want) {
				t.Errorf("Next(%s) = %d, %v, %+v\nwant %d, nil, %+v", tc.in, n, err, f, len(in), tc.want)
			}
			if tc.open {
				return
			}
			if n, err := Next(append(in, 0x01, 0xff), &f); err != nil || n != len(in) {
				t.Errorf("Next(%s and another frame) = %d, %v, want %d", tc.in, n, err, len(in))
			}
		})
	}
}

func TestFramesEncode(t *testing.T) {
	for _, tc := range frames {
		if f := tc.want; f.Type != FramePadding && f.Type != FrameAck && f.Type != FrameAckECN && f.Type != FrameCrypto && !f.Type.IsStream() && !f.Type.IsDatagram() {
			if got, want := AppendFrame([]byte{0xee}, &f), unhex(t, "ee"+tc.in); !bytes.Equal(got, want) {
				t.Errorf("AppendFrame(%s) = %x, want %x", tc.name, got, want)
			}
		}
	}
}

func TestFrameHeadersEncodeInTheSizeTheyPromise(t *testing.T) {
	for _, id := range []uint64{0, 63, 64, MaxVarint} {
		for _, offset := range []uint64{0, 1, 1 << 14, MaxVarint - 9000} {
			for _, length := range []int{0, 1, 1200, 9000} {
				for _, fin := range []bool{false, true} {
					data := bytes.Repeat([]byte{7}, length)
					b := AppendStreamHeader(nil, id, offset, length, fin)
					if len(b) != SizeStreamHeader(id, offset) {
						t.Errorf("STREAM %d at %d: header of %d bytes, SizeStreamHeader says %d", id, offset, len(b), SizeStreamHeader(id, offset))
					}
					var f Frame
					if n, err := Next(append(b, data...), &f); err != nil || n != len(b)+length || f.StreamID != id || f.Offset != offset || f.Fin != fin || !bytes.Equal(f.Data, data) {
						t.Errorf("STREAM %d at %d, %d bytes, fin %v: comes back as %d, %v, %v", id, offset, length, fin, n, err, f.Type)
					}
				}
				b := AppendCryptoHeader(nil, offset, length)
				var f Frame
				if n, err := Next(append(b, make([]byte, length)...), &f); err != nil || n != len(b)+length || f.Offset != offset || len(b) != SizeCryptoHeader(offset) {
					t.Errorf("CRYPTO at %d, %d bytes: comes back as %d, %v", offset, length, n, err)
				}
			}
		}
	}
}

func TestDatagramsEncodeInTheSizeTheyPromise(t *testing.T) {
	for _, length := range []int{0, 1, 63, 64, 1200, 16000} {
		data := bytes.Repeat([]byte{7}, length)
		b := AppendDatagram([]byte{0xee}, data)[1:]
		var f Frame
		if n, err := Next(append(b, 0x01), &f); err != nil || n != SizeDatagramHeader(length)+length || !bytes.Equal(f.Data, data) {
			t.Errorf("DATAGRAM of %d bytes: comes back as %d bytes, %v, %v", length, n, err, f.Type)
		}
	}
}

func TestFrameCutAnywhereIsMalformed(t *testing.T) {
	for _, tc := range frames {
		cut(unhex(t, tc.in), func(prefix []byte) {
			f := Frame{Type: 0x99}
			n, err := Next(prefix, &f)
			if tc.open && err == nil && n == len(prefix) && n > 0 {
				return // it takes what is there
			}
			if !errors.Is(err, ErrFrame) || n != 0 {
				t.Errorf("%s cut to %x: %d, %v, want %v", tc.name, prefix, n, err, ErrFrame)
			}
			if len(prefix) >= SizeVarint(uint64(tc.want.Type)) && f.Type != tc.want.Type {
				t.Errorf("%s cut to %x: type %v, want %v, which is known", tc.name, prefix, f.Type, tc.want.Type)
			}
		})
	}
}

func TestFrameWithAnyBitFlippedStaysInItsPacket(t *testing.T) {
	for _, tc := range frames {
		flip(unhex(t, tc.in), func(_ int, changed []byte) {
			var f Frame
			n, err := Next(changed, &f)
			if err == nil && (n < 1 || n > len(changed) || len(f.Data) > len(changed)) {
				t.Errorf("%s changed to %x: %d bytes, data of %d", tc.name, changed, n, len(f.Data))
			}
		})
	}
}

func TestFrameTypeInMoreBytesThanItNeedsIsMalformed(t *testing.T) {
	for _, tc := range frames {
		in := unhex(t, tc.in)
		if tc.want.Type > 63 {
			continue // no zeros in front of its first byte make another encoding of it
		}
		for _, prefix := range [][]byte{{0x40}, {0x80, 0, 0}, {0xc0, 0, 0, 0, 0, 0, 0}} {
			b := append(append([]byte{}, prefix...), in...)
			var f Frame
			if _, err := Next(b, &f); err != ErrFrame {
				t.Errorf("%s with a type of %d bytes: %v, want %v", tc.name, len(prefix)+1, err, ErrFrame)
			}
		}
	}
}

func TestUnknownFrameTypes(t *testing.T) {
	for _, typ := range []uint64{0x20, 0x21, 0x25, 0x32, 0xac, 0xae, 0x1f * 7, MaxVarint} {
		b := AppendVarint(nil, typ)
		f := Frame{}
		if _, err := Next(append(b, 0, 0, 0), &f); err != ErrFrameType || f.Type != FrameType(typ) {
			t.Errorf("type %#x: %v, type %v, want %v and the type", typ, err, f.Type, ErrFrameType)
		}
	}
}

func TestFrameLimits(t *testing.T) {
	const top = "ff ff ff ff ff ff ff ff" // 2^62-1
	for _, tc := range []struct {
		name string
		in   string
		ok   bool
	}{
		{name: "nothing", in: ""},
		{name: "MAX_STREAMS of 2^60", in: "12 d0 00 00 00 00 00 00 00", ok: true},
		{name: "MAX_STREAMS above 2^60", in: "12 d0 00 00 00 00 00 00 01"},
		{name: "MAX_STREAMS, unidirectional, above 2^60", in: "13 d0 00 00 00 00 00 00 01"},
		{name: "STREAMS_BLOCKED of 2^60", in: "16 d0 00 00 00 00 00 00 00", ok: true},
		{name: "STREAMS_BLOCKED above 2^60", in: "16 d0 00 00 00 00 00 00 01"},
		{name: "STREAMS_BLOCKED, unidirectional, above 2^60", in: "17 d0 00 00 00 00 00 00 01"},
		{name: "STREAM that ends at 2^62-1", in: "0e 00 ff ff ff ff ff ff ff fe 01 aa", ok: true},
		{name: "STREAM that ends beyond 2^62-1", in: "0e 00" + top + "01 aa"},
		{name: "STREAM without length that ends beyond 2^62-1", in: "0c 00" + top + "aa"},
		{name: "STREAM at 2^62-1 without data", in: "0e 00" + top + "00", ok: true},
		{name: "PLUGIN_DATA that ends at 2^62-1", in: "af1c9a52 00 ff ff ff ff ff ff ff fe 00 01 aa", ok: true},
		{name: "PLUGIN_DATA that ends beyond 2^62-1", in: "af1c9a52 00" + top + "00 01 aa"},
		{name: "PLUGIN_DATA with an end of 2", in: "af1c9a52 00 00 02 01 aa"},
		{name: "CRYPTO that ends at 2^62-1", in: "06 ff ff ff ff ff ff ff fe 01 aa", ok: true},
		{name: "CRYPTO that ends beyond 2^62-1", in: "06" + top + "01 aa"},
		{name: "ACK whose first range goes below zero", in: "02 05 00 00 06"},
		{name: "ACK whose gap goes below zero", in: "02 05 00 01 00 04 00"},
		{name: "ACK whose range goes below zero", in: "02 05 00 01 00 02 02"},
		{name: "ACK with the largest gap", in: "02 05 00 01 00" + top + "00"},
		{name: "ACK with the largest range", in: "02 05 00 01 00 00" + top},
		{name: "ACK that counts more ranges than it has", in: "02" + top + "00" + top + "00 00 00"},
		{name: "ACK with ECN without counts", in: "03 05 00 00 00"},
		{name: "NEW_TOKEN without a token", in: "07 00"},
		{name: "NEW_TOKEN beyond the packet", in: "07" + top + "aa"},
		{name: "NEW_CONNECTION_ID without an ID", in: "18 00 00 00 000102030405060708090a0b0c0d0e0f"},
		{name: "NEW_CONNECTION_ID of 20 bytes", in: "18 00 00 14 0001020304050607080900010203040506070809 000102030405060708090a0b0c0d0e0f", ok: true},
		{name: "NEW_CONNECTION_ID of 21 bytes", in: "18 00 00 15 000102030405060708090001020304050607080900 000102030405060708090a0b0c0d0e0f"},
		{name: "NEW_CONNECTION_ID that retires itself", in: "18 01 02 01 aa 000102030405060708090a0b0c0d0e0f"},
		{name: "CONNECTION_CLOSE with a reason beyond the packet", in: "1c 00 00 05 aa"},
		{name: "STREAM data beyond the packet", in: "0a 00 05 aa"},
		{name: "DATAGRAM beyond the packet", in: "31 05 aa"},
		{name: "RESET_STREAM_AT beyond the final size", in: "24 00 00 07 08"},
		{name: "RESET_STREAM_AT of the largest stream", in: "24 00 00" + top + top, ok: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Frame
			_, err := Next(unhex(t, tc.in), &f)
			if tc.ok && err != nil || !tc.ok && err != ErrFrame {
				t.Errorf("Next(%s) = %v, want accepted: %v", tc.in, err, tc.ok)
			}
		})
	}
}

func TestEveryFieldIsSetAnewWhenAFrameIsReused(t *testing.T) {
	for _, tc := range frames {
		dirty := Frame{StreamID: 9, Offset: 9, Fin: true, Data: []byte{9}, Limit: 9, Code: 9, FinalSize: 9, Culprit: 9, Sequence: 9, RetirePriorTo: 9,
			Ack: Ack{Largest: 9, Delay: 9, FirstRange: 9, ranges: []byte{1, 1}, Count: 9, ECN: true, ECT0: 9, ECT1: 9, CE: 9}}
		if _, err := Next(unhex(t, tc.in), &dirty); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		switch got, want := dirty, tc.want; {
		case got.Type.IsStream() && (got.Offset != want.Offset || got.Fin != want.Fin || !bytes.Equal(got.Data, want.Data)):
			t.Errorf("%s: %+v keeps what an earlier frame left", tc.name, got)
		case (got.Type == FrameAck || got.Type == FrameAckECN) && !same(got.Ack, want.Ack):
			t.Errorf("%s: %+v keeps what an earlier frame left", tc.name, got.Ack)
		case got.Type == FrameApplicationClose && got.Culprit != 0:
			t.Errorf("%s: culprit %v is of an earlier frame", tc.name, got.Culprit)
		}
	}
}

func TestWhatElicitsAnAckAndWhatProbes(t *testing.T) {
	for _, tc := range frames {
		typ := tc.want.Type
		// RFC 9002 §2 and RFC 9000 §9.1.
		quiet := typ == FramePadding || typ == FrameAck || typ == FrameAckECN || typ == FrameConnectionClose || typ == FrameApplicationClose
		probing := typ == FramePadding || typ == FramePathChallenge || typ == FramePathResponse || typ == FrameNewConnectionID
		if typ.AckEliciting() == quiet || typ.Probing() != probing {
			t.Errorf("%s: ack-eliciting %v, probing %v, want %v, %v", tc.name, typ.AckEliciting(), typ.Probing(), !quiet, probing)
		}
	}
}

func TestFramesWithWritersOfTheirOwnAreABugInAppendFrame(t *testing.T) {
	for _, typ := range []FrameType{FramePadding, FrameAck, FrameCrypto, FrameStream, FrameDatagram, 0x99} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AppendFrame(%v) returned, want a panic", typ)
				}
			}()
			AppendFrame(nil, &Frame{Type: typ})
		}()
	}
}

func TestFramesDoNotAllocate(t *testing.T) {
	stream := append(AppendStreamHeader(nil, 4, 1<<20, 1200, false), make([]byte, 1200)...)
	ack := AppendAck(nil, 200, []AckRange{{90, 100}, {50, 60}, {1, 2}}, 25, &ECNCounts{1, 2, 3})
	var f Frame
	ranges, out := make([]AckRange, 0, 8), make([]byte, 0, 200)
	for name, do := range map[string]func(){
		"Next on STREAM": func() { _, _ = Next(stream, &f) },
		"Next on ACK":    func() { _, _ = Next(ack, &f) },
		"AppendRanges":   func() { _, _ = Next(ack, &f); f.Ack.AppendRanges(ranges, 8) },
		"AppendAck":      func() { AppendAck(out, 200, []AckRange{{90, 100}, {50, 60}}, 25, nil) },
		"AppendFrame":    func() { AppendFrame(out, &Frame{Type: FrameMaxData, Limit: 1 << 20}) },
	} {
		if avg := testing.AllocsPerRun(100, do); avg != 0 {
			t.Errorf("%s allocates %v times, want 0", name, avg)
		}
	}
}

func BenchmarkNextStream(b *testing.B) {
	stream := append(AppendStreamHeader(nil, 4, 1<<20, 1200, false), make([]byte, 1200)...)
	var f Frame
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Next(stream, &f); err != nil {
			b.Fatal(err)
		}
	}
}
