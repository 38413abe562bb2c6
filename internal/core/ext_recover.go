package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxRecovered and maxRecoveredBytes bound the packets that an extension hands
	// in within one call. limit: what is beyond is refused.
	maxRecovered      = 32
	maxRecoveredBytes = 64 << 10 // limit: their frames
	// maxDelivered bounds the packets of ours that an extension says, within one
	// call, the peer has. limit: what is beyond is refused.
	maxDelivered = 64
	// maxLostContent is of how many stream frames in lost packets it is remembered
	// what was in them, in case an extension says that the peer has it after all.
	// limit: older ones are sent again.
	maxLostContent = 256
)

// wishes are what an extension asked for and settle is to do.
type wishes struct {
	recovered []recoveredPacket // limit: maxRecovered
	frames    []byte            // of all of them; limit: maxRecoveredBytes
	delivered []deliveredPacket // limit: maxDelivered
}

// recoveredPacket is a packet of the peer that an extension put together.
type recoveredPacket struct {
	pn         uint64
	start, end int // of its frames in wishes.frames
}

// deliveredPacket is a packet of ours that the peer has, an extension says.
type deliveredPacket struct{ pn uint64 }

// seenPackets remembers which packets of the peer were recovered, of the newest
// 1024; older ones count as recovered.
type seenPackets struct {
	bits [16]uint64 // pn%1024
	next uint64     // after the largest
}

const seenSpan = 16 * 64

func (s *seenPackets) has(pn uint64) bool {
	return pn < s.next && (s.next-pn > seenSpan || s.bits[pn%seenSpan/64]&(1<<(pn%64)) != 0)
}

func (s *seenPackets) add(pn uint64) {
	for s.next <= pn {
		if pn-s.next >= seenSpan {
			clear(s.bits[:])
			s.next = pn
		}
		s.bits[s.next%seenSpan/64] &^= 1 << (s.next % 64)
		s.next++
	}
	s.bits[pn%seenSpan/64] |= 1 << (pn % 64)
}

// Recovered implements hook.Conn.
func (a *attached) Recovered(path uint8, pn uint64, payload []byte) error {
	c, w := a.x.conn, &a.wishes
	switch {
	case !a.may(hook.MayRecover):
		return hook.ErrPermission
	case c.closing.state != stateOpen:
		return hook.ErrInactive
	case c.det.PathByID(path) == nil || !c.mayRecover(pn) || !c.repeatable(payload):
		return hook.ErrRange
	case len(w.recovered) >= maxRecovered || len(w.frames)+len(payload) > maxRecoveredBytes:
		return hook.ErrLimit
	}
	start := len(w.frames)
	w.frames = append(w.frames, payload...)
	w.recovered = append(w.recovered, recoveredPacket{pn, start, len(w.frames)})
	a.x.work = true
	return nil
}

// mayRecover reports whether a packet of the peer neither arrived nor was
// recovered, and is one that it may have sent.
func (c *Conn) mayRecover(pn uint64) bool {
	r := &c.spaces[recovery.AppData].recv
	largest, some := r.Largest()
	return some && pn <= largest+seenSpan && !r.Duplicate(pn) && !c.ext.recovered.has(pn)
}

// repeatable reports whether payload is well-formed, and only of frames that say
// the same when they come twice, and in whatever packet. What packets are numbered
// by, where they come from, and which keys they have, is of no account to those.
func (c *Conn) repeatable(payload []byte) bool {
	var f wire.Frame
	for len(payload) > 0 {
		n, err := wire.Next(payload, &f)
		if err != nil || c.agreed(f.Type, n) != nil || !f.Type.IsStream() && !c.repeats(f.Type) {
			return false
		}
		payload = payload[n:]
	}
	return true
}

func (c *Conn) repeats(t wire.FrameType) bool {
	switch t {
	case wire.FramePadding, wire.FramePing, wire.FrameResetStream, wire.FrameResetStreamAt, wire.FrameStopSending,
		wire.FrameMaxData, wire.FrameMaxStreamData, wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni,
		wire.FrameDataBlocked, wire.FrameStreamDataBlocked, wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni,
		wire.FrameDatagram, wire.FrameDatagramLength, // once; see takeRecovered
		wire.FrameAckFrequency: // numbered by itself
		return true
	case wire.FrameNewToken, wire.FrameHandshakeDone:
		return c.client
	}
	return false
}

// Delivered implements hook.Conn.
func (a *attached) Delivered(path uint8, pn uint64) error {
	c, w := a.x.conn, &a.wishes
	switch {
	case !a.may(hook.MayRecover):
		return hook.ErrPermission
	case c.closing.state != stateOpen:
		return hook.ErrInactive
	case c.det.PathByID(path) == nil || c.det.Unsettled(recovery.AppData, pn) == nil && !a.x.hasLost(pn):
		return hook.ErrRange
	case len(w.delivered) >= maxDelivered:
		return hook.ErrLimit
	}
	w.delivered = append(w.delivered, deliveredPacket{pn})
	a.x.work = true
	return nil
}

// settle does what extensions asked for. It is called when the core is done with
// a packet or a timer, so that it never meets itself half-way.
func (c *Conn) settle(now hook.Instant) {
	x := c.ext
	for x.work && c.closing.state == stateOpen {
		x.work = false
		for _, a := range x.list {
			x.settleOne(now, a)
		}
	}
}

