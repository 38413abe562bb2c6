package qlog

import (
	"math"
	"strconv"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Metrics are what loss detection and congestion control know.
type Metrics struct {
	MinRTT, SmoothedRTT, LatestRTT, RTTVar time.Duration

	CongestionWindow int // bytes
	BytesInFlight    int // bytes
	SSThresh         int // bytes; negative or math.MaxInt = none yet, not written
	PTOCount         int
	PacingRate       uint64 // bytes per second
}

// Parameters are what loss detection and congestion control start from.
type Parameters struct {
	ReorderingThreshold int     // packets
	TimeThreshold       float64 // round trips
	TimerGranularity    time.Duration
	InitialRTT          time.Duration
	MaxDatagramSize     int // bytes
	InitialWindow       int // bytes
	MinimumWindow       int // bytes
}

// RecoveryParameters records p.
func (l *Log) RecoveryParameters(now hook.Instant, p Parameters) {
	if l.off() {
		return
	}
	e := l.begin(now, "recovery_parameters_set")
	e.uint("reordering_threshold", uint64(p.ReorderingThreshold))
	e.key("time_threshold")
	e.b = strconv.AppendFloat(e.b, p.TimeThreshold, 'f', -1, 64)
	e.uint("timer_granularity", uint64(p.TimerGranularity/time.Millisecond))
	e.millis("initial_rtt", p.InitialRTT)
	e.uint("max_datagram_size", uint64(p.MaxDatagramSize))
	e.uint("initial_congestion_window", uint64(p.InitialWindow))
	e.uint("minimum_congestion_window", uint64(p.MinimumWindow))
	l.commit()
}

// MetricsUpdated records the members of m that differ from the last call's;
// without a difference it writes nothing.
func (l *Log) MetricsUpdated(now hook.Instant, m Metrics) {
	if l.off() || m == l.metrics {
		return
	}
	e, was := l.begin(now, "recovery_metrics_updated"), l.metrics
	empty := len(e.b)
	e.changedMillis("min_rtt", was.MinRTT, m.MinRTT)
	e.changedMillis("smoothed_rtt", was.SmoothedRTT, m.SmoothedRTT)
	e.changedMillis("latest_rtt", was.LatestRTT, m.LatestRTT)
	e.changedMillis("rtt_variance", was.RTTVar, m.RTTVar)
	e.changed("pto_count", was.PTOCount, m.PTOCount)
	e.changed("congestion_window", was.CongestionWindow, m.CongestionWindow)
	e.changed("bytes_in_flight", was.BytesInFlight, m.BytesInFlight)
	e.changed("ssthresh", was.SSThresh, m.SSThresh)
	if m.PacingRate != was.PacingRate {
		e.uint("pacing_rate", min(m.PacingRate, math.MaxUint64/8)*8) // qlog counts bits
	}
	l.metrics = m
	if len(e.b) > empty {
		l.commit()
	}
}

func (e *enc) changedMillis(k string, was, is time.Duration) {
	if is != was {
		e.millis(k, is)
	}
}

func (e *enc) changed(k string, was, is int) {
	if is != was && is >= 0 && is < math.MaxInt {
		e.uint(k, uint64(is))
	}
}

// CongestionStateUpdated records the state that the congestion controller is
// in from now on, such as slow_start, congestion_avoidance, application_limited
// or recovery.
func (l *Log) CongestionStateUpdated(now hook.Instant, new string) {
	if l.off() {
		return
	}
	e := l.begin(now, "congestion_state_updated")
	e.str("new", new)
	l.commit()
}

// ECNState records where the validation of ECN stands: testing, unknown,
// failed or capable.
func (l *Log) ECNState(now hook.Instant, state string) {
	if l.off() {
		return
	}
	e := l.begin(now, "ecn_state_updated")
	e.str("new", state)
	l.commit()
}

// LossTimer records what became of a timer: kind is ack, pto, loss_timeout,
// path_validation, handshake_timeout or idle_timeout; event is set, expired or
// cancelled; delta, of a set timer, is how long from now it fires.
func (l *Log) LossTimer(now hook.Instant, kind, event string, delta time.Duration) {
	if l.off() {
		return
	}
	e := l.begin(now, "timer_updated")
	e.str("timer_type", kind)
	e.str("event_type", event)
	if event == "set" {
		e.millis("delta", delta)
	}
	l.commit()
}
