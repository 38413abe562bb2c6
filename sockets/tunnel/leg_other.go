//go:build !unix

package tunnel

// legReader reads a leg in large pieces.
type legReader struct {
	leg Leg
	buf *[bufferSize]byte
}

func newLegReader(leg Leg) *legReader { return &legReader{leg: leg} }

// next waits for bytes and returns them, and io.EOF behind the last. They are
// the caller's until done or the next call.
func (r *legReader) next() ([]byte, error) {
	if r.buf == nil {
		r.buf = buffers.Get().(*[bufferSize]byte)
	}
	n, err := r.leg.Read(r.buf[:])
	return r.buf[:n], err
}

// done gives the buffer back.
func (r *legReader) done() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}
