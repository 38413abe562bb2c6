package recovery

import (
	"math"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// bbrProbe is the state of the cycle of probes for bandwidth.
type bbrProbe struct {
	phase        ackPhase
	probeSample  bool    // is_bw_probe_sample
	upAcked      float64 // bw_probe_up_acked
	perInc       float64 // probe_up_acked_per_inc
	upRounds     uint    // bw_probe_up_rounds
	wait         time.Duration
	cycleAt      hook.Instant // when the present cycle began
	prevTooHigh  bool         // the last probe lost too much
	prevCautious bool         // prev_probe_precautionary
}

// bbrMinRTT is the estimate of the path's round trip without queues.
type bbrMinRTT struct {
	minRTT         float64 // seconds
	minRTTAt       hook.Instant
	minRTTExpired  bool
	idleRestart    bool
	probeRTTWindow float64      // probe_rtt_cwnd
	probeRTTEnd    hook.Instant // 0 = the volume in flight is not low yet
	probeRTTRound  bool         // a round trip passed since it is
}

// accelerating reports whether the state looks for more bandwidth (IsProbingBW).
func (b *bbr) accelerating() bool {
	return b.state == bbrStartup || b.state == bbrRefill || b.state == bbrUp
}

// probingBandwidth reports whether the state is one of ProbeBW (IsInAProbeBWState).
func (b *bbr) probingBandwidth() bool { return b.state >= bbrDown && b.state <= bbrUp }

func (b *bbr) resetFullBW() { b.fullBW, b.fullCount, b.fullNow = 0, 0, false }

// checkFullPipe looks for a plateau of the delivery rate (§5.3.1.2).
func (b *bbr) checkFullPipe() {
	if b.fullNow || !b.roundStart || b.s.limited || b.s.rate == 0 {
		return
	}
	if b.s.rate >= b.fullBW*bbrFullGrowth {
		b.resetFullBW()
		b.fullBW = b.s.rate
		return
	}
	b.fullCount++
	b.fullNow = b.fullCount >= bbrFullRounds
	b.fullReached = b.fullReached || b.fullNow
}

// checkStartupLoss ends Startup when a round trip lost too much (§5.3.1.3). It is called at the end of a round.
func (b *bbr) checkStartupLoss() {
	marks := int(b.ceBytes) / b.mss
	if b.state != bbrStartup || !b.lossInRound || b.lossRuns+marks < bbrFullLosses || !b.tooMuch(b.s.lost+b.ceBytes, b.s.tx) {
		return
	}
	b.undo.left, b.undo.state = true, bbrStartup
	b.fullReached = true
	b.inflightLong = max(b.product(1), b.inflightLatest)
}

func (b *bbr) checkStartup() {
	if b.state == bbrStartup && b.fullReached {
		b.state, b.drainRound = bbrDrain, b.round
	}
}

// checkDrain enters ProbeBW when the queue of Startup is gone, or after three rounds (§5.3.2).
func (b *bbr) checkDrain() {
	if b.state == bbrDrain && (b.s.inFlight <= b.inflight(b.product(1)) || b.round > b.drainRound+3) {
		b.startDown()
	}
}

func (b *bbr) startDown() {
	b.resetCongestion()
	b.perInc = unlimited
	b.pickWait()
	b.cycleAt = b.s.now
	b.phase = acksProbeStopping
	b.startRound()
	b.state = bbrDown
}

// pickWait chooses when to probe again (§5.3.3.5.3): by chance, so that flows that share a bottleneck do not probe together.
func (b *bbr) pickWait() {
	b.sinceUp = int(b.luck >> 63)
	b.wait = bbrProbeWait + time.Duration(b.luck>>33)%time.Second
}

func (b *bbr) startRefill() {
	b.resetShortTerm()
	b.upRounds, b.upAcked, b.prevCautious = 0, 0, false
	b.phase = acksRefilling
	b.startRound()
	b.state = bbrRefill
}

func (b *bbr) startUp() {
	b.probeSample = true
	b.phase = acksProbeStarting
	b.startRound()
	b.resetFullBW()
	b.fullBW = b.s.rate
	b.state = bbrUp
	b.raiseSlope()
}

// cycle drives the states of ProbeBW (§5.3.3.6).
func (b *bbr) cycle() {
	if !b.fullReached || b.adaptLongTerm() {
		return
	}
	switch b.state {
	case bbrDown:
		if !b.timeToProbe() && b.timeToCruise() {
			b.state = bbrCruise
		}
	case bbrCruise:
		b.timeToProbe()
	case bbrRefill:
		if b.roundStart {
			b.startUp()
		}
	case bbrUp:
		if b.timeToGoDown() {
			b.prevTooHigh = false
			b.startDown()
		}
	}
}

// timeToProbe begins the next probe when it is due.
func (b *bbr) timeToProbe() bool {
	rounds := min(int(b.target())/b.mss, bbrRenoRounds)
	if b.s.now <= b.cycleAt.Add(b.wait) && b.sinceUp < rounds {
		return false
	}
	b.startRefill()
	return true
}

// timeToCruise reports whether the queue of the probe is gone.
func (b *bbr) timeToCruise() bool {
	return b.s.inFlight <= b.withHeadroom() && b.s.inFlight <= b.inflight(b.maxBandwidth()*b.minRTT)
}

// timeToGoDown reports whether the probe has found out what it can.
func (b *bbr) timeToGoDown() bool {
	if b.prevTooHigh && b.s.inFlight >= b.inflightLong {
		b.prevCautious = true // §5.3.3.4: where the last probe lost too much, touch and turn back
		return true
	}
	if b.windowLimited() && b.atLongTerm() {
		b.resetFullBW() // the bound, not the path, holds the rate down
		b.fullBW = b.s.rate
		return false
	}
	return b.fullNow
}

// atLongTerm reports whether the long-term bound is what limits the window, which is whole bytes.
func (b *bbr) atLongTerm() bool { return float64(b.window) >= math.Floor(b.inflightLong) }

// withHeadroom is inflight_longterm less what is left to others.
func (b *bbr) withHeadroom() float64 {
	if math.IsInf(b.inflightLong, 1) {
		return unlimited
	}
	return max(b.inflightLong-max(float64(b.mss), bbrHeadroom*b.inflightLong), b.minPipe())
}

// raiseSlope lets inflight_longterm grow twice as fast as in the round before.
func (b *bbr) raiseSlope() {
	growth := float64(uint64(1) << b.upRounds)
	b.upRounds = min(b.upRounds+1, 30)
	b.perInc = max(float64(b.window)/growth, float64(b.mss))
}

// raiseLongTerm grows inflight_longterm while a probe uses all of it.
func (b *bbr) raiseLongTerm() {
	if !b.windowLimited() || !b.atLongTerm() {
		return
	}
	b.upAcked += float64(b.s.acked)
	if steps := math.Floor(b.upAcked / b.perInc); steps >= 1 {
		b.upAcked -= steps * b.perInc
		b.inflightLong += steps * float64(b.mss)
	}
	if b.roundStart {
		b.raiseSlope()
	}
}

// adaptLongTerm follows the acknowledgments of a probe and raises the long-term bound. It reports whether it changed the state.
func (b *bbr) adaptLongTerm() bool {
	if b.phase == acksProbeStarting && b.roundStart {
		b.phase = acksProbeFeedback
	}
	if b.phase == acksProbeStopping && b.roundStart {
		b.probeSample, b.phase = false, acksInit
		if b.probingBandwidth() && !b.s.limited {
			b.advanceMaxBandwidth()
		}
		if b.probingBandwidth() && b.prevCautious && !b.prevTooHigh {
			b.startRefill()
			return true
		}
	}
	if b.tooMuch(b.s.lost, b.s.tx) || math.IsInf(b.inflightLong, 1) {
		return false
	}
	b.inflightLong = max(b.inflightLong, b.s.tx)
	if b.state == bbrUp {
		b.raiseLongTerm()
	}
	return false
}

// updateMinRTT keeps the least round trip of ten seconds (§5.3.4.3).
func (b *bbr) updateMinRTT(e *hook.Acked) {
	b.minRTTExpired = b.minRTTAt != 0 && b.s.now > b.minRTTAt.Add(bbrMinRTTAge)
	if b.minRTTExpired && b.state != bbrProbeRTT {
		b.probeRTTWindow = max(b.product(bbrGains[bbrProbeRTT].window), b.minPipe())
	}
	if rtt := e.RTT.Latest.Seconds(); e.RTTSampled && (rtt < b.minRTT || b.minRTTExpired) {
		b.minRTT, b.minRTTAt = rtt, b.s.now
	}
}

// checkProbeRTT enters ProbeRTT when the estimate is old, and leaves it again.
func (b *bbr) checkProbeRTT() {
	if b.state != bbrProbeRTT && b.minRTTExpired && !b.idleRestart {
		b.saveWindow()
		b.state = bbrProbeRTT
		b.probeRTTEnd = 0
		b.phase = acksProbeStopping
		b.startRound()
	}
	if b.state == bbrProbeRTT {
		b.holdProbeRTT()
	}
	b.idleRestart = false
}

// holdProbeRTT waits until little was in flight for 200 ms and a round trip.
func (b *bbr) holdProbeRTT() {
	b.limitedTill = b.s.now // MarkConnectionAppLimited: what is measured now is not the path
	if b.probeRTTEnd == 0 {
		if b.s.inFlight <= b.probeRTTWindow {
			b.probeRTTEnd, b.probeRTTRound = b.s.now.Add(bbrProbeRTTTime), false
			b.startRound()
		}
		return
	}
	b.probeRTTRound = b.probeRTTRound || b.roundStart
	if b.probeRTTRound {
		b.checkProbeRTTDone()
	}
}

func (b *bbr) checkProbeRTTDone() {
	if b.probeRTTEnd == 0 || b.s.now <= b.probeRTTEnd {
		return
	}
	b.minRTTAt = b.s.now
	b.window = max(b.window, b.priorWindow)
	b.resetShortTerm()
	if !b.fullReached {
		b.state = bbrStartup
		return
	}
	b.startDown()
	b.state = bbrCruise
}
