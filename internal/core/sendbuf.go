package core

// sendBuffer holds the bytes of a stream from the application's write until
// the peer's acknowledgment, and knows which of them to send next. It serves
// STREAM and CRYPTO data alike.
type sendBuffer struct {
	data  window
	next  uint64 // first byte that was never sent
	acked spans  // acknowledged bytes above data.base; bounded by the packets in flight
	lost  spans  // bytes to send again; bounded by the packets in flight
}

// write appends p.
func (b *sendBuffer) write(pool *chunkPool, p []byte) { b.data.writeAt(pool, b.data.end, p) }

// end is the offset after the last byte that was written.
func (b *sendBuffer) end() uint64 { return b.data.end }

// buffered is the number of bytes that are not acknowledged in order.
func (b *sendBuffer) buffered() uint64 { return b.data.end - b.data.base }

// pending returns the next bytes to send: lost ones first, then new ones up to
// limit, the end that flow control allows. start == end means there are none.
func (b *sendBuffer) pending(limit uint64) (start, end uint64) {
	if len(b.lost) > 0 {
		return b.lost[0].start, b.lost[0].end
	}
	return b.next, max(b.next, min(b.data.end, limit))
}

// wantsCrypto reports whether there are handshake bytes to send.
func (t *traffic) wantsCrypto() bool {
	start, end := t.out.pending(t.out.end())
	return start < end
}

// read copies bytes that pending named into a packet.
func (b *sendBuffer) read(off uint64, p []byte) { b.data.readAt(off, p) }

// sent records that [start, end) left in a packet.
func (b *sendBuffer) sent(start, end uint64) {
	if start < b.next {
		b.lost.sub(start, end)
	}
	b.next = max(b.next, end)
}

// ack records that the peer has [start, end) and frees what it can.
func (b *sendBuffer) ack(pool *chunkPool, start, end uint64) {
	if start >= end || end <= b.data.base {
		return // an end without data, or data acknowledged before
	}
	if len(b.lost) > 0 {
		b.lost.sub(start, end)
	}
	if start <= b.data.base && len(b.acked) == 0 {
		b.data.discardTo(pool, end)
		return
	}
	b.acked.add(max(start, b.data.base), end)
	if first := b.acked[0]; first.start <= b.data.base {
		b.data.discardTo(pool, first.end)
		b.acked = append(b.acked[:0], b.acked[1:]...)
	}
}

// lose records that a packet with [start, end) was lost. What has been
// acknowledged through another packet is not sent again.
func (b *sendBuffer) lose(start, end uint64) {
	start = max(start, b.data.base)
	if start >= end {
		return
	}
	b.lost.add(start, end)
	for _, r := range b.acked {
		if r.start >= end {
			break
		}
		b.lost.sub(r.start, r.end)
	}
}

// allAcked reports whether the peer has everything that was written.
func (b *sendBuffer) allAcked() bool { return b.data.base == b.data.end }

// drop forgets everything, for a stream that was reset.
func (b *sendBuffer) drop(pool *chunkPool) {
	b.data.discardTo(pool, b.data.end)
	b.next, b.acked, b.lost = b.data.end, nil, nil
}
