package recovery

import (
	"testing"
	"time"
)

// Conformance 115: smoothed 100, var 50: 100 + 200 = 300 ms.
func TestPTOPeriod(t *testing.T) {
	for _, tc := range []struct {
		name  string
		space SpaceID
		want  time.Duration
	}{
		{"initial", Initial, 300 * ms},
		{"handshake", Handshake, 300 * ms},
		{"application data adds max_ack_delay", AppData, 325 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, true)
			r.space = tc.space
			r.sample(100 * ms)
			r.send(1)
			r.wantDeadline("after the last ack-eliciting packet", tc.want)
			r.advance(50 * ms)
			r.sendSize(40, 0)
			r.wantDeadline("an ACK does not move it", tc.want-50*ms)
			r.send(1)
			r.wantDeadline("a later ack-eliciting packet does", tc.want)
			wantVar(r, "PTO()", r.d.PTO(tc.space), tc.want)
		})
	}
}

func TestPTOIsAtLeastGranularityAboveTheSmoothed(t *testing.T) {
	r := newRig(t, true)
	r.sample(ms)
	for range 40 {
		r.send(1)
		r.advance(ms)
		r.ack(r.d.NextNumber(AppData)-1, r.d.NextNumber(AppData)-1)
	}
	wantVar(r, "4*var is below 1 ms by now", r.p.RTT.Var() < ms/4, true)
	wantVar(r, "PTO", r.d.PTO(Initial), r.p.RTT.Smoothed()+ms)
}

func TestPTOUsesTheInitialRTTBeforeAnySample(t *testing.T) {
	r := newHandshakeRig(t, true)
	r.wantNoDeadline("nothing was sent yet")
	r.send(1)
	r.wantDeadline("333 + 4*166.5 ms", 999*ms)
}

// Conformance 115, 117; security 27.
func TestPTODoublesAndResetsOnAck(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.send(1)
	for i, want := range []time.Duration{325 * ms, 650 * ms, 1300 * ms, 2600 * ms} {
		r.wantDeadline("doubled", want)
		probe := r.timeout()
		wantVar(r, "count", r.d.PTOCount(), i+1)
		wantVar(r, "space", probe.Space, AppData)
		wantVar(r, "two probes", probe.Count, 2)
		r.wantLost("a timeout marks nothing lost")
		wantVar(r, "in flight", r.p.BytesInFlight(), 1200*(i+1))
		r.send(1)
	}
	r.advance(100 * ms)
	r.ack(5, 5)
	wantVar(r, "an acknowledgment resets the count", r.d.PTOCount(), 0)
}

func TestPTOBackoffEndsAtAMinute(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.send(1)
	for range 200 {
		r.timeout()
		r.send(1)
	}
	r.wantDeadline("capped", time.Minute)
	r.d = NewDetector(Config{}, NewPath(PathConfig{InitialRTT: time.Hour}))
	r.space = Handshake
	r.send(1)
	r.wantDeadline("a longer period is kept", 3*time.Hour)
	r.timeout()
	r.wantDeadline("but not doubled", 3*time.Hour)
}

// Security 27: a peer that never acknowledges for a minute gets few packets.
func TestPTOStormIsLogarithmic(t *testing.T) {
	r := newRig(t, true)
	r.sample(50 * ms)
	r.send(1)
	end, packets := r.now.Add(time.Minute), 0
	for r.d.Deadline() < end {
		n := r.timeout().Count
		packets += n
		r.send(n)
	}
	if packets > 2*10 {
		t.Errorf("%d probes in a minute, want at most two for each of ten doublings", packets)
	}
}

func TestPTOWaitsWhenTheCoreCannotSend(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.send(1)
	r.timeout()
	r.wantDeadline("the next one is two periods later although no probe left", 650*ms)
}

func TestPTOOfEarlierSpaceComesFirst(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.send(1)
	r.advance(5 * ms)
	r.space = Handshake
	r.send(1)
	wantVar(r, "initial", r.timeout().Space, Initial)
}

func TestPTOForAppDataWaitsForConfirmation(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.space = AppData
	r.send(1)
	r.wantNoDeadline("the peer may lack the keys to acknowledge")
	r.d.SetHandshakeConfirmed()
	r.wantDeadline("now it may", 999*ms+25*ms)
}

