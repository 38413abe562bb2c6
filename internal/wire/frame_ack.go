package wire

// AckRange is a run of packet numbers, both ends included.
type AckRange struct{ Smallest, Largest uint64 }

// Len returns how many numbers the range holds.
func (r AckRange) Len() uint64 { return r.Largest - r.Smallest + 1 }

// Contains reports whether pn lies in the range.
func (r AckRange) Contains(pn uint64) bool { return r.Smallest <= pn && pn <= r.Largest }

// parse reads an ACK and checks that every range stays above zero, so that
// Ranges needs no error (RFC 9000 §19.3.1).
func (a *Ack) parse(r *reader, ecn bool) error {
	a.Largest, a.Delay = r.varint(), r.varint()
	a.Count, a.FirstRange = r.varint(), r.varint()
	if r.bad || a.FirstRange > a.Largest {
		return ErrFrame
	}
	start, smallest := r.b, a.Largest-a.FirstRange
	for range a.Count {
		gap, length := r.varint(), r.varint()
		// RFC 9000 §19.3.1: a negative packet number is a FRAME_ENCODING_ERROR.
		if r.bad || smallest < gap+2 || smallest-gap-2 < length {
			return ErrFrame
		}
		smallest -= gap + 2 + length
	}
	a.ranges = start[:len(start)-len(r.b)]
	a.ECN, a.ECT0, a.ECT1, a.CE = ecn, 0, 0, 0
	if ecn {
		a.ECT0, a.ECT1, a.CE = r.varint(), r.varint(), r.varint()
	}
	return nil
}

// AppendRanges appends the acknowledged ranges to dst, largest first, at most
// limit of them; what lies beyond is older and ignoring it only costs a
// retransmission.
func (a *Ack) AppendRanges(dst []AckRange, limit int) []AckRange {
	largest, smallest := a.Largest, a.Largest-a.FirstRange
	dst = append(dst, AckRange{smallest, largest})
	r := reader{b: a.ranges}
	for len(r.b) > 0 && len(dst) < limit {
		largest = smallest - r.varint() - 2
		smallest = largest - r.varint()
		dst = append(dst, AckRange{smallest, largest})
	}
	return dst
}

// ECNCounts are the totals that an ACK reports (RFC 9000 §19.3.2).
type ECNCounts struct{ ECT0, ECT1, CE uint64 }

// Add adds the counts of another space.
func (n *ECNCounts) Add(other ECNCounts) {
	n.ECT0 += other.ECT0
	n.ECT1 += other.ECT1
	n.CE += other.CE
}

// AppendAck appends an ACK frame for ranges, which are disjoint, not adjacent
// and largest first, within room bytes; ranges that do not fit are left out.
// delay is already scaled; ecn is nil for an ACK without counts. It appends
// nothing when not even the first range fits.
func AppendAck(b []byte, room int, ranges []AckRange, delay uint64, ecn *ECNCounts) []byte {
	tail := 0
	if ecn != nil {
		tail = SizeVarint(ecn.ECT0) + SizeVarint(ecn.ECT1) + SizeVarint(ecn.CE)
	}
	first := ranges[0]
	// One byte of count serves up to 63 further ranges; a receiver keeps fewer.
	size := 1 + SizeVarint(first.Largest) + SizeVarint(delay) + 1 + SizeVarint(first.Largest-first.Smallest) + tail
	if size > room {
		return b
	}
	n := 1
	for smallest := first.Smallest; n < len(ranges) && n < 64; n++ {
		r := ranges[n]
		size += SizeVarint(smallest-r.Largest-2) + SizeVarint(r.Largest-r.Smallest)
		if size > room {
			break
		}
		smallest = r.Smallest
	}
	t := FrameAck
	if ecn != nil {
		t = FrameAckECN
	}
	b = append(b, byte(t))
	b = AppendVarint(b, first.Largest)
	b = AppendVarint(b, delay)
	b = AppendVarint(b, uint64(n-1))
	b = AppendVarint(b, first.Largest-first.Smallest)
	for i := 1; i < n; i++ {
		b = AppendVarint(b, ranges[i-1].Smallest-ranges[i].Largest-2)
		b = AppendVarint(b, ranges[i].Largest-ranges[i].Smallest)
	}
	if ecn != nil {
		b = AppendVarint(b, ecn.ECT0)
		b = AppendVarint(b, ecn.ECT1)
		b = AppendVarint(b, ecn.CE)
	}
	return b
}
