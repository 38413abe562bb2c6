package core

import (
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// frameKind is what a sentFrame stands for.
type frameKind uint8

const (
	sentStream frameKind = iota
	sentCrypto
	sentAck
	sentMaxData
	sentMaxStreamData
	sentMaxStreams
	sentReset
	sentStop
	sentHandshakeDone
	sentNewID
	sentRetire
	sentAckFrequency
	sentNewToken
	sentPluginControl
	sentPluginData
	sentPluginMax
	sentPlugin  // id is the extension's serial number and its token
	sentNothing // what was, and does not matter any more
)

// sentFrame is what a packet carried beside its first STREAM frame. Only what
// its loss or acknowledgment changes is kept (RFC 9000 §13.3).
type sentFrame struct {
	next  uint32 // another frame of the packet; 0 = none
	kind  frameKind
	space recovery.SpaceID // CRYPTO, ACK
	fin   bool             // STREAM
	id    uint64           // stream ID, sequence number, stream type or number of a plugin
	off   uint64           // offset of data; the limit, or the largest number acknowledged
	n     uint32           // length of data
}

// frameSlab holds the sentFrames of all packets in flight without an
// allocation for each: entries are linked by index, 0 being none.
type frameSlab struct {
	list []sentFrame // bounded by recovery.MaxTracked packets and their size
	free uint32
	used int
}

func (s *frameSlab) add(f sentFrame) uint32 {
	s.used++
	if i := s.free; i != 0 {
		s.free = s.list[i].next
		s.list[i] = f
		return i
	}
	if len(s.list) == 0 {
		s.list = append(s.list, sentFrame{})
	}
	s.list = append(s.list, f)
	return uint32(len(s.list) - 1)
}

func (s *frameSlab) release(i uint32) {
	s.list[i] = sentFrame{next: s.free}
	s.free = i
	s.used--
}

// rest gives the memory of an empty slab back.
func (s *frameSlab) rest() {
	if s.used == 0 {
		*s = frameSlab{}
	}
}

var _ recovery.Fates = (*Conn)(nil)

// PacketAcked learns that the peer has a packet. The Detector calls it.
func (c *Conn) PacketAcked(id recovery.SpaceID, pn uint64, p *recovery.Sent) {
	if c.ext != nil && id == recovery.AppData {
		c.ext.tellAcked(pn, p)
	}
	if p.Flags&recovery.HasStream != 0 {
		c.ackedStream(p.Stream, p.Offset, uint64(p.Len), p.Flags&recovery.FIN != 0)
	}
	for i := p.Extra; i != 0; {
		f := c.slab.list[i]
		c.slab.release(i)
		if f.kind == sentPlugin {
			c.ackedPlugin(&f, p.At)
		}
		c.ackedFrame(&f)
		i = f.next
	}
}

func (c *Conn) ackedStream(id, off, n uint64, fin bool) {
	s := c.streams.lookup(id)
	if s == nil {
		return
	}
	if c.ext != nil {
		c.ext.tellDataDelivered(id, off, n, fin)
	}
	w := &s.send
	w.buf.ack(&c.pool, off, off+n)
	if fin {
		w.finAcked, w.finLost = true, false
	}
	if w.wantRoom && c.sendRoom(s) >= chunkSize {
		w.wantRoom = false
		c.postWritable(s)
	}
	if w.reset {
		c.finishReset(s)
	} else if w.finAcked && w.buf.allAcked() {
		c.maybeForget(s)
	}
}

func (c *Conn) ackedFrame(f *sentFrame) {
	switch f.kind {
	case sentStream:
		c.ackedStream(f.id, f.off, uint64(f.n), f.fin)
	case sentCrypto:
		c.spaces[f.space].out.ack(&c.pool, f.off, f.off+uint64(f.n))
	case sentAck:
		// RFC 9000 §13.2.4: what the peer knows that we know needs no repeating.
		c.spaces[f.space].recv.PruneBelow(f.off + 1)
	case sentReset:
		if s := c.streams.lookup(f.id); s != nil {
			c.ackedReset(s, f.off)
		}
	case sentAckFrequency:
		c.ackedAckFrequency()
	case sentRetire:
		c.ids.forgetRetired(f.id)
	case sentNewToken:
		if f.id == tokenID(c.newToken) {
			c.newToken = nil
		}
	case sentPluginControl:
		c.ackedControl(f.id)
	case sentPluginData:
		c.ackedContent(f)
	}
}

// PacketLost learns that a packet is lost. The Detector calls it.
func (c *Conn) PacketLost(id recovery.SpaceID, pn uint64, p *recovery.Sent) {
	if c.log != nil && !c.spaces[id].discarded {
		c.log.PacketLost(c.clock, spaceTypes[id], pn, "")
	}
	if c.ext != nil && id == recovery.AppData {
		c.ext.tellLost(pn, p)
		c.ext.noteLost(pn, p)
		c.lostPlugins(p)
	}
	c.lostContent(p)
	c.forgetSent(p)
}

// forgetSent frees what is kept of a packet whose fate nobody will learn.
func (c *Conn) forgetSent(p *recovery.Sent) {
	for i := p.Extra; i != 0; {
		next := c.slab.list[i].next
		c.slab.release(i)
		i = next
	}
	p.Extra = 0
}

// lostContent queues what a packet carried to be sent again, as far as it
// still matters. RFC 9000 §13.3: information is repeated, not packets.
func (c *Conn) lostContent(p *recovery.Sent) {
	if p.Flags&recovery.HasStream != 0 {
		c.lostStream(p.Stream, p.Offset, uint64(p.Len), p.Flags&recovery.FIN != 0)
	}
	for i := p.Extra; i != 0; i = c.slab.list[i].next {
		c.lostFrame(&c.slab.list[i])
	}
}

func (c *Conn) lostStream(id, off, n uint64, fin bool) {
	s := c.streams.lookup(id)
	if s == nil {
		return
	}
	end := off + n
	if s.send.reset {
		end, fin = min(end, s.send.reliable), false // what the reset took back is not sent again
	}
	s.send.buf.lose(off, end)
	if fin && !s.send.finAcked {
		s.send.finLost = true
	}
	c.queueSend(s)
}

func (c *Conn) lostFrame(f *sentFrame) {
	switch f.kind {
	case sentStream:
		c.lostStream(f.id, f.off, uint64(f.n), f.fin)
	case sentCrypto:
		if !c.spaces[f.space].discarded {
			c.spaces[f.space].out.lose(f.off, f.off+uint64(f.n))
		}
	case sentMaxData:
		if f.off == c.flow.max {
			c.control |= ctlMaxData
		}
	case sentMaxStreams:
		if f.off == c.streams.max[f.id] {
			c.streams.maxSend[f.id] = true
			c.control |= ctlMaxStreams
		}
	case sentAckFrequency:
		if c.ackFreq.inFlight {
			c.control |= ctlAckFrequency
		}
	case sentHandshakeDone:
		c.control |= ctlHandshakeDone
	case sentNewToken:
		if f.id == tokenID(c.newToken) {
			c.control |= ctlNewToken
		}
	case sentNewID:
		c.lostNewID(f.id)
	case sentRetire:
		for i := range c.ids.retiring {
			if c.ids.retiring[i].seq == f.id {
				c.ids.retiring[i].send = true
				c.control |= ctlRetire
			}
		}
	case sentMaxStreamData, sentReset, sentStop:
		c.lostStreamControl(f)
	case sentPluginControl:
		c.lostControl(f.id)
	case sentPluginData:
		c.lostContentOf(f)
	case sentPluginMax:
		c.lostMax(f)
	}
}

func (c *Conn) lostNewID(seq uint64) {
	for i := range c.ids.local {
		if l := &c.ids.local[i]; !l.initial && l.seq == seq {
			l.send = true
			c.control |= ctlNewIDs
		}
	}
}

func (c *Conn) lostStreamControl(f *sentFrame) {
	s := c.streams.lookup(f.id)
	if s == nil {
		return
	}
	switch f.kind {
	case sentMaxStreamData:
		// An older limit says nothing about a newer one that waits to be sent.
		s.recv.maxSend = s.recv.maxSend || f.off == s.recv.max && !s.recv.hasFinal
	case sentReset:
		s.send.resetSend = s.send.resetSend || !s.send.resetAcked && f.off == s.send.reliable
	case sentStop:
		s.recv.stopSend = !s.recv.hasFinal
	}
	c.queueControl(s)
}

// resendOutstanding queues again, for PTO probes, what is in flight: all of a
// handshake space, which is little and blocks everything else, or the oldest
// packets of the application's (RFC 9002 §6.2.4). Nothing is declared lost.
func (c *Conn) resendOutstanding(id recovery.SpaceID, count int) {
	if id != recovery.AppData {
		count = maxHandshakeResend
	}
	for pn := uint64(0); count > 0; count-- {
		n, p, ok := c.det.Outstanding(id, pn)
		if !ok {
			return
		}
		c.lostContent(p)
		pn = n + 1
	}
}

// maxHandshakeResend bounds the packets of a handshake space that a PTO sends again.
const maxHandshakeResend = 64

var spaceTypes = [recovery.NumSpaces]wire.PacketType{wire.PacketInitial, wire.PacketHandshake, wire.Packet1RTT}
