package quic

// Conns returns how many connections are not drained.
func (t *Transport) Conns() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// IDs returns how many connection IDs the router knows.
func (t *Transport) IDs() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.router.Len()
}
