package recovery

import "testing"

// marked sends n packets marked as the path says, and returns how many were.
func (r *rig) marked(n int) (count uint64) {
	for range n {
		if r.p.ECN.Mark() != NotECT {
			count++
			r.send(1, ECT)
			continue
		}
		r.send(1)
	}
	return count
}

// capable makes the path prove itself with ten marked packets.
func capable(r *rig) {
	r.t.Helper()
	r.marked(10)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT0: 10}, 0, 9)
	if !r.p.ECN.Capable() {
		r.t.Fatal("ten marked packets were acknowledged with their counts, want a capable path")
	}
	r.acked = nil
	*r.cc() = recorder{window: r.cc().window}
}

// Conformance 62.
func TestECNMarksTenPacketsThenWaits(t *testing.T) {
	r := newRig(t, true)
	wantVar(r, "marked", r.marked(30), 10)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT0: 4}, 0, 3)
	wantVar(r, "capable after an acknowledgment", r.p.ECN.Capable(), true)
	wantVar(r, "marks on", r.marked(5), 5)
}

func TestECNStopsTestingAfterThreePTOs(t *testing.T) {
	r := newRig(t, true)
	wantVar(r, "first", r.marked(1), 1)
	r.advance(3 * r.p.RTT.pto())
	wantVar(r, "the packet that ends the test", r.marked(1), 1)
	wantVar(r, "then none", r.marked(1), 0)
}

// Security 26.
func TestECNFailsOnWrongCounts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		counts *ECNCounts
		failed bool
	}{
		{"right", &ECNCounts{ECT0: 20}, false},
		{"some marked CE", &ECNCounts{ECT0: 15, CE: 5}, false},
		{"more than acknowledged, since acknowledgments get lost", &ECNCounts{ECT0: 21}, false},
		{"none", nil, true},
		{"bleached", &ECNCounts{ECT0: 10}, true},
		{"partly bleached", &ECNCounts{ECT0: 17, CE: 2}, true},
		{"decreasing", &ECNCounts{ECT0: 9, CE: 11}, true},
		{"remarked to ECT(1)", &ECNCounts{ECT0: 20, ECT1: 1}, true},
		{"more than sent", &ECNCounts{ECT0: 23}, true},
		{"more CE than sent", &ECNCounts{ECT0: 20, CE: 1 << 40}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, true)
			capable(r)
			r.marked(12)
			r.advance(50 * ms)
			r.ackDelayed(0, tc.counts, 10, 19)
			wantVar(r, "failed", r.p.ECN.Failed(), tc.failed)
			if tc.failed {
				wantVar(r, "marking stops", r.marked(10), 0)
			}
		})
	}
}

func TestECNIsNotJudgedByReorderedAcks(t *testing.T) {
	r := newRig(t, true)
	capable(r)
	r.marked(3)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT0: 12}, 11, 12)
	r.ackDelayed(0, &ECNCounts{ECT0: 11}, 10, 10)
	wantVar(r, "an older acknowledgment with smaller counts", r.p.ECN.Failed(), false)
}

func TestECNFailsWhenAllMarkedPacketsAreLost(t *testing.T) {
	r := newRig(t, true)
	r.marked(10)
	r.send(3)
	r.advance(50 * ms)
	r.ack(12, 12)
	wantVar(r, "ten lost", r.p.ECN.Failed(), true)
}

func TestECNSurvivesSomeLoss(t *testing.T) {
	r := newRig(t, true)
	r.marked(5)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT0: 5}, 0, 4)
	r.marked(5)
	r.send(3)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT0: 5}, 12, 12)
	r.advance(500 * ms)
	r.d.OnTimeout(r.now, r)
	wantVar(r, "failed", r.p.ECN.Failed(), false)
	wantVar(r, "capable", r.p.ECN.Capable(), true)
}

// Conformance 124.
func TestCEIsCongestionOncePerRoundTrip(t *testing.T) {
	r := newRig(t, true)
	capable(r)
	r.marked(6)
	r.advance(50 * ms)
	ce := func(pn, ect, n uint64) int {
		r.ackDelayed(0, &ECNCounts{ECT0: ect, CE: n}, pn, pn)
		return len(r.cc().losses)
	}
	wantVar(r, "no mark", ce(10, 11, 0), 0)
	wantVar(r, "a mark", ce(11, 11, 1), 1)
	wantVar(r, "marked, not lost", r.cc().losses[0].CE && r.cc().losses[0].Bytes == 0, true)
	wantVar(r, "another of the same flight", ce(12, 11, 2), 1)
	r.marked(2)
	r.advance(50 * ms)
	wantVar(r, "a packet sent after the reaction", ce(16, 12, 3), 2)
	wantVar(r, "no new mark", ce(17, 13, 3), 2)
}

func TestECNCanBeOff(t *testing.T) {
	r := newRig(t, true)
	r.p = NewPath(PathConfig{NoECN: true})
	wantVar(r, "mark", r.p.ECN.Mark(), NotECT)
}

// l4s is a rig on a path that marks ECT(1).
func l4s(t *testing.T) *rig {
	r := newRig(t, true)
	r.p.ECN.l4s = true
	return r
}

func TestECT1IsValidatedLikeECT0(t *testing.T) {
	for _, tc := range []struct {
		name   string
		counts *ECNCounts
		failed bool
	}{
		{"right", &ECNCounts{ECT1: 10}, false},
		{"some marked CE", &ECNCounts{ECT1: 7, CE: 3}, false},
		{"none", nil, true},
		{"bleached", &ECNCounts{}, true},
		{"remarked to ECT(0)", &ECNCounts{ECT0: 10}, true},
		{"more than sent", &ECNCounts{ECT1: 11}, true},
	} {
		r := l4s(t)
		wantVar(r, "mark", r.p.ECN.Mark(), ECT1)
		wantVar(r, "marked", r.marked(20), 10)
		r.advance(50 * ms)
		r.ackDelayed(0, tc.counts, 0, 9)
		if r.p.ECN.Failed() != tc.failed || r.p.ECN.Capable() == tc.failed {
			t.Errorf("%s: failed %v, capable %v, want failed %v", tc.name, r.p.ECN.Failed(), r.p.ECN.Capable(), tc.failed)
		}
	}
}

// Every mark is told, so that a scalable controller learns their share, while
// the classic reaction comes once a round trip.
func TestControllerLearnsTheShareOfMarks(t *testing.T) {
	r := l4s(t)
	r.marked(10)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT1: 10}, 0, 9)
	r.acked = nil
	*r.cc() = recorder{window: r.cc().window}
	r.marked(20)
	r.advance(50 * ms)
	r.ackDelayed(0, &ECNCounts{ECT1: 17, CE: 3}, 10, 19)
	r.ackDelayed(0, &ECNCounts{ECT1: 22, CE: 8}, 20, 29)
	acks := r.cc().acks
	if len(acks) != 2 || acks[0].Packets != 10 || acks[0].CE != 3 || acks[1].Packets != 10 || acks[1].CE != 5 {
		t.Errorf("told %+v, want 3 and then 5 of 10 packets marked", acks)
	}
	wantVar(r, "reactions of one round trip", len(r.cc().losses), 1)
}
