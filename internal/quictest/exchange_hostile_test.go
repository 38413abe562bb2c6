package quictest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// Limits of package core, by their names there.
const (
	maxOffers            = 8
	maxLocal             = 512
	maxControlSpan       = 64
	maxEventSpan         = 32
	pluginCredit         = 64 << 10
	maxControlFrameTaken = 16383
)

var announced = wire.PluginParams{Version: wire.PluginVersion, MaxControl: 1 << 14, Accepts: true}

// rawTrader returns a RawPeer that takes part in the exchange with a server, or
// with a client, that does, too.
func rawTrader(t *testing.T, server bool) *RawPeer {
	t.Helper()
	opts := RawOptions{
		Params: func(p *wire.Params) { p.Plugins = announced },
		Config: func(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true },
	}
	if server {
		return NewRawClient(t, opts).Connect()
	}
	return NewRawServer(t, opts).Connect()
}

// first is the number of the first offer of the RawPeer, and base the type of
// its first frame.
func (r *RawPeer) firstOffer() (local, base uint64) {
	if r.client {
		return 0, uint64(wire.FramePlugin)
	}
	return 1, uint64(wire.ServerPluginFrames)
}

func rawOffer(seq, local, base uint64) wire.Frame {
	return wire.Frame{Type: wire.FramePluginOffer, Sequence: seq, Local: local, Data: offerBody(func(o *wire.PluginOffer) { o.TypeBase = base })}
}

// offerBody is a good offer of a plugin with two frames and 100 bytes, changed.
func offerBody(change func(o *wire.PluginOffer)) []byte {
	o := wire.PluginOffer{ID: []byte("org.example.raw"), Version: []byte("1.0.0"), Size: 200, Packed: 100, Mode: uint64(hook.Negotiated), Frames: 2}
	change(&o)
	return wire.AppendPluginOffer(nil, &o)
}

// offerAndNeed has the RawPeer offer a plugin which the connection under test
// asks for.
func (r *RawPeer) offerAndNeed() (local uint64) {
	r.t.Helper()
	local, base := r.firstOffer()
	r.Send(App, encode(rawOffer(0, local, base)))
	must(r.Conn.Answer(r.Clock.Now(), local, hook.Answer{Status: hook.AnswerNeed}))
	r.Flush()
	return local
}

// takeOffer has the connection under test make an offer.
func (r *RawPeer) takeOffer() hook.Offer {
	r.t.Helper()
	o, err := r.Conn.Offer(r.Clock.Now(), fec.offer())
	must(err)
	r.Flush()
	return o
}

