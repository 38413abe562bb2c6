package recovery

import (
	"testing"
	"time"
)

func TestRTTBeginsAtInitialValues(t *testing.T) {
	r := newRig(t, true)
	wantVar(r, "initial smoothed", r.p.RTT.Smoothed(), 333*ms)
	wantVar(r, "initial var", r.p.RTT.Var(), 333*ms/2)
	wantVar(r, "a snapshot says that nothing was measured", r.p.RTT.Snapshot().HasSample, false)
}

func TestRTTFirstSampleReplacesTheInitialValues(t *testing.T) {
	r := newRig(t, true)
	r.send(1)
	r.advance(100 * ms)
	r.ackDelayed(20*ms, nil, 0, 0)
	wantVar(r, "smoothed ignores the ACK delay of the first sample", r.p.RTT.Smoothed(), 100*ms)
	wantVar(r, "var is half of it", r.p.RTT.Var(), 50*ms)
	wantVar(r, "min", r.p.RTT.Min(), 100*ms)
}

func TestRTTMovesByTheEquationsOfSection5(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.send(1)
	r.advance(140 * ms)
	r.ackDelayed(10*ms, nil, 1, 1)
	wantVar(r, "latest", r.p.RTT.Latest(), 140*ms)
	wantVar(r, "var = 3/4*50 + 1/4*|100-130|", r.p.RTT.Var(), 45*ms)
	wantVar(r, "smoothed = 7/8*100 + 1/8*130", r.p.RTT.Smoothed(), 103750*time.Microsecond)
}

// Conformance 112.
func TestRTTSamplesOnlyTheNewlyAckedLargest(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(r *rig)
		want bool
	}{
		{"largest newly acked", func(r *rig) { r.send(2); r.advance(50 * ms); r.ack(0, 1) }, true},
		{"largest acked before", func(r *rig) {
			r.send(2)
			r.advance(50 * ms)
			r.ack(1, 1)
			r.advance(50 * ms)
			r.ack(0, 1)
		}, false},
		{"nothing ack-eliciting", func(r *rig) { r.sendSize(40, 0); r.advance(50 * ms); r.ack(0, 0) }, false},
		{"a smaller newly acked packet is ack-eliciting", func(r *rig) {
			r.send(1)
			r.sendSize(40, 0)
			r.advance(50 * ms)
			r.ack(0, 1)
		}, true},
		{"nothing new", func(r *rig) { r.send(1); r.advance(50 * ms); r.ack(0, 0); r.ack(0, 0) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, true)
			tc.do(r)
			wantVar(r, "sampled", r.res.RTTSampled, tc.want)
		})
	}
}

// Conformance 113, security 25: lies about the ACK delay.
func TestRTTLimitsTheAckDelay(t *testing.T) {
	for _, tc := range []struct {
		name       string
		space      SpaceID
		confirmed  bool
		trip, said time.Duration
		adjusted   time.Duration // what enters the average
	}{
		{"ignored for initial", Initial, false, 140 * ms, 20 * ms, 140 * ms},
		{"used as it is before confirmation", Handshake, false, 140 * ms, 30 * ms, 110 * ms},
		{"capped by max_ack_delay after confirmation", AppData, true, 140 * ms, 40 * ms, 115 * ms},
		{"absurd but capped", AppData, true, 140 * ms, time.Hour, 115 * ms},
		{"never below the minimum", AppData, true, 110 * ms, 20 * ms, 110 * ms},
		{"absurd before confirmation", Handshake, false, 140 * ms, time.Hour, 140 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newHandshakeRig(t, true)
			r.space = tc.space
			r.sample(100 * ms)
			if tc.confirmed {
				r.d.SetHandshakeConfirmed()
			}
			r.send(1)
			r.advance(tc.trip)
			r.ackDelayed(tc.said, nil, 1, 1)
			wantVar(r, "smoothed", r.p.RTT.Smoothed(), (7*100*ms+tc.adjusted)/8)
			wantVar(r, "the minimum ignores the delay", r.p.RTT.Min(), min(100*ms, tc.trip))
		})
	}
}
