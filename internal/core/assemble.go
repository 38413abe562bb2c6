package core

import (
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// appendFrames fills a packet, frames in a fixed order, and reports whether it
// is worth sending. free says that congestion control lets ack-eliciting
// frames go. A packet that stays empty leaves no trace.
func (c *Conn) appendFrames(now hook.Instant, p *packet, buf []byte, free bool) bool {
	s := &c.spaces[p.id]
	// RFC 9000 §12.5: no ACK in 0-RTT packets.
	due := s.recv.WantAck(now) && !p.early
	x := c.ext
	if p.id != recovery.AppData {
		x = nil
	}
	if x != nil {
		x.beginPacket(p, due || s.probes > 0 || free && c.wantsBudget())
	}
	if due || s.recv.Pending() && free && !p.early {
		c.appendAck(now, p, buf)
	}
	p.frames = p.end
	if free {
		c.appendCrypto(p, buf)
		if p.id == recovery.AppData {
			c.appendControl(p, buf)
			c.appendStreamControl(p, buf)
			c.appendDataAndContent(p, buf)
		}
		if s.probes > 0 {
			c.appendProbe(p, buf)
		}
		if c.ackRun >= maxAckRun && p.ackOnly && due {
			c.put(p, buf, &wire.Frame{Type: wire.FramePing})
		}
	} else if x != nil && c.mayCarry(p) {
		x.appendExceeding(p, buf)
	}
	// An ACK that is not due yet goes alone if it leaves a datagram no room.
	displaced := p.end > p.payload && free && p.id == recovery.AppData && c.datagramsWait()
	if p.ackOnly && !due && !displaced && !p.plugin {
		return false
	}
	if x != nil {
		x.endPacket(p, buf)
	}
	c.ackRun++
	if !p.ackOnly {
		c.ackRun = 0
	}
	if s.recv.Pending() && !p.early {
		s.recv.AckSent(now)
	}
	// RFC 9001 §5.4.2: enough bytes for the header protection sample.
	for p.end-p.pnOffset < 4 {
		buf[p.end] = byte(wire.FramePadding)
		p.end++
	}
	return true
}

// appendShares appends the application's data, and frames of extensions.
func (c *Conn) appendShares(p *packet, buf []byte) {
	if c.ext == nil || !c.mayCarry(p) {
		c.appendData(p, buf)
	} else {
		c.ext.takeTurns(p, buf)
	}
}

// maxAckRun is how many ACKs in a row go without asking for an acknowledgment
// of their own: now and then one must, so that their ranges can be forgotten
// (RFC 9000 §13.2.4).
const maxAckRun = 64

// appendAck appends an ACK frame (RFC 9000 §13.2.3).
func (c *Conn) appendAck(now hook.Instant, p *packet, buf []byte) {
	r := &c.spaces[p.id].recv
	if !r.HasAck() {
		return
	}
	c.ranges = r.Ranges(c.ranges[:0])
	delay := uint64(now.Sub(r.LargestTime())/time.Microsecond) >> ackDelayExponent
	var ecn *wire.ECNCounts
	if n := r.ECN(); n.ECT0 != 0 || n.ECT1 != 0 || n.CE != 0 {
		ecn = &n
	}
	p.end = len(wire.AppendAck(buf[:p.end], p.limit-p.end, c.ranges, delay, ecn))
}

// ackDelayExponent is the default, which we keep (RFC 9000 §18.2).
const ackDelayExponent = 3

// noteAck records that an ack-eliciting packet carries an ACK, so that its
// ranges need no repeating once it arrived.
func (c *Conn) noteAck(p *packet) {
	if p.ackOnly && p.frames > p.payload {
		largest, _ := c.spaces[p.id].recv.Largest()
		c.record(p, sentFrame{kind: sentAck, space: p.id, off: largest})
	}
}

// record links f to the packet.
func (c *Conn) record(p *packet, f sentFrame) {
	f.next = p.sent.Extra
	p.sent.Extra = c.slab.add(f)
}

// eliciting marks the packet; it is called before the frame is appended.
func (c *Conn) eliciting(p *packet) {
	c.noteAck(p)
	p.ackOnly = false
	p.sent.Flags |= recovery.AckEliciting
}

// maxControlFrame is the largest frame that put appends, in bytes.
const maxControlFrame = 64

// put appends a small frame if there is room.
func (c *Conn) put(p *packet, buf []byte, f *wire.Frame) bool {
	if p.end+maxControlFrame > p.limit {
		return false
	}
	c.eliciting(p)
	p.end = len(wire.AppendFrame(buf[:p.end], f))
	return true
}

// appendCrypto appends handshake data.
func (c *Conn) appendCrypto(p *packet, buf []byte) {
	s := &c.spaces[p.id]
	for {
		start, end := s.out.pending(s.out.end())
		room := p.limit - p.end - wire.SizeCryptoHeader(start)
		if start == end || room < 1 {
			return
		}
		n := min(end-start, uint64(room))
		c.eliciting(p)
		p.end = len(wire.AppendCryptoHeader(buf[:p.end], start, int(n)))
		s.out.read(start, buf[p.end:p.end+int(n)])
		p.end += int(n)
		c.countResent(start, start+n, s.out.next)
		s.out.sent(start, start+n)
		c.record(p, sentFrame{kind: sentCrypto, space: p.id, off: start, n: uint32(n)})
	}
}

// appendControl appends the connection's control frames.
func (c *Conn) appendControl(p *packet, buf []byte) {
	if c.control == 0 {
		return
	}
	if c.control&ctlHandshakeDone != 0 && c.put(p, buf, &wire.Frame{Type: wire.FrameHandshakeDone}) {
		c.control &^= ctlHandshakeDone
		c.record(p, sentFrame{kind: sentHandshakeDone})
	}
	if c.control&ctlMaxData != 0 && c.put(p, buf, &wire.Frame{Type: wire.FrameMaxData, Limit: c.flow.max}) {
		c.control &^= ctlMaxData
		c.record(p, sentFrame{kind: sentMaxData, off: c.flow.max})
	}
	if c.control&ctlMaxStreams != 0 {
		c.appendMaxStreams(p, buf)
	}
	if c.control&ctlStreamsBlocked != 0 {
		c.appendStreamsBlocked(p, buf)
	}
	if c.control&ctlDataBlocked != 0 && c.put(p, buf, &wire.Frame{Type: wire.FrameDataBlocked, Limit: c.flow.peerMax}) {
		c.control &^= ctlDataBlocked
	}
	if c.control&ctlNewToken != 0 {
		c.appendNewToken(p, buf)
	}
	if c.control&(ctlNewIDs|ctlRetire) != 0 {
		c.appendConnIDs(p, buf)
	}
	if c.control&ctlAckFrequency != 0 {
		c.appendAckFrequency(p, buf)
	}
	if c.control&ctlExchange != 0 {
		c.appendExchange(p, buf)
	}
	if c.control&ctlPing != 0 {
		if !p.ackOnly || c.put(p, buf, &wire.Frame{Type: wire.FramePing}) {
			c.control &^= ctlPing
		}
	}
}

func (c *Conn) appendMaxStreams(p *packet, buf []byte) {
	t := &c.streams
	for k, frame := range [2]wire.FrameType{wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni} {
		if !t.maxSend[k] {
			continue
		}
		if !c.put(p, buf, &wire.Frame{Type: frame, Limit: t.max[k]}) {
			return
		}
		t.maxSend[k] = false
		c.record(p, sentFrame{kind: sentMaxStreams, id: uint64(k), off: t.max[k]})
	}
	c.control &^= ctlMaxStreams
}

func (c *Conn) appendStreamsBlocked(p *packet, buf []byte) {
	t := &c.streams
	for k, frame := range [2]wire.FrameType{wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni} {
		if !t.wantOpen[k] || t.blockedSent[k] {
			continue
		}
		if !c.put(p, buf, &wire.Frame{Type: frame, Limit: t.peerMax[k]}) {
			return
		}
		t.blockedSent[k] = true
	}
	c.control &^= ctlStreamsBlocked
}

func (c *Conn) appendConnIDs(p *packet, buf []byte) {
	for i := range c.ids.local {
		l := &c.ids.local[i]
		if !l.send {
			continue
		}
		f := wire.Frame{Type: wire.FrameNewConnectionID, Sequence: l.seq, RetirePriorTo: min(c.ids.localPrior, l.seq), ConnID: l.id.Bytes(), ResetToken: l.token}
		if !c.put(p, buf, &f) {
			return
		}
		l.send = false
		c.record(p, sentFrame{kind: sentNewID, id: l.seq})
	}
	for i := range c.ids.retiring {
		r := &c.ids.retiring[i]
		if !r.send {
			continue
		}
		if !c.put(p, buf, &wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: r.seq}) {
			return
		}
		r.send = false
		c.record(p, sentFrame{kind: sentRetire, id: r.seq})
	}
	c.control &^= ctlNewIDs | ctlRetire
}

