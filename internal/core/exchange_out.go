package core

import "github.com/seed51309289/quiver/internal/wire"

// controlOut is a control frame until the peer has acknowledged it.
type controlOut struct {
	frame []byte // encoded; nil = acknowledged
	send  bool   // it waits to be sent, for the first time or again
	early bool   // it may travel in 0-RTT packets
}

// contentOut is the content of a plugin on its way to the peer.
type contentOut struct {
	data        []byte // shared, never changed, bounded by maxPackage; nil = not asked for, or all of it arrived
	next        uint64 // first byte that was never sent
	max         uint64 // the peer's limit
	acked, lost spans  // bounded by the packets in flight
}

// pending returns the next bytes to send: lost ones first.
func (o *contentOut) pending() (start, end uint64) {
	if len(o.lost) > 0 {
		return o.lost[0].start, o.lost[0].end
	}
	return o.next, max(o.next, min(uint64(len(o.data)), o.max))
}

func (o *contentOut) waits() bool {
	start, end := o.pending()
	return start < end
}

// sendControl queues a control frame with the next sequence number. The caller
// has seen that there is room.
func (c *Conn) sendControl(f *wire.Frame) {
	e := c.exch
	f.Sequence = e.seq
	e.seq++
	early := f.Type == wire.FramePluginEvent || f.Type == wire.FramePluginDetach
	e.out = append(e.out, controlOut{frame: wire.AppendFrame(nil, f), send: true, early: early})
	c.control |= ctlExchange
}

// roomFor reports ErrExchangeBusy if the peer has left too many control frames
// unacknowledged.
func (e *exchange) roomFor(frames, span int) error {
	if len(e.out)+frames > span {
		return ErrExchangeBusy
	}
	return nil
}

// appendExchange appends the control frames that wait.
func (c *Conn) appendExchange(p *packet, buf []byte) {
	e := c.exch
	left := false
	for i := range e.out {
		f := &e.out[i]
		if !f.send {
			continue
		}
		if p.early && !f.early || p.end+len(f.frame) > p.limit {
			left = true
			continue
		}
		c.eliciting(p)
		p.end += copy(buf[p.end:p.limit], f.frame)
		f.send = false
		c.record(p, sentFrame{kind: sentPluginControl, id: e.seq - uint64(len(e.out)-i)})
	}
	for _, q := range e.plugins {
		if !q.in.sendMax {
			continue
		}
		if p.early || !c.put(p, buf, &wire.Frame{Type: wire.FramePluginMaxData, Local: q.Local, Limit: q.in.max}) {
			left = true
			continue
		}
		q.in.sendMax = false
		c.record(p, sentFrame{kind: sentPluginMax, id: q.Local, off: q.in.max})
	}
	if !left {
		c.control &^= ctlExchange
	}
}

// appendDataAndContent is appendShares for a connection with plugins to send:
// their content takes the room that is left, or, once in a while, comes first.
func (c *Conn) appendDataAndContent(p *packet, buf []byte) {
	e := c.exch
	if e == nil || p.early || !e.contentWaits() {
		c.appendShares(p, buf)
		return
	}
	start := p.end
	if e.passed++; e.passed >= contentShare {
		c.appendContent(p, buf)
	}
	mid := p.end
	c.appendShares(p, buf)
	if mid == start {
		mid = p.end
		if c.appendContent(p, buf); p.end == mid {
			return
		}
	}
	e.passed = 0
}

// contentWaits reports whether content of a plugin can be sent.
func (e *exchange) contentWaits() bool {
	for _, p := range e.plugins {
		if p.content.waits() {
			return true
		}
	}
	return false
}

// appendContent appends PLUGIN_DATA frames, of the oldest offer first.
func (c *Conn) appendContent(p *packet, buf []byte) {
	for _, q := range c.exch.plugins {
		o := &q.content
		for o.waits() {
			start, end := o.pending()
			header := wire.SizePluginDataHeader(q.Local, start)
			room := min(p.limit-p.end, int(c.exch.peer.MaxControl)) - header
			if room < minStreamRoom {
				return
			}
			end = min(end, start+uint64(room))
			fin := end == uint64(len(o.data))
			c.eliciting(p)
			p.end = len(wire.AppendPluginDataHeader(buf[:p.end], q.Local, start, int(end-start), fin))
			p.end += copy(buf[p.end:p.limit], o.data[start:end])
			if start < o.next {
				o.lost.sub(start, end)
			}
			o.next = max(o.next, end)
			c.record(p, sentFrame{kind: sentPluginData, id: q.Local, off: start, n: uint32(end - start)})
		}
	}
}

// ackedControl learns that the peer has a control frame.
func (c *Conn) ackedControl(seq uint64) {
	e := c.exch
	if e == nil {
		return
	}
	first := e.seq - uint64(len(e.out))
	if seq < first || seq >= e.seq {
		return
	}
	e.out[seq-first] = controlOut{}
	n := 0
	for n < len(e.out) && e.out[n].frame == nil {
		n++
	}
	if n > 0 {
		e.out = append(e.out[:0], e.out[n:]...)
		c.sendDetaches()
		c.tryTicket(c.clock)
	}
}

// lostControl queues a control frame again.
func (c *Conn) lostControl(seq uint64) {
	e := c.exch
	if e == nil {
		return
	}
	first := e.seq - uint64(len(e.out))
	if seq >= first && seq < e.seq && e.out[seq-first].frame != nil {
		e.out[seq-first].send = true
		c.control |= ctlExchange
	}
}

// ackedContent learns that the peer has a part of a plugin's content.
func (c *Conn) ackedContent(f *sentFrame) {
	if o := c.contentOf(f.id); o != nil {
		end := f.off + uint64(f.n)
		o.lost.sub(f.off, end)
		o.acked.add(f.off, end)
		if o.acked.covers(0, uint64(len(o.data))) {
			*o = contentOut{next: o.next}
		}
	}
}

// lostContentOf queues a part of a plugin's content again.
func (c *Conn) lostContentOf(f *sentFrame) {
	if o := c.contentOf(f.id); o != nil {
		o.lost.add(f.off, f.off+uint64(f.n))
		for _, r := range o.acked {
			o.lost.sub(r.start, r.end)
		}
	}
}

func (c *Conn) contentOf(local uint64) *contentOut {
	if c.exch == nil {
		return nil
	}
	p := c.exch.find(local)
	if p == nil || p.content.data == nil {
		return nil
	}
	return &p.content
}

// lostMax queues the newest limit of a plugin's content again.
func (c *Conn) lostMax(f *sentFrame) {
	if c.exch == nil {
		return
	}
	if p := c.exch.find(f.id); p != nil && p.in.max == f.off && !p.sentReady {
		p.in.sendMax = true
		c.control |= ctlExchange
	}
}
