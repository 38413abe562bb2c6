package recovery

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Conformance 114.
func TestLossByPacketThreshold(t *testing.T) {
	r := newRig(t, true)
	r.send(6)
	r.ack(2, 2)
	r.wantLost("two packets later is not enough")
	r.ack(3, 3)
	r.wantLost("three packets later is", 0)
	r.ack(5, 5)
	r.wantLost("only what is three below the largest", 1)
	wantVar(r, "bytes in flight", r.p.BytesInFlight(), 1200)
}

func TestLossByTimeThreshold(t *testing.T) {
	r := newRig(t, true)
	r.sample(80 * ms)
	r.send(1)
	r.advance(10 * ms)
	r.send(1)
	r.advance(80 * ms)
	r.ack(2, 2)
	r.wantLost("90 ms is not lost, 9/8 of 80 is", 1)
	wantVar(r, "nothing more to wait for", r.d.Deadline(), 0)
}

func TestLossTimerFiresAtNineEighths(t *testing.T) {
	r := newRig(t, true)
	r.sample(80 * ms)
	r.send(2)
	r.advance(80 * ms)
	r.ack(2, 2)
	r.wantLost("just as old as the round trip")
	r.wantDeadline("9/8 of 80 ms after it was sent", 10*ms)
	r.advance(10*ms - 1)
	wantVar(r, "too early", r.d.OnTimeout(r.now, r).Lost, 0)
	r.advance(1)
	probe := r.d.OnTimeout(r.now, r)
	r.wantLost("at the deadline", 1)
	wantVar(r, "the loss timer asks for no probe", probe.Count, 0)
	r.wantNoDeadline("nothing outstanding")
}

func TestLossTimeIsAtLeastTheGranularity(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * time.Microsecond)
	r.send(2)
	r.advance(100 * time.Microsecond)
	r.ack(2, 2)
	r.wantDeadline("1 ms after it was sent", 900*time.Microsecond)
}

// Conformance 120, first half: what the detector tells; the controllers' part is in their tests.
func TestLossTellsTheControllerOncePerAck(t *testing.T) {
	r := newRig(t, true)
	r.send(10)
	r.ack(9, 9)
	r.wantLost("seven by number", 0, 1, 2, 3, 4, 5, 6)
	wantVar(r, "one event", len(r.cc().losses), 1)
	wantVar(r, "with the sum", r.cc().losses[0].Bytes, 7*1200)
	wantVar(r, "in flight after it", r.cc().losses[0].InFlight, 2*1200)
	wantVar(r, "acks counted once", r.cc().acks[0].Bytes, 1200)
	wantVar(r, "in flight before", r.cc().acks[0].PriorInFlight, 12000)
}

func TestLossOfAckOnlyPacketIsNotCongestion(t *testing.T) {
	r := newRig(t, true)
	r.sendSize(40, 0)
	r.send(4)
	r.ack(1, 4)
	r.wantLost("its content is lost", 0)
	wantVar(r, "but nothing was in flight", len(r.cc().losses), 0)
}

func TestLossOfMTUProbeIsNotCongestion(t *testing.T) {
	r := newRig(t, true)
	r.sendSize(1452, AckEliciting, MTUProbe)
	r.send(4)
	r.ack(1, 4)
	r.wantLost("the probe", 0)
	wantVar(r, "no congestion event", len(r.cc().losses), 0)
	wantVar(r, "it left flight", r.p.BytesInFlight(), 0)
}

// Conformance 57, security 24.
func TestAckOfUnsentPacketIsAnError(t *testing.T) {
	r := newRig(t, true)
	r.send(3)
	r.d.SkipNumber(AppData) // 3
	r.send(3)
	for _, tc := range []struct {
		name  string
		pairs []uint64
		want  string
	}{
		{"never reached", []uint64{0, 7}, "packet 7, next to send 7"},
		{"far ahead", []uint64{1000, 1000}, "packet 1000, next to send 7"},
		{"skipped", []uint64{0, 6}, "packet 3, skipped on purpose"},
		{"skipped, lower range", []uint64{5, 6, 2, 3}, "packet 3, skipped on purpose"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := r.tryAck(0, nil, tc.pairs...)
			if !errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ack %v = %v, want ErrUnsent with %q", tc.pairs, err, tc.want)
			}
		})
	}
	r.wantAcked("a bad frame acknowledges nothing")
	r.ack(4, 6, 0, 2)
	r.wantAcked("around the skipped number", 0, 1, 2, 4, 5, 6)
	r.wantLost("a skipped number is never lost")
	if err := r.tryAck(0, nil, 0, 6); !errors.Is(err, ErrUnsent) {
		t.Errorf("skipped number below the ring: got %v, want ErrUnsent", err)
	}
}

func TestAckOfNeverSentSpaceIsAnError(t *testing.T) {
	r := newHandshakeRig(t, true)
	if err := r.tryAck(0, nil, 0, 0); !errors.Is(err, ErrUnsent) {
		t.Errorf("got %v, want ErrUnsent", err)
	}
}

