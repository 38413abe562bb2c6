package wire

import (
	"bytes"
	"testing"
)

// codePoints are all that the exchange of plugins takes for itself, in blocks.
var codePoints = map[string][2]uint64{
	"the transport parameter": {paramPlugins, paramPlugins},
	"control frames":          {uint64(FramePluginOffer), uint64(FramePluginKeep)},
	"the error code":          {PluginError, PluginError},
}

// TestCodePointsAreNotGrease: RFC 9000 §15 reserves 31*N+27, which peers send at
// random to see that it is ignored.
func TestCodePointsAreNotGrease(t *testing.T) {
	grease := func(v uint64) bool { return v%31 == 27 }
	for name, block := range codePoints {
		for v := block[0]; v <= block[1]; v++ {
			if grease(v) {
				t.Errorf("%s: %#x is reserved for greasing", name, v)
			}
			if SizeVarint(v) != 4 {
				t.Errorf("%s: %#x takes %d bytes, want 4", name, v, SizeVarint(v))
			}
		}
	}
	// Nothing may be added to either side: both neighbours are reserved.
	for _, v := range []uint64{0x2f1c9a40, 0x2f1c9a5f} {
		if !grease(v) {
			t.Errorf("%#x is said to be reserved for greasing, and is not", v)
		}
	}
}

// TestPluginFramesAreWhatTheySay keeps a type of 62 bits from passing for one of
// the block, and the block clear of what others use.
func TestPluginFramesAreWhatTheySay(t *testing.T) {
	for typ := FramePlugin; typ < FramePlugin+pluginFrames; typ++ {
		if !typ.IsPlugin() || typ.IsPluginControl() || typ.IsStream() || typ.IsDatagram() || SizeVarint(uint64(typ)) != 2 {
			t.Errorf("%v is not a plugin's alone", typ)
		}
		for bit := 14; bit < 62; bit++ {
			alias := typ | 1<<bit
			if alias.IsPlugin() {
				t.Fatalf("%#x passes for %v", uint64(alias), typ)
			}
			var f Frame
			if _, err := Next(append(AppendVarint(nil, uint64(alias)), 0), &f); err == nil {
				t.Fatalf("frame type %#x is taken for a known one", uint64(alias))
			}
		}
	}
	for _, typ := range []FrameType{FramePlugin - 1, FramePlugin + pluginFrames, FrameDatagram, FrameDatagramLength} {
		if typ.IsPlugin() {
			t.Errorf("%v counts as a plugin's", typ)
		}
	}
	for bit := 30; bit < 62; bit++ {
		if alias := FramePluginOffer | 1<<bit; alias.IsPluginControl() {
			t.Errorf("%#x passes for %v", uint64(alias), FramePluginOffer)
		}
	}
}

func fullOffer() PluginOffer {
	return PluginOffer{
		Digest: [32]byte{1, 31: 2}, ID: bytes.Repeat([]byte("i"), MaxPluginID), Version: bytes.Repeat([]byte("v"), MaxPluginVersion),
		Size: 1 << 18, Packed: 1 << 16, Mode: 2, Frames: 16, TypeBase: uint64(FramePlugin), Config: bytes.Repeat([]byte("c"), MaxPluginConfig),
	}
}