// appendStreamControl appends the control frames of streams.
func (c *Conn) appendStreamControl(p *packet, buf []byte) {
	q := &c.streams.control
	for !q.empty() {
		s := q.front()
		if !c.appendOneStreamControl(p, buf, s) {
			return
		}
		q.pop(&s.queuedCtl)
	}
}

// appendOneStreamControl reports false when the packet is full.
func (c *Conn) appendOneStreamControl(p *packet, buf []byte, s *Stream) bool {
	if s.recv.maxSend && !s.gone {
		if !c.put(p, buf, &wire.Frame{Type: wire.FrameMaxStreamData, StreamID: s.id, Limit: s.recv.max}) {
			return false
		}
		s.recv.maxSend = false
		c.record(p, sentFrame{kind: sentMaxStreamData, id: s.id, off: s.recv.max})
	}
	if s.recv.stopSend {
		if !c.put(p, buf, &wire.Frame{Type: wire.FrameStopSending, StreamID: s.id, Code: s.recv.stopCode}) {
			return false
		}
		s.recv.stopSend = false
		c.record(p, sentFrame{kind: sentStop, id: s.id})
	}
	if s.send.resetSend {
		if !c.put(p, buf, s.resetFrame()) {
			return false
		}
		s.send.resetSend = false
		c.record(p, sentFrame{kind: sentReset, id: s.id, off: s.send.reliable})
	}
	if s.send.blocked {
		if !c.put(p, buf, &wire.Frame{Type: wire.FrameStreamDataBlocked, StreamID: s.id, Limit: s.send.max}) {
			return false
		}
		s.send.blocked = false
	}
	return true
}