// TestBrokenControlFramesEndTheConnection has one row for each rule of
// docs/plugin-exchange.md.
func TestBrokenControlFramesEndTheConnection(t *testing.T) {
	type frames = []wire.Frame
	offer := func(change func(o *wire.PluginOffer)) func(r *RawPeer) frames {
		return func(r *RawPeer) frames {
			local, base := r.firstOffer()
			return frames{{Type: wire.FramePluginOffer, Local: local, Data: offerBody(func(o *wire.PluginOffer) { o.TypeBase = base; change(o) })}}
		}
	}
	twoOffers := func(second func(f *wire.Frame, o *wire.PluginOffer)) func(r *RawPeer) frames {
		return func(r *RawPeer) frames {
			local, base := r.firstOffer()
			f := rawOffer(1, local+2, base+2)
			f.Data = offerBody(func(o *wire.PluginOffer) { o.TypeBase = base + 2; second(&f, o) })
			return frames{rawOffer(0, local, base), f}
		}
	}
	// own is after an offer of the connection under test, theirs after one of ours.
	own := func(f func(o hook.Offer) frames) func(r *RawPeer) frames {
		return func(r *RawPeer) frames { return f(r.takeOffer()) }
	}
	needed := func(f func(local uint64) frames) func(r *RawPeer) frames {
		return func(r *RawPeer) frames { return f(r.offerAndNeed()) }
	}
	data := func(local, off uint64, n int, fin bool) wire.Frame {
		return wire.Frame{Type: wire.FramePluginData, Local: local, Offset: off, Data: make([]byte, n), Fin: fin}
	}
	for _, tc := range []struct {
		name string
		why  string // in the reason; what a client's connection and a server's say is parted by |, the server's first
		send func(r *RawPeer) frames
	}{
		{"offer that is cut", "is malformed", func(r *RawPeer) frames {
			f := rawOffer(0, 0, 0)
			f.Data = f.Data[:40]
			return frames{f}
		}},
		{"offer with a byte too many", "is malformed", func(r *RawPeer) frames {
			f := rawOffer(0, 0, 0)
			f.Data = append(f.Data, 0)
			return frames{f}
		}},
		{"offer with a number of the other side", "one of ours", func(r *RawPeer) frames { local, base := r.firstOffer(); return frames{rawOffer(0, local^1, base)} }},
		{"offer with a number beyond the last", "want a number below 512", func(r *RawPeer) frames {
			local, base := r.firstOffer()
			return frames{rawOffer(0, maxLocal+local, base)}
		}},
		{"offer with a number twice", "used before", twoOffers(func(f *wire.Frame, _ *wire.PluginOffer) { f.Local -= 2 })},
		{"offer without a name", "no name", offer(func(o *wire.PluginOffer) { o.ID = nil })},
		{"offer with an unknown mode", "its mode is 3, want 0 to 2", offer(func(o *wire.PluginOffer) { o.Mode = 3 })},
		{"offer of more than any plugin has", "has 1073741825 bytes", offer(func(o *wire.PluginOffer) { o.Size = 1<<30 + 1 })},
		{"offer of more content than any plugin has", "packed 4611686018427387903", offer(func(o *wire.PluginOffer) { o.Packed = wire.MaxVarint })},
		{"offer of a local plugin with frames", "in mode local", offer(func(o *wire.PluginOffer) { o.Mode = uint64(hook.Local) })},
		{"offer with too many frames", "it has 17 types", offer(func(o *wire.PluginOffer) { o.Frames = hook.MaxFrames + 1 })},
		{"offer with frames without end", "it has 4611686018427387903 types", offer(func(o *wire.PluginOffer) { o.Frames = wire.MaxVarint })},
		{"offer without frames but a type", "it has 0 types", offer(func(o *wire.PluginOffer) { o.Frames = 0 })},
		{"offer with types below the block", "begin at", offer(func(o *wire.PluginOffer) { o.TypeBase-- })},
		{"offer with types of the other side", "begin at", offer(func(o *wire.PluginOffer) { o.TypeBase ^= 0x80 })},
		{"offer with types that reach beyond its side's", "begin at", offer(func(o *wire.PluginOffer) { o.TypeBase += 0x7f })},
		{"offer with types of 62 bits", "begin at", offer(func(o *wire.PluginOffer) { o.TypeBase += 1 << 40 })},
		{"offer with the largest type", "begin at 0x3fffffffffffffff", offer(func(o *wire.PluginOffer) { o.TypeBase = wire.MaxVarint })},
		{"offer with types of another plugin", "also those of plugin", twoOffers(func(_ *wire.Frame, o *wire.PluginOffer) { o.TypeBase-- })},

		{"answer to what was never offered", "never offered", func(r *RawPeer) frames {
			local, _ := r.firstOffer()
			return frames{{Type: wire.FramePluginAnswer, Local: local ^ 1}}
		}},
		{"answer to an own offer", "the peer's own", func(r *RawPeer) frames {
			local, base := r.firstOffer()
			return frames{rawOffer(0, local, base), {Type: wire.FramePluginAnswer, Sequence: 1, Local: local}}
		}},
		{"answer that is none", "answer 3", own(func(o hook.Offer) frames { return frames{{Type: wire.FramePluginAnswer, Local: o.Local, Status: 3}} })},
		{"answer twice", "answered before", own(func(o hook.Offer) frames {
			return frames{{Type: wire.FramePluginAnswer, Local: o.Local, Status: 1}, {Type: wire.FramePluginAnswer, Sequence: 1, Local: o.Local}}
		})},
		{"refusal after READY", "answered before", own(func(o hook.Offer) frames {
			return frames{{Type: wire.FramePluginAnswer, Local: o.Local}, {Type: wire.FramePluginReady, Sequence: 1, Local: o.Local},
				{Type: wire.FramePluginAnswer, Sequence: 2, Local: o.Local, Status: 2}}
		})},

		{"READY of what was never offered", "never offered", func(r *RawPeer) frames {
			local, _ := r.firstOffer()
			return frames{{Type: wire.FramePluginReady, Local: local}}
		}},
		{"READY before the answer", "before it was answered", own(func(o hook.Offer) frames { return frames{{Type: wire.FramePluginReady, Local: o.Local}} })},
		{"READY before our answer", "before it was answered", func(r *RawPeer) frames {
			local, base := r.firstOffer()
			return frames{rawOffer(0, local, base), {Type: wire.FramePluginReady, Sequence: 1, Local: local}}
		}},
		{"READY twice", "ready twice", needed(func(local uint64) frames {
			return frames{{Type: wire.FramePluginReady, Sequence: 1, Local: local}, {Type: wire.FramePluginReady, Sequence: 2, Local: local}}
		})},
		{"READY of the offerer of a local plugin", "is local", func(r *RawPeer) frames {
			local, _ := r.firstOffer()
			f := wire.Frame{Type: wire.FramePluginOffer, Local: local, Data: offerBody(func(o *wire.PluginOffer) { o.Mode, o.Frames = 0, 0 })}
			r.Send(App, encode(f))
			must(r.Conn.Answer(r.Clock.Now(), local, hook.Answer{}))
			return frames{{Type: wire.FramePluginReady, Sequence: 1, Local: local}}
		}},

		{"DETACH of what was never offered", "never offered", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginDetach, Local: 100}} }},
		{"EVENT for what was never offered", "never offered", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginEvent, Local: 100}} }},
		{"EVENT before READY", "not ready", needed(func(local uint64) frames { return frames{{Type: wire.FramePluginEvent, Sequence: 1, Local: local}} })},

		{"content of what was never offered", "never offered", func(r *RawPeer) frames { local, _ := r.firstOffer(); return frames{data(local, 0, 1, false)} }},
		{"content of a plugin of the other side", "never offered", own(func(o hook.Offer) frames { return frames{data(o.Local, 0, 1, false)} })},
		{"content that nobody asked for", "nobody asked for", func(r *RawPeer) frames {
			local, base := r.firstOffer()
			return frames{rawOffer(0, local, base), data(local, 0, 1, false)}
		}},
		{"content beyond its size", "reaches 101, it has 100", needed(func(local uint64) frames { return frames{data(local, 99, 2, false)} })},
		{"content that ends early", "end is true at 50", needed(func(local uint64) frames { return frames{data(local, 0, 50, true)} })},
		{"content that does not end", "end is false at 100", needed(func(local uint64) frames { return frames{data(local, 0, 100, false)} })},
		{"content far away", "it has 100 bytes", needed(func(local uint64) frames { return frames{data(local, wire.MaxVarint-1, 1, false)} })},

		{"limit of what was never offered", "never offered", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginMaxData, Local: 100}} }},
		{"limit of an own offer", "never offered", needed(func(local uint64) frames { return frames{{Type: wire.FramePluginMaxData, Local: local, Limit: 1}} })},
		{"limit beyond the size", "is 8001", own(func(o hook.Offer) frames {
			return frames{{Type: wire.FramePluginMaxData, Local: o.Local, Limit: uint64(o.Packed) + 1}}
		})},

		{"KEEP of what was never offered", "PLUGIN_KEEP|never offered", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginKeep, Data: []byte{9}}} }},
		{"KEEP of what is not active", "PLUGIN_KEEP|not agreed on", needed(func(local uint64) frames {
			return frames{{Type: wire.FramePluginKeep, Sequence: 1, Data: []byte{byte(local)}}}
		})},
		{"KEEP that is cut", "PLUGIN_KEEP|malformed", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginKeep, Data: []byte{0x40}}} }},
		{"KEEP of too many", "PLUGIN_KEEP|malformed", func(r *RawPeer) frames {
			return frames{{Type: wire.FramePluginKeep, Data: make([]byte, wire.MaxPluginKeep+1)}}
		}},
		{"reason that is too long", "malformed PLUGIN_DETACH", func(r *RawPeer) frames {
			return frames{{Type: wire.FramePluginDetach, Data: make([]byte, wire.MaxPluginReason+1)}}
		}},
		{"EVENT that is too long", "malformed PLUGIN_EVENT", func(r *RawPeer) frames {
			return frames{{Type: wire.FramePluginEvent, Data: make([]byte, wire.MaxPluginEvent+1)}}
		}},
		{"sequence number that is far ahead", "control frame 64", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginDetach, Sequence: maxControlSpan}} }},
		{"largest sequence number", "control frame 46116", func(r *RawPeer) frames { return frames{{Type: wire.FramePluginDetach, Sequence: wire.MaxVarint}} }},
	} {
		for _, server := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s to %s", tc.name, side(!server)), func(t *testing.T) {
				r := rawTrader(t, server)
				list := tc.send(r)
				for i, f := range list {
					r.WantOpen("what comes before")
					if i == len(list)-1 {
						r.Replies = nil
					}
					r.Send(App, encode(f))
				}
				why, other, both := strings.Cut(tc.why, "|")
				if both && !server {
					why = other
				}
				if f := r.WantClose(tc.name, core.PluginError); !strings.Contains(string(f.Data), why) {
					t.Errorf("the reason is %q, want something with %q", f.Data, why)
				}
			})
		}
	}
}

