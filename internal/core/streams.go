package core

import (
	"cmp"
	"maps"
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// The two low bits of a stream ID (RFC 9000 §2.1).
const (
	streamServer = 1 // opened by the server
	streamUni    = 2
)

// streamTable holds the streams of a connection and the limits on their number
// (RFC 9000 §4.6). Index 0 is bidirectional, 1 unidirectional.
type streamTable struct {
	byID map[uint64]*Stream // bounded by the MaxStreams of both sides
	last *Stream            // the stream that was looked up last

	opened      [2]uint64 // by us
	peerMax     [2]uint64 // how many the peer lets us open
	accepted    [2]uint64 // opened by the peer
	max         [2]uint64 // how many we let the peer open
	window      [2]uint64 // how many may be open at once
	finished    [2]uint64 // of the peer's streams: forgotten
	maxSend     [2]bool   // MAX_STREAMS is to be sent
	wantOpen    [2]bool   // Open failed: tell when the limit rises
	blockedSent [2]bool   // STREAMS_BLOCKED for the present limit was sent

	newData streamQueue // streams with bytes that were never sent
	lost    streamQueue // streams with bytes to send again, or nothing but their end
	control streamQueue // streams with control frames to send
}

func kind(uni bool) int {
	if uni {
		return 1
	}
	return 0
}

func kindOf(id uint64) int { return int(id&streamUni) >> 1 }

// rest gives memory back that nothing is in.
func (t *streamTable) rest() {
	if len(t.byID) == 0 {
		t.byID = nil
	}
	t.newData.rest()
	t.lost.rest()
	t.control.rest()
}

// lookup returns the stream of an ID that is in the table.
func (t *streamTable) lookup(id uint64) *Stream {
	if t.last != nil && t.last.id == id {
		return t.last
	}
	s := t.byID[id]
	if s != nil {
		t.last = s
	}
	return s
}

// inOrder returns all streams by ID: what is done to each of them must be the
// same in every run.
func (t *streamTable) inOrder() []*Stream {
	all := slices.Collect(maps.Values(t.byID))
	slices.SortFunc(all, func(a, b *Stream) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Open opens a stream, or reports false when the peer's limit does not allow
// it; EventStreams tells when to try again.
func (c *Conn) Open(uni bool) (*Stream, bool) {
	k := kind(uni)
	t := &c.streams
	known := c.haveParams || c.early.state == EarlyOffered
	if !known || c.closing.err != nil || t.opened[k] >= t.peerMax[k] {
		t.wantOpen[k] = true
		if known && !c.streams.blockedSent[k] {
			c.control |= ctlStreamsBlocked
		}
		return nil, false
	}
	id := t.opened[k]<<2 | uint64(k)<<1
	if !c.client {
		id |= streamServer
	}
	t.opened[k]++
	return c.addStream(id), true
}

func (c *Conn) addStream(id uint64) *Stream {
	local := c.isLocal(id)
	s := &Stream{id: id, hasOut: true, hasIn: true}
	if id&streamUni != 0 {
		s.hasOut, s.hasIn = local, !local
	}
	if s.hasOut {
		s.send.max = c.peerStreamLimit(id, local)
	}
	if s.hasIn {
		s.recv.window = c.cfg.StreamWindow
		s.recv.max = s.recv.window
	}
	if c.streams.byID == nil {
		c.streams.byID = make(map[uint64]*Stream)
	}
	c.streams.byID[id] = s
	c.streams.last = s
	c.tellStream(s, hook.StreamOpened)
	return s
}

func (c *Conn) isLocal(id uint64) bool { return (id&streamServer == 0) == c.client }

// peerStreamLimit is the initial limit that the peer's parameters give a
// stream on which we send. Its "local" is what it opened itself.
func (c *Conn) peerStreamLimit(id uint64, local bool) uint64 {
	switch {
	case id&streamUni != 0:
		return c.peer.MaxStreamUni
	case local:
		return c.peer.MaxStreamRemote
	}
	return c.peer.MaxStreamLocal
}

// streamForReceive finds the stream of a frame that belongs to its receiving
// side, opening it if it is the peer's to open. A nil stream without an error
// is one that is finished already.
func (c *Conn) streamForReceive(id uint64, t wire.FrameType) (*Stream, error) {
	if s := c.streams.lookup(id); s != nil && s.hasIn {
		return s, nil
	}
	// RFC 9000 §19.8: data on a stream on which only we send.
	if id&streamUni != 0 && c.isLocal(id) {
		return nil, violation(StreamStateError, t, "stream %d is send-only", id)
	}
	return c.missingStream(id, t)
}

// streamForSend finds the stream of a frame that belongs to its sending side.
func (c *Conn) streamForSend(id uint64, t wire.FrameType) (*Stream, error) {
	if s := c.streams.lookup(id); s != nil && s.hasOut {
		return s, nil
	}
	// RFC 9000 §19.5, §19.10: control of sending on a stream where we only receive.
	if id&streamUni != 0 && !c.isLocal(id) {
		return nil, violation(StreamStateError, t, "stream %d is receive-only", id)
	}
	return c.missingStream(id, t)
}

func (c *Conn) missingStream(id uint64, t wire.FrameType) (*Stream, error) {
	k, n := kindOf(id), id>>2
	if c.isLocal(id) {
		// RFC 9000 §19.8: a stream of ours that we did not open yet.
		if n >= c.streams.opened[k] {
			return nil, violation(StreamStateError, t, "stream %d is not open", id)
		}
		return nil, nil
	}
	if n < c.streams.accepted[k] {
		return nil, nil
	}
	// RFC 9000 §4.6: a stream beyond the limit.
	if n >= c.streams.max[k] {
		return nil, violation(StreamLimitError, t, "stream %d is number %d of its type, limit %d", id, n+1, c.streams.max[k])
	}
	// RFC 9000 §2.1: opening a stream opens all lower ones of its type.
	var s *Stream
	for ; c.streams.accepted[k] <= n; c.streams.accepted[k]++ {
		s = c.addStream(c.streams.accepted[k]<<2 | id&3)
		c.events.push(Event{Kind: EventOpened, Stream: s})
	}
	return s, nil
}

// maybeForget drops a stream whose two sides are over, and lets the peer open
// another one in its place.
func (c *Conn) maybeForget(s *Stream) {
	if s.gone || !s.sendDone() || !s.recvDone() {
		return
	}
	s.gone = true
	s.send.buf.drop(&c.pool)
	delete(c.streams.byID, s.id)
	if c.streams.last == s {
		c.streams.last = nil
	}
	c.tellStream(s, hook.StreamOver)
	if c.isLocal(s.id) {
		return
	}
	k := kindOf(s.id)
	t := &c.streams
	t.finished[k]++
	// One MAX_STREAMS for a quarter of the streams, not one for each.
	if t.finished[k]+t.window[k]-t.max[k] > t.window[k]/4 {
		t.max[k] = min(t.finished[k]+t.window[k], wire.MaxStreams)
		t.maxSend[k] = true
		c.control |= ctlMaxStreams
	}
}

// Over reports whether both sides of a stream are over, and with them its claim
// on the limit of streams, or the connection is.
func (c *Conn) Over(s *Stream) bool { return s.gone || c.closing.err != nil }

func (c *Conn) handleMaxStreams(f *wire.Frame) {
	uni := f.Type == wire.FrameMaxStreamsUni
	k := kind(uni)
	// RFC 9000 §4.6: a limit that does not grow is ignored.
	if f.Limit <= c.streams.peerMax[k] {
		return
	}
	c.streams.peerMax[k] = f.Limit
	c.streams.blockedSent[k] = false
	if c.streams.wantOpen[k] {
		c.streams.wantOpen[k] = false
		c.events.push(Event{Kind: EventStreams, Uni: uni})
	}
}

func (c *Conn) postReadable(s *Stream) {
	if !s.postedReadable {
		s.postedReadable = true
		c.events.push(Event{Kind: EventReadable, Stream: s})
	}
}

func (c *Conn) postWritable(s *Stream) {
	if !s.postedWritable {
		s.postedWritable = true
		c.events.push(Event{Kind: EventWritable, Stream: s})
	}
}

// queueSend puts a stream with something to send into the right queue.
func (c *Conn) queueSend(s *Stream) {
	w := &s.send
	if s.gone {
		return
	}
	if w.needsNoCredit() {
		c.streams.lost.push(s, &s.queuedLost)
	}
	if w.buf.next < min(w.end(), w.max) {
		c.streams.newData.push(s, &s.queuedNew)
		return
	}
	if w.buf.next < w.end() && w.blockedAt != w.max+1 {
		// RFC 9000 §4.1: a sender that is blocked SHOULD say so.
		w.blockedAt, w.blocked = w.max+1, true
		c.queueControl(s)
	}
}

// needsNoCredit reports whether there is something to send that flow control
// allowed before: bytes to send again, or an end without data. It must not wait
// behind another stream's data that has no credit.
func (w *sendHalf) needsNoCredit() bool {
	return len(w.buf.lost) > 0 || w.finLost || w.fin && !w.finSent && w.buf.next == w.buf.end()
}

func (c *Conn) queueControl(s *Stream) { c.streams.control.push(s, &s.queuedCtl) }

// streamQueue is a first-in-first-out of streams, each at most once.
type streamQueue struct {
	list []*Stream // bounded by the streams of byID
	head int
}

func (q *streamQueue) empty() bool { return q.head == len(q.list) }

func (q *streamQueue) front() *Stream { return q.list[q.head] }

func (q *streamQueue) push(s *Stream, in *bool) {
	if *in {
		return
	}
	*in = true
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, s)
}

// pop removes the front; in is the flag that push set.
func (q *streamQueue) pop(in *bool) {
	*in = false
	q.list[q.head] = nil
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

// rest gives the memory of an empty queue back.
func (q *streamQueue) rest() {
	if q.empty() {
		*q = streamQueue{}
	}
}

// rotate moves the front to the back, so that streams share a connection.
func (q *streamQueue) rotate() {
	if len(q.list)-q.head < 2 {
		return
	}
	s, moved := q.list[q.head], false
	q.list[q.head] = nil
	q.head++
	q.push(s, &moved)
}