// appendStreams appends STREAM frames: first what needs no credit, lost data
// above all, then new data, the streams taking turns from packet to packet.
func (c *Conn) appendStreams(p *packet, buf []byte) {
	t := &c.streams
	for !t.lost.empty() {
		s := t.lost.front()
		if !c.appendStreamData(p, buf, s) {
			return
		}
		if !s.send.needsNoCredit() || s.gone {
			t.lost.pop(&s.queuedLost)
		}
	}
	for !t.newData.empty() {
		s := t.newData.front()
		if s.gone || !c.hasNew(s) {
			t.newData.pop(&s.queuedNew)
			c.queueSend(s) // it may be blocked, and should say so
			continue
		}
		if c.flow.available() == 0 && s.send.buf.next < s.send.end() {
			c.blockedByPeer()
			return
		}
		if x := c.ext; x != nil && len(x.table.streamScheduler) > 0 && p.limit-p.end >= minStreamRoom {
			x.schedule(p)
			s = t.newData.front()
		}
		if !c.appendStreamData(p, buf, s) {
			t.newData.rotate()
			return
		}
	}
}

// hasNew reports whether a stream's own limit lets it send something for the
// first time.
func (c *Conn) hasNew(s *Stream) bool {
	w := &s.send
	return w.buf.next < min(w.end(), w.max)
}

// blockedByPeer says once per limit that connection flow control holds us back
// (RFC 9000 §4.1).
func (c *Conn) blockedByPeer() {
	if c.flow.blockedAt != c.flow.peerMax+1 {
		c.flow.blockedAt = c.flow.peerMax + 1
		c.control |= ctlDataBlocked
	}
}

// appendStreamData appends one STREAM frame with the next bytes of s. It
// reports false when the packet has no room for it.
func (c *Conn) appendStreamData(p *packet, buf []byte, s *Stream) bool {
	w := &s.send
	if s.gone {
		return true
	}
	start, end := w.buf.pending(min(w.max, w.end()))
	if start == w.buf.next {
		end = min(end, start+c.flow.available())
	}
	if start == end && w.finLost {
		start, end = w.buf.end(), w.buf.end()
	}
	room := p.limit - p.end - wire.SizeStreamHeader(s.id, start)
	if room < 0 || room < minStreamRoom && uint64(room) < end-start {
		return false
	}
	n := int(min(end-start, uint64(room)))
	fin := w.fin && start+uint64(n) == w.buf.end()
	if n == 0 && !(fin && (!w.finSent || w.finLost)) {
		return true
	}
	c.eliciting(p)
	p.end = len(wire.AppendStreamHeader(buf[:p.end], s.id, start, n, fin))
	if n > 0 {
		w.buf.read(start, buf[p.end:p.end+n])
		p.end += n
	}
	c.sentStream(p, s, start, start+uint64(n), fin)
	return true
}

// minStreamRoom is the least part of a larger piece of data that is worth a
// STREAM frame, in bytes.
const minStreamRoom = 32

func (c *Conn) sentStream(p *packet, s *Stream, start, end uint64, fin bool) {
	w := &s.send
	if x := c.ext; x != nil && (end > w.buf.next || fin && !w.finSent) {
		x.tellDataSent(s.id, max(start, w.buf.next), end, fin)
	}
	if end > w.buf.next {
		c.flow.sent += end - max(start, w.buf.next)
	}
	c.countResent(start, end, w.buf.next)
	w.buf.sent(start, end)
	if w.resetWait {
		c.sentReliable(s)
	}
	if fin {
		if !w.finSent {
			c.tellStream(s, hook.StreamFinSent)
		}
		w.finSent, w.finLost = true, false
	}
	if p.sent.Flags&recovery.HasStream != 0 {
		c.record(p, sentFrame{kind: sentStream, id: s.id, off: start, n: uint32(end - start), fin: fin})
		return
	}
	p.sent.Stream, p.sent.Offset, p.sent.Len = s.id, start, uint16(end-start)
	p.sent.Flags |= recovery.HasStream
	if fin {
		p.sent.Flags |= recovery.FIN
	}
}