// TestControlFrameCutAtTheEndOfAPacketIsAPluginError has every frame end too soon.
func TestControlFrameCutAtTheEndOfAPacketIsAPluginError(t *testing.T) {
	for typ := wire.FramePluginOffer; typ <= wire.FramePluginKeep; typ++ {
		whole := encode(wire.Frame{Type: typ, Sequence: 1, Local: 1, Data: []byte("hi")})
		if typ == wire.FramePluginOffer {
			whole = encode(rawOffer(0, 0, 0))
		}
		for n := 4; n < len(whole); n++ {
			r := rawTrader(t, true)
			r.Send(App, whole[:n])
			r.WantClose(fmt.Sprintf("%v cut to %d bytes", typ, n), core.PluginError)
		}
	}
}

func TestOffersAtATimeAreBounded(t *testing.T) {
	r := rawTrader(t, true)
	for i := range uint64(maxOffers) {
		r.Send(App, encode(rawOffer(i, 2*i, uint64(wire.FramePlugin)+2*i)))
	}
	r.WantOpen("as many offers as there may be")
	r.Replies = nil
	r.Send(App, encode(rawOffer(maxOffers, 2*maxOffers, uint64(wire.FramePlugin)+2*maxOffers)))
	r.WantClose("one more", core.PluginError)

	r = rawTrader(t, true)
	for i := range maxOffers {
		if _, err := r.Conn.Offer(r.Clock.Now(), fec.offer()); err != nil {
			t.Fatalf("own offer %d: %v", i, err)
		}
	}
	if _, err := r.Conn.Offer(r.Clock.Now(), fec.offer()); err != core.ErrOffers {
		t.Errorf("own offer %d: %v, want %v", maxOffers, err, core.ErrOffers)
	}
}

