package dissect

import (
	"testing"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// offerOf encodes the offer of a plugin with two types of frames.
func offerOf(local uint64, id string, base wire.FrameType) []byte {
	return kit.Frame(wire.Frame{Type: wire.FramePluginOffer, Local: local, Data: wire.AppendPluginOffer(nil, &wire.PluginOffer{
		ID: []byte(id), Version: []byte("1.0.0"), Packed: 4000, Mode: 1, Frames: 2, TypeBase: uint64(base)})})
}

func TestFramesOfPluginsAreNamedByTheirOffers(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	first := len(k.datagrams)
	for _, f := range [][]byte{
		kit.Frame(wire.Frame{Type: wire.FramePlugin + 1, Data: make([]byte, 5)}),
		offerOf(0, "org.example.fec", wire.FramePlugin),
		kit.Frame(wire.Frame{Type: wire.FramePlugin + 1, Data: make([]byte, 5)}),
		kit.Frame(wire.Frame{Type: wire.FramePlugin + 2, Data: make([]byte, 5)}),
		offerOf(2, "org.example.other", wire.FramePlugin),
		kit.Frame(wire.Frame{Type: wire.FramePlugin + 1, Data: make([]byte, 6)}),
		kit.Frame(wire.Frame{Type: wire.FramePluginAnswer, Local: 2, Status: 1}),
		kit.Frame(wire.Frame{Type: wire.FramePluginAnswer, Local: 2, Status: 2, Code: 3, Data: []byte("unsigned")}),
		kit.Frame(wire.Frame{Type: wire.FramePluginData, Local: 2, Offset: 9, Data: []byte("x"), Fin: true}),
		kit.Frame(wire.Frame{Type: wire.FramePluginMaxData, Local: 2, Limit: 70000}),
		kit.Frame(wire.Frame{Type: wire.FramePluginReady, Local: 2}),
		kit.Frame(wire.Frame{Type: wire.FramePluginDetach, Local: 2, Code: 3, Data: []byte("failed")}),
		kit.Frame(wire.Frame{Type: wire.FramePluginEvent, Local: 2, Data: []byte("hello")}),
		kit.Frame(wire.Frame{Type: wire.FramePluginKeep, Data: []byte{0, 2}}),
	} {
		k.sendFrom(kit.Client, wire.Packet1RTT, f)
	}
	k.dissect()
	for i, want := range []string{
		"PLUGIN 0x3a01 of 5 bytes",
		`PLUGIN_OFFER 0 "org.example.fec 1.0.0" of 4000 bytes, frames 0x3a00-0x3a01`,
		`PLUGIN "org.example.fec" frame 1 of 5 bytes`,
		"PLUGIN 0x3a02 of 5 bytes",
		`PLUGIN_OFFER 2 "org.example.other 1.0.0" of 4000 bytes, frames 0x3a00-0x3a01`,
		`PLUGIN "org.example.other" frame 1 of 6 bytes`,
		"PLUGIN_ANSWER 2 need",
		`PLUGIN_ANSWER 2 refused code=3 "unsigned"`,
		"PLUGIN_DATA 2 @9+1 fin",
		"MAX_PLUGIN_DATA 2 70000",
		"PLUGIN_READY 2",
		`PLUGIN_DETACH 2 code=3 "failed"`,
		"PLUGIN_EVENT 2 of 5 bytes",
		"PLUGIN_KEEP [0 2]",
	} {
		p := k.trace.Datagrams[first+i].Packets[0]
		if len(p.Frames) == 0 || p.Frames[0].String() != want {
			t.Errorf("frame %d reads as %v, want %q", i, p.String(), want)
		}
	}
}

func TestRememberedOffersAreBounded(t *testing.T) {
	var e end
	var f wire.Frame
	for i := range 2 * maxOffers {
		wire.Next(offerOf(uint64(2*i), "org.example.fec", wire.FramePlugin), &f)
		e.addOffer(&f)
	}
	if len(e.offers) != maxOffers {
		t.Errorf("%d offers are remembered, want maxOffers = %d", len(e.offers), maxOffers)
	}
}
