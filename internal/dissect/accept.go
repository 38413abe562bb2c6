package dissect

import (
	"bytes"

	"github.com/seed51309289/quiver/internal/wire"
)

// accept records a packet that authenticated and learns from it.
func (d *dissector) accept(w *waiting, r ref, h *wire.Header, o *opened) {
	dg, p := d.at(w)
	c, from := r.conn, r.to.other()
	d.suspect(p, r, h)
	p.Decrypted, p.Note = true, ""
	p.Number, p.KeyPhase, p.PayloadSize = int64(o.pn), o.phase, o.payload
	level := levelOf(h.Type)
	e := &c.ends[from]
	e.largest[level] = max(e.largest[level], p.Number)
	if h.Type != wire.Packet1RTT {
		// RFC 9369 §4.1: a server that has moved on may have sent Initials in the
		// client's version before, which the network may have held up.
		if from == server && h.Version != c.original {
			c.Version = h.Version
		}
		e.idLen = len(h.SCID)
		d.addID(ref{c, from}, h.SCID)
		if from == client {
			d.addID(ref{c, server}, h.DCID)
		}
	}
	d.addPair(c, from, dg)
	if d.readFrames(c, from, level, p, o.plain) {
		d.learn(c, from, level, h.Type, dg.Frame)
	}
}

// learn reads what is new in a CRYPTO stream, and opens the packets that
// waited for it.
func (d *dissector) learn(c *Conn, from role, level int, t wire.PacketType, frame int) {
	ch, sh, ee := c.ClientHello, c.ServerHello, c.EncryptedExtensions
	c.learn(from, level, t, frame)
	if ee != c.EncryptedExtensions {
		d.learnParams(c)
	}
	if ch != c.ClientHello || sh != c.ServerHello {
		d.retryWaiting(c)
	}
}

// readFrames copies the frames of a packet and reports whether CRYPTO data came in.
func (d *dissector) readFrames(c *Conn, from role, level int, p *Packet, plain []byte) (crypto bool) {
	d.frames = d.frames[:0]
	var f wire.Frame
	for len(plain) > 0 {
		if len(d.frames) >= maxFramesPerPacket {
			p.Note = "has more frames than are kept"
			break
		}
		n, err := wire.Next(plain, &f)
		if err != nil {
			p.Note = err.Error() + ": " + f.Type.String()
			break
		}
		kept := copyFrame(&f, n)
		switch f.Type {
		case wire.FrameCrypto:
			kept.Seen = c.ends[from].crypto[level].add(f.Offset, f.Data)
			crypto = true
		case wire.FrameNewConnectionID:
			d.addID(ref{c, from}, f.ConnID)
			d.addResetToken(f.ResetToken)
		case wire.FramePluginOffer:
			c.ends[from].addOffer(&f)
		}
		if f.Type.IsPlugin() {
			c.namePlugin(&kept)
		}
		d.frames = append(d.frames, kept)
		plain = plain[n:]
	}
	p.Frames = d.store(d.frames)
	return crypto
}

// store copies frames into a large block, so that a packet costs no allocation.
func (d *dissector) store(frames []Frame) []Frame {
	if len(frames) == 0 {
		return nil
	}
	if cap(d.arena)-len(d.arena) < len(frames) {
		d.arena = make([]Frame, 0, max(512, len(frames)))
	}
	start := len(d.arena)
	d.arena = append(d.arena, frames...)
	return d.arena[start:len(d.arena):len(d.arena)]
}

// learnParams takes what the server's transport parameters announce.
func (d *dissector) learnParams(c *Conn) {
	if c.EncryptedExtensions == nil || c.EncryptedExtensions.Params.Parsed == nil {
		return
	}
	p := c.EncryptedExtensions.Params.Parsed
	if p.ResetToken != nil {
		d.addResetToken(*p.ResetToken)
	}
	if p.Preferred != nil {
		d.addID(ref{c, server}, p.Preferred.ConnID)
		d.addResetToken(p.Preferred.ResetToken)
	}
}

func (d *dissector) addResetToken(token [16]byte) {
	if len(d.tokens) < maxResetTokens {
		d.tokens[token] = true
	}
}

// isReset reports whether b ends in a known stateless reset token (RFC 9000 §10.3).
func (d *dissector) isReset(b []byte) bool {
	return len(b) >= 21 && d.tokens[[16]byte(b[len(b)-16:])]
}

// copyFrame keeps what is worth keeping of a frame of n bytes.
func copyFrame(f *wire.Frame, n int) Frame {
	k := Frame{Type: f.Type}
	switch {
	case f.Type.IsStream():
		k.StreamID, k.Offset, k.Length, k.Fin = f.StreamID, f.Offset, len(f.Data), f.Fin
		return k
	case f.Type == wire.FrameAck || f.Type == wire.FrameAckECN:
		k.Ack = copyAck(&f.Ack)
		return k
	}
	switch f.Type {
	case wire.FramePadding:
		k.Length = n
	case wire.FrameCrypto:
		k.Offset, k.Length = f.Offset, len(f.Data)
	case wire.FrameResetStream:
		k.StreamID, k.Code, k.Offset = f.StreamID, f.Code, f.FinalSize
	case wire.FrameStopSending:
		k.StreamID, k.Code = f.StreamID, f.Code
	case wire.FrameNewToken:
		k.Length, k.Data = len(f.Data), bytes.Clone(f.Data)
	case wire.FrameMaxStreamData, wire.FrameStreamDataBlocked:
		k.StreamID, k.Limit = f.StreamID, f.Limit
	case wire.FrameMaxData, wire.FrameDataBlocked, wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni,
		wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni:
		k.Limit = f.Limit
	case wire.FrameNewConnectionID:
		k.Sequence, k.Retire, k.Data = f.Sequence, f.RetirePriorTo, bytes.Clone(f.ConnID)
	case wire.FrameRetireConnectionID:
		k.Sequence = f.Sequence
	case wire.FramePathChallenge, wire.FramePathResponse:
		k.Data = bytes.Clone(f.Path[:])
	case wire.FrameConnectionClose, wire.FrameApplicationClose:
		k.Code, k.Culprit, k.Length, k.Data = f.Code, f.Culprit, len(f.Data), bytes.Clone(f.Data)
	default:
		copyPlugin(&k, f)
	}
	return k
}

func copyAck(a *wire.Ack) *Ack {
	k := &Ack{Delay: a.Delay, Ranges: a.AppendRanges(nil, maxAckRanges)}
	if a.ECN {
		k.ECN = &wire.ECNCounts{ECT0: a.ECT0, ECT1: a.ECT1, CE: a.CE}
	}
	return k
}
