package plugin

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// The methods of this file tell the guest what happened. Offsets are those of docs/plugin-abi.md.

var (
	_ hook.Meter             = (*extension)(nil)
	_ hook.Timers            = (*extension)(nil)
	_ hook.States            = (*extension)(nil)
	_ hook.Callee            = (*extension)(nil)
	_ hook.EventTaker        = (*extension)(nil)
	_ hook.ReceivedDatagrams = (*extension)(nil)
	_ hook.ReceivedPayloads  = (*extension)(nil)
	_ hook.ReceivedPackets   = (*extension)(nil)
	_ hook.SentPayloads      = (*extension)(nil)
	_ hook.SentPackets       = (*extension)(nil)
	_ hook.AckedPackets      = (*extension)(nil)
	_ hook.LostPackets       = (*extension)(nil)
	_ hook.RTTSamples        = (*extension)(nil)
	_ hook.Streams           = (*extension)(nil)
	_ hook.SentData          = (*extension)(nil)
	_ hook.DeliveredData     = (*extension)(nil)
)

// StateChanged is state_changed.
func (x *extension) StateChanged(from, to hook.State) {
	b := x.again(hook.OpStateChanged, 0)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 16, 0)
	le.PutUint32(in[8:], uint32(from))
	le.PutUint32(in[12:], uint32(to))
	x.run(x.fuel)
}

// Timer is timer.
func (x *extension) Timer(now hook.Instant, id uint32) {
	b := x.enter(hook.OpTimer, now, 0)
	if b == nil {
		return
	}
	le.PutUint32(b[wordArg:], id)
	putHead(b[inAt:outAt], 8, 0)
	x.run(x.fuel)
}

// ErrNoCall is what an application is told when the plugin takes no calls, or takes this one no more.
var ErrNoCall = errors.New("plugin takes no calls")

// AppCall is app_call.
func (x *extension) AppCall(op uint32, in, out []byte) ([]byte, error) {
	b := x.again(hook.OpAppCall, 0)
	if b == nil {
		return out, fmt.Errorf("plugin %s: %w", x.m.title(), ErrNoCall)
	}
	if !x.show(b, in) {
		return out, fmt.Errorf("plugin %s: call of %d bytes, its buffer has %d", x.m.title(), len(in), len(x.i.rx))
	}
	room := x.room(b, hook.MaxCallBytes)
	le.PutUint32(b[wordArg:], op)
	putHead(b[inAt:outAt], 8, 0)
	n, ok := x.run(x.fuel)
	switch {
	case !ok:
		return out, x.fault
	case n == resultDefer:
		return out, fmt.Errorf("plugin %s: %w %d", x.m.title(), ErrNoCall, op)
	case n > int64(room):
		x.reject("%d bytes, at most %d", n, room)
		return out, x.fault
	}
	return append(out, x.i.tx[:n]...), nil
}

// TakeEvent is take_event.
func (x *extension) TakeEvent(payload []byte) {
	b := x.again(hook.OpTakeEvent, 0)
	if b == nil || !x.show(b, payload) {
		return
	}
	putHead(b[inAt:outAt], 8, 0)
	x.run(x.fuel)
}

// ReceiveDatagram is rx_datagram_meta.
func (x *extension) ReceiveDatagram(d *hook.ReceivedDatagram) {
	b := x.enter(hook.OpReceiveDatagram, d.Now, d.Path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 24, 0)
	le.PutUint32(in[8:], uint32(d.ECN))
	le.PutUint32(in[12:], uint32(d.Bytes))
	le.PutUint32(in[16:], uint32(d.Socket))
	le.PutUint32(in[20:], 0)
	x.run(x.fuel)
}

// ReceivePayload is rx_payload. A packet that is larger than the plugin's buffer is not shown.
func (x *extension) ReceivePayload(p *hook.ReceivedPayload) {
	b := x.enter(hook.OpReceivePayload, p.Now, p.Path)
	if b == nil || !x.show(b, p.Frames) {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 16, 0)
	le.PutUint64(in[8:], p.Packet)
	x.run(x.fuel)
}

