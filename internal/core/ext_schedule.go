package core

import "github.com/seed51309289/quiver/hook"

// inTurn is the built-in stream scheduler: whoever has waited longest is next. As
// long as no extension schedules streams the core does what it would say without
// asking it.
type inTurn struct{}

var _ hook.StreamScheduler = inTurn{}

func (inTurn) NextStream(*hook.StreamsReady) int { return 0 }

// schedule lets extensions decide which stream is next: it comes to the front of
// the queue of new data, which has one that may send.
func (x *extensions) schedule(p *packet) {
	c := x.conn
	q := &c.streams.newData
	var at [hook.MaxReady]int // where in the queue
	n := 0
	for i := q.head; i < len(q.list) && n < hook.MaxReady; i++ {
		if o := q.list[i]; !o.gone && c.hasNew(o) {
			w := &o.send
			x.seen.ready[n] = hook.ReadyStream{ID: o.id, Bytes: w.end() - w.buf.next, Sent: w.buf.next, Fin: w.fin}
			at[n] = i
			n++
		}
	}
	q.toFront(at[x.nextStream(p.limit-p.end, n)])
}

// nextStream asks the schedulers in turn, and at last the built-in one, which of n
// streams is next.
func (x *extensions) nextStream(room, n int) int {
	s := &x.seen.streams
	for _, h := range x.table.streamScheduler {
		if !h.enter() {
			continue
		}
		*s = hook.StreamsReady{Now: x.conn.clock, Room: room, Ready: x.seen.ready[:n:n]}
		i := h.to.NextStream(s)
		if i < hook.Defer || i >= n {
			h.fail("stream %d of %d that are ready", i, n)
		}
		h.leave()
		if i != hook.Defer && !h.gone {
			return i
		}
	}
	return inTurn{}.NextStream(s)
}

// toFront moves the element at index i to the front, and those before it back.
func (q *streamQueue) toFront(i int) {
	s := q.list[i]
	copy(q.list[q.head+1:i+1], q.list[q.head:i])
	q.list[q.head] = s
}
