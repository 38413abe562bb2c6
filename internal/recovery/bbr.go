package recovery

import (
	"math"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Constants of BBRv3 (draft-ietf-ccwg-bbr §2).
const (
	bbrMargin       = 0.99 // PacingMarginPercent: the share of the bandwidth that is paced at
	bbrLossThresh   = 0.02 // of what is in flight: more loss means too much in flight …
	bbrLossFloor    = 2    // … if it is more than so many datagrams, see tooMuch
	bbrBeta         = 0.7  // least share that one round trip with loss leaves
	bbrHeadroom     = 0.15 // share of inflight_longterm left to others
	bbrMinPipe      = 4    // datagrams in flight, so that a peer that acknowledges every second one keeps the pipe going
	bbrFullGrowth   = 1.25 // a round trip with less growth than this …
	bbrFullRounds   = 3    // … this many times fills the pipe
	bbrFullLosses   = 6    // runs of lost packets in a round trip that end Startup
	bbrExtraRounds  = 10   // round trips that extra_acked is the maximum of
	bbrMinRTTAge    = 10 * time.Second
	bbrProbeRTTTime = 200 * time.Millisecond
	bbrProbeWait    = 2 * time.Second // between probes for bandwidth, and up to a second more
	bbrRenoRounds   = 63              // … or this many round trips, for the sake of Reno beside it
	bbrMaxQuantum   = 64 << 10        // bytes
	bbrQuantumTime  = time.Millisecond
)

// bbrState is a state of BBR's machine (draft-ietf-ccwg-bbr §5.1).
type bbrState uint8

const (
	bbrStartup  bbrState = iota // double the rate every round trip until the pipe is full
	bbrDrain                    // empty the queue which that made
	bbrDown                     // ProbeBW_DOWN: send less than is delivered, to empty the queue of a probe
	bbrCruise                   // ProbeBW_CRUISE: send what is delivered
	bbrRefill                   // ProbeBW_REFILL: fill the pipe before the probe
	bbrUp                       // ProbeBW_UP: probe for more bandwidth
	bbrProbeRTT                 // let the queue run empty to see the path's round trip
)

// bbrGains are the factors of the bandwidth and of the bandwidth-delay product in each state (§5.6.1).
var bbrGains = [...]struct{ pacing, window float64 }{
	bbrStartup: {2.77, 2}, bbrDrain: {0.5, 2}, bbrDown: {0.9, 2}, bbrCruise: {1, 2}, bbrRefill: {1, 2}, bbrUp: {1.25, 2.25}, bbrProbeRTT: {1, 0.5},
}

// ackPhase says what the acknowledgments coming in tell about a probe for bandwidth.
type ackPhase uint8

const (
	acksInit ackPhase = iota
	acksRefilling
	acksProbeStarting
	acksProbeFeedback
	acksProbeStopping
)

var unlimited = math.Inf(1)

// bbr is the congestion controller of draft-ietf-ccwg-bbr, version 3 of BBR: from delivery rate, round-trip time and loss it keeps a model of
// the path and sends at the bottleneck's rate with little more in flight than fills the path. Volumes are in bytes, rates in bytes per
// second. The draft's names stand beside the fields.
type bbr struct {
	mss     int
	window  int     // C.cwnd
	initial int     // C.InitialCwnd
	rate    float64 // C.pacing_rate
	touched bool    // an acknowledgment came
	state   bbrState
	s       bbrSample
	luck    uint64 // mixed from what happens, for the random part of the time between probes

	bbrRounds
	bbrBandwidth
	bbrVolume
	bbrProbe
	bbrMinRTT
	undo bbrUndo
}

// bbrSample is what the present event tells (RS).
type bbrSample struct {
	now, sentAt hook.Instant
	rate        float64 // RS.delivery_rate; 0 = no sample
	delivered   float64 // RS.delivered
	limited     bool    // RS.is_app_limited
	tx          float64 // RS.tx_in_flight
	lost        float64 // RS.lost
	acked       int     // RS.newly_acked
	inFlight    float64 // C.inflight
}

// bbrRounds counts packet-timed round trips (§5.5.1): one ends when a packet sent after its beginning is acknowledged.
type bbrRounds struct {
	roundAt     hook.Instant // when the present one began
	round       uint64       // round_count
	roundStart  bool         // this acknowledgment began one
	sinceUp     int          // rounds_since_probe_up
	drainRound  uint64       // drain_start_round
	filled      bool         // the window was used up in this round …
	filledLast  bool         // … and in the one before
	limitedTill hook.Instant // packets sent until then were held back by ProbeRTT
}

func newBBR(mss int) *bbr {
	b := &bbr{mss: mss, initial: initialWindow(mss)}
	b.window = b.initial
	b.minRTT, b.probeRTTWindow = unlimited, float64(b.initial)
	b.inflightLong, b.perInc = unlimited, unlimited
	b.resetShortTerm()
	// §5.6.2: before the first sample, as if the round trip were a millisecond.
	b.initRate(time.Millisecond)
	b.luck = 0x9e3779b97f4a7c15
	return b
}

var _ hook.Congestion = (*bbr)(nil)
var _ hook.LossUndoer = (*bbr)(nil)
var _ hook.Resumer = (*bbr)(nil)

// Name returns "bbr".
func (b *bbr) Name() string { return "bbr" }

// Window returns how many bytes may be in flight.
func (b *bbr) Window() int { return b.window }

// PacingRate returns the bottleneck's bandwidth times the state's gain.
func (b *bbr) PacingRate() uint64 { return max(1, uint64(b.rate)) }

// MTUChanged takes the new datagram size into account.
func (b *bbr) MTUChanged(size int) {
	b.mss = size
	if !b.touched {
		b.initial = initialWindow(size)
		b.window = b.initial
	}
	b.window = max(b.window, 2*size)
}

// Sent notes that the window was used up, and the end of silence.
func (b *bbr) Sent(now hook.Instant, bytes, inFlight int) {
	if inFlight+b.mss > b.window {
		b.filled = true
	}
	if inFlight == bytes {
		b.restart(now)
	}
}

// restart begins again from idle (§5.4.1): at the bandwidth known, not faster.
func (b *bbr) restart(now hook.Instant) {
	b.idleRestart = true
	b.extraStart, b.extraDelivered = now, 0
	if b.probingBandwidth() {
		b.setRate(1)
	}
	if b.state == bbrProbeRTT {
		b.s.now = now
		b.checkProbeRTTDone()
	}
}

// Resume takes the window that the path was seen to carry; the bandwidth follows from the samples.
func (b *bbr) Resume(now hook.Instant, window, threshold int) {
	b.touched = true
	if threshold > 0 {
		b.window = max(min(b.window, window), 2*b.mss)
		return
	}
	b.window = max(b.window, window)
}

// Acked updates the model, then the state, then rate and window (§5.2.3).
func (b *bbr) Acked(e *hook.Acked) {
	if e.Bytes == 0 {
		return
	}
	b.take(e)
	b.updateLatest()
	b.updateCongestion(e)
	b.updateExtraAcked()
	b.checkFullPipe()
	b.checkStartup()
	b.checkDrain()
	b.cycle()
	b.updateMinRTT(e)
	b.checkProbeRTT()
	b.advanceLatest()
	b.bw = min(b.maxBandwidth(), b.bwShort)
	b.setRate(bbrGains[b.state].pacing)
	b.setWindow(e)
}

// take turns an acknowledgment into a sample.
func (b *bbr) take(e *hook.Acked) {
	b.touched = true
	b.luck = (b.luck^uint64(e.Now))*6364136223846793005 + e.Rate.Delivered
	b.s = bbrSample{
		now: e.Now, sentAt: e.LargestSent, delivered: float64(e.Rate.Bytes), acked: e.Bytes, inFlight: float64(e.InFlight),
		limited: e.Rate.AppLimited || e.LargestSent <= b.limitedTill, tx: float64(e.TxInFlight), lost: float64(e.LostSince),
	}
	if e.Rate.Interval > 0 {
		b.s.rate = float64(e.Rate.Bytes) / e.Rate.Interval.Seconds()
	}
	if math.IsInf(b.minRTT, 1) && e.RTTSampled {
		b.initRate(e.RTT.Smoothed)
	}
	if b.conserving != 0 && e.LargestSent > b.conserving {
		// §5.6.4.4: at the end of loss recovery the window is again what it was.
		b.conserving, b.window = 0, max(b.window, b.priorWindow)
	}
}

// startRound lets a round trip end with a packet sent from now on.
func (b *bbr) startRound() { b.roundAt = b.s.now }

// countRound is the draft's UpdateRound (§5.5.1).
func (b *bbr) countRound() {
	b.roundStart = b.s.sentAt >= b.roundAt
	if !b.roundStart {
		return
	}
	b.startRound()
	b.round++
	b.sinceUp++
	b.filledLast, b.filled = b.filled, false
}

// windowLimited is C.is_cwnd_limited: the window was used up within the last round trip.
func (b *bbr) windowLimited() bool { return b.filled || b.filledLast }

// initRate sets the rate from the initial window (§5.6.2).
func (b *bbr) initRate(rtt time.Duration) {
	b.rate = bbrGains[bbrStartup].pacing * float64(b.initial) / rtt.Seconds()
}

// setRate paces at gain times the bandwidth. §5.6.2: until the pipe was full once the rate does not fall.
func (b *bbr) setRate(gain float64) {
	rate := gain * b.bw * bbrMargin
	if rate > 0 && (b.fullReached || rate > b.rate) {
		b.rate = rate
	}
}

// quantum is the size of a train at the present rate (§5.6.3).
func (b *bbr) quantum() float64 {
	return max(min(b.rate*bbrQuantumTime.Seconds(), bbrMaxQuantum), float64(2*b.mss))
}

// product is gain times the bandwidth-delay product (§5.6.4.2).
func (b *bbr) product(gain float64) float64 {
	if math.IsInf(b.minRTT, 1) {
		return float64(b.initial)
	}
	return gain * b.bw * b.minRTT
}

// inflight is what must be in flight to use the path, for a product and what comes on top of it.
func (b *bbr) inflight(product float64) float64 {
	product = max(product, b.quantum(), b.minPipe())
	if b.state == bbrUp {
		product += float64(2 * b.mss)
	}
	return product
}

func (b *bbr) minPipe() float64 { return float64(bbrMinPipe * b.mss) }

// setWindow moves the window towards the model (§5.6.4.6).
func (b *bbr) setWindow(e *hook.Acked) {
	limit := b.inflight(b.product(bbrGains[b.state].window) + b.extraAcked())
	window := float64(b.window)
	if b.fullReached {
		window = min(window+float64(e.Bytes), limit)
	} else if window < limit || e.Rate.Delivered < uint64(b.initial) {
		window += float64(e.Bytes)
	}
	window = max(window, b.minPipe())
	if b.state == bbrProbeRTT {
		window = min(window, b.probeRTTWindow)
	}
	b.window = int(min(window, b.volumeLimit()))
}

// volumeLimit bounds the window by what loss has taught (§5.6.4.7).
func (b *bbr) volumeLimit() float64 {
	limit := unlimited
	switch b.state {
	case bbrDown, bbrRefill, bbrUp:
		limit = b.inflightLong
	case bbrCruise, bbrProbeRTT:
		limit = b.withHeadroom()
	}
	return max(min(limit, b.inflightShort), b.minPipe())
}
