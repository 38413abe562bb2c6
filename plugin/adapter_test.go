package plugin_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// Where the guests of these tests have things.
const (
	blockAt = 4096
	rxAt    = 8192
	txAt    = 16384
)

// puppet is a plugin with every hook, whose answers the test sets.
type puppet struct {
	hook.Extension
	conn *fakeConn
	t    *testing.T
}

func newPuppet(t *testing.T, r *plugin.Runtime) *puppet {
	x, c := attached(t, load(t, r, read(t, "puppet"), plugin.Policy{MaxPacing: 1 << 40}))
	return &puppet{x, c, t}
}

// answer sets what the guest writes to the out-struct from 8 on, its flags, and what it returns.
func (p *puppet) answer(op hook.Op, result int64, flags uint32, words ...uint64) {
	at := plugin.Memory(p.Extension)[32768+64*int(op):][:64]
	clear(at)
	binary.LittleEndian.PutUint32(at[4:], flags)
	for i, w := range words {
		binary.LittleEndian.PutUint64(at[8+8*i:], w)
	}
	binary.LittleEndian.PutUint64(at[56:], uint64(result))
}

func (p *puppet) u32(at int) uint64 {
	return uint64(binary.LittleEndian.Uint32(plugin.Memory(p.Extension)[blockAt+at:]))
}
func (p *puppet) u64(at int) uint64 {
	return binary.LittleEndian.Uint64(plugin.Memory(p.Extension)[blockAt+at:])
}

// wantHead checks the header of the last call.
func (p *puppet) wantHead(op hook.Op, arg, path uint32, now hook.Instant) {
	p.t.Helper()
	got := fmt.Sprint(p.u32(0), p.u32(4), p.u64(8), p.u32(16), p.u32(20), p.u32(24), p.u32(28), p.u64(48), p.u64(56))
	want := fmt.Sprint(64, uint32(plugin.ABI), now, uint32(op), arg, path, 0, 0, 0)
	if got != want {
		p.t.Errorf("%v: header %s, want %s", op, got, want)
	}
}

// wantIn checks the in-struct: its size and flags, and words as "8:u64" or "16:u32".
func (p *puppet) wantIn(op hook.Op, size, flags uint32, words string, want ...any) {
	p.t.Helper()
	got := []any{p.u32(64), p.u32(68)}
	for _, w := range strings.Fields(words) {
		var at int
		var kind string
		fmt.Sscanf(w, "%d:%s", &at, &kind)
		if kind == "u32" {
			got = append(got, p.u32(64+at))
		} else {
			got = append(got, p.u64(64+at))
		}
	}
	if g, w := fmt.Sprint(got...), fmt.Sprint(append([]any{size, flags}, want...)...); g != w {
		p.t.Errorf("%v: in-struct %s, want %s", op, g, w)
	}
}

func (p *puppet) wantView(view string) {
	p.t.Helper()
	at, n := p.u32(32), p.u32(36)
	if got := plugin.Memory(p.Extension)[at : at+n]; at != rxAt || string(got) != view {
		p.t.Errorf("view at %d is %q, want %q at %d", at, got, view, rxAt)
	}
}

