package core

import (
	"errors"
	"fmt"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxSendDatagrams bounds the datagrams that wait for the congestion window,
	// which a peer keeps shut by acknowledging nothing. limit: a newer one takes
	// the place of the oldest.
	maxSendDatagrams = 64
	// maxRecvDatagrams and maxRecvDatagramBytes bound the datagrams that wait for
	// the application. limit: a newer one takes the place of the oldest.
	maxRecvDatagrams     = 256
	maxRecvDatagramBytes = 1 << 20 // limit: the same, in bytes
)

// ErrNoDatagrams says that the peer takes no DATAGRAM frames (RFC 9221 §3).
var ErrNoDatagrams = errors.New("the peer takes no datagrams")

// DatagramTooLargeError says that a datagram does not fit into a packet, or
// into what the peer takes.
type DatagramTooLargeError struct {
	Size int // bytes of the datagram
	Max  int // bytes that would fit now; path MTU discovery may change it
}

func (e *DatagramTooLargeError) Error() string {
	return fmt.Sprintf("datagram of %d bytes, at most %d fit now", e.Size, e.Max)
}

// datagrams are the unreliable messages of a connection (RFC 9221).
type datagrams struct {
	out      datagramRing
	wantRoom bool // the application waits for room in out
	streams  bool // streams go first in the next packet
	in       datagramQueue
	sent     uint64 // counts, of datagrams
	received uint64
	dropped  uint64 // of those to send: displaced by newer ones, or too large since the MTU fell
	unread   uint64 // of those received: displaced by newer ones
}

// datagramState returns the state of datagrams, made when it is first needed.
func (c *Conn) datagramState() *datagrams {
	if c.datagrams == nil {
		c.datagrams = new(datagrams)
	}
	return c.datagrams
}

// datagramsWait reports whether there are datagrams to send.
func (c *Conn) datagramsWait() bool { return c.datagrams != nil && c.datagrams.out.n > 0 }

// datagramRing is first in, first out, and keeps the memory of its slots.
type datagramRing struct {
	slots [][]byte // nil, or all of them; limit: maxSendDatagrams
	head  int
	n     int
}

func (r *datagramRing) push(p []byte) {
	if r.slots == nil {
		r.slots = make([][]byte, maxSendDatagrams)
	}
	s := &r.slots[(r.head+r.n)%maxSendDatagrams]
	*s = append((*s)[:0], p...)
	r.n++
}

func (r *datagramRing) front() []byte { return r.slots[r.head] }

func (r *datagramRing) pop() {
	r.head = (r.head + 1) % maxSendDatagrams
	r.n--
}

// trim gives the memory of an empty ring back.
func (r *datagramRing) trim() {
	if r.n == 0 {
		*r = datagramRing{}
	}
}

// MaxDatagram returns the most bytes that SendDatagram takes now; 0 means that
// the peer takes none.
func (c *Conn) MaxDatagram() int {
	const (
		short = 1 + 4                               // without the connection ID
		long  = 1 + 4 + 1 + 20 + 1 + 20 + 8 + 2 + 4 // of 0-RTT
		block = 15                                  // what beginPacket may round off
	)
	overhead := short + len(c.ids.dcid())
	if !c.complete {
		overhead = long
	}
	frame := uint64(c.path.rec.MTU.Current() - overhead - block - crypt.TagSize)
	// RFC 9221 §3: the peer's limit counts the whole frame.
	frame = min(frame, c.peer.MaxDatagramFrame)
	for header := 2; header <= 3; header++ {
		if n := int(frame) - header; n >= 0 && wire.SizeDatagramHeader(n) == header {
			return n
		}
	}
	return max(int(frame)-3, 0)
}

// Datagrams tells which sides take datagrams.
func (c *Conn) Datagrams() (local, remote bool) {
	return c.cfg.MaxDatagramFrame > 0, c.peer.MaxDatagramFrame > 0
}

