package core

// maxGaps bounds the separate runs of bytes that a stream may hold: each costs
// memory that flow control does not count. limit: RFC 9000 §21.9.
const maxGaps = 4096

// recvBuffer puts the bytes of a stream in order. It serves STREAM and CRYPTO
// data alike.
type recvBuffer struct {
	data window
	got  spans   // received bytes above data.base; limit: maxGaps
	few  [1]span // where got begins: bytes mostly come in order
}

// add stores p, which the peer sent at off. It reports false when the stream
// lies in more pieces than maxGaps.
func (b *recvBuffer) add(pool *chunkPool, off uint64, p []byte) bool {
	end := off + uint64(len(p))
	if end <= b.data.base {
		return true
	}
	if off < b.data.base {
		p, off = p[b.data.base-off:], b.data.base
	}
	// RFC 9000 §2.2: bytes at one offset do not change, so writing duplicates
	// again is harmless; skipping them saves the copy.
	if len(b.got) > 0 && b.got.covers(off, end) {
		return true
	}
	b.data.writeAt(pool, off, p)
	if b.got == nil {
		b.got = b.few[:0]
	}
	b.got.add(off, end)
	return len(b.got) <= maxGaps
}

// readable is the number of bytes that can be read in order.
func (b *recvBuffer) readable() uint64 {
	if len(b.got) == 0 || b.got[0].start > b.data.base {
		return 0
	}
	return b.got[0].end - b.data.base
}

// read moves bytes to p and frees them; it returns how many.
func (b *recvBuffer) read(pool *chunkPool, p []byte) int {
	n := min(uint64(len(p)), b.readable())
	b.data.readAt(b.data.base, p[:n])
	b.consume(pool, n)
	return int(n)
}

// peek returns the bytes at the front that lie in one piece.
func (b *recvBuffer) peek() []byte {
	n := b.readable()
	if n == 0 {
		return nil
	}
	return b.data.contiguous(b.data.base, b.data.base+n)
}

// consume drops n readable bytes.
func (b *recvBuffer) consume(pool *chunkPool, n uint64) {
	if n == 0 {
		return
	}
	b.data.discardTo(pool, b.data.base+n)
	if b.got[0].end == b.data.base {
		b.got = append(b.got[:0], b.got[1:]...)
	} else {
		b.got[0].start = b.data.base
	}
}

// drop forgets everything, for a stream that was reset.
func (b *recvBuffer) drop(pool *chunkPool) {
	b.data.discardTo(pool, b.data.end)
	b.got = nil
}
