package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
)

// Whoever watches changes nothing: each gets an event of its own, and nothing is
// read back from it. The bytes of packets are the connection's own: native code
// must leave them alone, and the host of WebAssembly shows a copy.

func (x *extensions) tellDatagram(now hook.Instant, d *Datagram, path uint8) {
	for _, h := range x.table.datagrams {
		if h.enter() {
			x.seen.datagram = hook.ReceivedDatagram{Now: now, Path: path, ECN: d.ECN, Bytes: len(d.Data), Socket: d.Socket}
			h.to.ReceiveDatagram(&x.seen.datagram)
			h.leave()
		}
	}
}

func (x *extensions) tellPayload(now hook.Instant, pn uint64, payload []byte) {
	for _, h := range x.table.payloads {
		if h.enter() {
			x.seen.payload = hook.ReceivedPayload{Now: now, Packet: pn, Path: x.conn.arrivalPath(), Frames: payload[:len(payload):len(payload)]}
			h.to.ReceivePayload(&x.seen.payload)
			x.seen.payload.Frames = nil
			h.leave()
		}
	}
}

func (x *extensions) tellReceived(now hook.Instant, info *qlog.PacketInfo, eliciting bool) {
	for _, h := range x.table.received {
		if h.enter() {
			x.seen.received = hook.ReceivedPacket{Now: now, Packet: info.Number, Path: x.conn.arrivalPath(), ECN: info.ECN, Bytes: info.Size, AckEliciting: eliciting}
			h.to.ReceiveDone(&x.seen.received)
			h.leave()
		}
	}
}

func (x *extensions) tellSent(now hook.Instant, p *packet) {
	for _, h := range x.table.sent {
		if h.enter() {
			flags := p.sent.Flags
			x.seen.sent = hook.SentPacket{
				Now: now, Packet: p.pn, Path: p.sent.Path, Bytes: int(p.sent.Size), InFlight: x.conn.det.PathByID(p.sent.Path).BytesInFlight(),
				AckEliciting: flags&recovery.AckEliciting != 0, Counted: flags&recovery.InFlight != 0,
			}
			h.to.PacketSent(&x.seen.sent)
			h.leave()
		}
	}
}

// fateOf describes a packet of ours of which news came.
func (x *extensions) fateOf(pn uint64, p *recovery.Sent) *hook.PacketFate {
	x.seen.fate = hook.PacketFate{Now: x.conn.clock, Packet: pn, Path: p.Path, Bytes: int(p.Size), Sent: p.At}
	return &x.seen.fate
}

func (x *extensions) tellAcked(pn uint64, p *recovery.Sent) {
	for _, h := range x.table.acked {
		if h.enter() {
			h.to.PacketAcked(x.fateOf(pn, p))
			h.leave()
		}
	}
}

func (x *extensions) tellLost(pn uint64, p *recovery.Sent) {
	for _, h := range x.table.lost {
		if h.enter() {
			h.to.PacketLost(x.fateOf(pn, p))
			h.leave()
		}
	}
}

func (x *extensions) tellRTT(now hook.Instant, path *recovery.Path, ackDelay time.Duration) {
	for _, h := range x.table.rtts {
		if h.enter() {
			x.seen.rtt = path.RTT.Snapshot()
			h.to.RTTSampled(now, path.ID(), &x.seen.rtt, ackDelay)
			h.leave()
		}
	}
}

// tellStream tells of a turn in the life of a stream.
func (c *Conn) tellStream(s *Stream, e hook.StreamEvent) {
	if c.ext == nil {
		return
	}
	for _, h := range c.ext.table.streams {
		if h.enter() {
			h.to.StreamEvent(c.clock, s.id, e)
			h.leave()
		}
	}
}

// tellDataSent tells of the bytes [start, end) of a stream, and of its end, when
// they leave for the first time.
func (x *extensions) tellDataSent(stream, start, end uint64, fin bool) {
	for _, h := range x.table.dataSent {
		if h.enter() {
			h.to.DataSent(x.conn.clock, stream, start, int(end-start), fin)
			h.leave()
		}
	}
}

func (x *extensions) tellDataDelivered(stream, off, n uint64, fin bool) {
	for _, h := range x.table.dataDelivered {
		if h.enter() {
			h.to.DataDelivered(x.conn.clock, stream, off, int(n), fin)
			h.leave()
		}
	}
}