// SendDatagram queues a copy of p as one DATAGRAM frame, which is sent when
// congestion control allows, and never again. When maxSendDatagrams wait
// already the oldest of them is dropped: news is worth more. The error is
// ErrNoDatagrams or a *DatagramTooLargeError, or why the connection ended.
func (c *Conn) SendDatagram(p []byte) error {
	switch most := c.MaxDatagram(); {
	case c.closing.err != nil:
		return c.closing.err
	case c.peer.MaxDatagramFrame == 0:
		return ErrNoDatagrams
	case len(p) > most:
		return &DatagramTooLargeError{Size: len(p), Max: most}
	}
	q := c.datagramState()
	if q.out.n == maxSendDatagrams {
		q.out.pop()
		q.dropped++
	}
	q.out.push(p)
	return nil
}

// DatagramRoom reports whether SendDatagram would drop nothing. If not,
// EventDatagramRoom will tell.
func (c *Conn) DatagramRoom() bool {
	q := c.datagrams
	if q == nil || q.out.n < maxSendDatagrams {
		return true
	}
	q.wantRoom = true
	return false
}

// ReadDatagram returns the oldest datagram received, which is the caller's from
// now on, or false: then EventDatagram will tell.
func (c *Conn) ReadDatagram() ([]byte, bool) {
	if c.datagrams == nil || c.datagrams.in.len() == 0 {
		return nil, false
	}
	return c.datagrams.in.pop(), true
}

// datagramQueue is first in, first out; what leaves it is the application's.
type datagramQueue struct {
	list  [][]byte // limit: maxRecvDatagrams
	head  int
	bytes int
}

func (q *datagramQueue) len() int { return len(q.list) - q.head }

func (q *datagramQueue) push(p []byte) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, p)
	q.bytes += len(p)
}

func (q *datagramQueue) pop() []byte {
	p := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	q.bytes -= len(p)
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return p
}

// handleDatagram takes a DATAGRAM frame (RFC 9221 §4).
func (c *Conn) handleDatagram(f *wire.Frame) {
	if c.ext != nil && c.ext.arriving.again {
		return // an extension recovered the packet before it came
	}
	d := c.datagramState()
	q := &d.in
	d.received++
	if q.len() == 0 {
		c.events.push(Event{Kind: EventDatagram})
	}
	// RFC 9221 §5: a receiver MAY drop what it has no room for.
	for q.len() == maxRecvDatagrams || q.len() > 0 && q.bytes+len(f.Data) > maxRecvDatagramBytes {
		q.pop()
		d.unread++
	}
	q.push(append([]byte{}, f.Data...))
}

// appendDatagrams appends the datagrams that fit. They are not recorded: RFC
// 9221 §5: a lost DATAGRAM frame is not sent again.
func (c *Conn) appendDatagrams(p *packet, buf []byte) {
	q := c.datagrams
	for q.out.n > 0 {
		data := q.out.front()
		if p.end+wire.SizeDatagramHeader(len(data))+len(data) > p.limit {
			if len(data) <= c.MaxDatagram() {
				return // the next packet has room
			}
			q.dropped++ // the path carries less than when it was queued
			q.out.pop()
			continue
		}
		c.eliciting(p)
		p.end = len(wire.AppendDatagram(buf[:p.end], data))
		q.out.pop()
		q.sent++
	}
	if q.wantRoom {
		q.wantRoom = false
		c.events.push(Event{Kind: EventDatagramRoom})
	}
}

// appendData appends datagrams and stream data. While both wait they take
// turns at being first, so that neither starves the other.
func (c *Conn) appendData(p *packet, buf []byte) {
	q := c.datagrams
	if q == nil || q.out.n == 0 {
		c.appendStreams(p, buf)
		return
	}
	if q.streams {
		c.appendStreams(p, buf)
		c.appendDatagrams(p, buf)
	} else {
		c.appendDatagrams(p, buf)
		c.appendStreams(p, buf)
	}
	q.streams = !q.streams
}