func TestOffersComeBackAsTheyWereWritten(t *testing.T) {
	for _, want := range []PluginOffer{{}, fullOffer()} {
		var got PluginOffer
		if err := ParsePluginOffer(AppendPluginOffer(nil, &want), &got); err != nil || !same(got, want) {
			t.Errorf("comes back as %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// TestOfferFitsIntoTheSmallestPacket: whatever is in it.
func TestOfferFitsIntoTheSmallestPacket(t *testing.T) {
	o := fullOffer()
	o.Size, o.Packed, o.Mode, o.Frames, o.TypeBase = MaxVarint, MaxVarint, MaxVarint, MaxVarint, MaxVarint
	offer := AppendFrame(nil, &Frame{Type: FramePluginOffer, Sequence: MaxVarint, Local: MaxVarint, Data: AppendPluginOffer(nil, &o)})
	event := AppendFrame(nil, &Frame{Type: FramePluginEvent, Sequence: MaxVarint, Local: MaxVarint, Data: make([]byte, MaxPluginEvent)})
	const header = 1 + 20 + 4 + 15 + 16 // a short header, what is rounded off, the tag
	for name, frame := range map[string][]byte{"PLUGIN_OFFER": offer, "PLUGIN_EVENT": event} {
		if len(frame)+header > MinInitialDatagram {
			t.Errorf("%s takes up to %d bytes, which a datagram of %d does not hold", name, len(frame), MinInitialDatagram)
		}
	}
}

func TestOfferCutAnywhereIsMalformed(t *testing.T) {
	o := fullOffer()
	cut(AppendPluginOffer(nil, &o), func(prefix []byte) {
		if err := ParsePluginOffer(prefix, new(PluginOffer)); err != ErrFrame {
			t.Errorf("cut to %d bytes: %v, want %v", len(prefix), err, ErrFrame)
		}
	})
	if err := ParsePluginOffer(append(AppendPluginOffer(nil, &o), 0), new(PluginOffer)); err != ErrFrame {
		t.Errorf("with a byte too many: %v, want %v", err, ErrFrame)
	}
}

func TestOfferWithAnyBitFlippedStaysInItsFrame(t *testing.T) {
	o := fullOffer()
	flip(AppendPluginOffer(nil, &o), func(_ int, changed []byte) {
		var got PluginOffer
		if err := ParsePluginOffer(changed, &got); err == nil && len(got.ID)+len(got.Version)+len(got.Config) > len(changed) {
			t.Errorf("%x: %d bytes of names and configuration", changed, len(got.ID)+len(got.Version)+len(got.Config))
		}
	})
}

func TestFieldsOfControlFramesAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name string
		most int
		read func(n int) error
	}{
		{"id", MaxPluginID, func(n int) error { return parseAgain(PluginOffer{ID: make([]byte, n)}) }},
		{"version", MaxPluginVersion, func(n int) error { return parseAgain(PluginOffer{Version: make([]byte, n)}) }},
		{"configuration", MaxPluginConfig, func(n int) error { return parseAgain(PluginOffer{Config: make([]byte, n)}) }},
		{"reason of a refusal", MaxPluginReason, func(n int) error { return nextAgain(Frame{Type: FramePluginAnswer, Data: make([]byte, n)}) }},
		{"reason of a detach", MaxPluginReason, func(n int) error { return nextAgain(Frame{Type: FramePluginDetach, Data: make([]byte, n)}) }},
		{"event", MaxPluginEvent, func(n int) error { return nextAgain(Frame{Type: FramePluginEvent, Data: make([]byte, n)}) }},
		{"list to keep", MaxPluginKeep, func(n int) error { _, err := ParsePluginKeep(make([]byte, n), nil); return err }},
	} {
		if err := tc.read(tc.most); err != nil {
			t.Errorf("%s of %d: %v", tc.name, tc.most, err)
		}
		if err := tc.read(tc.most + 1); err != ErrFrame {
			t.Errorf("%s of %d: %v, want %v", tc.name, tc.most+1, err, ErrFrame)
		}
	}
}

func parseAgain(o PluginOffer) error {
	return ParsePluginOffer(AppendPluginOffer(nil, &o), new(PluginOffer))
}

func nextAgain(f Frame) error {
	_, err := Next(AppendFrame(nil, &f), new(Frame))
	return err
}

func TestPluginDataEncodesInTheSizeItPromises(t *testing.T) {
	for _, local := range []uint64{0, 511} {
		for _, offset := range []uint64{0, 1 << 14, MaxVarint - 9000} {
			for _, length := range []int{0, 1, 1200, 9000} {
				b := AppendPluginDataHeader(nil, local, offset, length, length == 1)
				if len(b) != SizePluginDataHeader(local, offset) {
					t.Errorf("PLUGIN_DATA at %d: header of %d bytes, SizePluginDataHeader says %d", offset, len(b), SizePluginDataHeader(local, offset))
				}
				var f Frame
				n, err := Next(append(b, make([]byte, length)...), &f)
				if err != nil || n != len(b)+length || f.Local != local || f.Offset != offset || len(f.Data) != length || f.Fin != (length == 1) {
					t.Errorf("PLUGIN_DATA %d at %d, %d bytes: comes back as %d, %v, %+v", local, offset, length, n, err, f)
				}
			}
		}
	}
}

func TestPluginFramesEncodeInTheSizeTheyPromise(t *testing.T) {
	for _, length := range []int{0, 1, 63, 64, 1400} {
		body := bytes.Repeat([]byte{7}, length)
		b := AppendPlugin(nil, FramePlugin+200, body)
		var f Frame
		if n, err := Next(b, &f); err != nil || n != SizePluginHeader(length)+length || f.Type != FramePlugin+200 || !bytes.Equal(f.Data, body) {
			t.Errorf("body of %d bytes: comes back as %d, %v, %+v", length, n, err, f)
		}
	}
}

func TestLaterVersionsOfTheExchangeMayAppendToTheirParameter(t *testing.T) {
	var p PluginParams
	if wrong := p.set([]byte{2, 0x44, 0xb0, 0x03, 0x07}); wrong != "" || p != (PluginParams{Version: 2, MaxControl: 1200, Accepts: true, Offers: true}) {
		t.Errorf("parsed as %+v, %q", p, wrong)
	}
}

// FuzzPluginOffer asks that an offer that parses, written anew, parses the same.
func FuzzPluginOffer(f *testing.F) {
	o := fullOffer()
	f.Add(AppendPluginOffer(nil, &o))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again PluginOffer
		if ParsePluginOffer(b, &o) != nil {
			return
		}
		if err := ParsePluginOffer(AppendPluginOffer(nil, &o), &again); err != nil || !same(o, again) {
			t.Fatalf("%+v written anew parses as %+v, %v", o, again, err)
		}
	})
}