// TestOffersOfAConnectionAreBounded has each side offer and withdraw for ever.
func TestOffersOfAConnectionAreBounded(t *testing.T) {
	r := rawTrader(t, true)
	seq := uint64(0)
	for local := uint64(0); local < maxLocal; local += 2 {
		r.Send(App, encode(rawOffer(seq, local, uint64(wire.FramePlugin))), encode(wire.Frame{Type: wire.FramePluginDetach, Sequence: seq + 1, Local: local}))
		seq += 2
	}
	r.WantOpen("as many offers as there are numbers")
	r.Replies = nil
	r.Send(App, encode(rawOffer(seq, maxLocal, uint64(wire.FramePlugin))))
	r.WantClose("one more", core.PluginError)

	r = rawTrader(t, true)
	n := 0
	for {
		o, err := r.Conn.Offer(r.Clock.Now(), fec.offer())
		if err == core.ErrOffers {
			break
		}
		must(err)
		must(r.Conn.DetachPlugin(r.Clock.Now(), o.Local, hook.DetachAsked, ""))
		r.Flush()
		n++
	}
	if n != maxLocal/2 {
		t.Errorf("the server made %d offers in its time, want %d", n, maxLocal/2)
	}
}

// TestControlFramesAheadOfTheirTurnWait has a peer that leaves out the first.
func TestControlFramesAheadOfTheirTurnWait(t *testing.T) {
	r := rawTrader(t, true)
	local := r.offerAndNeed()
	must(r.Conn.Ready(r.Clock.Now(), local, nil))
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginReady, Sequence: 1, Local: local}))
	for seq := uint64(2 + maxControlSpan - 1); seq > 2; seq-- {
		f := encode(wire.Frame{Type: wire.FramePluginEvent, Sequence: seq, Local: local, Data: []byte{byte(seq)}})
		r.Send(App, f, f)
	}
	r.WantOpen("events before their turn")
	r.Events = nil
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginEvent, Sequence: 2, Local: local, Data: []byte{2}}))
	want := byte(2)
	for _, e := range r.Events {
		if e.Kind == core.EventPlugin {
			if e.Plugin.Kind != core.PluginEvent || e.Plugin.Data[0] != want {
				t.Fatalf("news %+v, want event %d", e.Plugin, want)
			}
			want++
		}
	}
	if want != 2+maxControlSpan {
		t.Errorf("events up to %d, want %d", want, 2+maxControlSpan)
	}
}

