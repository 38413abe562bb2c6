package udp

import (
	"iter"
	"net/netip"
	"time"
)

// Train is one datagram, or several of one peer that arrived together and differ in nothing but their payload.
type Train struct {
	Buf         []byte         // the payloads end to end; owned by the Conn until its next Read
	SegmentSize int            // bytes of every datagram but the last, which has 1..SegmentSize (or 0 when alone)
	Remote      netip.AddrPort // the sender, never an IPv4-mapped IPv6 address
	Local       netip.Addr     // where it was sent to; invalid if unknown
	ECN         uint8          // codepoint 0..3 of RFC 3168 §5; 0 if unknown
	At          time.Time      // when Read took it from the kernel
}

// Len returns the number of datagrams, at least 1: a datagram may be empty.
func (t *Train) Len() int {
	if len(t.Buf) <= t.SegmentSize || t.SegmentSize <= 0 {
		return 1
	}
	return (len(t.Buf) + t.SegmentSize - 1) / t.SegmentSize
}

// Datagram returns datagram i of Len, a part of Buf that is capped so that appending to it copies.
func (t *Train) Datagram(i int) []byte {
	if t.SegmentSize <= 0 {
		return t.Buf[:len(t.Buf):len(t.Buf)]
	}
	start := i * t.SegmentSize
	end := min(start+t.SegmentSize, len(t.Buf))
	return t.Buf[start:end:end]
}

// Datagrams iterates over the datagrams in order, without allocating.
func (t *Train) Datagrams() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range t.Len() {
			if !yield(t.Datagram(i)) {
				return
			}
		}
	}
}
