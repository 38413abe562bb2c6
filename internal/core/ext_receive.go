package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/wire"
)

// arriving is the packet whose frames are being processed.
type arriving struct {
	ride  int  // where its first frame lies that rides along; -1 = none so far
	acks  int  // how many bytes ACK frames take before that, at its beginning
	again bool // it was recovered before it came
}

// beginPayload prepares for the frames of a packet, and shows them.
func (c *Conn) beginPayload(now hook.Instant, info *qlog.PacketInfo, payload []byte) {
	x := c.ext
	x.arriving = arriving{ride: -1}
	if info.Type == wire.Packet1RTT {
		x.arriving.again = x.recovered.has(info.Number)
		x.tellPayload(now, info.Number, payload)
	}
}

// received tells that a packet was processed.
func (c *Conn) received(now hook.Instant, info *qlog.PacketInfo, eliciting bool) {
	c.ext.arriving.again = false
	if info.Type == wire.Packet1RTT {
		c.ext.tellReceived(now, info, eliciting)
	}
	c.settle(now)
}

// takePlugin takes a frame of an extension that lies at offset at of a packet's
// payload, and reports whether it wants an acknowledgment. A frame for nobody does,
// since nothing is known of it: its extension may just have been detached.
func (c *Conn) takePlugin(now hook.Instant, info *qlog.PacketInfo, payload []byte, at int, f *wire.Frame) (eliciting bool) {
	x := c.ext
	a, index := x.owner(f.Type)
	if a == nil {
		x.strays++
		return true
	}
	decl := &a.info.Frames[index]
	if decl.RideAlong && x.arriving.ride < 0 {
		x.arriving.ride, x.arriving.acks = at, leadingAcks(payload[:at])
	}
	a.stats.FramesReceived++
	switch {
	case len(f.Data) > decl.MaxLen:
		a.fail("the peer's %s frame has %d bytes, %d are agreed", decl.Name, len(f.Data), decl.MaxLen)
	case info.Type == wire.Packet0RTT && !decl.Early:
		a.stats.FramesIgnored++
	default:
		x.process(now, a, info, payload, f, index)
	}
	return decl.AckEliciting
}

// owner finds the extension to which a frame type belongs.
func (x *extensions) owner(t wire.FrameType) (a *attached, index uint8) {
	for _, a := range x.list {
		if n := uint64(t) - a.typeBase; uint64(t) >= a.typeBase && n < uint64(len(a.info.Frames)) {
			return a, uint8(n)
		}
	}
	return nil, 0
}

// process gives a frame to its extension.
func (x *extensions) process(now hook.Instant, a *attached, info *qlog.PacketInfo, payload []byte, f *wire.Frame, index uint8) {
	if !a.enter() {
		a.stats.FramesIgnored++
		return
	}
	e := &x.seen.frame
	*e = hook.ReceivedFrame{Now: now, Packet: info.Number, Path: x.conn.arrivalPath(), Index: index, Body: f.Data}
	if a.info.Frames[index].RideAlong && a.info.Payload {
		e.Before = payload[x.arriving.acks:x.arriving.ride]
	}
	verdict := a.frames.ProcessFrame(e)
	e.Body, e.Before = nil, nil
	switch verdict {
	case hook.FrameTaken:
	case hook.FrameIgnored:
		a.stats.FramesIgnored++
	case hook.FrameMalformed:
		a.fail("the peer's %s frame is malformed", a.info.Frames[index].Name)
	default:
		a.fail("verdict %d on a frame, want 0 to %d", verdict, hook.FrameMalformed)
	}
	a.leave()
}

// leadingAcks is how many bytes the ACK frames at the beginning of a payload take.
func leadingAcks(payload []byte) (n int) {
	var f wire.Frame
	for n < len(payload) {
		size, err := wire.Next(payload[n:], &f)
		if err != nil || f.Type != wire.FrameAck && f.Type != wire.FrameAckECN {
			break
		}
		n += size
	}
	return n
}

// arrivalPath is the path of the datagram that is being received.
func (c *Conn) arrivalPath() uint8 {
	if c.arrival != nil && c.arrival.path != nil {
		return c.arrival.path.rec.ID()
	}
	return c.path.rec.ID()
}