// TestPeerThatAcknowledgesNothingStopsControlFrames fills maxEventSpan with
// messages, and maxControlSpan with offers that are taken back.
func TestPeerThatAcknowledgesNothingStopsControlFrames(t *testing.T) {
	r := rawTrader(t, true)
	local := r.offerAndNeed()
	must(r.Conn.Ready(r.Clock.Now(), local, nil))
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginReady, Sequence: 1, Local: local}))
	r.AutoAck = false
	n := 0
	var err error
	for err == nil && n < 1000 {
		if err = r.Conn.SendPluginEvent(r.Clock.Now(), local, []byte("hello")); err == nil {
			n++
		}
		r.Flush()
	}
	if err != core.ErrExchangeBusy || n != maxEventSpan {
		t.Errorf("%d events, then %v; want %d, then %v", n, err, maxEventSpan, core.ErrExchangeBusy)
	}
	for err = nil; err == nil && n < 1000; n++ {
		var o hook.Offer
		if o, err = r.Conn.Offer(r.Clock.Now(), fec.offer()); err == nil {
			n++
			err = r.Conn.DetachPlugin(r.Clock.Now(), o.Local, hook.DetachAsked, "")
		}
		r.Flush()
	}
	if err != core.ErrExchangeBusy || n != maxControlSpan+1 {
		t.Errorf("%d control frames, then %v; want %d, then %v", n-1, err, maxControlSpan, core.ErrExchangeBusy)
	}
	// The end of a plugin is not refused: the peer hears of it when there is room.
	if err := r.Conn.DetachPlugin(r.Clock.Now(), local, hook.DetachAsked, "enough"); err != nil {
		t.Errorf("DetachPlugin: %v", err)
	}
	if err := r.Conn.SendPluginEvent(r.Clock.Now(), local, nil); err != core.ErrNoPlugin && err != core.ErrExchangeBusy {
		t.Errorf("an event for a plugin that is over: %v", err)
	}
	r.Replies = nil
	r.Flush()
	r.WantNoFrame("no room", wire.FramePluginDetach)
	r.AckAll()
	r.Flush()
	if _, f := r.WantFrame("room for it", wire.FramePluginDetach); f.Local != local || string(f.Data) != "enough" {
		t.Errorf("PLUGIN_DETACH of %d: %q", f.Local, f.Data)
	}
	if _, err := r.Conn.Offer(r.Clock.Now(), fec.offer()); err != nil {
		t.Errorf("an offer after the acknowledgment: %v", err)
	}
}