// ReceiveDone is rx_done.
func (x *extension) ReceiveDone(p *hook.ReceivedPacket) {
	b := x.enter(hook.OpReceiveDone, p.Now, p.Path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 24, flag(p.AckEliciting, 0))
	le.PutUint64(in[8:], p.Packet)
	le.PutUint32(in[16:], uint32(p.Bytes))
	le.PutUint32(in[20:], uint32(p.ECN))
	x.run(x.fuel)
}

// SendPayload is tx_payload. A packet that is larger than the plugin's buffer is not shown.
func (x *extension) SendPayload(p *hook.SentPayload) {
	b := x.enter(hook.OpSendPayload, p.Now, p.Path)
	if b == nil || !x.show(b, p.Frames) {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 24, flag(p.Streams, 0)|flag(p.Early, 1)|flag(p.Rode, 2)|flag(p.Plugin, 3))
	le.PutUint64(in[8:], p.Packet)
	le.PutUint64(in[16:], p.Waiting)
	x.run(x.fuel)
}

// PacketSent is tx_sent.
func (x *extension) PacketSent(p *hook.SentPacket) {
	b := x.enter(hook.OpPacketSent, p.Now, p.Path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 24, flag(p.AckEliciting, 0)|flag(p.Counted, 1))
	le.PutUint64(in[8:], p.Packet)
	le.PutUint32(in[16:], uint32(p.Bytes))
	le.PutUint32(in[20:], uint32(p.InFlight))
	x.run(x.fuel)
}

// PacketAcked is packet_acked.
func (x *extension) PacketAcked(p *hook.PacketFate) { x.packetFate(hook.OpPacketAcked, p) }

// PacketLost is packet_lost.
func (x *extension) PacketLost(p *hook.PacketFate) { x.packetFate(hook.OpPacketLost, p) }

func (x *extension) packetFate(op hook.Op, p *hook.PacketFate) {
	b := x.enter(op, p.Now, p.Path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 32, 0)
	le.PutUint64(in[8:], p.Packet)
	le.PutUint64(in[16:], uint64(p.Sent))
	le.PutUint32(in[24:], uint32(p.Bytes))
	le.PutUint32(in[28:], 0)
	x.run(x.fuel)
}

// RTTSampled is rtt_sample.
func (x *extension) RTTSampled(now hook.Instant, path uint8, rtt *hook.RTT, ackDelay time.Duration) {
	b := x.enter(hook.OpRTTSample, now, path)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 48, 0)
	le.PutUint64(in[8:], uint64(rtt.Latest))
	le.PutUint64(in[16:], uint64(rtt.Smoothed))
	le.PutUint64(in[24:], uint64(rtt.Var))
	le.PutUint64(in[32:], uint64(rtt.Min))
	le.PutUint64(in[40:], uint64(ackDelay))
	x.run(x.fuel)
}

// StreamEvent is stream_event.
func (x *extension) StreamEvent(now hook.Instant, stream uint64, e hook.StreamEvent) {
	b := x.enter(hook.OpStreamEvent, now, 0)
	if b == nil {
		return
	}
	le.PutUint32(b[wordArg:], uint32(e))
	in := b[inAt:outAt]
	putHead(in, 16, 0)
	le.PutUint64(in[8:], stream)
	x.run(x.fuel)
}

// DataSent is app_data_sent.
func (x *extension) DataSent(now hook.Instant, stream, offset uint64, n int, fin bool) {
	x.data(hook.OpDataSent, now, stream, offset, n, fin)
}

// DataDelivered is app_data_delivered.
func (x *extension) DataDelivered(now hook.Instant, stream, offset uint64, n int, fin bool) {
	x.data(hook.OpDataReceived, now, stream, offset, n, fin)
}

func (x *extension) data(op hook.Op, now hook.Instant, stream, offset uint64, n int, fin bool) {
	b := x.enter(op, now, 0)
	if b == nil {
		return
	}
	in := b[inAt:outAt]
	putHead(in, 32, flag(fin, 0))
	le.PutUint64(in[8:], stream)
	le.PutUint64(in[16:], offset)
	le.PutUint32(in[24:], uint32(n))
	le.PutUint32(in[28:], 0)
	x.run(x.fuel)
}
