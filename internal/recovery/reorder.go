package recovery

import (
	"sort"
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	maxPacketThreshold = 64 // packets that may overtake another on a path that reorders
	maxTimeThreshold   = 8  // eighths of a round trip beyond one that a packet may be late there
	timeThreshold      = 1  // RFC 9002 §6.1.2: kTimeThreshold = 9/8
	calmEpisodes       = 16 // of real loss in a row, until a path is taken for one that keeps the order again
	maxLostLog         = 64 // limit: packets declared lost that are remembered per space, in case they arrive; older ones are forgotten
)

// reordering is how far packets overtake each other on a path. Loss detection starts with the thresholds of RFC 9002 §6.1 and, as RACK does
// (RFC 8985 §6.2), lets them grow to what a packet that came late would have needed, within bounds; after sixteen episodes of real loss
// they are forgotten.
type reordering struct {
	packets uint64 // threshold beyond packetThreshold
	eighths int    // threshold beyond timeThreshold
	calm    int    // episodes of loss since a packet came late
}

// packetThreshold is how many packets may overtake one that is not lost (RFC 9002 §6.1.1: SHOULD NOT be less than 3).
func (r *reordering) packetThreshold() uint64 { return packetThreshold + r.packets }

// lossDelay is how long a packet may trail a later acknowledged one before it is lost.
func (r *reordering) lossDelay(rtt *RTT) time.Duration {
	// RFC 9002 §6.1.2: max(kTimeThreshold * max(smoothed_rtt, latest_rtt), kGranularity).
	d := max(rtt.smoothed, rtt.latest)
	return max(d+d/8*time.Duration(timeThreshold+r.eighths), granularity)
}

// onLate tells that a packet declared lost arrived, overtaken by distance packets and of that age.
func (r *reordering) onLate(distance uint64, age time.Duration, rtt *RTT) {
	r.calm = 0
	need := min(distance+1, maxPacketThreshold)
	r.packets = max(r.packets, need-min(need, packetThreshold))
	for r.eighths < maxTimeThreshold-timeThreshold && age > r.lossDelay(rtt) {
		r.eighths++
	}
}

// onEpisode tells that packets were lost, for all that is known.
func (r *reordering) onEpisode() {
	if r.calm++; r.calm >= calmEpisodes {
		*r = reordering{}
	}
}

// episode is the losses that one reaction of the controller answers: of packets sent until the first of them was declared.
type episode struct {
	id            uint32
	final         bool         // marks or persistent congestion: whatever arrives, the reaction stands
	since, start  hook.Instant // it holds packets sent after since, until start
	lost, arrived int          // packets declared lost, and of them acknowledged after all
}

// begin starts an episode unless sentAt lies before the start of the present one.
func (e *episode) begin(now, sentAt hook.Instant) (begun bool) {
	if sentAt <= e.start {
		return false
	}
	*e = episode{id: e.id + 1, since: e.start, start: now}
	return true
}

// mark tells that the network marked packets, the newest of which left at sentAt.
func (e *episode) mark(now, sentAt hook.Instant) {
	e.begin(now, sentAt)
	e.final = true
}

// lostEntry remembers a packet declared lost.
type lostEntry struct {
	pn           uint64
	sentAt, lost hook.Instant
	episode      uint32
	path         uint8
}

// lostLog holds the packets of a space that were declared lost lately, oldest first.
type lostLog struct {
	entries []lostEntry // nil until the first loss; limit: maxLostLog
}

func (l *lostLog) add(e lostEntry) {
	if l.entries == nil {
		l.entries = make([]lostEntry, 0, maxLostLog)
	}
	if len(l.entries) == maxLostLog {
		l.entries = l.entries[:copy(l.entries, l.entries[1:])]
	}
	l.entries = append(l.entries, e)
}

// expire forgets what was declared lost before t.
func (l *lostLog) expire(t hook.Instant) {
	n := 0
	for n < len(l.entries) && l.entries[n].lost < t {
		n++
	}
	if n > 0 {
		l.entries = l.entries[:copy(l.entries, l.entries[n:])]
	}
}

// forgetPath detaches the entries of a path.
func (l *lostLog) forgetPath(id uint8) {
	for i := range l.entries {
		if l.entries[i].path == id {
			l.entries[i].path = noPath
		}
	}
}

// take removes the entries in the ranges, which are the highest first, and calls late for each.
func (l *lostLog) take(ranges []Range, late func(e *lostEntry)) {
	kept := l.entries[:0]
	for i := range l.entries {
		if contains(ranges, l.entries[i].pn) {
			late(&l.entries[i])
			continue
		}
		kept = append(kept, l.entries[i])
	}
	l.entries = kept
}

// contains reports whether pn lies in one of the ranges, the highest first.
func contains(ranges []Range, pn uint64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Smallest <= pn })
	return i < len(ranges) && pn <= ranges[i].Largest
}

// noteLost remembers a packet in flight that was declared lost.
func (d *Detector) noteLost(now hook.Instant, s *space, pn uint64, e *Sent, path *Path) {
	if path.episode.begin(now, e.At) {
		path.reorder.onEpisode()
	}
	path.lost++
	d.lost++
	entry := lostEntry{pn: pn, sentAt: e.At, lost: now, path: e.Path}
	if e.At > path.episode.since {
		path.episode.lost++
		entry.episode = path.episode.id
	}
	s.lost.add(entry)
}

// takeLate looks for packets that were declared lost and have arrived (RFC 9002 §6.1.1: thresholds MAY adapt; RFC 9438 §4.9.2: a reaction to
// loss that was none may be taken back).
func (d *Detector) takeLate(now hook.Instant, s *space, ranges []Range) {
	if len(s.lost.entries) == 0 {
		return
	}
	s.lost.expire(now.Add(-2 * d.path.RTT.pto()))
	s.lost.take(ranges, func(e *lostEntry) {
		if p := d.PathByID(e.path); p != nil {
			d.spurious++
			p.onLate(now, e, s.largestAcked-min(s.largestAcked, e.pn))
		}
	})
}

// onLate learns from one packet that arrived after it was declared lost.
func (p *Path) onLate(now hook.Instant, e *lostEntry, distance uint64) {
	p.spurious++
	p.reorder.onLate(distance, now.Sub(e.sentAt), &p.RTT)
	if e.episode != p.episode.id {
		return
	}
	p.episode.arrived++
	if p.episode.arrived < p.episode.lost || p.episode.final {
		return
	}
	p.episode.start = p.episode.since // what is lost from now on is news
	if p.undoer != nil {
		p.undoer.UndoLoss(now)
	}
}