func TestEveryEventHasItsPlaceInTheContextBlock(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		p := newPuppet(t, r)
		x := p.Extension
		x.(hook.States).StateChanged(hook.Established, hook.Confirmed)
		p.wantHead(hook.OpStateChanged, 0, 0, start)
		p.wantIn(hook.OpStateChanged, 16, 0, "8:u32 12:u32", 1, 2)

		x.(hook.Timers).Timer(start+5, 9)
		p.wantHead(hook.OpTimer, 9, 0, start+5)

		x.(hook.EventTaker).TakeEvent([]byte("hello"))
		p.wantHead(hook.OpTakeEvent, 0, 0, start+5)
		p.wantView("hello")

		x.(hook.ReceivedDatagrams).ReceiveDatagram(&hook.ReceivedDatagram{Now: 11, Path: 2, ECN: 3, Bytes: 1200, Socket: 4})
		p.wantHead(hook.OpReceiveDatagram, 0, 2, 11)
		p.wantIn(hook.OpReceiveDatagram, 24, 0, "8:u32 12:u32 16:u32 20:u32", 3, 1200, 4, 0)

		x.(hook.ReceivedPayloads).ReceivePayload(&hook.ReceivedPayload{Now: 12, Path: 1, Packet: 1 << 40, Frames: []byte("frames")})
		p.wantHead(hook.OpReceivePayload, 0, 1, 12)
		p.wantIn(hook.OpReceivePayload, 16, 0, "8:u64", uint64(1)<<40)
		p.wantView("frames")

		x.(hook.ReceivedPackets).ReceiveDone(&hook.ReceivedPacket{Now: 13, Packet: 5, ECN: 1, Bytes: 77, AckEliciting: true})
		p.wantIn(hook.OpReceiveDone, 24, 1, "8:u64 16:u32 20:u32", 5, 77, 1)

		x.(hook.SentPayloads).SendPayload(&hook.SentPayload{Now: 14, Packet: 6, Early: true, Plugin: true, Waiting: 99, Frames: []byte("out")})
		p.wantIn(hook.OpSendPayload, 24, 2|8, "8:u64 16:u64", 6, 99)
		p.wantView("out")
		x.(hook.SentPayloads).SendPayload(&hook.SentPayload{Now: 14, Packet: 7, Streams: true, Rode: true})
		p.wantIn(hook.OpSendPayload, 24, 1|4, "8:u64", 7)

		x.(hook.SentPackets).PacketSent(&hook.SentPacket{Now: 15, Packet: 7, Bytes: 1200, InFlight: 2400, Counted: true})
		p.wantIn(hook.OpPacketSent, 24, 2, "8:u64 16:u32 20:u32", 7, 1200, 2400)

		x.(hook.AckedPackets).PacketAcked(&hook.PacketFate{Now: 16, Packet: 8, Sent: 3, Bytes: 1201})
		p.wantHead(hook.OpPacketAcked, 0, 0, 16)
		p.wantIn(hook.OpPacketAcked, 32, 0, "8:u64 16:u64 24:u32 28:u32", 8, 3, 1201, 0)
		x.(hook.LostPackets).PacketLost(&hook.PacketFate{Now: 17, Packet: 9})
		p.wantHead(hook.OpPacketLost, 0, 0, 17)

		x.(hook.RTTSamples).RTTSampled(18, 0, &hook.RTT{Latest: 1, Smoothed: 2, Var: 3, Min: 4}, 5)
		p.wantIn(hook.OpRTTSample, 48, 0, "8:u64 16:u64 24:u64 32:u64 40:u64", 1, 2, 3, 4, 5)

		x.(hook.Streams).StreamEvent(19, 4, hook.StreamReset)
		p.wantHead(hook.OpStreamEvent, 3, 0, 19)
		p.wantIn(hook.OpStreamEvent, 16, 0, "8:u64", 4)

		x.(hook.SentData).DataSent(20, 4, 1000, 500, true)
		p.wantHead(hook.OpDataSent, 0, 0, 20)
		p.wantIn(hook.OpDataSent, 32, 1, "8:u64 16:u64 24:u32", 4, 1000, 500)
		x.(hook.DeliveredData).DataDelivered(21, 4, 1000, 500, false)
		p.wantHead(hook.OpDataReceived, 0, 0, 21)

		if len(p.conn.faults) > 0 {
			t.Error(p.conn.faults)
		}
	})
}

