package core

import (
	"encoding/binary"
	"time"
)

const (
	// earlyWindow is how old a ticket may be for 0-RTT: as long as a ClientHello
	// must be remembered. Older tickets still resume.
	earlyWindow = time.Hour
	// maxReplayRecords bounds what is remembered per window: beyond it early data
	// is rejected, tokens count as none. limit: RFC 8446 §8.2, RFC 9000 §8.1.4.
	maxReplayRecords = 1 << 17
)

// replays remembers values for at least a window: in two generations, of which
// the older one goes as a whole.
type replays struct {
	window   time.Duration
	since    time.Time           // when the present generation began
	now, old map[uint64]struct{} // limit: maxReplayRecords
}

// has reports whether id was added within the window, or no more can be.
func (r *replays) has(now time.Time, id uint64) bool {
	r.turn(now)
	_, in := r.now[id]
	_, was := r.old[id]
	return in || was || len(r.now) >= maxReplayRecords
}

// add reports whether id was not there, and adds it.
func (r *replays) add(now time.Time, id uint64) bool {
	if r.has(now, id) {
		return false
	}
	if r.now == nil {
		r.now = make(map[uint64]struct{})
	}
	r.now[id] = struct{}{}
	return true
}

func (r *replays) turn(now time.Time) {
	switch age := now.Sub(r.since); {
	case age < r.window:
	case age < 2*r.window:
		r.old, r.now, r.since = r.now, nil, r.since.Add(r.window)
	default:
		r.old, r.now, r.since = nil, nil, now
	}
}

// Guard is the EarlyGuard of one server: it takes a ClientHello once, within a
// window, and only with tickets issued since it is there, because it does not
// know what its predecessor took (RFC 8446 §8.2). Servers that share ticket
// keys and no Guard take a hello once each. Not safe for concurrent use.
type Guard struct {
	start time.Time
	seen  replays
}

var _ EarlyGuard = (*Guard)(nil)

// NewGuard returns a Guard that knows nothing from before now.
func NewGuard(now Time) *Guard {
	return &Guard{start: now, seen: replays{window: earlyWindow, since: now}}
}

// Fresh implements EarlyGuard.
func (g *Guard) Fresh(now, issued Time, hello [32]byte) bool {
	// A ticket keeps its time in milliseconds.
	if issued.Before(g.start.Truncate(time.Millisecond)) || now.Sub(issued) >= earlyWindow {
		return false
	}
	return !g.seen.has(now, helloID(hello))
}

// Record implements EarlyGuard.
func (g *Guard) Record(now Time, hello [32]byte) bool { return g.seen.add(now, helloID(hello)) }

// helloID is enough of a random value: two that begin alike by chance cost one
// of them its early data, no more.
func helloID(hello [32]byte) uint64 { return binary.BigEndian.Uint64(hello[:]) }
