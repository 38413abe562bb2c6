package core

// chunkSize is the unit in which stream data is buffered, in bytes: large
// enough that a GSO train crosses few borders, small enough for a short stream.
const chunkSize = 16 << 10

// maxFreeChunks bounds the chunks that a busy connection keeps for reuse (16 MiB).
// limit: streams that were full and are not any more.
const maxFreeChunks = 1024

type chunk [chunkSize]byte

// chunkPool keeps the chunks that the buffers of one connection gave back.
// The newest is taken first, since it is still in the cache.
type chunkPool struct {
	free []*chunk // limit: maxFreeChunks
	used int      // chunks that buffers have
}

func (p *chunkPool) get() *chunk {
	p.used++
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free[n-1] = nil
		p.free = p.free[:n-1]
		return c
	}
	return new(chunk)
}

func (p *chunkPool) put(c *chunk) {
	if c == nil {
		return
	}
	p.used--
	if len(p.free) < maxFreeChunks {
		p.free = append(p.free, c)
	}
}

// trim gives the memory back.
func (p *chunkPool) trim() { p.free = nil }

// window holds the bytes [base, end) of a stream, addressed by their stream
// offsets. It takes memory for what was written only. The zero value is an
// empty window at offset 0. A window must not be copied.
type window struct {
	base   uint64    // first offset that is still held
	end    uint64    // end of the highest byte that was written
	first  uint64    // chunk number of chunks[0]: offset / chunkSize
	chunks []*chunk  // bounded by the flow control window
	few    [1]*chunk // where chunks begins: a short stream needs no more
}

// writeAt copies p to offset off, which is at least base. What lies between
// the previous end and off is undefined until written.
func (w *window) writeAt(pool *chunkPool, off uint64, p []byte) {
	if len(w.chunks) == 0 {
		w.first = w.base / chunkSize
	}
	if w.chunks == nil {
		w.chunks = w.few[:0]
	}
	w.end = max(w.end, off+uint64(len(p)))
	for len(p) > 0 {
		i := int(off/chunkSize - w.first)
		for i >= len(w.chunks) {
			w.chunks = append(w.chunks, nil)
		}
		if w.chunks[i] == nil {
			w.chunks[i] = pool.get()
		}
		n := copy(w.chunks[i][off%chunkSize:], p)
		off, p = off+uint64(n), p[n:]
	}
}

// readAt copies the bytes at off to p; all of them must have been written.
func (w *window) readAt(off uint64, p []byte) {
	for len(p) > 0 {
		n := copy(p, w.chunks[off/chunkSize-w.first][off%chunkSize:])
		off, p = off+uint64(n), p[n:]
	}
}

// contiguous returns the bytes from off to limit that lie in one chunk. The
// slice is valid until the window changes.
func (w *window) contiguous(off, limit uint64) []byte {
	in := off % chunkSize
	n := min(limit-off, chunkSize-in)
	return w.chunks[off/chunkSize-w.first][in : in+n]
}

// discardTo forgets what lies below off and gives its memory back.
func (w *window) discardTo(pool *chunkPool, off uint64) {
	if off <= w.base {
		return
	}
	w.base = off
	w.end = max(w.end, off)
	n := min(int(off/chunkSize)-int(w.first), len(w.chunks))
	// The last chunk goes, too, once nothing in it can be wanted again.
	if off == w.end && off%chunkSize != 0 && n == len(w.chunks)-1 {
		n++
	}
	if n <= 0 {
		return
	}
	for _, c := range w.chunks[:n] {
		pool.put(c)
	}
	rest := copy(w.chunks, w.chunks[n:])
	clear(w.chunks[rest:])
	w.chunks = w.chunks[:rest]
	w.first += uint64(n)
}
