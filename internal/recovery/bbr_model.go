package recovery

import (
	"math"

	"github.com/seed51309289/quiver/hook"
)

// bbrBandwidth is the model of the path's rate, in bytes per second.
type bbrBandwidth struct {
	maxBW     [2]float64 // max_bw_filter: of the previous and of the present cycle of probes
	bwShort   float64    // bw_shortterm: bound by the losses since the last probe
	bw        float64    // the smaller of the two
	bwLatest  float64    // largest sample of the last round trip
	fullBW    float64    // full_bw: what growth is measured against
	fullCount int        // round trips without growth
	fullNow   bool       // the pipe is full, since the search began
	// fullReached says that the pipe was full once.
	fullReached bool
}

// bbrVolume is the model of what the path holds, in bytes.
type bbrVolume struct {
	inflightLong   float64 // inflight_longterm: bound by the losses of probes
	inflightShort  float64 // inflight_shortterm: bound by the losses since the last probe
	inflightLatest float64 // largest volume delivered in a round trip, over the last one
	extraStart     hook.Instant
	extraDelivered float64
	extra          roundMax // extra_acked_filter
	lossRoundAt    hook.Instant
	lossRoundStart bool
	lossInRound    bool
	lossRuns       int          // in the present round
	lostBytes      float64      // in the present round
	marked         bool         // the network marked packets in the present round
	ceBytes        float64      // … so many bytes
	conserving     hook.Instant // persistent congestion: packets sent until then are still being recovered
	priorWindow    int          // prior_cwnd
}

// bbrUndo is what a loss that was none gives back (§5.5.11).
type bbrUndo struct {
	left          bool     // a state was left because of loss
	state         bbrState // … namely this one
	bwShort       float64
	inflightShort float64
	inflightLong  float64
}

// roundMax is the largest of the values given over the last rounds: the three best candidates, each younger than the one before (the windowed
// filter of Kathleen Nichols).
type roundMax struct {
	best [3]struct {
		round uint64
		value float64
	}
}

func (m *roundMax) get() float64 { return m.best[0].value }

func (m *roundMax) add(round uint64, value float64, window uint64) {
	b := &m.best
	for i := range b {
		if value >= b[i].value {
			for ; i < len(b); i++ {
				b[i].round, b[i].value = round, value
			}
			break
		}
	}
	for n := 0; n < len(b) && round-b[0].round >= window; n++ {
		b[0], b[1] = b[1], b[2]
		b[2].round, b[2].value = round, value
	}
	// A second and a third choice from a quarter and a half of the window, lest all three leave it at once.
	if b[1].round == b[0].round && round-b[1].round >= window/4 && round != b[0].round {
		b[1].round, b[1].value = round, value
		b[2] = b[1]
	} else if b[2].round == b[1].round && round-b[2].round >= window/2 && round != b[1].round {
		b[2].round, b[2].value = round, value
	}
}

func (b *bbr) maxBandwidth() float64 { return max(b.maxBW[0], b.maxBW[1]) }

// advanceMaxBandwidth begins a cycle; one without a sample of its own keeps the cycle before (§5.5.6).
func (b *bbr) advanceMaxBandwidth() {
	if b.maxBW[1] > 0 {
		b.maxBW[0], b.maxBW[1] = b.maxBW[1], 0
	}
}

// updateLatest keeps the largest samples of a round trip (§5.5.10.3).
func (b *bbr) updateLatest() {
	b.bwLatest = max(b.bwLatest, b.s.rate)
	b.inflightLatest = max(b.inflightLatest, b.s.delivered)
	b.lossRoundStart = b.s.sentAt >= b.lossRoundAt
	if b.lossRoundStart {
		b.lossRoundAt = b.s.now
	}
}

func (b *bbr) advanceLatest() {
	if b.lossRoundStart {
		b.bwLatest, b.inflightLatest = b.s.rate, b.s.delivered
	}
}

// updateCongestion takes the sample into the bandwidth, and once in a round trip with loss lowers the short-term bounds.
func (b *bbr) updateCongestion(e *hook.Acked) {
	b.countRound()
	// §5.5.5: what the application held back counts only if it is more than was known.
	if b.s.rate > 0 && (b.s.rate >= b.maxBandwidth() || !b.s.limited) {
		b.maxBW[1] = max(b.maxBW[1], b.s.rate)
	}
	b.ceBytes += float64(e.CE * b.mss)
	if !b.lossRoundStart {
		return
	}
	b.checkStartupLoss()
	if !b.accelerating() && (b.marked || b.tooMuch(b.lostBytes, b.s.tx)) {
		b.lowerBounds()
	}
	b.forgetRound()
}

// tooMuch reports whether a loss of so many bytes among tx in flight is congestion.
//
// DEVIATES draft-ietf-ccwg-bbr §5.5.10: the draft ends a probe above 2 % and lowers its short-term bounds after any loss. Of thirty packets in
// flight one is 3 %, so that on a path of 30 ms and 10 Mbit/s every lost packet counts, and with 2 % lost by chance a third of the rate is gone.
// Two datagrams a round trip are taken for chance everywhere, and the short-term bounds ask for 2 % too; a queue that overflows loses more at once.
func (b *bbr) tooMuch(lost, tx float64) bool {
	return lost > max(tx*bbrLossThresh, float64(bbrLossFloor*b.mss))
}