func TestAckTwiceTellsOnce(t *testing.T) {
	r := newRig(t, true)
	r.send(3)
	r.ack(0, 2)
	r.wantAcked("first", 0, 1, 2)
	r.ack(0, 2)
	r.wantAcked("again")
	wantVar(r, "newly acked", r.res.NewlyAcked, 0)
}

// persistentRig has a 100 ms round trip. Another sample of 100 ms makes it smoothed 100, var 37.5, so that a PTO with max_ack_delay is 275 ms
// and the period 825 ms.
func persistentRig(t *testing.T) *rig {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.advance(ms)
	return r
}

// Conformance 123, security 28.
func TestPersistentCongestion(t *testing.T) {
	const period = 825 * ms
	for _, tc := range []struct {
		name string
		do   func(r *rig)
		want bool
	}{
		{"two lost packets more than a period apart", func(r *rig) {
			r.send(1)
			r.advance(period + 1)
			r.send(1)
			r.advance(ms)
			r.send(3)
			r.advance(100 * ms)
			r.ack(5, 5)
		}, true},
		{"exactly a period apart", func(r *rig) {
			r.send(1)
			r.advance(period)
			r.send(1)
			r.advance(ms)
			r.send(3)
			r.advance(100 * ms)
			r.ack(5, 5)
		}, false},
		{"one lost packet however old", func(r *rig) {
			r.send(1)
			r.advance(10 * period)
			r.send(3)
			r.advance(100 * ms)
			r.ack(4, 4)
		}, false},
		{"a packet between them was acknowledged", func(r *rig) {
			r.send(2)
			r.advance(2 * period)
			r.send(1)
			r.advance(ms)
			r.send(3)
			r.advance(100 * ms)
			r.ack(6, 6, 2, 2)
		}, false},
		{"a packet between them was acknowledged earlier", func(r *rig) {
			r.send(2)
			r.advance(50 * ms)
			r.ack(2, 2) // 1 is not yet lost
			r.advance(2 * period)
			r.send(4)
			r.advance(100 * ms)
			r.ack(6, 6)
		}, false},
		{"the run began in an earlier detection", func(r *rig) {
			r.send(2)
			r.advance(period + 1)
			r.send(2)
			r.advance(100 * ms)
			r.ack(4, 4)
			r.wantLost("3 is outstanding yet", 1, 2)
			wantVar(r, "not yet", r.res.Persistent, false)
			r.timeout()
			r.wantLost("by time", 3)
			r.res.Persistent = r.cc().losses[1].Persistent
		}, true},
		{"what is not ack-eliciting does not count", func(r *rig) {
			r.sendSize(1200, InFlight)
			r.advance(period + 1)
			r.send(1)
			r.advance(ms)
			r.send(3)
			r.advance(100 * ms)
			r.ack(5, 5)
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := persistentRig(t)
			tc.do(r)
			wantVar(r, "persistent", r.res.Persistent, tc.want)
			if n := len(r.cc().losses); n == 0 || r.cc().losses[n-1].Persistent != tc.want {
				t.Errorf("controller told %+v, want persistent %v", r.cc().losses, tc.want)
			}
		})
	}
}

func TestPersistentCongestionNeedsAnEarlierSample(t *testing.T) {
	r := newRig(t, true)
	r.send(1)
	r.advance(10 * time.Second)
	r.send(1)
	r.advance(ms)
	r.send(3)
	r.advance(100 * ms)
	r.ack(4, 4)
	r.wantLost("the two old ones", 0, 1)
	wantVar(r, "sent before the first sample", r.res.Persistent, false)
}

func TestPersistentCongestionRestartsTheMinimum(t *testing.T) {
	r := persistentRig(t)
	r.send(1)
	r.advance(2 * time.Second)
	r.send(1)
	r.advance(ms)
	r.send(3)
	r.advance(100 * ms)
	r.ack(5, 5)
	wantVar(r, "persistent", r.res.Persistent, true)
	r.send(1)
	r.advance(300 * ms)
	r.ack(6, 6)
	wantVar(r, "the next sample is the new minimum", r.p.RTT.Min(), 300*ms)
	r.send(1)
	r.advance(400 * ms)
	r.ack(7, 7)
	wantVar(r, "and only the next", r.p.RTT.Min(), 300*ms)
}

func TestPersistentCongestionIsBrokenByAnotherSpace(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.sample(100 * ms)
	r.advance(ms)
	r.send(4)
	r.advance(100 * ms)
	r.ack(4, 4)
	r.wantLost("the run begins in initial", 1)
	r.space = Handshake
	r.send(1)
	r.advance(100 * ms)
	r.ack(0, 0)
	r.space = Initial
	r.advance(3 * time.Second)
	r.send(4)
	r.advance(100 * ms)
	r.ack(8, 8)
	wantVar(r, "a Handshake packet between was acknowledged", r.res.Persistent, false)
}
