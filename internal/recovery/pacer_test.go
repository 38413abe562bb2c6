package recovery

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// sender is a pacer with a fixed rate at a virtual time.
type sender struct {
	pacer
	t   *testing.T
	now hook.Instant
	pc  pace
}

func newSender(t *testing.T, rate uint64) *sender {
	var rtt RTT
	rtt.init(0)
	return &sender{t: t, now: hook.Instant(time.Second), pc: newPace(rate, 1<<20, mss, &rtt, false)}
}

// burst sends full datagrams until the pacer refuses, and returns the bytes and when to ask again.
func (s *sender) burst() (bytes int, retry hook.Instant) {
	for {
		n, retry := s.budget(s.now, s.pc)
		if n < mss {
			return bytes, retry
		}
		s.sent(mss)
		bytes += mss
	}
}

// run sends for d, waking late each time, and returns the bytes and the largest burst after the first.
func (s *sender) run(d, late time.Duration) (total, largest int) {
	for end := s.now.Add(d); s.now < end; {
		n, retry := s.burst()
		if total > 0 {
			largest = max(largest, n)
		}
		total += n
		if retry.Sub(s.now) < pacerTick {
			s.t.Fatalf("asked to come back in %v, want at least %v", retry.Sub(s.now), pacerTick)
		}
		s.now = retry.Add(late)
	}
	return total, largest
}

// Conformance 122.
func TestPacerNeverBurstsBeyondItsBucket(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rate  uint64
		burst int
	}{
		{"slow: ten packets", 100_000, 10 * mss},
		{"1 ms of the rate", 30_000_000, 30_000},
		{"a train at most", 500_000_000, pacerTrain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSender(t, tc.rate)
			for range 3 {
				if n, _ := s.burst(); n > tc.burst || n <= tc.burst-mss {
					t.Errorf("burst of %d bytes, want at most %d and all of it", n, tc.burst)
				}
				s.now = s.now.Add(time.Hour) // idle time buys no more
			}
		})
	}
}

func TestPacerKeepsItsRate(t *testing.T) {
	for _, rate := range []uint64{50_000, 1_250_000, 12_500_000, 125_000_000, 600_000_000} {
		for _, late := range []time.Duration{0, 60 * time.Microsecond, ms} {
			s := newSender(t, rate)
			total, _ := s.run(2*time.Second, late)
			want := 2 * float64(rate)
			if got := float64(total); got < 0.97*want || got > 1.03*want+float64(s.pc.burst) {
				t.Errorf("rate %d, timers %v late: sent %.0f bytes in 2 s, want %.0f", rate, late, got, want)
			}
		}
	}
}

func TestPacerSpreadsPacketsOfASlowPath(t *testing.T) {
	s := newSender(t, 1_250_000) // 10 Mbit/s
	if _, largest := s.run(time.Second, 0); largest > 2*mss {
		t.Errorf("burst of %d bytes after the first, want two packets", largest)
	}
}

func TestPacerLatenessIsCreditedOnlyForAWhile(t *testing.T) {
	s := newSender(t, 100_000_000)
	_, retry := s.burst()
	s.now = retry.Add(pacerCatchUp)
	if n, _ := s.burst(); n <= pacerTrain || n > 200_000 {
		t.Errorf("2 ms late: %d bytes, want what 2 ms carry, 200000", n)
	}
	_, retry = s.burst()
	s.now = retry.Add(pacerCatchUp + 1)
	if n, _ := s.burst(); n > pacerTrain {
		t.Errorf("later than that: %d bytes, want a plain burst", n)
	}
}

func TestPacerDebtOfProbesIsBounded(t *testing.T) {
	s := newSender(t, 1_000_000)
	s.burst()
	for range 1000 {
		s.sent(mss)
	}
	_, retry := s.burst()
	if d := retry.Sub(s.now); d > 80*ms {
		t.Errorf("blocked for %v by probes, want no more than a train takes", d)
	}
}

