package plugin

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

var (
	_ hook.Frames  = (*extension)(nil)
	_ hook.Packets = (*extension)(nil)
)

// ProcessFrame is frame_process. Without an answer the frame counts as ignored.
func (x *extension) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	b := x.enter(hook.OpFrameProcess, f.Now, f.Path)
	if b == nil || !x.show(b, f.Body) {
		return hook.FrameIgnored
	}
	le.PutUint32(b[wordArg:], uint32(f.Index))
	in := b[inAt:outAt]
	putHead(in, 24, 0)
	le.PutUint64(in[8:], f.Packet)
	at, n := x.behind(len(f.Body), f.Before)
	le.PutUint32(in[16:], at)
	le.PutUint32(in[20:], n)
	v, ok := x.run(x.fuel)
	switch {
	case !ok, v == resultDefer:
		return hook.FrameIgnored
	case v > int64(hook.FrameMalformed):
		x.reject("verdict %d", v)
		return hook.FrameIgnored
	}
	return hook.Verdict(v)
}

// behind copies more after the n bytes of a view, and returns where it is; 0, 0 if there is nothing or no room.
func (x *extension) behind(n int, more []byte) (at, length uint32) {
	if len(more) == 0 || n+len(more) > len(x.i.rx) {
		return 0, 0
	}
	copy(x.i.rx[n:], more)
	return x.m.shared.rx + uint32(n), uint32(len(more))
}

// WriteFrame is frame_write for a reservation.
func (x *extension) WriteFrame(t hook.Token, p []byte, plan *hook.PacketPlan) int {
	n := x.write(uint32(t), x.tokens.frame(t), p, plan, 0)
	if n != hook.Defer {
		x.tokens.remove(t)
	}
	return n
}

// WriteRide is frame_write with token 0. Frames that are larger than the plugin's buffer are not shown.
func (x *extension) WriteRide(frame uint8, p []byte, plan *hook.PacketPlan) int {
	return max(x.write(0, frame, p, plan, 1|flag(plan.Streams, 2)), 0)
}

func (x *extension) write(token uint32, frame uint8, p []byte, plan *hook.PacketPlan, flags uint32) int {
	b := x.enter(hook.OpFrameWrite, plan.Now, plan.Path)
	if b == nil {
		return 0
	}
	le.PutUint32(b[wordArg:], token)
	if len(plan.Frames) > 0 {
		x.show(b, plan.Frames)
	}
	room := x.room(b, len(p))
	in := b[inAt:outAt]
	putHead(in, 32, flags|flag(plan.Early, 1))
	le.PutUint64(in[8:], plan.Packet)
	le.PutUint32(in[16:], uint32(frame))
	le.PutUint32(in[20:], uint32(len(p)))
	le.PutUint64(in[24:], plan.Waiting)
	n, ok := x.run(x.fuel)
	switch {
	case !ok:
		return 0
	case n == resultDefer:
		return hook.Defer
	case n > int64(room):
		x.reject("%d bytes, there is room for %d", n, room)
		return 0
	}
	return copy(p, x.i.tx[:n])
}

// FrameFate is frame_fate.
func (x *extension) FrameFate(t hook.Token, fate hook.Fate, rtt time.Duration) {
	x.tokens.remove(t) // if it was dropped unwritten
	b := x.again(hook.OpFrameFate, 0)
	if b == nil {
		return
	}
	le.PutUint32(b[wordArg:], uint32(t))
	in := b[inAt:outAt]
	putHead(in, 24, 0)
	le.PutUint32(in[8:], uint32(fate))
	le.PutUint32(in[12:], 0)
	le.PutUint64(in[16:], uint64(rtt))
	x.run(x.fuel)
}

// BeginPacket is tx_packet_begin.
func (x *extension) BeginPacket(p *hook.PacketPlan) {
	b := x.enter(hook.OpPacketBegin, p.Now, p.Path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 40, flag(p.Early, 1))
	le.PutUint64(in[8:], p.Packet)
	le.PutUint32(in[16:], uint32(p.Room))
	le.PutUint32(in[20:], uint32(p.InFlight))
	le.PutUint64(in[24:], p.Waiting)
	le.PutUint32(in[32:], uint32(p.Window))
	le.PutUint32(in[36:], 0)
	if _, ok := x.run(x.fuel); !ok {
		return
	}
	out := x.i.block[outAt:]
	reserve, ride := le.Uint32(out[8:]), le.Uint32(out[12:])
	switch {
	case reserve > hook.MaxReserve:
		x.reject("keeps %d bytes of a packet free, at most %d", reserve, hook.MaxReserve)
	case ride > uint32(len(x.info.Frames)) || ride > 0 && !x.info.Frames[ride-1].RideAlong:
		x.reject("lets frame %d ride along, which does not", int32(ride)-1)
	default:
		p.Reserve, p.Ride = int(reserve), int(ride)-1
		p.Train, p.Above = le.Uint32(out[4:])&1 != 0, le.Uint64(out[16:])
	}
}
