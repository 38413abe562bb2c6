package core

import (
	"math"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// ResetStreamAt tells which sides understand RESET_STREAM_AT.
func (c *Conn) ResetStreamAt() (local, remote bool) { return c.cfg.ResetStreamAt, c.peer.ResetStreamAt }

// SetReliableBoundary lets what was written so far be delivered even if the
// stream is reset later (draft-ietf-quic-reliable-stream-reset §5). It does
// nothing if the peer does not understand RESET_STREAM_AT.
func (c *Conn) SetReliableBoundary(s *Stream) {
	if s.hasOut && !s.send.reset && c.peer.ResetStreamAt {
		s.send.boundary = s.send.buf.end()
	}
}

// Reset gives up the sending side: what was not delivered is not sent again
// (RFC 9000 §3.1), but for what SetReliableBoundary covers. After the end was
// acknowledged it does nothing.
func (c *Conn) Reset(s *Stream, code uint64) {
	w := &s.send
	if !s.hasOut || w.reset || w.finAcked && w.buf.allAcked() {
		return
	}
	c.resetSend(s, code, w.boundary)
	w.stopped = &StreamError{Stream: s.id, Code: code}
}

// resetSend gives up all that lies beyond the first reliable bytes.
func (c *Conn) resetSend(s *Stream, code, reliable uint64) {
	w := &s.send
	// RFC 9000 §19.4: the final size is what was sent, all of which the peer
	// counts against its limits. It never changes.
	w.reset, w.resetCode, w.reliable, w.resetSize = true, code, reliable, max(w.buf.next, reliable)
	w.fin, w.finLost = false, false
	c.tellStream(s, hook.StreamReset)
	// The frame tells the final size, which flow control must allow: it waits
	// until every byte it counts was sent.
	w.resetSend, w.resetWait = w.buf.next >= reliable, w.buf.next < reliable
	c.dropUnreliable(s)
	if w.resetSend {
		c.queueControl(s)
	}
}

// dropUnreliable forgets to send again what the reset took back.
func (c *Conn) dropUnreliable(s *Stream) {
	w := &s.send
	if w.reliable == 0 {
		w.buf.lost = nil
		return
	}
	w.buf.lost.sub(w.reliable, math.MaxUint64)
	c.queueSend(s)
}

// sentReliable lets the reset follow once the last byte it does not take back
// was sent.
func (c *Conn) sentReliable(s *Stream) {
	if w := &s.send; w.buf.next >= w.reliable {
		w.resetWait, w.resetSend = false, true
		c.queueControl(s)
	}
}

// resetFrame is the frame that tells of the reset.
func (s *Stream) resetFrame() *wire.Frame {
	w := &s.send
	f := &wire.Frame{Type: wire.FrameResetStream, StreamID: s.id, Code: w.resetCode, FinalSize: w.resetSize}
	if w.reliable > 0 {
		f.Type, f.Reliable = wire.FrameResetStreamAt, w.reliable
	}
	return f
}

// ackedReset learns that the peer knows of the reset with that many reliable
// bytes. An older one, with more, is not the last word.
func (c *Conn) ackedReset(s *Stream, reliable uint64) {
	w := &s.send
	if reliable != w.reliable {
		return
	}
	w.resetAcked, w.resetSend = true, false
	c.finishReset(s)
}

// finishReset frees what is left of a stream once its reset and all reliable
// bytes are acknowledged.
func (c *Conn) finishReset(s *Stream) {
	if s.sendDone() {
		s.send.buf.drop(&c.pool)
		c.maybeForget(s)
	}
}

// cut reports whether the peer's reset is all that is left to read.
func (r *recvHalf) cut() bool { return r.reset != nil && r.buf.data.base >= r.reliable }

// handleResetStream takes a RESET_STREAM frame (RFC 9000 §19.4) or a
// RESET_STREAM_AT, of which the former is the case without reliable bytes
// (draft-ietf-quic-reliable-stream-reset §5).
func (c *Conn) handleResetStream(now hook.Instant, f *wire.Frame) error {
	s, err := c.streamForReceive(f.StreamID, f.Type)
	if s == nil || err != nil {
		return err
	}
	r := &s.recv
	at, reliable := f.Type == wire.FrameResetStreamAt, uint64(0)
	if at {
		reliable = f.Reliable
	}
	ended := r.hasFinal // by a FIN, or by a reset before this one
	if err := c.growReceive(now, s, f.FinalSize, true, f.Type); err != nil {
		return err
	}
	// draft-ietf-quic-reliable-stream-reset §5.2: the code never changes.
	if r.reset != nil && (at || r.resetAt) && f.Code != r.reset.Code {
		return violation(StreamStateError, f.Type, "stream %d is reset with code %#x, was %#x", s.id, f.Code, r.reset.Code)
	}
	switch {
	case r.reset != nil:
		// draft-ietf-quic-reliable-stream-reset §5.2: an increase is ignored.
		r.reliable = min(r.reliable, reliable)
	case r.delivered || ended && r.buf.data.base+r.buf.readable() == r.final && !r.stop:
		// RFC 9000 §3.2: once all data was received, the end included, the reset
		// may be ignored. Without the end it cuts the stream short, wherever.
		return nil
	default:
		r.reset, r.reliable = &StreamError{Stream: s.id, Code: f.Code, Remote: true}, reliable
		c.tellStream(s, hook.StreamReset)
	}
	r.resetAt = r.resetAt || at
	if r.delivered {
		return nil
	}
	if r.cut() {
		c.dropReceived(now, s)
	}
	r.maxSend, r.stopSend = false, false
	c.postReadable(s)
	c.maybeForget(s)
	return nil
}

// handleStopSending takes a STOP_SENDING frame (RFC 9000 §19.5).
func (c *Conn) handleStopSending(f *wire.Frame) error {
	s, err := c.streamForSend(f.StreamID, f.Type)
	if s == nil || err != nil {
		return err
	}
	w := &s.send
	switch {
	case w.reset && w.reliable == 0, w.finAcked && w.buf.allAcked(), s.sendDone():
		// RFC 9000 §3.5: it is answered with RESET_STREAM unless all is acknowledged.
	case w.reset:
		// Nobody will read the reliable bytes: draft-ietf-quic-reliable-stream-reset
		// §5.2 lets their number fall, but nothing else change.
		if w.resetWait {
			w.resetSize = w.buf.next // not told yet
		}
		w.reliable, w.resetWait, w.resetAcked, w.resetSend = 0, false, false, true
		c.dropUnreliable(s)
		c.queueControl(s)
	default:
		c.resetSend(s, f.Code, 0)
		w.stopped = &StreamError{Stream: s.id, Code: f.Code, Remote: true}
		c.postWritable(s)
	}
	return nil
}

// end is where the stream ends for the sender: after what was written, or
// where the reset cut it off.
func (w *sendHalf) end() uint64 {
	if w.reset {
		return w.resetSize
	}
	return w.buf.end()
}
