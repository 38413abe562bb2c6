package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	maxRateMarks = 16 // points of the delivery history; a power of two
	marksPerTrip = 8  // how many of them a round trip is divided into
)

// rateMark is a point of the delivery history.
type rateMark struct {
	at        hook.Instant // when delivered was reached
	delivered uint64
	sentAt    hook.Instant // when the packet that reached it was sent
	limited   bool         // the application was limiting
}

// rateSampler estimates the delivery rate as the BBR draft does (draft-ietf-ccwg-bbr §4.1), but without three more words in every sent packet:
// a history says how much was delivered when the packet just acknowledged was sent, to an eighth of a round trip. Bytes and interval of a sample
// both reach back that much further at most, so its rate is a mean over a little longer.
type rateSampler struct {
	delivered    uint64
	limitedUntil uint64 // samples are application-limited until delivered passes this; 0 = not limited
	marks        [maxRateMarks]rateMark
	first, n     uint8 // marks[first mod maxRateMarks] is the oldest of n
}

func (r *rateSampler) mark(i uint8) *rateMark { return &r.marks[(r.first+i)%maxRateMarks] }

// onSent begins a new history when nothing was in flight: idle time is no delivery time.
func (r *rateSampler) onSent(now hook.Instant, prior int) {
	if prior == 0 {
		r.n = 0
		r.push(now, now)
	}
}

// onAppLimited notes that what is in flight is less than the path would take.
func (r *rateSampler) onAppLimited(inFlight int) {
	r.limitedUntil = max(1, r.delivered+uint64(inFlight))
	if r.n > 0 {
		r.mark(r.n - 1).limited = true // also for the packets of this very flush: an underestimate must not pass for a measurement
	}
}

// limitedAt reports whether a packet sent at sentAt left while the application was limiting.
func (r *rateSampler) limitedAt(sentAt hook.Instant) bool {
	for i := r.n; i > 0; i-- {
		if m := r.mark(i - 1); m.at <= sentAt || i == 1 {
			return m.limited
		}
	}
	return r.limitedUntil > 0
}

// onAck returns the sample that an acknowledgment of bytes gives, the newest of which left at sentAt. least is the smallest round-trip time.
func (r *rateSampler) onAck(now, sentAt hook.Instant, bytes int, least time.Duration) hook.Rate {
	r.drop(sentAt)
	r.delivered += uint64(bytes)
	rate := hook.Rate{Delivered: r.delivered}
	if r.n > 0 && r.mark(0).at <= sentAt {
		m := r.mark(0)
		rate.Bytes = r.delivered - m.delivered
		rate.Interval = max(now.Sub(m.at), sentAt.Sub(m.sentAt), 0)
		rate.AppLimited = m.limited
		if rate.Interval < least {
			rate.Interval = 0 // draft-ietf-ccwg-bbr §4.1.2.3: shorter than the least round trip, no reliable sample
		}
	}
	if r.delivered > r.limitedUntil {
		r.limitedUntil = 0
	}
	if r.n == 0 || now.Sub(r.mark(r.n-1).at) >= now.Sub(sentAt)/marksPerTrip {
		r.push(now, sentAt)
	}
	return rate
}

// drop forgets the marks before the last one at or before sentAt.
func (r *rateSampler) drop(sentAt hook.Instant) {
	for r.n > 1 && r.mark(1).at <= sentAt {
		r.first++
		r.n--
	}
}

// push appends a point. A full history stays as it is until the path has caught up with it.
func (r *rateSampler) push(now, sentAt hook.Instant) {
	if r.n == maxRateMarks {
		return
	}
	*r.mark(r.n) = rateMark{now, r.delivered, sentAt, r.limitedUntil > 0}
	r.n++
}

const (
	maxLossMarks     = 8 // points of the loss history
	lossMarksPerTrip = 6
)

// lossMark is a point of the loss history: what was declared lost from begin to at.
type lossMark struct {
	begin, at hook.Instant
	before    uint64 // bytes lost before begin
}

// lossHistory tells how much was lost since a packet was sent. Losses declared within a sixth of a round trip are one point, so that the
// answer may count what was lost up to that long before.
type lossHistory struct {
	total uint64
	marks [maxLossMarks]lossMark // oldest first
	n     int
}

// onLost adds bytes declared lost.
func (h *lossHistory) onLost(now hook.Instant, bytes int, srtt time.Duration) {
	if h.n > 0 && now.Sub(h.marks[h.n-1].begin) < srtt/lossMarksPerTrip {
		h.marks[h.n-1].at = now
	} else {
		if h.n == maxLossMarks {
			h.n = copy(h.marks[:], h.marks[1:])
		}
		h.marks[h.n] = lossMark{now, now, h.total}
		h.n++
	}
	h.total += uint64(bytes)
}

// since returns the bytes declared lost after sentAt.
func (h *lossHistory) since(sentAt hook.Instant) int {
	for i := range h.n {
		if m := &h.marks[i]; m.at > sentAt {
			return int(h.total - m.before)
		}
	}
	return 0
}
