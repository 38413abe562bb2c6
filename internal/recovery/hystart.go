package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Constants of HyStart++ (RFC 9406 §4.3). L, the limit of growth per acknowledgment, is infinite: packets are paced.
const (
	hystartMinThresh = 4 * time.Millisecond
	hystartMaxThresh = 16 * time.Millisecond
	hystartDivisor   = 8
	hystartSamples   = 8
	hystartCSSGrowth = 4
	hystartCSSRounds = 5
	hystartNoRTT     = time.Duration(1<<63 - 1)
)

// hystart leaves slow start before it overflows a queue: when round trips grow, it slows down to conservative slow start, and after five
// rounds of that ends slow start; when round trips shrink again it goes back (RFC 9406).
type hystart struct {
	round     uint64        // the round trip that cur and samples belong to
	last, cur time.Duration // smallest samples of the previous and the current round
	samples   int           // in the current round
	baseline  time.Duration // cur when conservative slow start began; 0 = not in it
	cssRounds int
}

// onAck takes one acknowledgment in slow start. It returns the divisor for the window's growth, and whether slow start is over.
func (h *hystart) onAck(e *hook.Acked) (divisor int, done bool) {
	if h.round == 0 {
		*h = hystart{round: e.Round, last: hystartNoRTT, cur: hystartNoRTT}
	}
	if e.Round != h.round {
		done = h.nextRound(e.Round)
	}
	if e.RTTSampled {
		h.cur = min(h.cur, e.RTT.Latest)
		h.samples++
	}
	h.judge()
	if h.baseline != 0 {
		return hystartCSSGrowth, done
	}
	return 1, done
}

// judge compares this round's smallest sample with the previous round's.
func (h *hystart) judge() {
	if h.samples < hystartSamples || h.cur == hystartNoRTT {
		return
	}
	if h.baseline != 0 {
		// RFC 9406 §4.2: if currentRoundMinRTT < cssBaselineMinRtt, slow start was left too early: resume it.
		if h.cur < h.baseline {
			h.baseline, h.cssRounds = 0, 0
		}
		return
	}
	if h.last == hystartNoRTT {
		return
	}
	thresh := max(hystartMinThresh, min(h.last/hystartDivisor, hystartMaxThresh))
	if h.cur >= h.last+thresh {
		h.baseline, h.cssRounds = h.cur, 0
	}
}

// nextRound begins a round; it reports whether conservative slow start has lasted long enough.
func (h *hystart) nextRound(round uint64) (done bool) {
	h.last, h.cur, h.samples, h.round = h.cur, hystartNoRTT, 0, round
	if h.baseline == 0 {
		return false
	}
	h.cssRounds++
	return h.cssRounds >= hystartCSSRounds
}

// restart forgets everything, for a slow start after persistent congestion.
func (h *hystart) restart() { *h = hystart{} }
