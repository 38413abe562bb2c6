package drive

import (
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// event is something that may happen to a connection at an operation.
type event struct {
	op  hook.Op
	let func(d *driver)
}

// events are those of a round trip, in order: a packet leaves, one arrives, an acknowledgment comes in. Attaching, detaching and the controller's
// beginning are not among them.
var events = []event{
	{hook.OpStateChanged, (*driver).state}, {hook.OpTimer, (*driver).timer}, {hook.OpAppCall, (*driver).ask}, {hook.OpTakeEvent, (*driver).message},
	{hook.OpStreamEvent, (*driver).streamEvent}, {hook.OpStreamNext, (*driver).nextStream},
	{hook.OpPacketBegin, (*driver).begin}, {hook.OpDataSent, (*driver).dataSent}, {hook.OpFrameWrite, (*driver).write},
	{hook.OpSendPayload, (*driver).sendPayload}, {hook.OpPacketSent, (*driver).sent}, {hook.OpCongestionSent, (*driver).congestionSent},
	{hook.OpReceiveDatagram, (*driver).datagram}, {hook.OpReceivePayload, (*driver).receivePayload}, {hook.OpFrameProcess, (*driver).process},
	{hook.OpRTTSample, (*driver).rttSample}, {hook.OpPacketLost, (*driver).lost}, {hook.OpPacketAcked, (*driver).acked}, {hook.OpFrameFate, (*driver).fate},
	{hook.OpCongestionLoss, (*driver).congestionLost}, {hook.OpCongestionUndo, (*driver).undo}, {hook.OpCongestionAck, (*driver).congestionAcked},
	{hook.OpCongestionRound, (*driver).congestionAcked}, {hook.OpCongestionMTU, (*driver).mtu}, {hook.OpDataReceived, (*driver).dataDelivered},
	{hook.OpReceiveDone, (*driver).receiveDone}, {hook.OpAckPolicy, (*driver).ackPolicy}, {hook.OpAckRequest, (*driver).ackRequest},
}

func (d *driver) state() {
	from := hook.State(d.rng.IntN(int(hook.Closing)))
	d.call(hook.OpStateChanged, from, func() { d.x.(hook.States).StateChanged(from, from+1) })
}

// timer lets the timer pass that is due first.
func (d *driver) timer() {
	first, found := uint32(0), false
	for id, at := range d.conn.timers {
		if !found || at < d.conn.timers[first] || at == d.conn.timers[first] && id < first {
			first, found = id, true
		}
	}
	if !found {
		return
	}
	d.now = max(d.now, d.conn.timers[first])
	delete(d.conn.timers, first)
	d.call(hook.OpTimer, first, func() { d.x.(hook.Timers).Timer(d.now, first) })
}

func (d *driver) ask() {
	op := d.rng.Uint32N(8)
	if n := len(d.subject.Calls); n > 0 && !(d.wild && d.chance(4)) {
		op = d.subject.Calls[d.rng.IntN(n)]
	}
	in := d.payload[:min(d.number(0, 64, 1024), len(d.payload))]
	d.call(hook.OpAppCall, op, func() { d.x.(hook.Callee).AppCall(op, in, nil) })
}

func (d *driver) message() {
	in := d.payload[:min(d.number(1, 64, hook.MaxEventBytes), len(d.payload))]
	d.call(hook.OpTakeEvent, in, func() { d.x.(hook.EventTaker).TakeEvent(in) })
}

func (d *driver) datagram() {
	e := &hook.ReceivedDatagram{Now: d.now, Path: d.path(), ECN: uint8(d.number(2, 2, 3)), Bytes: d.number(40, datagram, 65527), Socket: d.rng.IntN(2)}
	d.call(hook.OpReceiveDatagram, e, func() { d.x.(hook.ReceivedDatagrams).ReceiveDatagram(e) })
}

// path is the first, and in wild runs now and then another of those that a connection can have.
func (d *driver) path() uint8 {
	if d.wild && d.chance(6) {
		return uint8(d.rng.IntN(8))
	}
	return 0
}

// packet returns the number of the latest packet, or in wild runs any.
func (d *driver) packet() uint64 {
	if d.wild && d.chance(6) {
		return d.rng.Uint64N(1 << 62)
	}
	return d.pnum
}

func (d *driver) receivePayload() {
	e := &hook.ReceivedPayload{Now: d.now, Packet: d.packet(), Path: d.path(), Frames: d.payload}
	d.call(hook.OpReceivePayload, e, func() { d.x.(hook.ReceivedPayloads).ReceivePayload(e) })
}

func (d *driver) receiveDone() {
	e := &hook.ReceivedPacket{Now: d.now, Packet: d.packet(), Path: d.path(), ECN: uint8(d.rng.IntN(4)), Bytes: d.number(40, datagram, 65527), AckEliciting: !d.chance(4)}
	d.call(hook.OpReceiveDone, e, func() { d.x.(hook.ReceivedPackets).ReceiveDone(e) })
}

// plan is a packet that is about to be filled.
func (d *driver) plan() *hook.PacketPlan {
	d.pnum++
	return &hook.PacketPlan{Now: d.now, Packet: d.pnum, Path: d.path(), Room: d.number(1000, datagram-30, datagram-30), InFlight: d.number(0, 100_000, 1<<30),
		Window: d.number(20_000, 200_000, 1<<30), Waiting: d.waiting(), Early: d.wild && d.chance(8), Ride: -1}
}

func (d *driver) begin() {
	d.makePayload()
	e := d.plan()
	d.call(hook.OpPacketBegin, e, func() { d.x.(hook.Packets).BeginPacket(e) })
	if e.Ride < 0 || d.wild && d.chance(8) {
		return
	}
	index := uint8(e.Ride)
	if d.x.Info().Payload {
		e.Frames, e.Streams = d.payload, !d.chance(8)
	}
	d.call(hook.OpFrameWrite, e, func() {
		if n := d.x.(hook.Packets).WriteRide(index, d.buffer[:hook.MaxRideAlong], e); n > 0 {
			d.keep(frame{index: index, body: slices.Clone(d.buffer[:n])})
		}
	})
}

// keep remembers a frame that was written. Those written long ago are acknowledged.
func (d *driver) keep(f frame) {
	for len(d.written) >= maxTold {
		d.tell(0, hook.FrameAcked)
	}
	d.written = append(d.written, f)
}

// write lets the extension write what it reserved room for.
func (d *driver) write() {
	for range len(d.conn.reserved) {
		if len(d.conn.reserved) == 0 || d.wild && d.chance(4) {
			return
		}
		r := d.conn.reserved[0]
		e := d.plan()
		room := min(r.size, e.Room)
		d.call(hook.OpFrameWrite, e, func() {
			n := d.x.(hook.Frames).WriteFrame(r.token, d.buffer[:room], e)
			if n == hook.Defer {
				return
			}
			d.conn.Cancel(r.token)
			if n > 0 && n <= room {
				d.keep(frame{r.frame, r.token, slices.Clone(d.buffer[:n])})
			}
		})
	}
}

// process shows the extension a frame that it wrote itself, as if its peer's half had, or in wild runs any.
func (d *driver) process() {
	if len(d.info.Frames) == 0 {
		return
	}
	e := &hook.ReceivedFrame{Now: d.now, Packet: d.packet(), Path: d.path()}
	switch n := len(d.written); {
	case d.wild && (n == 0 || d.chance(2)):
		e.Index = uint8(d.rng.IntN(len(d.info.Frames)))
		e.Body = d.payload[:min(d.number(0, 32, d.info.Frames[e.Index].MaxLen), len(d.payload))]
	case n == 0:
		return
	default:
		f := d.written[n-1]
		e.Index, e.Body = f.index, f.body
		if d.wild && len(e.Body) > 0 && d.chance(2) { // nearly what its peer would write
			e.Body = slices.Clone(e.Body)
			e.Body[d.rng.IntN(len(e.Body))] ^= 1 << d.rng.IntN(8)
		}
	}
	if d.info.Frames[e.Index].RideAlong && d.info.Payload {
		e.Before = d.payload
	}
	d.call(hook.OpFrameProcess, e, func() { d.x.(hook.Frames).ProcessFrame(e) })
}

func (d *driver) fate() {
	if len(d.written) > 0 {
		fate := hook.FrameAcked
		if d.chance(10) {
			fate = hook.FrameLost
		}
		d.tell(d.rng.IntN(len(d.written)), fate)
	}
}

// tell tells the fate of a frame that was written, if it has one.
func (d *driver) tell(i int, fate hook.Fate) {
	f := d.written[i]
	d.written = slices.Delete(d.written, i, i+1)
	if f.token == 0 || !d.hooked(hook.OpFrameFate) {
		return
	}
	d.call(hook.OpFrameFate, f.token, func() {
		d.x.(hook.Frames).FrameFate(f.token, fate, time.Duration(d.number(20, 60, 60_000))*time.Millisecond)
	})
}

func (d *driver) sendPayload() {
	e := &hook.SentPayload{Now: d.now, Packet: d.packet(), Path: d.path(), Streams: !d.chance(8), Waiting: d.waiting(), Frames: d.payload,
		Early: d.wild && d.chance(8), Plugin: d.chance(8), Rode: d.chance(2)}
	d.call(hook.OpSendPayload, e, func() { d.x.(hook.SentPayloads).SendPayload(e) })
}

func (d *driver) sent() {
	e := &hook.SentPacket{Now: d.now, Packet: d.packet(), Path: d.path(), Bytes: d.number(1200, datagram, datagram), InFlight: d.number(0, 100_000, 1<<30),
		AckEliciting: !d.chance(8), Counted: !d.chance(8)}
	d.call(hook.OpPacketSent, e, func() { d.x.(hook.SentPackets).PacketSent(e) })
}

func (d *driver) packetFate() *hook.PacketFate {
	return &hook.PacketFate{Now: d.now, Packet: d.packet(), Path: d.path(), Bytes: d.number(1200, datagram, datagram), Sent: d.ago(time.Second)}
}

func (d *driver) lost() {
	if !d.wild && !d.chance(20) {
		return
	}
	e := d.packetFate()
	d.call(hook.OpPacketLost, e, func() { d.x.(hook.LostPackets).PacketLost(e) })
}

func (d *driver) acked() {
	e := d.packetFate()
	d.call(hook.OpPacketAcked, e, func() { d.x.(hook.AckedPackets).PacketAcked(e) })
}

// rtt draws a round-trip time, which is never 0.
func (d *driver) rtt() hook.RTT {
	ms := func(least, most int) time.Duration {
		return max(time.Duration(d.number(least, most, 60_000))*time.Millisecond, 1)
	}
	r := hook.RTT{Latest: ms(20, 60), Smoothed: ms(30, 50), Var: ms(1, 8), HasSample: true}
	r.Min = min(r.Latest, r.Smoothed)
	return r
}

func (d *driver) rttSample() {
	rtt := d.rtt()
	d.call(hook.OpRTTSample, rtt, func() {
		d.x.(hook.RTTSamples).RTTSampled(d.now, d.path(), &rtt, time.Duration(d.number(0, 25, 16_384))*time.Millisecond)
	})
}

func (d *driver) stream() uint64 {
	if d.wild && d.chance(4) {
		return d.rng.Uint64N(1 << 62)
	}
	return uint64(4 * d.rng.IntN(8))
}

func (d *driver) streamEvent() {
	id, e := d.stream(), hook.StreamEvent(d.rng.IntN(int(hook.StreamOver)+1))
	d.call(hook.OpStreamEvent, [2]any{id, e}, func() { d.x.(hook.Streams).StreamEvent(d.now, id, e) })
}

func (d *driver) dataSent() {
	id, at, n := d.stream(), uint64(d.number(0, 1<<20, 1<<30)), d.number(1, datagram, datagram)
	d.call(hook.OpDataSent, [3]any{id, at, n}, func() { d.x.(hook.SentData).DataSent(d.now, id, at, n, d.chance(8)) })
}

func (d *driver) dataDelivered() {
	id, at, n := d.stream(), uint64(d.number(0, 1<<20, 1<<30)), d.number(1, datagram, datagram)
	d.call(hook.OpDataReceived, [3]any{id, at, n}, func() { d.x.(hook.DeliveredData).DataDelivered(d.now, id, at, n, d.chance(8)) })
}

func (d *driver) nextStream() {
	e := &hook.StreamsReady{Now: d.now, Room: d.number(100, datagram-30, datagram)}
	for range d.between(1, 1+min(7, hook.MaxReady-1)) {
		e.Ready = append(e.Ready, d.ready())
	}
	for d.wild && d.chance(4) && len(e.Ready) < hook.MaxReady {
		e.Ready = append(e.Ready, d.ready())
	}
	d.call(hook.OpStreamNext, e, func() { d.x.(hook.StreamScheduler).NextStream(e) })
}

func (d *driver) ready() hook.ReadyStream {
	return hook.ReadyStream{ID: d.stream(), Bytes: uint64(d.number(1, 1<<20, 1<<30)), Sent: uint64(d.number(0, 1<<20, 1<<30)), Fin: d.chance(2)}
}

func (d *driver) ackPolicy() {
	e := &hook.AckState{Now: d.now, Oldest: max(d.ago(30*time.Millisecond), 1), Eliciting: d.number(1, 4, 1<<20), Reordered: d.chance(10), CE: d.chance(20),
		Threshold: 2, MaxDelay: 25 * time.Millisecond}
	d.call(hook.OpAckPolicy, e, func() { d.x.(hook.AckPolicy).AckAt(e) })
}

func (d *driver) ackRequest() {
	e := &hook.SendState{Window: d.number(20_000, 200_000, 1<<30), DatagramSize: datagram, RTT: d.rtt(), Reordering: 3, MinDelay: time.Millisecond,
		MaxDelay: 25 * time.Millisecond, Last: hook.AckRequest{Threshold: d.number(2, 8, 1<<20), MaxDelay: 25 * time.Millisecond}}
	d.call(hook.OpAckRequest, e, func() { d.x.(hook.AckRequester).RequestAcks(e) })
}
