package fec_test

import (
	"math/rand/v2"
	"testing"
)

// sendAll sends packets with stream data, one millisecond apart, and returns their SOURCE frames. After the last nothing waits.
func sendAll(g *guest, ps []packet, waiting uint64) (sources [][]byte) {
	for i, p := range ps {
		g.now += 1e6
		w := waiting
		if i == len(ps)-1 {
			w = 0
		}
		sources = append(sources, g.send(p, true, w))
	}
	return sources
}

func TestATailIsProtectedOnceAndNothingElse(t *testing.T) {
	g := newGuest(t, settings{policy: tail})
	ps := packets(rand.New(rand.NewPCG(1, 1)), 12, 500, 1100)
	for _, p := range ps[:11] {
		g.send(p, true, 5000)
	}
	if n := len(g.reserved); n != 0 {
		t.Errorf("%d repairs while data waits, want none", n)
	}
	g.send(ps[11], true, 0)
	n := len(g.repairs(100))
	if n < 1 || n > 4 {
		t.Errorf("%d repairs of 12 packets, want 1 to 4", n)
	}
	g.send(packet{50, []byte{1}}, false, 0) // no stream data
	if len(g.reserved) != 0 || g.timer != 0 {
		t.Errorf("%d repairs, timer %d after a packet without stream data, want none", len(g.reserved), g.timer)
	}
}

func TestBulkIsNotTouchedByThePolicyTail(t *testing.T) {
	g := newGuest(t, settings{policy: tail})
	for pn := range uint64(200) {
		if reserve, ride := g.begin(pn, 1200, 1<<20); reserve != 0 || ride {
			t.Fatalf("packet %d keeps %d bytes free, ride %v, while a megabyte waits", pn, reserve, ride)
		}
	}
}

func TestTheFullPolicySendsRForEachK(t *testing.T) {
	for _, tc := range schemes {
		t.Run(tc.name, func(t *testing.T) {
			g := newGuest(t, settings{scheme: tc.scheme, policy: full, rate: fixed, k: 25, r: 5, window: 25})
			r := rand.New(rand.NewPCG(2, 2))
			repairs := 0
			for i, p := range packets(r, 250, 500, 1100) {
				g.send(p, true, 5000)
				for _, b := range g.repairs(p.pn + 10000) {
					if n := parseRepair(t, b).count; n > 25 {
						t.Errorf("repair of %d packets, want at most 25", n)
					}
					repairs++
				}
				if i >= 30 {
					g.acked(p.pn - 30)
				}
			}
			if repairs < 45 || repairs > 50 {
				t.Errorf("%d repairs of 250 packets, want 50", repairs)
			}
		})
	}
}

func TestADeadlineThatRetransmissionMeetsNeedsNoRepairs(t *testing.T) {
	for _, tc := range []struct {
		rtt  uint64
		want bool
	}{{20e6, false}, {90e6, false}, {100e6, true}} {
		g := newGuest(t, settings{policy: deadline, deadline: 150, rate: fixed, k: 5, r: 1})
		g.rtt = tc.rtt
		sendAll(g, packets(rand.New(rand.NewPCG(3, 3)), 20, 100, 200), 100)
		if got := len(g.reserved) > 0; got != tc.want {
			t.Errorf("round trip of %d ms, deadline 150 ms: repairs %v, want %v", tc.rtt/1e6, got, tc.want)
		}
	}
}

func TestManySmallMessagesShareTheirRepairs(t *testing.T) {
	g := newGuest(t, settings{})
	r := rand.New(rand.NewPCG(4, 4))
	repairs := 0
	for i, p := range packets(r, 500, 40, 60) {
		g.now += 2e6
		if g.timer != 0 && g.now >= g.timer {
			g.timer = 0
			g.must(opTimer, 0, 0, nil, nil)
		}
		g.send(p, true, 0)
		repairs += len(g.repairs(10000 + p.pn))
		if i >= 50 {
			g.acked(p.pn - 50)
		}
	}
	if repairs < 40 || repairs > 200 {
		t.Errorf("%d repairs of 500 messages, want 40 to 200", repairs)
	}
}

func TestATimerProtectsWhatTheBudgetDidNot(t *testing.T) {
	g := newGuest(t, settings{})
	for _, p := range packets(rand.New(rand.NewPCG(5, 5)), 7, 40, 60) {
		g.now += 1e6
		g.send(p, true, 0)
		g.repairs(1000 + p.pn)
	}
	if g.timer == 0 {
		t.Fatal("no timer, though messages are unprotected")
	}
	g.now, g.timer = g.timer, 0
	g.must(opTimer, 0, 0, nil, nil)
	if len(g.repairs(2000)) == 0 {
		t.Error("no repair when the timer passed")
	}
	g.now += 1e9
	g.must(opTimer, 0, 0, nil, nil)
	if len(g.reserved) != 0 || g.timer != 0 {
		t.Error("an idle connection is not left alone")
	}
}

func TestTheMeasuredLossDecidesHowMany(t *testing.T) {
	var got [3]int
	for i, every := range []int{0, 50, 10} {
		g := newGuest(t, settings{})
		for pn := range uint64(2000) {
			if every > 0 && pn%uint64(every) == 0 {
				g.lost(pn)
			} else {
				g.acked(pn)
			}
		}
		ps := packets(rand.New(rand.NewPCG(6, 6)), 40, 100, 200)
		for i := range ps {
			ps[i].pn += 5000
		}
		sendAll(g, ps, 100)
		got[i] = len(g.repairs(9000))
	}
	if got[0] != 1 || got[1] <= got[0] || got[2] <= got[1] || got[2] > 16 {
		t.Errorf("repairs of 40 packets without loss, with 2 %% and with 10 %%: %v, want 1 and more and more", got)
	}
}

