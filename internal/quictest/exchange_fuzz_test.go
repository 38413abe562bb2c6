package quictest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// exchangeRun is a connection whose peer, with keys, sends any control frames of
// plugins, while the program does what it may and what it may not.
type exchangeRun struct {
	*RawPeer
	seq uint64 // of the peer's next frame
}

// do sends one frame, or gives one command, that four bytes describe.
func (x *exchangeRun) do(op, a, b, c byte) {
	now, local := x.Clock.Now(), uint64(a&31)
	seq := x.seq + uint64(b>>5)
	ordered := func(f wire.Frame) {
		f.Sequence, f.Local = seq, local
		if seq == x.seq {
			x.seq++
		}
		x.Send(App, encode(f))
	}
	switch op % 18 {
	case 0:
		base := uint64(wire.FramePlugin) + uint64(local&1)<<7 + uint64(c&15)*8
		ordered(wire.Frame{Type: wire.FramePluginOffer, Data: offerBody(func(o *wire.PluginOffer) {
			o.TypeBase, o.Mode, o.Frames, o.Packed = base, uint64(b&3), uint64(b>>2&7), uint64(c)*100
			if o.Frames == 0 {
				o.TypeBase = 0
			}
		})})
	case 1:
		ordered(wire.Frame{Type: wire.FramePluginAnswer, Status: uint64(b & 3), Code: uint64(c), Data: []byte("reason")})
	case 2:
		x.Send(App, encode(wire.Frame{Type: wire.FramePluginData, Local: local, Offset: uint64(b) * 100, Data: make([]byte, c), Fin: c&1 != 0}))
	case 3:
		x.Send(App, encode(wire.Frame{Type: wire.FramePluginMaxData, Local: local, Limit: uint64(b) << (c & 31)}))
	case 4:
		ordered(wire.Frame{Type: wire.FramePluginReady})
	case 5:
		ordered(wire.Frame{Type: wire.FramePluginDetach, Code: uint64(c)})
	case 6:
		ordered(wire.Frame{Type: wire.FramePluginEvent, Data: []byte{c}})
	case 7:
		ordered(wire.Frame{Type: wire.FramePluginKeep, Data: []byte{b & 31, c & 31}})
	case 8:
		x.Send(App, wire.AppendPlugin(nil, wire.FramePlugin+wire.FrameType(b), make([]byte, c)))
	case 9:
		o := fec.offer()
		o.Mode = hook.Mode(c % 4)
		x.Conn.Offer(now, o)
	case 10:
		x.Conn.Answer(now, local, hook.Answer{Status: hook.AnswerStatus(b & 3), Reason: "because"})
	case 11:
		x.Conn.Provide(now, local, fec.code())
	case 12:
		x.Conn.Ready(now, local, newHalf(hook.Offer{ID: "org.example." + string('a'+rune(local)), Frames: int(c & 7), Mode: hook.Mode(c >> 3 & 3)}))
	case 13:
		x.Conn.DetachPlugin(now, local, hook.DetachReason(c&3), "because")
	case 14:
		x.Conn.SendPluginEvent(now, local, []byte{c})
	case 15:
		x.Advance(time.Duration(c) * time.Millisecond)
	case 16:
		x.AutoAck = c&1 != 0
	case 17:
		x.AckAll()
	}
	x.Flush()
}

// FuzzExchange asks that the connection lives, or ends with an error that is the
// peer's, or the end of a plugin that is required.
func FuzzExchange(f *testing.F) {
	f.Add(byte(0), []byte{0, 0, 0x09, 1, 10, 0, 1, 0, 2, 0, 0, 101, 12, 0, 0, 10, 4, 0, 0, 0, 6, 0, 0, 1, 14, 0, 0, 1, 15, 0, 0, 20, 5, 0, 0, 0})
	f.Add(byte(1), []byte{9, 0, 0, 1, 1, 0, 1, 0, 11, 0, 0, 0, 3, 0, 30, 8, 12, 0, 0, 10, 4, 0, 0, 0, 15, 0, 0, 200, 13, 0, 0, 3})
	f.Add(byte(2), []byte{0, 1, 0x09, 1, 10, 1, 0, 0, 4, 1, 0, 0, 12, 1, 0, 10, 8, 0, 136, 8, 7, 1, 1, 1})
	f.Add(byte(0), []byte{16, 0, 0, 0, 9, 0, 0, 2, 1, 0, 2, 0, 9, 0, 0, 1, 13, 2, 0, 0, 17, 0, 0, 0, 0, 0, 0x29, 1, 0, 2, 0x09, 3})
	f.Fuzz(func(t *testing.T, how byte, ops []byte) {
		if len(ops) > 4*200 {
			return
		}
		x := &exchangeRun{RawPeer: rawTrader(t, how&1 == 0)}
		for len(ops) >= 4 && x.Conn.Err() == nil {
			x.do(ops[0], ops[1], ops[2], ops[3])
			ops = ops[4:]
		}
		var local *core.LocalError
		if err := x.Conn.Err(); err != nil && (!errors.As(err, &local) || local.Code != uint64(core.PluginError)) {
			t.Fatalf("the connection ended with %v", err)
		}
		if s := x.Conn.ExtensionStats(nil); len(s) > 2*hook.MaxExtensions {
			t.Fatalf("%d extensions", len(s))
		}
	})
}