func TestFramesGoInAndOutAsTheGuestSays(t *testing.T) {
	p := newPuppet(t, runtime(t))
	f := p.Extension.(hook.Frames)
	p.answer(hook.OpFrameProcess, 1, 0)
	v := f.ProcessFrame(&hook.ReceivedFrame{Now: 5, Packet: 6, Path: 1, Index: 1, Body: []byte("body"), Before: []byte("before")})
	if v != hook.FrameIgnored {
		t.Errorf("verdict %v, want %v", v, hook.FrameIgnored)
	}
	p.wantHead(hook.OpFrameProcess, 1, 1, 5)
	p.wantIn(hook.OpFrameProcess, 24, 0, "8:u64 16:u32 20:u32", 6, rxAt+4, 6)
	p.wantView("body")
	if got := plugin.Memory(p.Extension)[rxAt+4:][:6]; string(got) != "before" {
		t.Errorf("behind the body is %q", got)
	}

	room := make([]byte, 100)
	copy(plugin.Memory(p.Extension)[txAt:], "written")
	p.answer(hook.OpFrameWrite, 7, 0)
	n := f.WriteFrame(77, room, &hook.PacketPlan{Now: 6, Packet: 8, Waiting: 9, Early: true})
	if n != 7 || string(room[:n]) != "written" {
		t.Errorf("wrote %q", room[:max(n, 0)])
	}
	p.wantHead(hook.OpFrameWrite, 77, 0, 6)
	p.wantIn(hook.OpFrameWrite, 32, 2, "8:u64 16:u32 20:u32 24:u64", 8, 0, 100, 9)
	if out, room := p.u32(40), p.u32(44); out != txAt || room != 100 {
		t.Errorf("room of %d at %d, want 100 at %d", room, out, txAt)
	}
	p.answer(hook.OpFrameWrite, -1, 0)
	if n := f.WriteFrame(77, room, &hook.PacketPlan{}); n != hook.Defer {
		t.Errorf("WriteFrame = %d, want Defer", n)
	}
	if n := p.Extension.(hook.Packets).WriteRide(1, room, &hook.PacketPlan{}); n != 0 {
		t.Errorf("WriteRide = %d, want 0", n)
	}
	p.wantIn(hook.OpFrameWrite, 32, 1, "16:u32", 1)
	p.Extension.(hook.Packets).WriteRide(1, room, &hook.PacketPlan{Frames: []byte("frames"), Streams: true})
	p.wantIn(hook.OpFrameWrite, 32, 5, "16:u32", 1)
	if at, n := p.u32(32), p.u32(36); string(plugin.Memory(p.Extension)[at:][:n]) != "frames" {
		t.Errorf("%d bytes at %d are shown, want the frames of the packet", n, at)
	}

	f.FrameFate(77, hook.FrameLost, 3*time.Millisecond)
	p.wantHead(hook.OpFrameFate, 77, 0, 0)
	p.wantIn(hook.OpFrameFate, 24, 0, "8:u32 12:u32 16:u64", 1, 0, 3_000_000)
}

func TestAPacketIsPlannedAsTheGuestSays(t *testing.T) {
	p := newPuppet(t, runtime(t))
	p.answer(hook.OpPacketBegin, 0, 0, 20|2<<32)
	plan := &hook.PacketPlan{Now: 5, Packet: 6, Room: 1100, InFlight: 1, Window: 2, Waiting: 3, Ride: -1}
	p.Extension.(hook.Packets).BeginPacket(plan)
	if plan.Reserve != 20 || plan.Ride != 1 {
		t.Errorf("reserve %d, ride %d, want 20 and 1", plan.Reserve, plan.Ride)
	}
	p.wantIn(hook.OpPacketBegin, 40, 0, "8:u64 16:u32 20:u32 24:u64 32:u32 36:u32", 6, 1100, 1, 3, 2, 0)
	p.answer(hook.OpPacketBegin, 0, 0, 0)
	p.Extension.(hook.Packets).BeginPacket(plan)
	if plan.Reserve != 0 || plan.Ride != -1 || plan.Train || plan.Above != 0 {
		t.Errorf("reserve %d, ride %d, train %t, above %d, want 0 and none", plan.Reserve, plan.Ride, plan.Train, plan.Above)
	}
	p.answer(hook.OpPacketBegin, 0, 1, 0, 44_000)
	p.Extension.(hook.Packets).BeginPacket(plan)
	if !plan.Train || plan.Above != 44_000 {
		t.Errorf("train %t, above %d, want the whole train and 44000", plan.Train, plan.Above)
	}
}

