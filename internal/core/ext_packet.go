package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxKept is how many bytes of a packet all extensions together may keep free.
// limit: what is beyond is not granted, and never more than a quarter of the room,
// nor what a frame needs that waits and cannot be cut.
const maxKept = 256

// scratch holds the events that extensions see: here, so that telling them
// allocates nothing. Each of them sees a fresh one, whatever others did to theirs.
type scratch struct {
	plan     hook.PacketPlan
	sealing  hook.SentPayload
	datagram hook.ReceivedDatagram
	payload  hook.ReceivedPayload
	received hook.ReceivedPacket
	sent     hook.SentPacket
	fate     hook.PacketFate
	frame    hook.ReceivedFrame
	rtt      hook.RTT
	ack      hook.AckState
	request  hook.SendState
	streams  hook.StreamsReady
	ready    [hook.MaxReady]hook.ReadyStream
	acked    hook.Acked
	lost     hook.Lost
}

// planOf describes p to an extension.
func (x *extensions) planOf(p *packet) *hook.PacketPlan {
	rec := x.conn.det.PathByID(p.sent.Path)
	x.seen.plan = hook.PacketPlan{
		Now: x.conn.clock, Packet: p.pn, Path: p.sent.Path, Room: max(p.limit-p.end, 0), InFlight: rec.BytesInFlight(), Window: rec.Window(),
		Waiting: x.conn.unsent(), Early: p.early, Ride: -1,
	}
	return &x.seen.plan
}

// beginPacket prepares for p. If it is likely to be sent, extensions are asked
// what to keep free in it.
func (x *extensions) beginPacket(p *packet, likely bool) {
	x.packet++
	x.kept, x.held, x.short = 0, 0, 0
	for _, a := range x.list {
		a.offers, a.inPacket, a.ride, a.kept = 0, false, -1, 0
		a.again.train = a.again.train && x.conn.train > 0
	}
	if !likely {
		return
	}
	for _, h := range x.table.plans {
		if h.again.above > 0 && x.conn.unsent() > h.again.above {
			continue
		}
		if !h.again.train {
			h.ask(h.to, p)
		}
		if !h.gone {
			x.keep(h.attached, p, h.again.reserve, h.again.ride)
		}
	}
}

// answer is what an extension wants of a packet, and of those that follow.
type answer struct {
	reserve, ride int
	train         bool   // it holds for the rest of the train
	above         uint64 // while more waits, packets are none of its business
}

// ask asks what a wants of p.
func (a *attached) ask(to hook.Packets, p *packet) {
	a.again = answer{ride: -1}
	if !a.enter() {
		return
	}
	plan := a.x.planOf(p)
	to.BeginPacket(plan)
	a.again = answer{plan.Reserve, plan.Ride, plan.Train, plan.Above}
	a.checkPlan(plan.Reserve, plan.Ride)
	a.leave()
}

// checkPlan holds what an extension wants of a packet against its bounds.
func (a *attached) checkPlan(reserve, ride int) {
	switch {
	case reserve < 0 || reserve > hook.MaxReserve:
		a.fail("%d bytes of a packet to keep free, want 0 to %d", reserve, hook.MaxReserve)
	case ride < -1 || ride >= len(a.info.Frames):
		a.fail("frame %d to ride along, there are %d", ride, len(a.info.Frames))
	case ride >= 0 && !a.info.Frames[ride].RideAlong:
		a.fail("frame %s to ride along, which does not", a.info.Frames[ride].Name)
	}
}

// uncut is how many bytes the largest frame takes that waits to be sent and cannot
// be cut: a packet that keeps so much free that it does not fit would never carry it.
func (c *Conn) uncut() (n int) {
	if c.datagramsWait() {
		size := len(c.datagrams.out.front())
		n = wire.SizeDatagramHeader(size) + size
	}
	if c.control&ctlExchange != 0 {
		for i := range c.exch.out {
			if f := &c.exch.out[i]; f.send {
				n = max(n, len(f.frame))
			}
		}
	}
	return n
}

