package recovery

const (
	minRing    = 16   // entries of the first allocation
	maxOwnAcks = 1024 // packets without ack-eliciting frames remembered when nothing else is in the ring
	calmBefore = 8    // times a ring ran empty without needing a quarter of its size, before it shrinks
)

// ring holds the sent packets numbered [base, next) of one space, entry pn at buf[pn mod len(buf)]. Below base every fate is known.
type ring struct {
	buf        []Sent // length is 0 or a power of two; limit: MaxTracked
	base, next uint64
	peak       uint64 // largest next-base since the ring last ran empty
	calm       uint8
}

// at returns the entry of pn, which must be in [base, next). The pointer is valid until the next push.
func (r *ring) at(pn uint64) *Sent { return &r.buf[pn&uint64(len(r.buf)-1)] }

// span returns how many numbers the ring covers.
func (r *ring) span() uint64 { return r.next - r.base }

// push appends an entry for the next number. forget, if not nil, is told what a crowded ring drops.
func (r *ring) push(p Sent, forget func(*Sent)) {
	if r.span() == uint64(len(r.buf)) {
		r.makeRoom(forget)
	}
	r.next++
	*r.at(r.next - 1) = p
	r.peak = max(r.peak, r.span())
}

// makeRoom forgets old acknowledgments of ours, or doubles the ring.
func (r *ring) makeRoom(forget func(*Sent)) {
	if r.span() >= maxOwnAcks {
		// A peer that only sends need never acknowledge our ACK frames, so they must not pile up here.
		r.forgetAcks(forget)
	}
	if r.span() == uint64(len(r.buf)) {
		r.resize(max(minRing, 2*len(r.buf)))
	}
}

// forgetAcks advances base over packets that elicit no acknowledgment and are not in flight.
func (r *ring) forgetAcks(forget func(*Sent)) {
	for ; r.base < r.next && r.at(r.base).Flags&InFlight == 0; r.base++ {
		if e := r.at(r.base); forget != nil && e.Flags&outstanding != 0 {
			forget(e)
		}
	}
}

// resize moves the entries to a buffer of n entries, a power of two not smaller than the span.
func (r *ring) resize(n int) {
	old := *r
	r.buf = make([]Sent, n)
	for pn := r.base; pn < r.next; pn++ {
		*r.at(pn) = *old.at(pn)
	}
}

// rest is called when the ring ran empty: after several small uses of a large ring it shrinks.
func (r *ring) rest() {
	if r.peak*4 > uint64(len(r.buf)) || len(r.buf) <= minRing {
		r.calm, r.peak = 0, 0
		return
	}
	r.peak = 0
	if r.calm++; r.calm >= calmBefore {
		r.calm = 0
		r.buf = make([]Sent, max(minRing, len(r.buf)/4))
	}
}

// trim gives the memory of an empty ring back.
func (r *ring) trim() {
	if r.span() == 0 {
		r.buf, r.peak, r.calm = nil, 0, 0
	}
}
