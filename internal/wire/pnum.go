package wire

// PacketNumberLen returns how many bytes pn needs so that a peer whose newest
// received number is at least largestAcked decodes it (RFC 9000 §A.2).
// largestAcked is -1 when nothing was acknowledged yet.
func PacketNumberLen(pn uint64, largestAcked int64) int {
	unacked := pn + 1
	if largestAcked >= 0 {
		unacked = pn - uint64(largestAcked)
	}
	switch {
	case unacked < 1<<7:
		return 1
	case unacked < 1<<15:
		return 2
	case unacked < 1<<23:
		return 3
	}
	return 4
}

// AppendPacketNumber appends the low n bytes of pn, 1 <= n <= 4.
func AppendPacketNumber(b []byte, pn uint64, n int) []byte {
	switch n {
	case 1:
		return append(b, byte(pn))
	case 2:
		return append(b, byte(pn>>8), byte(pn))
	case 3:
		return append(b, byte(pn>>16), byte(pn>>8), byte(pn))
	}
	return append(b, byte(pn>>24), byte(pn>>16), byte(pn>>8), byte(pn))
}

// DecodePacketNumber recovers a packet number from its low n bytes, given the
// largest number received so far, or -1 (RFC 9000 §A.3).
func DecodePacketNumber(largest int64, truncated uint64, n int) uint64 {
	expected := largest + 1
	win := int64(1) << (8 * n)
	candidate := expected&^(win-1) | int64(truncated)
	switch {
	case candidate <= expected-win/2 && candidate < 1<<62-win:
		return uint64(candidate + win)
	case candidate > expected+win/2 && candidate >= win:
		return uint64(candidate - win)
	}
	return uint64(candidate)
}
