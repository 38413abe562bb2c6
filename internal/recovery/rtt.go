package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	initialRTT  = 333 * time.Millisecond // RFC 9002 §6.2.2
	granularity = time.Millisecond       // RFC 9002 §6.1.2: kGranularity
)

// RTT estimates the round-trip time of one path (RFC 9002 §5).
type RTT struct {
	latest, smoothed, variance, min time.Duration
	first                           hook.Instant // when the first sample was taken; 0 = none yet
	minStale                        bool         // the next sample replaces min
}

// init sets the estimate that holds until the first sample; 0 means 333 ms.
func (r *RTT) init(initial time.Duration) {
	if initial <= 0 {
		initial = initialRTT
	}
	// RFC 9002 §5.3: before any sample, smoothed_rtt = kInitialRtt and rttvar = kInitialRtt / 2.
	*r = RTT{smoothed: initial, variance: initial / 2}
}

// Latest returns the newest sample, 0 if there is none.
func (r *RTT) Latest() time.Duration { return r.latest }

// Smoothed returns the moving average, or the initial value.
func (r *RTT) Smoothed() time.Duration { return r.smoothed }

// Var returns the mean deviation, or half the initial value.
func (r *RTT) Var() time.Duration { return r.variance }

// Min returns the smallest sample since the beginning or the last persistent congestion, 0 if there is none.
func (r *RTT) Min() time.Duration { return r.min }

// HasSample reports whether the path was ever measured.
func (r *RTT) HasSample() bool { return r.first != 0 }

// Snapshot returns the estimate as plugins see it.
func (r *RTT) Snapshot() hook.RTT {
	return hook.RTT{Latest: r.latest, Smoothed: r.smoothed, Var: r.variance, Min: r.min, HasSample: r.HasSample()}
}

// sample takes one measurement into the estimate. ackDelay is what the peer says it waited, already limited by the caller.
func (r *RTT) sample(now hook.Instant, latest, ackDelay time.Duration) {
	latest = max(latest, 1) // a clock too coarse to see the trip still saw a trip
	r.latest = latest
	if r.first == 0 {
		// RFC 9002 §5.3: the first sample sets smoothed_rtt, rttvar and min_rtt, and ignores the ACK delay.
		r.first, r.min, r.smoothed, r.variance = now, latest, latest, latest/2
		return
	}
	if r.minStale || latest < r.min {
		// RFC 9002 §5.2: min_rtt ignores the ACK delay, so that a peer cannot lower it.
		r.min, r.minStale = latest, false
	}
	adjusted := latest
	if latest-r.min >= ackDelay {
		// RFC 9002 §5.3: MUST NOT subtract the delay if the result is smaller than min_rtt.
		adjusted = latest - ackDelay
	}
	r.variance = (3*r.variance + (r.smoothed - adjusted).Abs()) / 4
	r.smoothed = (7*r.smoothed + adjusted) / 8
}

// restartMin makes the next sample the minimum.
// RFC 9002 §5.2: SHOULD set min_rtt to the newest sample after persistent congestion.
func (r *RTT) restartMin() { r.minStale = true }

// pto is the probe timeout without the peer's ACK delay and without back-off.
func (r *RTT) pto() time.Duration {
	// RFC 9002 §6.2.1: PTO = smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay.
	return r.smoothed + max(4*r.variance, granularity)
}
