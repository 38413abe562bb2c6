package core

// A Piece is a part of a stream's buffer that the driver has for a while: bytes
// that it took, or room that it reserved. Data is the driver's until GiveBack or
// Commit; nothing of the connection touches it meanwhile.
type Piece struct {
	Data  []byte
	chunk *chunk
	in    int // where in chunk Data begins
}

// Take is Read without a copy: it moves received bytes out of the stream, into
// at most len(dst) pieces, and returns how many. The caller gives them back.
func (c *Conn) Take(now Time, s *Stream, dst []Piece) (pieces int, err error) {
	limit, err := c.beforeRead(s)
	if err != nil {
		return 0, err
	}
	pieces, n := s.recv.buf.take(&c.pool, limit, dst)
	return pieces, c.afterRead(now, s, n)
}

// GiveBack ends the loan of what Take returned.
func (c *Conn) GiveBack(pieces []Piece) {
	for i := range pieces {
		c.pool.put(pieces[i].chunk)
		pieces[i] = Piece{}
	}
}

// Reserve lends room behind the end of the stream, in at most len(dst) pieces,
// and returns how many. None, without an error, means what n == 0 means for
// Write. The caller fills them in order and calls Commit. Errors are Write's.
func (c *Conn) Reserve(s *Stream, dst []Piece) (pieces int, err error) {
	if err := c.WriteErr(s); err != nil {
		return 0, err
	}
	room, in := c.sendRoom(s), int(s.send.buf.end()%chunkSize)
	if room < chunkSize && s.send.buf.buffered() > 0 {
		room = 0 // it is told of when it is worth a read
	}
	s.send.wantRoom = room == 0
	for room > 0 && pieces < len(dst) {
		b := c.pool.get()
		n := int(min(room, uint64(chunkSize-in)))
		dst[pieces] = Piece{Data: b[in : in+n : in+n], chunk: b, in: in}
		pieces++
		room, in = room-uint64(n), 0
	}
	return pieces, nil
}

// Commit writes the first n bytes of what Reserve lent, and takes all of it
// back. Errors are Write's; then nothing is written.
func (c *Conn) Commit(s *Stream, pieces []Piece, n int) error {
	err := c.WriteErr(s)
	if err != nil {
		n = 0
	}
	for i := range pieces {
		p := &pieces[i]
		m := min(n, len(p.Data))
		n -= m
		if m == 0 || !s.send.buf.data.adopt(p, m) {
			if m > 0 {
				s.send.buf.write(&c.pool, p.Data[:m])
			}
			c.pool.put(p.chunk)
		}
		if m > 0 {
			c.queueSend(s)
		}
		*p = Piece{}
	}
	return err
}

// take moves up to limit readable bytes out, in at most len(dst) pieces.
func (b *recvBuffer) take(pool *chunkPool, limit uint64, dst []Piece) (pieces int, n uint64) {
	w := &b.data
	off, end := w.base, w.base+min(limit, b.readable())
	for off < end && pieces < len(dst) {
		p := w.contiguous(off, end)
		i := off/chunkSize - w.first
		dst[pieces] = Piece{Data: p[:len(p):len(p)], chunk: w.chunks[i], in: int(off % chunkSize)}
		off += uint64(len(p))
		if off%chunkSize != 0 && b.holds(off, off-off%chunkSize+chunkSize) {
			own := pool.get() // the rest of the chunk stays
			copy(own[dst[pieces].in:], p)
			dst[pieces].Data, dst[pieces].chunk = own[dst[pieces].in:][:len(p):len(p)], own
		} else {
			w.chunks[i] = nil
		}
		pieces++
	}
	n = off - w.base
	b.consume(pool, n)
	return pieces, n
}

// holds reports whether any byte of [start, end) is there; start is readable,
// or where what is readable ends.
func (b *recvBuffer) holds(start, end uint64) bool {
	return b.got[0].end > start || len(b.got) > 1 && b.got[1].start < end
}

// adopt appends the first n bytes of p, with the chunk that they are in. It
// reports false if they must be copied, since that place has a chunk already.
func (w *window) adopt(p *Piece, n int) bool {
	if int(w.end%chunkSize) != p.in {
		return false
	}
	if len(w.chunks) == 0 {
		w.first = w.base / chunkSize
	}
	if w.chunks == nil {
		w.chunks = w.few[:0]
	}
	i := int(w.end/chunkSize - w.first)
	for i >= len(w.chunks) {
		w.chunks = append(w.chunks, nil)
	}
	if w.chunks[i] != nil {
		return false
	}
	w.chunks[i] = p.chunk
	w.end += uint64(n)
	return true
}

// Chunks returns how many chunks of memory the streams hold, lent ones included.
func (c *Conn) Chunks() int { return c.pool.used }