// Conformance 116: the client's anti-deadlock timer.
func TestPTOOfClientWithNothingInFlight(t *testing.T) {
	r := newHandshakeRig(t, true)
	r.send(1)
	r.advance(100 * ms)
	r.ack(0, 0)
	r.wantDeadline("armed although nothing is in flight", 300*ms)
	probe := r.timeout()
	wantVar(r, "an Initial while there are no other keys", probe, Probe{Space: Initial, Count: 1})
	r.wantDeadline("doubles", 600*ms)
	r.send(1)
	r.advance(100 * ms)
	r.ack(1, 1)
	wantVar(r, "the count is kept while the server may be blocked", r.d.PTOCount(), 1)
	r.d.SetHasHandshakeKeys()
	wantVar(r, "then a Handshake packet", r.timeout().Space, Handshake)
	r.space = Handshake
	r.send(1)
	r.advance(100 * ms)
	r.ack(0, 0)
	wantVar(r, "an acknowledged Handshake packet proves validation", r.d.PTOCount(), 0)
	r.wantNoDeadline("nothing in flight, nothing to unlock")
}

func TestPTOOfServerWithNothingInFlight(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.send(1)
	r.advance(100 * ms)
	r.ack(0, 0)
	r.wantNoDeadline("a server waits")
}

func TestPTOIsNotArmedWhileAmplificationBlocked(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.send(1)
	r.d.SetAmplificationBlocked(true)
	r.wantNoDeadline("blocked")
	r.advance(5 * time.Second)
	wantVar(r, "no probe", r.d.OnTimeout(r.now, r).Count, 0)
	r.d.SetAmplificationBlocked(false)
	r.wantDeadline("long past", -5*time.Second+999*ms)
	wantVar(r, "fires at once", r.d.OnTimeout(r.now, r).Count, 2)
}

// Conformance 118.
func TestDiscardClearsFlightAndTimers(t *testing.T) {
	r := newHandshakeRig(t, true)
	r.send(2)
	r.timeout()
	r.d.SetPeerAddressValidated(true)
	r.d.Discard(Initial, r)
	wantVar(r, "bytes in flight", r.p.BytesInFlight(), 0)
	wantVar(r, "count", r.d.PTOCount(), 0)
	wantVar(r, "no congestion", len(r.cc().losses), 0)
	r.wantNoDeadline("no timer")
	r.wantLost("content handed back", 0, 1)
	r.ack(0, 1)
	r.wantAcked("a late acknowledgment is ignored")
	r.d.Discard(Initial, nil)
}

func TestDiscardClearsTheLossTimer(t *testing.T) {
	r := newHandshakeRig(t, false)
	r.sample(100 * ms)
	r.send(2)
	r.advance(100 * ms)
	r.ack(2, 2)
	r.wantDeadline("loss timer", 12500*time.Microsecond)
	r.d.Discard(Initial, nil)
	r.wantNoDeadline("gone")
}

func TestRetryHandsContentBackAndNumbersOn(t *testing.T) {
	r := newHandshakeRig(t, true)
	r.send(2)
	r.timeout()
	r.d.OnRetry(r)
	r.wantLost("to be sent again", 0, 1)
	wantVar(r, "next number", r.d.NextNumber(Initial), 2)
	wantVar(r, "bytes in flight", r.p.BytesInFlight(), 0)
	wantVar(r, "count", r.d.PTOCount(), 0)
	wantVar(r, "no congestion", len(r.cc().losses), 0)
	r.send(1)
	r.advance(40 * ms)
	r.ack(2, 2)
	r.wantAcked("and goes on", 2)
}

func TestOutstandingFindsWhatAProbeMaySendAgain(t *testing.T) {
	r := newRig(t, true)
	r.send(2)
	r.sendSize(40, 0)
	r.send(1)
	r.ack(1, 1)
	var found []uint64
	for pn, p, ok := r.d.Outstanding(AppData, 0); ok; pn, p, ok = r.d.Outstanding(AppData, pn+1) {
		found = append(found, pn)
		wantVar(r, "size", p.Size, 1200)
	}
	if len(found) != 2 || found[0] != 0 || found[1] != 3 {
		t.Errorf("outstanding %v, want [0 3]", found)
	}
}