// TestContentIsBoundedByCredit has a peer send the end of a large plugin first.
func TestContentIsBoundedByCredit(t *testing.T) {
	r := rawTrader(t, true)
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginOffer, Data: offerBody(func(o *wire.PluginOffer) {
		o.TypeBase, o.Packed = uint64(wire.FramePlugin), 10*pluginCredit
	})}))
	must(r.Conn.Answer(r.Clock.Now(), 0, hook.Answer{Status: hook.AnswerNeed}))
	r.Flush()
	piece := func(off uint64) []byte {
		return encode(wire.Frame{Type: wire.FramePluginData, Offset: off, Data: make([]byte, 1000)})
	}
	r.Send(App, piece(pluginCredit-1000))
	r.WantOpen("content up to the credit")
	for off := uint64(0); off < pluginCredit/2+1000; off += 1000 {
		r.Send(App, piece(off))
	}
	if _, f := r.WantFrame("half of the credit is used", wire.FramePluginMaxData); f.Limit < pluginCredit+pluginCredit/2 {
		t.Errorf("new limit %d", f.Limit)
	}
	r.Send(App, piece(3*pluginCredit))
	r.WantClose("content beyond the credit", core.PluginError)
}

func TestControlFrameThatIsLargerThanAnnouncedIsAnError(t *testing.T) {
	r := rawTrader(t, true)
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginOffer, Data: make([]byte, maxControlFrameTaken)}))
	if f := r.WantClose("a control frame that is too large", core.PluginError); !strings.Contains(string(f.Data), "we take") {
		t.Errorf("the reason is %q", f.Data)
	}
}

// TestUnannouncedFramesOfPluginsAreUnknown: neither may come where not both sides
// announced that they take part.
func TestUnannouncedFramesOfPluginsAreUnknown(t *testing.T) {
	ours := func(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true }
	theirs := func(p *wire.Params) { p.Plugins = announced }
	for name, opts := range map[string]RawOptions{
		"nobody announced": {}, "the peer alone did": {Params: theirs}, "we alone did": {Config: ours},
	} {
		for _, f := range []wire.Frame{rawOffer(0, 0, 0), {Type: wire.FramePlugin, Data: []byte("x")}, {Type: wire.FramePluginEvent}} {
			for _, server := range []bool{false, true} {
				r := (*RawPeer)(nil)
				if server {
					r = NewRawClient(t, opts).Connect()
				} else {
					r = NewRawServer(t, opts).Connect()
				}
				// What watches at this end alone is nothing that the peer may send frames to.
				if err := r.Conn.Attach(r.Clock.Now(), keeper{"a"}, core.AttachOptions{Local: core.NoLocal}); err != nil {
					t.Fatal(err)
				}
				r.Send(App, encode(f))
				r.WantClose(fmt.Sprintf("%s: %v", name, f.Type), core.FrameEncodingError)
			}
		}
	}
}