func TestPacerIsOffWhereTimersAreTooCoarse(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rtt    time.Duration
		window int
		paced  bool
	}{
		{"loopback", 150 * time.Microsecond, 1 << 20, false},
		{"loopback with a small window", 50 * time.Microsecond, 12000, false},
		{"a train every 100 µs", 10 * ms, 16 << 20, false},
		{"1 Gbit/s over 10 ms", 10 * ms, 1_250_000, true},
		{"10 Mbit/s over 30 ms", 30 * ms, 37_500, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := NewPath(PathConfig{Congestion: &recorder{window: tc.window}})
			p.RTT.sample(1, tc.rtt, 0)
			if got := p.PacingRate() != 0; got != tc.paced {
				t.Errorf("paced %v, want %v", got, tc.paced)
			}
			if n, _ := p.Budget(2); !tc.paced && n != tc.window {
				t.Errorf("budget %d, want the whole window %d", n, tc.window)
			}
		})
	}
}

func TestPacerRateFollowsTheWindow(t *testing.T) {
	for _, tc := range []struct {
		slow bool
		want uint64
	}{{false, 1_250_000}, {true, 2_000_000}} {
		if got := pacingRate(100_000, 100*ms, tc.slow); got != tc.want {
			t.Errorf("slow start %v: rate %d, want %d", tc.slow, got, tc.want)
		}
	}
	p := NewPath(PathConfig{})
	slow := p.PacingRate()
	p.cc.Lost(&hook.Lost{Now: 5, LargestSent: 4})
	if p.InSlowStart() || p.PacingRate() >= slow {
		t.Errorf("rate %d after a loss, was %d in slow start", p.PacingRate(), slow)
	}
}

// fast is a controller with a rate of its own.
type fast struct{ recorder }

func (*fast) PacingRate() uint64 { return 5_000_000 }

func TestPacerObeysTheRateOfAController(t *testing.T) {
	p := NewPath(PathConfig{Congestion: &fast{recorder{window: 1 << 20}}})
	p.RTT.sample(1, 50*time.Microsecond, 0)
	if got := p.PacingRate(); got != 5_000_000 {
		t.Errorf("rate %d, want the controller's", got)
	}
}

func TestBudgetIsAFullDatagramOrNothing(t *testing.T) {
	r := newRig(t, true)
	r.cc().window = 3000
	r.p.RTT.sample(r.now, 50*time.Microsecond, 0)
	n, retry := r.d.Budget(r.now)
	wantVar(r, "the window", n, 3000)
	wantVar(r, "no wait", retry, 0)
	r.send(2)
	n, retry = r.d.Budget(r.now)
	wantVar(r, "600 bytes are no datagram", n, 0)
	wantVar(r, "an acknowledgment will tell", retry, 0)
	r.cc().window = 0
	r.ack(0, 1)
	n, _ = r.d.Budget(r.now)
	wantVar(r, "two datagrams are the minimum whatever a controller says", n, 2400)
}

func TestBudgetTellsWhenToComeBack(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.cc().window = 100_000
	sent := 0
	for {
		n, retry := r.d.Budget(r.now)
		if n == 0 {
			wantVar(r, "ten packets at once", sent, 10)
			// 1.25 windows a round trip are 1.25 MB/s: two packets take 1.92 ms.
			wantVar(r, "two packets later", retry.Sub(r.now).Round(time.Microsecond), 1920*time.Microsecond)
			return
		}
		r.send(1)
		sent++
	}
}

func TestAppLimitedIsToldFromUse(t *testing.T) {
	r := newRig(t, true)
	r.sample(100 * ms)
	r.cc().window = 24000
	limited := func() bool { return r.cc().acks[len(r.cc().acks)-1].AppLimited }
	trip := func(n int) {
		first := r.d.NextNumber(AppData)
		for range n {
			for {
				b, retry := r.d.Budget(r.now)
				if retry == 0 && b == 0 {
					break
				}
				if r.now = max(r.now, retry); b > 0 {
					r.send(1)
					break
				}
			}
		}
		r.advance(100 * ms)
		r.ack(first, r.d.NextNumber(AppData)-1)
	}
	trip(3)
	trip(3)
	trip(3)
	wantVar(r, "three packets of twenty", limited(), true)
	trip(11)
	wantVar(r, "more than half the window", limited(), false)
	trip(3)
	trip(3)
	trip(3)
	wantVar(r, "again", limited(), true)
	trip(25)
	wantVar(r, "the window was full", limited(), false)
}