func (x *extensions) settleOne(now hook.Instant, a *attached) {
	w := a.wishes
	a.wishes = wishes{} // events may make the extension ask for more
	for _, r := range w.recovered {
		if !a.gone && x.conn.closing.state == stateOpen && x.conn.mayRecover(r.pn) {
			x.takeRecovered(now, a, r.pn, w.frames[r.start:r.end])
		}
	}
	for _, d := range w.delivered {
		if !a.gone {
			x.takeDelivered(a, d.pn)
		}
	}
	if a.wishes.recovered == nil && a.wishes.delivered == nil {
		a.wishes = wishes{w.recovered[:0], w.frames[:0], w.delivered[:0]}
	}
}

// takeRecovered processes the frames of a packet that did not arrive. What breaks
// the protocol in them is the extension's fault, not the peer's: the connection
// goes on without it. Up to there they are as the peer may have sent them.
func (x *extensions) takeRecovered(now hook.Instant, a *attached, pn uint64, payload []byte) {
	x.recovered.add(pn)
	a.stats.Recovered++
	var f wire.Frame
	for len(payload) > 0 {
		n, err := wire.Next(payload, &f)
		if err == nil {
			err = x.conn.repeat(now, &f)
		}
		if err != nil {
			a.end(hook.DetachFault, err)
			return
		}
		payload = payload[n:]
	}
}

// repeat processes a frame that repeatable let pass.
func (c *Conn) repeat(now hook.Instant, f *wire.Frame) error {
	if f.Type.IsStream() {
		return c.handleStream(now, f)
	}
	switch f.Type {
	case wire.FrameResetStream, wire.FrameResetStreamAt:
		return c.handleResetStream(now, f)
	case wire.FrameStopSending:
		return c.handleStopSending(f)
	case wire.FrameMaxData:
		c.handleMaxData(f)
	case wire.FrameMaxStreamData:
		return c.handleMaxStreamData(f)
	case wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni:
		c.handleMaxStreams(f)
	case wire.FrameStreamDataBlocked:
		_, err := c.streamForReceive(f.StreamID, f.Type)
		return err
	case wire.FrameDatagram, wire.FrameDatagramLength:
		c.handleDatagram(f)
	case wire.FrameAckFrequency:
		return c.handleAckFrequency(f)
	case wire.FrameNewToken:
		return c.handleNewToken(f)
	case wire.FrameHandshakeDone:
		return c.handleHandshakeDone(now)
	}
	return nil
}

// takeDelivered takes the content of a packet of ours for acknowledged. The packet
// itself stays in flight, or lost, as congestion control sees it.
func (x *extensions) takeDelivered(a *attached, pn uint64) {
	c := x.conn
	if p := c.det.Unsettled(recovery.AppData, pn); p != nil {
		a.stats.Delivered++
		c.deliverContent(p)
		return
	}
	found := false
	for i := range x.content {
		if l := &x.content[i]; l.pn == pn && l.known {
			l.known, found = false, true
			c.ackedStream(l.stream, l.off, uint64(l.n), l.fin)
		}
	}
	if found {
		a.stats.Delivered++
	}
}

// deliverContent settles what a packet carried, but for what a recovered packet
// does not bring about: see repeats.
func (c *Conn) deliverContent(p *recovery.Sent) {
	if p.Flags&recovery.HasStream != 0 {
		p.Flags &^= recovery.HasStream
		c.ackedStream(p.Stream, p.Offset, uint64(p.Len), p.Flags&recovery.FIN != 0)
	}
	kept := uint32(0)
	for i := p.Extra; i != 0; {
		f, next := c.slab.list[i], c.slab.list[i].next
		switch f.kind {
		case sentAck, sentCrypto, sentNewID, sentRetire, sentPluginControl, sentPluginData, sentPluginMax, sentPlugin, sentNothing:
			c.slab.list[i].next, kept = kept, i
		default:
			c.slab.release(i)
			c.ackedFrame(&f)
		}
		i = next
	}
	p.Extra = kept
}

// lostContent is a piece of a stream in a packet that was declared lost.
type lostContent struct {
	pn, stream, off uint64
	n               uint32
	fin, known      bool // known: nobody said yet that the peer has it
}

// noteLost remembers what a lost packet carried, if an extension may come to know
// that the peer has it.
func (x *extensions) noteLost(pn uint64, p *recovery.Sent) {
	if !x.recovers() {
		return
	}
	if p.Flags&recovery.HasStream != 0 {
		x.noteContent(lostContent{pn, p.Stream, p.Offset, uint32(p.Len), p.Flags&recovery.FIN != 0, true})
	}
	slab := &x.conn.slab
	for i := p.Extra; i != 0; i = slab.list[i].next {
		if f := &slab.list[i]; f.kind == sentStream {
			x.noteContent(lostContent{pn, f.id, f.off, f.n, f.fin, true})
		}
	}
}

// recovers reports whether any extension has to do with lost packets.
func (x *extensions) recovers() bool {
	for _, a := range x.list {
		if a.info.Permissions&hook.MayRecover != 0 {
			return true
		}
	}
	return false
}

func (x *extensions) noteContent(l lostContent) {
	if len(x.content) < maxLostContent {
		x.content = append(x.content, l)
		return
	}
	x.content[x.contentAt] = l
	x.contentAt = (x.contentAt + 1) % maxLostContent
}

// hasLost reports whether it is remembered what a lost packet carried.
func (x *extensions) hasLost(pn uint64) bool {
	for i := range x.content {
		if x.content[i].pn == pn && x.content[i].known {
			return true
		}
	}
	return false
}

// rest gives memory back that an idle connection does not need. Of what was lost
// before so long a silence nobody says any more that it is there after all.
func (x *extensions) rest() {
	x.forgetContent()
	for _, a := range x.list {
		if !x.work {
			a.wishes = wishes{}
		}
	}
}