// TestFrameTypesOfSixtyTwoBitsAreNoPlugins: nothing may be cut off a type.
func TestFrameTypesOfSixtyTwoBitsAreNoPlugins(t *testing.T) {
	for _, typ := range []wire.FrameType{wire.FramePlugin, wire.FramePluginEvent} {
		for _, bit := range []int{16, 32, 48, 61} {
			r := rawTrader(t, true)
			r.Send(App, append(wire.AppendVarint(nil, uint64(typ)|1<<bit), 0, 0, 0, 0))
			r.WantClose(fmt.Sprintf("type %#x with bit %d", uint64(typ), bit), core.FrameEncodingError)
		}
	}
}

func TestFramesOfUnknownPluginsAreIgnoredAndCounted(t *testing.T) {
	r := rawTrader(t, true)
	for typ := range wire.FrameType(256) {
		r.Send(App, wire.AppendPlugin(nil, wire.FramePlugin+typ, []byte("late")), frame(wire.FramePing))
	}
	r.WantOpen("frames of plugins that nobody runs")
	if n := r.Conn.Stats().PluginFramesIgnored; n != 256 {
		t.Errorf("%d frames were counted, want 256", n)
	}
}

func TestLateFramesOfADetachedPluginAreIgnored(t *testing.T) {
	r := rawTrader(t, true)
	local := r.offerAndNeed()
	must(r.Conn.DetachPlugin(r.Clock.Now(), local, hook.DetachAsked, ""))
	r.Flush()
	for i, f := range []wire.Frame{
		{Type: wire.FramePluginReady}, {Type: wire.FramePluginEvent}, {Type: wire.FramePluginDetach}, {Type: wire.FramePluginEvent},
	} {
		f.Sequence, f.Local = uint64(1+i), local
		r.Send(App, encode(f))
	}
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginData, Local: local, Data: make([]byte, 10)}))
	r.WantOpen("frames that crossed the DETACH")
}

func TestControlFramesInHandshakePacketsAreAViolation(t *testing.T) {
	for typ := wire.FramePluginOffer; typ <= wire.FramePluginKeep; typ++ {
		opts := RawOptions{
			Params: func(p *wire.Params) { p.Plugins = announced },
			Config: func(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true },
		}
		r := NewRawClient(t, opts)
		r.AutoAck = false
		r.SendCrypto(Initial)
		f := wire.Frame{Type: typ}
		if typ == wire.FramePluginOffer {
			f = rawOffer(0, 0, 0)
		}
		r.Send(Handshake, encode(f))
		r.WantClose(fmt.Sprintf("%v in a Handshake packet", typ), core.ProtocolViolation)
	}
}

func TestContentIsSentUpToTheCreditOfThePeer(t *testing.T) {
	r := rawTrader(t, true)
	big := sample{name: "org.example.big", size: 3 * pluginCredit, mode: hook.Negotiated}
	o, err := r.Conn.Offer(r.Clock.Now(), big.offer())
	must(err)
	r.Flush()
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginAnswer, Local: o.Local, Status: uint64(hook.AnswerNeed)}))
	must(r.Conn.Provide(r.Clock.Now(), o.Local, big.code()))
	end := func() (end uint64) {
		for range 200 {
			r.Flush()
			r.AckAll()
			r.Advance(5 * time.Millisecond)
		}
		for _, p := range r.Replies {
			for _, f := range p.Frames {
				if f.Type == wire.FramePluginData {
					end = max(end, f.Offset+uint64(len(f.Data)))
				}
			}
		}
		return end
	}
	if got := end(); got != pluginCredit {
		t.Errorf("%d bytes were sent, want the credit of %d", got, pluginCredit)
	}
	r.Send(App, encode(wire.Frame{Type: wire.FramePluginMaxData, Local: o.Local, Limit: 2 * pluginCredit}))
	if got := end(); got != 2*pluginCredit {
		t.Errorf("%d bytes were sent, want the new limit of %d", got, 2*pluginCredit)
	}
	if err := r.Conn.Provide(r.Clock.Now(), o.Local, big.code()); err != core.ErrPluginState {
		t.Errorf("Provide again: %v, want %v", err, core.ErrPluginState)
	}
}