func TestAcknowledgmentsAndStreamsAreDecidedByTheGuest(t *testing.T) {
	p := newPuppet(t, runtime(t))
	a := p.Extension.(hook.AckPolicy)
	p.answer(hook.OpAckPolicy, 0, 0, 1234)
	state := &hook.AckState{Now: 1000, Oldest: 900, Eliciting: 3, Reordered: true, Threshold: 2, MaxDelay: 25}
	if at := a.AckAt(state); at != 1234 {
		t.Errorf("AckAt = %d, want 1234", at)
	}
	p.wantIn(hook.OpAckPolicy, 32, 1, "8:u64 16:u32 20:u32 24:u64", 900, 3, 2, 25)
	p.answer(hook.OpAckPolicy, -1, 0)
	if at := a.AckAt(state); at != hook.DeferAck {
		t.Errorf("AckAt = %d, want DeferAck", at)
	}

	q := p.Extension.(hook.AckRequester)
	p.answer(hook.OpAckRequest, 0, 0, 10|5<<32, 7_000_000)
	s := &hook.SendState{Window: 1, DatagramSize: 2, RTT: hook.RTT{Smoothed: 3, Min: 4}, Reordering: 5, MinDelay: 6, MaxDelay: 7,
		Last: hook.AckRequest{Threshold: 8, Reordering: 9, MaxDelay: 10}}
	if got, want := q.RequestAcks(s), (hook.AckRequest{Threshold: 10, Reordering: 5, MaxDelay: 7 * time.Millisecond}); got != want {
		t.Errorf("RequestAcks = %+v, want %+v", got, want)
	}
	p.wantIn(hook.OpAckRequest, 80, 0, "8:u64 16:u64 24:u64 32:u64 40:u32 44:u32 48:u64 56:u64 64:u32 68:u32 72:u64", 1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10)
	p.answer(hook.OpAckRequest, -1, 0)
	if got := q.RequestAcks(s); got != s.Last {
		t.Errorf("RequestAcks = %+v, want %+v", got, s.Last)
	}

	ready := &hook.StreamsReady{Now: 5, Room: 900, Ready: make([]hook.ReadyStream, hook.MaxReady)}
	ready.Ready[47] = hook.ReadyStream{ID: 4, Bytes: 1, Sent: 2, Fin: true}
	p.answer(hook.OpStreamNext, 47, 0)
	if n := p.Extension.(hook.StreamScheduler).NextStream(ready); n != 47 {
		t.Errorf("NextStream = %d, want 47", n)
	}
	p.wantHead(hook.OpStreamNext, hook.MaxReady, 0, 5)
	p.wantIn(hook.OpStreamNext, 16+32*hook.MaxReady, 0, "8:u32 1520:u64 1528:u64 1536:u64 1544:u32", 900, 4, 1, 2, 1)
}

func TestTheApplicationIsAnsweredFromTheBuffer(t *testing.T) {
	p := newPuppet(t, runtime(t))
	c := p.Extension.(hook.Callee)
	copy(plugin.Memory(p.Extension)[txAt:], "answer")
	p.answer(hook.OpAppCall, 6, 0)
	out, err := c.AppCall(7, []byte("question"), []byte("> "))
	if err != nil || string(out) != "> answer" {
		t.Errorf("AppCall = %q, %v", out, err)
	}
	p.wantHead(hook.OpAppCall, 7, 0, start)
	p.wantView("question")
	p.answer(hook.OpAppCall, -1, 0)
	if _, err := c.AppCall(8, nil, nil); !errors.Is(err, plugin.ErrNoCall) {
		t.Errorf("AppCall of what it does not know = %v, want ErrNoCall", err)
	}
	if _, err := c.AppCall(7, bytes.Repeat([]byte{1}, 5000), nil); err == nil {
		t.Error("AppCall of more than the buffer holds did not fail")
	}
	if len(p.conn.faults) > 0 {
		t.Errorf("the application's mistakes became the plugin's: %v", p.conn.faults)
	}
}

