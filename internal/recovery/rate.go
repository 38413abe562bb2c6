package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	maxRateMarks = 8 // points of the delivery history
	marksPerTrip = 4 // how many of them a round trip is divided into
)

// rateMark is a point of the delivery history.
type rateMark struct {
	at        hook.Instant // when delivered was reached
	delivered uint64
	sentAt    hook.Instant // when the packet that reached it was sent
	limited   bool         // the application was limiting
}

// rateSampler estimates the delivery rate without a counter in every sent packet: the history says how much was delivered when the
// packet just acknowledged was sent, to a quarter of a round trip: a sample's interval is longer by that at most.
type rateSampler struct {
	delivered    uint64
	limitedUntil uint64 // samples are application-limited until delivered passes this; 0 = not limited
	marks        [maxRateMarks]rateMark
	n            int
}

// onSent begins a new history when nothing was in flight: idle time is no delivery time.
func (r *rateSampler) onSent(now hook.Instant, prior int) {
	if prior == 0 {
		r.n = 0
		r.mark(now, now)
	}
}

// onAppLimited notes that what is in flight is less than the path would take.
func (r *rateSampler) onAppLimited(inFlight int) {
	r.limitedUntil = max(1, r.delivered+uint64(inFlight))
	if r.n > 0 {
		r.marks[r.n-1].limited = true // also for the packets of this very flush: an underestimate must not pass for a measurement
	}
}

// onAck returns the sample that an acknowledgment of bytes gives, the newest of which left at sentAt.
func (r *rateSampler) onAck(now, sentAt hook.Instant, bytes int) hook.Rate {
	r.drop(sentAt)
	r.delivered += uint64(bytes)
	rate := hook.Rate{Delivered: r.delivered}
	if r.n > 0 && r.marks[0].at <= sentAt {
		m := r.marks[0]
		rate.Bytes = r.delivered - m.delivered
		rate.Interval = max(now.Sub(m.at), sentAt.Sub(m.sentAt), time.Duration(0))
		rate.AppLimited = m.limited
	}
	if r.delivered > r.limitedUntil {
		r.limitedUntil = 0
	}
	if last := r.n - 1; last < 0 || now.Sub(r.marks[last].at) >= now.Sub(sentAt)/marksPerTrip {
		r.mark(now, sentAt)
	}
	return rate
}

// drop forgets the marks before the last one at or before sentAt.
func (r *rateSampler) drop(sentAt hook.Instant) {
	i := 0
	for i+1 < r.n && r.marks[i+1].at <= sentAt {
		i++
	}
	if i > 0 {
		r.n = copy(r.marks[:], r.marks[i:r.n])
	}
}

// mark appends a point. A full history stays as it is until the path has caught up with it.
func (r *rateSampler) mark(now, sentAt hook.Instant) {
	if r.n == maxRateMarks {
		return
	}
	r.marks[r.n] = rateMark{now, r.delivered, sentAt, r.limitedUntil > 0}
	r.n++
}
