package core

// span is the bytes [start, end) of a stream.
type span struct{ start, end uint64 }

// spans is a set of bytes: disjoint, not adjacent spans in ascending order.
type spans []span

// add puts [start, end) into the set.
func (s *spans) add(start, end uint64) {
	if start >= end {
		return
	}
	list := *s
	// In the common case the new bytes extend the last span.
	if n := len(list); n > 0 && list[n-1].start <= start && start <= list[n-1].end {
		list[n-1].end = max(list[n-1].end, end)
		return
	}
	i := s.search(start)
	if i < len(list) && list[i].start <= end {
		s.mergeAt(i, start, end)
		return
	}
	list = append(list, span{})
	copy(list[i+1:], list[i:])
	list[i] = span{start, end}
	*s = list
}

// search returns the index of the first span that ends at or after x.
func (s spans) search(x uint64) int {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s[mid].end < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// mergeAt joins [start, end) with span i and with all that it then touches.
func (s *spans) mergeAt(i int, start, end uint64) {
	list := *s
	list[i].start = min(list[i].start, start)
	list[i].end = max(list[i].end, end)
	j := i + 1
	for j < len(list) && list[j].start <= list[i].end {
		list[i].end = max(list[i].end, list[j].end)
		j++
	}
	*s = append(list[:i+1], list[j:]...)
}

// sub takes [start, end) out of the set.
func (s *spans) sub(start, end uint64) {
	if start >= end {
		return
	}
	list := *s
	i := s.search(start)
	for i < len(list) && list[i].start < end {
		r := list[i]
		switch {
		case r.end <= start:
			i++
		case r.start < start && r.end > end:
			list = append(list, span{})
			copy(list[i+1:], list[i:])
			list[i].end, list[i+1].start = start, end
			*s = list
			return
		case r.start < start:
			list[i].end = start
			i++
		case r.end > end:
			list[i].start = end
			*s = list
			return
		default:
			list = append(list[:i], list[i+1:]...)
		}
	}
	*s = list
}

// covers reports whether all of [start, end) is in the set.
func (s spans) covers(start, end uint64) bool {
	if start >= end {
		return true
	}
	i := s.search(start)
	if i < len(s) && s[i].end == start {
		i++
	}
	return i < len(s) && s[i].start <= start && end <= s[i].end
}