func TestCommandsOnPluginsCheckTheirArguments(t *testing.T) {
	r := rawTrader(t, true)
	now := r.Clock.Now()
	for name, change := range map[string]func(o *hook.Offer){
		"no name":                  func(o *hook.Offer) { o.ID = "" },
		"a long name":              func(o *hook.Offer) { o.ID = string(make([]byte, wire.MaxPluginID+1)) },
		"a long version":           func(o *hook.Offer) { o.Version = string(make([]byte, wire.MaxPluginVersion+1)) },
		"a large configuration":    func(o *hook.Offer) { o.Config = make([]byte, wire.MaxPluginConfig+1) },
		"a negative size":          func(o *hook.Offer) { o.Packed = -1 },
		"too many frames":          func(o *hook.Offer) { o.Frames = hook.MaxFrames + 1 },
		"an unknown mode":          func(o *hook.Offer) { o.Mode = 9 },
		"frames of a local plugin": func(o *hook.Offer) { o.Mode = hook.Local },
		"more than any plugin has": func(o *hook.Offer) { o.Size = 1<<30 + 1 },
	} {
		o := fec.offer()
		change(&o)
		if _, err := r.Conn.Offer(now, o); err == nil {
			t.Errorf("an offer with %s is made", name)
		}
	}
	o := r.takeOffer()
	for name, err := range map[string]error{
		"Answer to an own offer":  r.Conn.Answer(now, o.Local, hook.Answer{}),
		"Provide before the need": r.Conn.Provide(now, o.Local, fec.code()),
		"Ready before the answer": r.Conn.Ready(now, o.Local, nil),
	} {
		if err != core.ErrPluginState {
			t.Errorf("%s: %v, want %v", name, err, core.ErrPluginState)
		}
	}
	if err := r.Conn.SendPluginEvent(now, o.Local, nil); err != hook.ErrInactive {
		t.Errorf("an event before READY: %v, want %v", err, hook.ErrInactive)
	}
	if err := r.Conn.Ready(now, 99, nil); err != core.ErrNoPlugin {
		t.Errorf("Ready of nothing: %v, want %v", err, core.ErrNoPlugin)
	}
}

// TestEarlyControlFramesAreFew: anybody can send early data again, and must not
// make a server fetch or build a plugin that way.
func TestEarlyControlFramesAreFew(t *testing.T) {
	for typ := wire.FramePluginOffer; typ <= wire.FramePluginKeep; typ++ {
		r := rawEarly(t, func(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true })
		f := wire.Frame{Type: typ}
		want := core.ProtocolViolation
		switch typ {
		case wire.FramePluginOffer:
			f = rawOffer(0, 0, uint64(wire.FramePlugin))
		case wire.FramePluginEvent, wire.FramePluginDetach:
			want = core.PluginError // it may come, and is about nothing
		}
		r.sendEarly(encode(f))
		var local *core.LocalError
		if !errors.As(r.Conn.Err(), &local) || local.Code != uint64(want) {
			t.Errorf("%v in early data: %v, want %v", typ, r.Conn.Err(), want)
		}
	}
	r := rawEarly(t, func(cfg *core.Config) { cfg.Plugins, cfg.AcceptPlugins = true, true })
	r.sendEarly(wire.AppendPlugin(nil, wire.FramePlugin, []byte("early")))
	r.WantOpen("a frame of a plugin that nobody runs, in early data")
}