// TestAnswersOutOfRangeAreFaults: in the very same call the core does without the plugin.
func TestAnswersOutOfRangeAreFaults(t *testing.T) {
	room := make([]byte, 100)
	for _, tc := range []struct {
		name  string
		op    hook.Op
		r     int64
		words []uint64
		call  func(x hook.Extension) any
		want  any
	}{
		{"a verdict that is none", hook.OpFrameProcess, 3, nil, func(x hook.Extension) any { return x.(hook.Frames).ProcessFrame(&hook.ReceivedFrame{}) }, hook.FrameIgnored},
		{"more bytes than there is room", hook.OpFrameWrite, 101, nil, func(x hook.Extension) any { return x.(hook.Frames).WriteFrame(1, room, &hook.PacketPlan{}) }, 0},
		{"a length of 63 bits", hook.OpFrameWrite, 1<<63 - 1, nil, func(x hook.Extension) any { return x.(hook.Frames).WriteFrame(1, room, &hook.PacketPlan{}) }, 0},
		{"an error", hook.OpFrameWrite, -7, nil, func(x hook.Extension) any { return x.(hook.Frames).WriteFrame(1, room, &hook.PacketPlan{}) }, 0},
		{"too much kept free", hook.OpPacketBegin, 0, []uint64{65}, plan, "0 -1"},
		{"a ride for what does not ride along", hook.OpPacketBegin, 0, []uint64{1 << 32}, plan, "0 -1"},
		{"a ride for what there is not", hook.OpPacketBegin, 0, []uint64{3 << 32}, plan, "0 -1"},
		{"a negative ride", hook.OpPacketBegin, 0, []uint64{0xffffffff << 32}, plan, "0 -1"},
		{"an instant that is none", hook.OpAckPolicy, 0, []uint64{1 << 63}, func(x hook.Extension) any { return x.(hook.AckPolicy).AckAt(&hook.AckState{}) }, hook.DeferAck},
		{"acknowledgments of no packet", hook.OpAckRequest, 0, nil, func(x hook.Extension) any { return x.(hook.AckRequester).RequestAcks(&hook.SendState{}) }, hook.AckRequest{}},
		{"acknowledgments after a year", hook.OpAckRequest, 0, []uint64{2, 1 << 55}, func(x hook.Extension) any { return x.(hook.AckRequester).RequestAcks(&hook.SendState{}) }, hook.AckRequest{}},
		{"a stream that does not wait", hook.OpStreamNext, 1, nil, func(x hook.Extension) any {
			return x.(hook.StreamScheduler).NextStream(&hook.StreamsReady{Ready: make([]hook.ReadyStream, 1)})
		}, hook.Defer},
		{"an answer beyond the buffer", hook.OpAppCall, 4097, nil, func(x hook.Extension) any {
			out, _ := x.(hook.Callee).AppCall(0, nil, nil)
			return len(out)
		}, 0},
		{"an error of a watcher", hook.OpRTTSample, -2, nil, func(x hook.Extension) any {
			x.(hook.RTTSamples).RTTSampled(1, 0, &hook.RTT{}, 0)
			return nil
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPuppet(t, runtime(t))
			p.answer(tc.op, tc.r, 0, tc.words...)
			if got := tc.call(p.Extension); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
			if f := p.conn.wantFault(t, plugin.ErrResult); f.Where != tc.op.String() {
				t.Errorf("fault in %s, want %v", f.Where, tc.op)
			}
			before := p.Extension.(hook.Meter).Usage().Calls
			tc.call(p.Extension)
			p.Detach(hook.DetachFault)
			if after := p.Extension.(hook.Meter).Usage().Calls; after != before {
				t.Errorf("%d calls after the fault", after-before)
			}
		})
	}
}

func plan(x hook.Extension) any {
	p := &hook.PacketPlan{Ride: -1}
	x.(hook.Packets).BeginPacket(p)
	return fmt.Sprint(p.Reserve, p.Ride)
}
