package dissect

import "bytes"

// span is a run of CRYPTO bytes, end excluded.
type span struct{ start, end uint64 }

// cryptoStream puts the CRYPTO data of one direction and level together.
type cryptoStream struct {
	data   []byte // limit: maxCryptoBytes
	have   []span // sorted, disjoint, not adjacent; limit: maxCryptoGaps
	parsed int    // bytes of whole messages already taken
	full   bool   // a limit was reached
}

// add stores data at offset and returns how many of its bytes were there before.
func (s *cryptoStream) add(offset uint64, data []byte) (seen int) {
	end := offset + uint64(len(data))
	for _, h := range s.have {
		if lo, hi := max(h.start, offset), min(h.end, end); lo < hi {
			seen += int(hi - lo)
		}
	}
	if len(data) == 0 || seen == len(data) {
		return seen
	}
	if end > maxCryptoBytes || len(s.have) >= maxCryptoGaps {
		s.full = true
		return seen
	}
	if grow := int(end) - len(s.data); grow > 0 {
		s.data = append(s.data, make([]byte, grow)...)
	}
	copy(s.data[offset:], data)
	s.merge(span{offset, end})
	return seen
}

// merge adds n to the spans that are there.
func (s *cryptoStream) merge(n span) {
	i := 0
	for i < len(s.have) && s.have[i].end < n.start {
		i++
	}
	j := i
	for j < len(s.have) && s.have[j].start <= n.end {
		n.start = min(n.start, s.have[j].start)
		n.end = max(n.end, s.have[j].end)
		j++
	}
	kept := append([]span{n}, s.have[j:]...)
	s.have = append(s.have[:i], kept...)
}

// nextMessage takes the next whole TLS handshake message, header included, as a copy.
func (s *cryptoStream) nextMessage() (msg []byte, ok bool) {
	if len(s.have) == 0 || s.have[0].start != 0 {
		return nil, false
	}
	b := s.data[s.parsed:s.have[0].end]
	if len(b) < 4 {
		return nil, false
	}
	size := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
	if len(b) < size {
		return nil, false
	}
	s.parsed += size
	return bytes.Clone(b[:size]), true
}
