package plugin

// memory is the linear memory of one guest. The engine asks it for more when the guest grows, so the host always knows where it is. Where the
// system lets it be reserved at once it never moves; elsewhere it moves when it grows.
type memory struct {
	buf      []byte // what the guest sees
	reserved []byte // address space for the largest size; nil = buf is on the heap
	max      uint64 // bytes of the largest size
	grown    bool   // since acquired: slices of buf may be stale, and the instance must not be used again
}

// newMemory returns an empty memory that can grow to max bytes.
func newMemory(max uint64) *memory { return &memory{reserved: reserve(max), max: max} }

// Reallocate is called by the engine: first for the initial size, then when the guest grows. nil refuses.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.max {
		return nil
	}
	m.grown = m.grown || len(m.buf) > 0
	if m.reserved != nil {
		m.buf = m.reserved[:size:size]
		return m.buf
	}
	b := make([]byte, size)
	copy(b, m.buf)
	m.buf = b
	return b
}

// Free is called by the engine when the guest is closed.
func (m *memory) Free() {
	release(m.reserved)
	m.buf, m.reserved = nil, nil
}

// span returns n bytes at off, or nil if they are not all in the memory.
func (m *memory) span(off, n uint32) []byte {
	if uint64(off)+uint64(n) > uint64(len(m.buf)) {
		return nil
	}
	return m.buf[off : uint64(off)+uint64(n) : uint64(off)+uint64(n)]
}