func (b *bbr) forgetRound() {
	b.lossInRound, b.marked = false, false
	b.lossRuns, b.lostBytes, b.ceBytes = 0, 0, 0
}

// lowerBounds adapts to what was delivered in a round trip with loss (§5.5.10.3).
func (b *bbr) lowerBounds() {
	if math.IsInf(b.bwShort, 1) {
		b.bwShort = b.maxBandwidth()
	}
	if math.IsInf(b.inflightShort, 1) {
		b.inflightShort = float64(b.window)
	}
	b.bwShort = max(b.bwLatest, bbrBeta*b.bwShort)
	b.inflightShort = max(b.inflightLatest, bbrBeta*b.inflightShort)
}

func (b *bbr) resetShortTerm() { b.bwShort, b.inflightShort = unlimited, unlimited }

func (b *bbr) resetCongestion() {
	b.forgetRound()
	b.bwLatest, b.inflightLatest = 0, 0
}

// updateExtraAcked measures by how much acknowledgments run ahead of the bandwidth (§5.5.9).
func (b *bbr) updateExtraAcked() {
	expected := b.bw * b.s.now.Sub(b.extraStart).Seconds()
	if b.extraDelivered <= expected {
		b.extraStart, b.extraDelivered, expected = b.s.now, 0, 0
	}
	b.extraDelivered += float64(b.s.acked)
	window := uint64(1) // in Startup the last round only
	if b.fullReached {
		window = bbrExtraRounds
	}
	b.extra.add(b.round, min(b.extraDelivered-expected, float64(b.window)), window)
}

func (b *bbr) extraAcked() float64 { return b.extra.get() }

// Lost notes loss, and ends a probe that lost too much (§5.5.10.2). A CE mark tells of a full queue as loss does, and counts the same
// (RFC 9002 §7.1); the draft leaves it open.
func (b *bbr) Lost(e *hook.Lost) {
	b.s.now = e.Now
	if !b.lossInRound {
		b.lossRoundAt = e.Now
		b.saveState()
	}
	b.lossInRound = true
	b.lossRuns += e.Runs
	b.lostBytes += float64(e.Bytes)
	b.marked = b.marked || e.CE
	if b.probeSample {
		b.judgeProbe(e)
	}
	if e.Persistent {
		b.conserve(e)
	}
}

// judgeProbe asks whether a probe put too much in flight.
func (b *bbr) judgeProbe(e *hook.Lost) {
	tx, lost, size := float64(e.TxInFlight), float64(e.LostSince), float64(e.Bytes)
	if !e.CE && !b.tooMuch(lost, tx) {
		return
	}
	if !e.CE {
		// §5.5.10.2: at what volume in flight did the losses pass the threshold?
		before := max(tx-size, 0)
		tx = before + max((bbrLossThresh*before-(lost-size))/(1-bbrLossThresh), 0)
	}
	b.s.tx, b.s.limited = tx, e.AppLimited
	b.tooHigh()
}

// tooHigh reacts once to a probe that put too much in flight.
func (b *bbr) tooHigh() {
	b.prevTooHigh, b.probeSample = true, false
	if !b.s.limited {
		b.inflightLong = max(b.s.tx, b.target()*bbrBeta)
	}
	if b.state == bbrUp {
		b.undo.left, b.undo.state = true, bbrUp
		b.startDown()
	}
}

// target is what should be in flight: the product, unless congestion cut the window.
func (b *bbr) target() float64 { return min(b.product(1), float64(b.window)) }

// conserve answers persistent congestion.
func (b *bbr) conserve(e *hook.Lost) {
	// RFC 9002 §7.6.2: the window MUST be reduced to the minimum; draft-ietf-ccwg-bbr §5.6.4.4 restores it after recovery.
	b.saveWindow()
	b.window = 2 * b.mss
	b.conserving = e.Now
}

func (b *bbr) saveWindow() {
	if b.conserving == 0 && b.state != bbrProbeRTT {
		b.priorWindow = b.window
		return
	}
	b.priorWindow = max(b.priorWindow, b.window)
}

// saveState remembers what UndoLoss gives back.
func (b *bbr) saveState() {
	b.saveWindow()
	b.undo = bbrUndo{bwShort: b.bwShort, inflightShort: b.inflightShort, inflightLong: b.inflightLong}
}

// UndoLoss gives back what an episode of loss took (§5.5.11.2).
func (b *bbr) UndoLoss(now hook.Instant) {
	b.s.now = now
	u := b.undo
	b.undo.left = false
	b.window = max(b.window, b.priorWindow)
	b.lossInRound = false
	b.resetFullBW()
	b.bwShort, b.inflightShort, b.inflightLong = max(b.bwShort, u.bwShort), max(b.inflightShort, u.inflightShort), max(b.inflightLong, u.inflightLong)
	if !u.left || u.state == b.state {
		return
	}
	if u.state == bbrStartup {
		b.fullReached = false
	}
	if b.state == bbrProbeRTT {
		return
	}
	if u.state == bbrStartup {
		b.state = bbrStartup
		return
	}
	b.startRefill()
}