// keep leaves room in p for what a wants.
func (x *extensions) keep(a *attached, p *packet, reserve, ride int) {
	room := p.limit + x.kept - p.payload
	most := max(min(maxKept, room/4, room-x.conn.uncut())-x.kept, 0)
	if ride >= 0 && a.active && x.conn.mayCarry(p) && (!p.early || a.info.Frames[ride].Early) {
		if room := wire.SizePluginHeader(hook.MaxRideAlong) + a.info.Frames[ride].MaxLen + 1; room <= most {
			a.ride = ride
			reserve += room
		}
	}
	a.kept = min(reserve, most)
	if a.kept > 0 && x.held == 0 {
		x.short = x.conn.follow(p)
	}
	x.held += a.kept
	if x.short <= a.kept { // what the first packet of the train left unused is kept free already
		a.kept -= x.short
		x.short = 0
	}
	p.limit -= a.kept
	x.kept += a.kept
}

// spend takes from what is kept free for a what a reserved frame of its needed. Then
// nothing rides along: there may be no room for it.
func (x *extensions) spend(a *attached, p *packet) {
	if over := p.end - p.limit; over > 0 {
		p.limit += over
		a.kept -= over
		x.kept -= over
		a.ride = -1
	}
}

// endPacket appends the frames that ride along to p, which will be sent, and
// shows extensions what is in it.
func (x *extensions) endPacket(p *packet, buf []byte) {
	p.limit += x.kept
	end := p.end
	plugin := p.plugin
	if p.end > p.frames && x.conn.mayCarry(p) {
		for _, h := range x.table.plans {
			h.appendRide(h.to, p, buf, buf[p.frames:end:end])
		}
	}
	if flags := p.sent.Flags; p.plugin && flags&recovery.AckEliciting == 0 {
		x.settlePlugin(p, buf)
	}
	if end > p.frames {
		x.showPayload(p, buf[p.frames:end:end], plugin)
		x.padKept(p, buf)
	}
}

// longTrain is how many bytes wait where full packets are made of one size.
const longTrain = 16 << 10

// padKept fills up a packet that is full but for what was kept free in it: datagrams
// of one size leave in one system call, and a frame that what is kept was meant for is
// a little longer than what else fills a packet. The bytes are spent only where a long
// train waits, and then to its end: short transfers have better use for their window.
func (x *extensions) padKept(p *packet, buf []byte) {
	if x.conn.train == 0 {
		x.long = x.conn.unsent() > longTrain
	}
	if left := p.limit - p.end; x.long && left > 0 && left <= x.held && !p.ackOnly {
		clear(buf[p.end:p.limit])
		p.end = p.limit
	}
}

// appendRide appends the frame of a that rides along with others, if it asked for one.
func (a *attached) appendRide(to hook.Packets, p *packet, buf, others []byte) {
	if a.ride < 0 || !a.enter() {
		return
	}
	index, most := uint8(a.ride), a.info.Frames[a.ride].MaxLen
	a.ride = -1
	head := wire.SizePluginHeader(most)
	if most = min(most, p.limit-p.end-head); most < 1 {
		a.leave()
		return
	}
	plan := a.x.planOf(p)
	if plan.Streams = p.sent.Flags&recovery.HasStream != 0; a.info.Payload {
		plan.Frames = others
	}
	n := to.WriteRide(index, buf[p.end+head:][:most:most], plan)
	plan.Frames = nil
	if n < 0 || n > most {
		a.fail("frame %s of %d bytes written into %d", a.info.Frames[index].Name, n, most)
	}
	a.leave()
	if n > 0 && !a.gone {
		a.wrote(p, buf, index, 0, head, n)
		a.ride = int(index)
	}
}

// settlePlugin deals with a packet in which nothing elicits an acknowledgment but
// frames of extensions are. If they count in flight, something must see to it that
// they leave flight one day: a PING (RFC 9002 §3 warns of the same of PADDING).
func (x *extensions) settlePlugin(p *packet, buf []byte) {
	if p.sent.Flags&recovery.InFlight == 0 {
		x.exceed()
		return
	}
	x.conn.eliciting(p)
	buf[p.end] = byte(wire.FramePing)
	p.end++
}

// showPayload shows the frames of a packet of ours to those who may see them.
func (x *extensions) showPayload(p *packet, frames []byte, plugin bool) {
	for _, h := range x.table.sealing {
		if !h.enter() {
			continue
		}
		x.seen.sealing = hook.SentPayload{
			Now: x.conn.clock, Packet: p.pn, Path: p.sent.Path, Early: p.early, Streams: p.sent.Flags&recovery.HasStream != 0,
			Plugin: plugin, Rode: h.ride >= 0, Waiting: x.conn.unsent(), Frames: frames,
		}
		h.to.SendPayload(&x.seen.sealing)
		h.leave()
	}
	x.seen.sealing.Frames = nil
}
