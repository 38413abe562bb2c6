package core

import (
	"errors"
	"io"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// Stream is one stream of a connection. Its methods that need the connection
// are on Conn; a Stream is a handle and holds state only.
type Stream struct {
	// User is the driver's: what it keeps beside the stream.
	User any

	id     uint64
	send   sendHalf
	recv   recvHalf
	hasOut bool // we send on it
	hasIn  bool // the peer sends on it
	gone   bool // forgotten by the connection
	// rejected means that it carried early data which the server did not take.
	rejected bool

	queuedNew, queuedLost, queuedCtl bool // in these queues of the connection
	postedReadable, postedWritable   bool
}

// sendHalf is the sending side of a stream (RFC 9000 §3.1).
type sendHalf struct {
	buf        sendBuffer
	max        uint64 // the peer's flow control limit, bytes
	fin        bool   // the application ended the stream at buf.end()
	finSent    bool
	finLost    bool
	finAcked   bool
	reset      bool // the application, or the peer's STOP_SENDING, gave it up
	resetCode  uint64
	resetSize  uint64 // the final size that RESET_STREAM tells
	resetSend  bool   // RESET_STREAM, or RESET_STREAM_AT, is to be sent
	resetWait  bool   // … but not before all reliable bytes were
	resetAcked bool
	boundary   uint64       // bytes that a reset will not take back
	reliable   uint64       // bytes that the reset did not take back
	stopped    *StreamError // why writes fail
	blockedAt  uint64       // limit that STREAM_DATA_BLOCKED reported, plus one
	blocked    bool         // STREAM_DATA_BLOCKED is to be sent
	wantRoom   bool         // a write was cut short
}

// recvHalf is the receiving side of a stream (RFC 9000 §3.2).
type recvHalf struct {
	buf        recvBuffer
	max        uint64 // the limit that we announced, bytes
	window     uint64 // how far ahead of the reader it goes
	highest    uint64 // end of the highest byte received
	final      uint64 // final size, valid if hasFinal
	hasFinal   bool
	reset      *StreamError // the peer reset the stream
	resetAt    bool         // … by a RESET_STREAM_AT
	reliable   uint64       // bytes that it did not take back
	stop       bool         // we gave up reading
	stopCode   uint64
	stopSend   bool // STOP_SENDING is to be sent
	maxSend    bool // MAX_STREAM_DATA is to be sent
	delivered  bool // the application has seen the end
	lastUpdate hook.Instant
}

// ID returns the stream's ID (RFC 9000 §2.1).
func (s *Stream) ID() uint64 { return s.id }

// CanSend and CanReceive tell which directions the stream has for us.
func (s *Stream) CanSend() bool { return s.hasOut }

// CanReceive reports whether the peer sends on the stream.
func (s *Stream) CanReceive() bool { return s.hasIn }

// sendDone reports whether nothing of the sending side can matter any more.
func (s *Stream) sendDone() bool {
	if !s.hasOut {
		return true
	}
	if s.send.reset {
		return s.send.resetAcked && s.send.buf.data.base >= s.send.reliable
	}
	return s.send.finAcked && s.send.buf.allAcked()
}

func (s *Stream) recvDone() bool {
	if !s.hasIn {
		return true
	}
	if s.recv.stop {
		return s.recv.hasFinal
	}
	return s.recv.delivered
}

// Read moves received bytes to p. n == 0 with a nil error means that there is
// nothing to read now: EventReadable will tell. At the end of the stream the
// error is io.EOF; a reset by the peer is a *StreamError; early data that was
// rejected is ErrEarlyRejected.
func (c *Conn) Read(now Time, s *Stream, p []byte) (n int, err error) {
	limit, err := c.beforeRead(s)
	if err != nil {
		return 0, err
	}
	n = s.recv.buf.read(&c.pool, p[:min(uint64(len(p)), limit)])
	return n, c.afterRead(now, s, uint64(n))
}

// beforeRead returns how many bytes may be read, or why none ever again.
func (c *Conn) beforeRead(s *Stream) (limit uint64, err error) {
	r := &s.recv
	switch {
	case s.rejected:
		return 0, ErrEarlyRejected
	case r.stop:
		return 0, &StreamError{Stream: s.id, Code: r.stopCode}
	case r.cut():
		c.finishRead(s)
		return 0, r.reset
	case r.reset != nil:
		return r.reliable - r.buf.data.base, nil
	}
	return wire.MaxVarint, nil
}

// afterRead accounts for n bytes that were read, and returns why there were none.
func (c *Conn) afterRead(now Time, s *Stream, n uint64) (err error) {
	r := &s.recv
	if n > 0 {
		c.consumed(c.at(now), s, n)
	}
	if r.cut() {
		c.dropReceived(c.at(now), s)
	}
	if r.hasFinal && r.buf.data.base == r.final {
		c.finishRead(s)
		if n == 0 {
			err = io.EOF
		}
	}
	if n == 0 && err == nil && c.closing.err != nil {
		err = c.closing.err
	}
	return err
}

func (c *Conn) finishRead(s *Stream) {
	if !s.recv.delivered {
		s.recv.delivered = true
		if s.recv.reset == nil {
			c.tellStream(s, hook.StreamFinRead)
		}
		c.maybeForget(s)
	}
}

// Write takes up to len(p) bytes of p into the stream's buffer, copying them.
// n < len(p) with a nil error means that the buffer is full: EventWritable
// will tell when there is room. After the peer's STOP_SENDING or a Reset the
// error is a *StreamError.
func (c *Conn) Write(s *Stream, p []byte) (n int, err error) {
	w := &s.send
	if err := c.WriteErr(s); err != nil {
		return 0, err
	}
	room := c.sendRoom(s)
	n = len(p)
	if uint64(n) > room {
		n, w.wantRoom = int(room), true
	}
	if n > 0 {
		w.buf.write(&c.pool, p[:n])
		c.queueSend(s)
	}
	return n, nil
}

// WriteErr returns why Write takes no more, or nil.
func (c *Conn) WriteErr(s *Stream) error {
	switch w := &s.send; {
	case s.rejected:
		return ErrEarlyRejected
	case w.stopped != nil:
		return w.stopped
	case c.closing.err != nil:
		return c.closing.err
	case w.fin:
		return ErrFinished
	}
	return nil
}

// ReadErr returns why Read has no more to give, ever, or nil. What arrived
// before the connection ended can still be read.
func (c *Conn) ReadErr(s *Stream) error {
	switch r := &s.recv; {
	case s.rejected:
		return ErrEarlyRejected
	case r.stop:
		return &StreamError{Stream: s.id, Code: r.stopCode}
	case r.cut():
		return r.reset
	case r.delivered:
		return io.EOF
	}
	return c.closing.err
}

// ResetErr returns the peer's reset, from when it arrived: what a reset protects
// may still be there to be read. nil = there was none.
func (c *Conn) ResetErr(s *Stream) error {
	if s.recv.reset == nil {
		return nil
	}
	return s.recv.reset
}

// ErrFinished says that a stream was written to after CloseWrite.
var ErrFinished = errors.New("write after the end of the stream")

// sendRoom is how many bytes the stream's buffer takes now.
func (c *Conn) sendRoom(s *Stream) uint64 {
	used, limit := s.send.buf.buffered(), c.sendBufferLimit()
	if used >= limit {
		return 0
	}
	room := limit - used
	if uint64(c.pool.used)*chunkSize > 2*limit+crowded {
		share := crowdedShare - min(used, crowdedShare)
		room = max(share, min(room, c.idleRoom(s, limit)))
	}
	return room
}

// idleRoom is how much more s may take because too little is there that could
// leave: buffers are full of what the peer has no room for. It is what the peer
// allows s, while less than limit is in flight or waits for nothing but its turn.
func (c *Conn) idleRoom(s *Stream, limit uint64) uint64 {
	credit := min(s.send.max-min(s.send.max, s.send.end()), c.flow.available())
	if credit == 0 {
		return 0
	}
	busy := uint64(c.path.rec.BytesInFlight())
	q := &c.streams.newData
	for i, other := range q.list[q.head:] {
		if i == maxWalk {
			return 0
		}
		w := &other.send
		busy += max(min(w.end(), w.max), w.buf.next) - w.buf.next
		if busy >= limit {
			return 0
		}
	}
	return min(credit, limit-busy)
}

// When the streams of a connection hold crowded bytes together, beyond what one
// of them may, each of them takes no more than crowdedShare, unless that leaves
// the congestion window empty: together they fill it, and memory that is used
// again soon is still in the cache.
const (
	crowded      = 2 << 20
	crowdedShare = 32 << 10
	maxWalk      = 64 // streams that wait for their turn: so many are a crowd
)

// sendBufferLimit lets a stream hold two congestion windows: one in flight and
// one ready to follow, so that the application never has to be faster than a
// round trip.
func (c *Conn) sendBufferLimit() uint64 {
	limit := min(2*uint64(c.path.rec.Congestion().Window()), c.cfg.MaxSendBuffer)
	if rtt := &c.path.rec.RTT; rtt.HasSample() {
		limit = min(limit, cacheRoom+uint64(rtt.Min())*fastest)
	}
	return max(c.cfg.SendBuffer, limit)
}

// On a path within a host or a rack nothing is lost before a congestion window
// has megabytes, which then have left the processor's cache when they are wanted
// again. So a stream holds cacheRoom bytes, and what a round trip at fastest
// takes, in bytes per nanosecond: 80 Gbit/s. Above half a millisecond that is no
// bound any more.
const (
	cacheRoom = 2 << 20
	fastest   = 10
)

// CloseWrite ends the stream after what was written.
func (c *Conn) CloseWrite(s *Stream) {
	if s.hasOut && !s.send.fin && !s.send.reset {
		s.send.fin = true
		c.queueSend(s)
	}
}

// Stop gives up the receiving side and asks the peer to stop (RFC 9000 §3.5).
// What was received and not read is dropped.
func (c *Conn) Stop(now Time, s *Stream, code uint64) {
	r := &s.recv
	if !s.hasIn || r.stop || r.delivered {
		return
	}
	r.stop, r.stopCode = true, code
	c.tellStream(s, hook.StreamReset)
	c.dropReceived(c.at(now), s)
	if !r.hasFinal {
		r.stopSend = true
		c.queueControl(s)
	}
	c.maybeForget(s)
}

// dropReceived frees the receive buffer and gives its flow control credit back.
func (c *Conn) dropReceived(now hook.Instant, s *Stream) {
	end := s.recv.highest
	if unread := end - s.recv.buf.data.base; unread > 0 {
		c.consumeConn(now, unread)
	}
	s.recv.buf.data.end = max(s.recv.buf.data.end, end)
	s.recv.buf.drop(&c.pool)
}

// handleStream takes a STREAM frame (RFC 9000 §19.8).
func (c *Conn) handleStream(now hook.Instant, f *wire.Frame) error {
	s, err := c.streamForReceive(f.StreamID, f.Type)
	if s == nil || err != nil {
		return err
	}
	r, end := &s.recv, f.Offset+uint64(len(f.Data))
	if err := c.growReceive(now, s, end, f.Fin, f.Type); err != nil {
		return err
	}
	if r.cut() || r.stop {
		c.maybeForget(s)
		return nil
	}
	before := r.buf.readable()
	if !r.buf.add(&c.pool, f.Offset, f.Data) {
		return violation(InternalError, f.Type, "stream %d lies in more than %d pieces", s.id, maxGaps)
	}
	if after := r.buf.readable(); after > before || r.hasFinal && r.buf.data.base+after == r.final {
		c.postReadable(s)
	}
	return nil
}

// growReceive checks new stream bytes up to end against the final size and
// both levels of flow control, and accounts for them.
func (c *Conn) growReceive(now hook.Instant, s *Stream, end uint64, fin bool, t wire.FrameType) error {
	r := &s.recv
	// RFC 9000 §4.5: data beyond the final size, or another final size.
	if r.hasFinal && (end > r.final || fin && end != r.final) {
		return violation(FinalSizeError, t, "stream %d reaches %d, ended at %d", s.id, end, r.final)
	}
	if fin && end < r.highest {
		return violation(FinalSizeError, t, "stream %d ended at %d, was %d", s.id, end, r.highest)
	}
	if end > r.highest {
		// RFC 9000 §4.1: a receiver MUST close with FLOW_CONTROL_ERROR.
		if end > r.max {
			return violation(FlowControlError, t, "stream %d reaches %d, limit %d", s.id, end, r.max)
		}
		grown := end - r.highest
		if c.flow.received+grown > c.flow.max {
			return violation(FlowControlError, t, "connection reaches %d bytes, limit %d", c.flow.received+grown, c.flow.max)
		}
		c.flow.received += grown
		r.highest = end
		if r.stop || r.reset != nil {
			c.consumeConn(now, grown)
			r.buf.data.base, r.buf.data.end = end, end
		}
		c.lendWindow()
	}
	if fin {
		r.final, r.hasFinal = end, true
	}
	return nil
}

func (c *Conn) handleMaxStreamData(f *wire.Frame) error {
	s, err := c.streamForSend(f.StreamID, f.Type)
	if s == nil || err != nil {
		return err
	}
	// RFC 9000 §4.1: a smaller limit is ignored.
	if f.Limit > s.send.max {
		s.send.max = f.Limit
		s.send.blocked = false
		c.queueSend(s)
	}
	return nil
}
