package recovery

import (
	"fmt"
	"math"
	"strings"

	"github.com/seed51309289/quiver/hook"
)

// names of the built-in controllers, in the order an error lists them.
var names = []string{"cubic", "newreno", "bbr"}

// New returns the built-in congestion controller of that name for datagrams of mss bytes. The error lists the names that exist.
func New(name string, mss int) (hook.Congestion, error) {
	switch name {
	case "cubic":
		return newCubic(mss), nil
	case "newreno":
		return newReno(mss), nil
	case "bbr":
		return newBBR(mss), nil
	}
	return nil, fmt.Errorf("unknown congestion controller %q (have %s)", name, strings.Join(names, ", "))
}

// window is what the built-in controllers share: the window itself, slow start, and one reduction per round trip.
type window struct {
	mss      int
	size     int // bytes
	ssthresh int // bytes
	recovery hook.Instant
	touched  bool // grew or fell since it was the initial window
	hystart  hystart
	saved    windowState // before the last reduction
}

// windowState is what UndoLoss gives back.
type windowState struct {
	size, ssthresh int
	recovery       hook.Instant
}

func (w *window) init(mss int) {
	*w = window{mss: mss, size: initialWindow(mss), ssthresh: math.MaxInt}
}

// initialWindow returns the window a path begins with, in bytes.
// RFC 9002 §7.2: ten datagrams, limited to the larger of 14720 bytes or twice the datagram size.
func initialWindow(mss int) int { return min(10*mss, max(14720, 2*mss)) }

// minimum returns the smallest window. RFC 9002 §7.2: RECOMMENDED 2 * max_datagram_size.
func (w *window) minimum() int { return 2 * w.mss }

// Window returns how many bytes may be in flight.
func (w *window) Window() int { return w.size }

// PacingRate leaves the rate to the pacer.
func (w *window) PacingRate() uint64 { return 0 }

// InSlowStart reports whether the window doubles every round trip.
func (w *window) InSlowStart() bool { return w.size < w.ssthresh }

// MTUChanged takes the new datagram size into account.
func (w *window) MTUChanged(size int) {
	w.mss = size
	if !w.touched {
		// RFC 9002 §7.2: if the maximum datagram size changes, the initial window SHOULD be recalculated.
		w.size = initialWindow(size)
	}
	w.size = max(w.size, w.minimum())
}

// mayGrow reports whether an acknowledgment may raise the window at all.
func (w *window) mayGrow(e *hook.Acked) bool {
	// RFC 9002 §7.3.2: no growth for packets sent before or during the recovery period's start.
	if e.LargestSent <= w.recovery {
		return false
	}
	// RFC 9002 §7.8: SHOULD NOT be increased when the window is not filled.
	return !e.AppLimited && e.Bytes > 0
}

// slowStart grows the window by what was acknowledged. ended is true when this acknowledgment was the last of slow start.
func (w *window) slowStart(e *hook.Acked) (ended bool) {
	w.touched = true
	divisor := 1
	// RFC 9406 §4.3: HyStart++ is for the initial slow start; after congestion ssthresh is known.
	if w.ssthresh == math.MaxInt {
		divisor, ended = w.hystart.onAck(e)
	}
	w.size += e.Bytes / divisor
	if ended {
		w.ssthresh = w.size
	}
	return ended
}

// reduces reports whether news of loss or marks must reduce the window: once per round trip.
func (w *window) reduces(e *hook.Lost) bool {
	// RFC 9002 §7.3.2: a packet sent before the recovery period began does not start another.
	return e.LargestSent > w.recovery
}

// reduce begins a recovery period with a window of size bytes.
func (w *window) reduce(now hook.Instant, size int) {
	w.touched = true
	w.saved = windowState{w.size, w.ssthresh, w.recovery}
	w.recovery = now
	w.size = max(size, w.minimum())
	w.ssthresh = w.size
}

// undo takes the last reduction back. It reports whether there was anything to give back.
func (w *window) undo() bool {
	w.recovery = w.saved.recovery // the next loss is news
	if w.size >= w.saved.size {
		return false // grown beyond it since
	}
	w.size, w.ssthresh = w.saved.size, w.saved.ssthresh
	return true
}

// Resume sets what the path was seen to carry.
func (w *window) Resume(now hook.Instant, size, threshold int) {
	w.touched = true
	w.size = max(size, w.minimum())
	if threshold > 0 {
		w.ssthresh = max(threshold, w.size)
	}
}

// collapse answers persistent congestion.
func (w *window) collapse() {
	// RFC 9002 §7.6.2: the window MUST be reduced to the minimum; the sender goes back to slow start.
	w.touched = true
	w.size = w.minimum()
	w.recovery = 0
	w.hystart.restart()
}