func TestWhatIsAckedIsNotProtected(t *testing.T) {
	g := newGuest(t, settings{})
	ps := packets(rand.New(rand.NewPCG(7, 7)), 10, 100, 200)
	for _, p := range ps[:9] {
		g.send(p, true, 10)
	}
	for _, p := range ps[:6] {
		g.acked(p.pn)
	}
	g.lost(ps[6].pn) // it is sent again, as another packet
	g.send(ps[9], true, 0)
	for _, b := range g.repairs(100) {
		if r := parseRepair(t, b); r.first != 7 || r.count != 3 {
			t.Errorf("repair of %d packets from symbol %d, want 3 from 7", r.count, r.first)
		}
	}
	for _, p := range ps[7:] {
		g.acked(p.pn)
	}
	g.now += 1e9
	g.send(packet{60, []byte("x")}, true, 0)
	g.acked(60)
	if n := len(g.repairs(200)); n != 0 {
		t.Errorf("%d repairs of what the peer has, want none", n)
	}
}

func TestARepairOfTheLongestPacketFits(t *testing.T) {
	const rideRoom = 3 + 4 + 1 // what the connection keeps for the SOURCE frame
	for room := 80; room <= 1550; room++ {
		g := newGuest(t, settings{})
		reserve, ride := g.begin(1, room, 0)
		frames := room - reserve - rideRoom
		if !ride {
			if room <= 1490 {
				t.Errorf("room %d: not protected", room)
			}
			continue
		}
		in := g.must(opWrite, 0, 5, make([]byte, frames), words(uint64(1), uint32(frameSource), uint32(4), uint64(0)))
		if in <= 0 || len(g.reserved) == 0 {
			t.Fatalf("room %d: nothing reserved", room)
		}
		b := g.write(g.reserved[0].token, frameRepair, 2, min(int(g.reserved[0].size), room-4))
		if len(b) == 0 || len(b)+4 > room {
			t.Errorf("room %d, %d bytes of frames: repair has %d bytes", room, frames, len(b))
		}
	}
}

func TestWithoutTheFuelToSpareNothingIsProtected(t *testing.T) {
	g := newGuest(t, settings{policy: full, effort: 1})
	protected := 0
	for pn := range uint64(1000) {
		g.now += 1e3 // a million packets a second
		if g.send(packet{pn, make([]byte, 1100)}, true, 5000) != nil {
			protected++
		}
		g.repairs(pn)
		g.acked(pn)
	}
	if protected == 0 || protected > 100 {
		t.Errorf("%d of 1000 packets protected, want a few", protected)
	}
	g.now += 1e9
	if _, ride := g.begin(2000, 1200, 100); !ride {
		t.Error("nothing is protected a second later")
	}
}

func TestTooLargePacketsAreLeftOut(t *testing.T) {
	g := newGuest(t, settings{})
	if _, ride := g.begin(1, 8000, 0); ride {
		t.Error("a packet of 8000 bytes is to be protected")
	}
	// A host that grants less than was asked for: the number is used up, and nothing else happens.
	g.send(packet{1, make([]byte, 100)}, true, 10)
	g.send(packet{2, make([]byte, 1440)}, true, 10)
	g.send(packet{3, make([]byte, 100)}, true, 0)
	for _, b := range g.repairs(10) {
		if r := parseRepair(t, b); r.first != 2 || r.count != 1 {
			t.Errorf("repair of %d from %d, want 1 from 2", r.count, r.first)
		}
	}
}

func TestReservationsThatAreForgottenAreReplaced(t *testing.T) {
	g := newGuest(t, settings{})
	for pn := range uint64(400) {
		g.now += 1e9
		g.send(packet{pn, make([]byte, 100)}, true, 0)
		if pn%2 == 0 {
			g.reserved = nil // the connection forgot
		}
	}
	if n := len(g.reserved); n == 0 || n > 16 {
		t.Errorf("%d reservations wait, want 1 to 16", n)
	}
	g.inactive, g.reserved = true, nil
	g.now += 1e9
	g.send(packet{1000, make([]byte, 100)}, true, 0)
	if len(g.reserved) != 0 {
		t.Error("reserves while the peer's half is not ready")
	}
}

func TestAttachRefusesWhatTheManifestDoes(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    settings
		want bool
	}{
		{"defaults", settings{}, true},
		{"unknown scheme", settings{scheme: 3}, false},
		{"negative k", settings{k: -1}, false},
		{"k beyond the ring", settings{k: 65}, false},
		{"window of Reed-Solomon", settings{scheme: rs, framework: window}, false},
		{"blocks of a random code", settings{framework: block}, true},
	} {
		g := bareGuest(t)
		r, err := g.do(opAttach, 0, 0, tc.s.bytes(), nil)
		if err != nil || (r == 0) != tc.want {
			t.Errorf("%s: %d, %v, want attached %v", tc.name, r, err, tc.want)
		}
	}
	g := bareGuest(t)
	if r, err := g.do(opAttach, 0, 0, nil, nil); r != 0 || err != nil {
		t.Errorf("without settings: %d, %v, want the defaults", r, err)
	}
}
