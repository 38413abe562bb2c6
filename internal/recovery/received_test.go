package recovery

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// inbox is a Received at a virtual time.
type inbox struct {
	Received
	t   *testing.T
	now hook.Instant
}

func newInbox(t *testing.T, space SpaceID, policy hook.AckPolicy) *inbox {
	in := &inbox{t: t, now: hook.Instant(time.Second)}
	in.Init(space, 0, policy)
	return in
}

// arrive adds ack-eliciting packets.
func (in *inbox) arrive(pns ...uint64) {
	for _, pn := range pns {
		in.Add(in.now, pn, true, NotECT)
	}
}

func (in *inbox) wantAckNow(what string) {
	in.t.Helper()
	if !in.WantAck(in.now) {
		in.t.Errorf("%s: no ACK at once, want one (due in %v)", what, in.AckDeadline().Sub(in.now))
	}
	in.AckSent(in.now)
}

func (in *inbox) wantAckIn(what string, d time.Duration) {
	in.t.Helper()
	if in.WantAck(in.now) {
		in.t.Errorf("%s: ACK at once, want it in %v", what, d)
	}
	if got := in.AckDeadline().Sub(in.now); got != d {
		in.t.Errorf("%s: ACK in %v, want %v", what, got, d)
	}
}

func (in *inbox) wantNoAck(what string) {
	in.t.Helper()
	if in.WantAck(in.now) || in.AckDeadline() != 0 {
		in.t.Errorf("%s: an ACK is owed at %v, want none", what, in.AckDeadline())
	}
}

func (in *inbox) wantRanges(what string, want ...Range) {
	in.t.Helper()
	if got := in.Ranges(nil); !slices.Equal(got, want) {
		in.t.Errorf("%s: ranges %v, want %v", what, got, want)
	}
}

// Conformance 58.
func TestAckLeavesAtOnceForHandshakeSpaces(t *testing.T) {
	for _, space := range []SpaceID{Initial, Handshake} {
		in := newInbox(t, space, nil)
		in.arrive(0)
		in.wantAckNow(space.String())
		in.wantNoAck("sent")
	}
}

func TestAckWaitsForASecondPacketOrTheDelay(t *testing.T) {
	in := newInbox(t, AppData, nil)
	in.arrive(0)
	in.wantAckIn("one packet", 25*ms)
	in.arrive(1)
	in.wantAckNow("two packets")
	in.arrive(2)
	in.now = in.now.Add(10 * ms)
	in.wantAckIn("the delay counts from the packet", 15*ms)
	in.now = in.now.Add(15 * ms)
	in.wantAckNow("max_ack_delay passed")
}

func TestAckIsOneForATrain(t *testing.T) {
	in := newInbox(t, AppData, nil)
	for pn := range uint64(45) {
		in.arrive(pn)
	}
	in.wantAckNow("the end of the train")
	in.wantNoAck("all is said")
	in.wantRanges("one range", Range{Smallest: 0, Largest: 44})
}

func TestAckLeavesAtOnceOnReorderingAndMarks(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(in *inbox)
		want bool
	}{
		{"in order", func(in *inbox) { in.arrive(10) }, false},
		{"a new gap", func(in *inbox) { in.arrive(11) }, true},
		{"out of order", func(in *inbox) { in.arrive(5) }, true},
		{"CE", func(in *inbox) { in.Add(in.now, 10, true, CE) }, true},
		{"CE on a packet that elicits nothing", func(in *inbox) { in.Add(in.now, 10, false, CE) }, false},
		{"ECT(0)", func(in *inbox) { in.Add(in.now, 10, true, ECT0) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := newInbox(t, AppData, nil)
			in.arrive(0, 1, 2, 3, 4, 6, 7, 8, 9)
			in.AckSent(in.now)
			tc.do(in)
			if got := in.WantAck(in.now); got != tc.want {
				t.Errorf("ACK at once = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAckAtOnceWhenTheFirstPacketIsNotTheFirst(t *testing.T) {
	in := newInbox(t, AppData, nil)
	in.arrive(3)
	in.wantAckNow("0 to 2 are missing")
}

// Conformance 59.
func TestAckIsNotElicitedByAcks(t *testing.T) {
	for _, space := range []SpaceID{Initial, Handshake, AppData} {
		in := newInbox(t, space, nil)
		for pn := uint64(0); pn < 100; pn += 2 {
			in.Add(in.now, pn, false, NotECT)
			in.now = in.now.Add(time.Second)
			in.wantNoAck("packets without ack-eliciting frames")
		}
	}
}

// lazy is a policy that promises too much.
type lazy struct {
	asked int
	state hook.AckState
	wait  time.Duration
}

func (p *lazy) AckAt(s *hook.AckState) hook.Instant {
	p.asked++
	p.state = *s
	return s.Now.Add(p.wait)
}

func TestAckPolicyIsAskedOnceATrainAndKeptToThePromise(t *testing.T) {
	p := &lazy{wait: time.Hour}
	in := newInbox(t, AppData, p)
	in.Add(in.now, 0, true, NotECT)
	in.Add(in.now, 2, true, CE)
	in.wantAckIn("never later than max_ack_delay", 25*ms)
	if p.asked != 1 || p.state.Eliciting != 2 || !p.state.Reordered || !p.state.CE || p.state.Oldest != in.now || p.state.MaxDelay != 25*ms {
		t.Errorf("asked %d times with %+v", p.asked, p.state)
	}
	p.wait = 5 * ms
	in.wantAckIn("earlier as it likes", 5*ms)
	p.wait = -time.Hour
	in.wantAckNow("in the past means now")
}

// Conformance 60, security 25.
func TestReceivedKeepsTheNewestRanges(t *testing.T) {
	in := newInbox(t, AppData, nil)
	for pn := uint64(1); pn < 2_000_000; pn += 2 {
		in.arrive(pn)
	}
	got := in.Ranges(nil)
	if len(got) != MaxAckRanges || cap(in.ranges) > 2*MaxAckRanges {
		t.Fatalf("%d ranges in a table of %d, want %d", len(got), cap(in.ranges), MaxAckRanges)
	}
	for i, r := range got {
		if want := uint64(1_999_999 - 2*i); r.Smallest != want || r.Largest != want {
			t.Fatalf("range %d = %v, want only %d", i, r, want)
		}
	}
}

func TestReceivedCountsBelowTheWindowAsDuplicate(t *testing.T) {
	in := newInbox(t, AppData, nil)
	in.arrive(seenWindow)
	for pn, want := range map[uint64]bool{0: true, 1: false, seenWindow - 1: false, seenWindow: true, seenWindow + 1: false} {
		if got := in.Duplicate(pn); got != want {
			t.Errorf("Duplicate(%d) = %v, want %v", pn, got, want)
		}
	}
}

func TestReceivedPrunesWhatThePeerKnows(t *testing.T) {
	in := newInbox(t, AppData, nil)
	in.arrive(0, 1, 3, 4, 6, 8)
	in.PruneBelow(5)
	in.wantRanges("wholly below", Range{Smallest: 8, Largest: 8}, Range{Smallest: 6, Largest: 6})
	in.PruneBelow(100)
	in.wantRanges("the largest stays", Range{Smallest: 8, Largest: 8})
	for pn, want := range []bool{true, true, false, true, true, false, true, false, true} {
		if got := in.Duplicate(uint64(pn)); got != want {
			t.Errorf("Duplicate(%d) after pruning = %v, want %v", pn, got, want)
		}
	}
	in.arrive(2)
	in.wantRanges("a late one is still reported", Range{Smallest: 8, Largest: 8}, Range{Smallest: 2, Largest: 2})
}

func TestReceivedCountsMarks(t *testing.T) {
	in := newInbox(t, AppData, nil)
	for pn, ecn := range []uint8{NotECT, ECT0, ECT0, ECT1, CE, CE, CE} {
		in.Add(in.now, uint64(pn), true, ecn)
	}
	if got, want := in.ECN(), (ECNCounts{ECT0: 2, ECT1: 1, CE: 3}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestReceivedNotesWhenTheLargestCame(t *testing.T) {
	in := newInbox(t, AppData, nil)
	in.arrive(5)
	first := in.now
	in.now = in.now.Add(ms)
	in.arrive(3)
	if pn, ok := in.Largest(); pn != 5 || !ok || in.LargestTime() != first {
		t.Errorf("largest %d at %v, want 5 at %v", pn, in.LargestTime(), first)
	}
}

// naive is the model of Received: all numbers that arrived, and below which of them ranges may be gone.
type naive struct {
	has    map[uint64]bool
	pruned uint64
}

func newNaive() *naive { return &naive{has: map[uint64]bool{}} }

func (m *naive) prune(in *inbox, pn uint64) {
	in.PruneBelow(pn)
	m.pruned = max(m.pruned, pn)
}

func (m *naive) largest() (top uint64) {
	for pn := range m.has {
		top = max(top, pn)
	}
	return top
}

// check compares r with the model: duplicates in and just below the window, and ranges.
func (m *naive) check(t *testing.T, r *Received) {
	t.Helper()
	top := m.largest()
	low := uint64(0)
	if top >= seenWindow {
		low = top - seenWindow + 1
	}
	for pn := low; pn <= top+2; pn++ {
		if got := r.Duplicate(pn); got != m.has[pn] {
			t.Fatalf("Duplicate(%d) = %v, largest %d, want %v", pn, got, top, m.has[pn])
		}
	}
	if low > 0 && !r.Duplicate(low-1) {
		t.Fatalf("Duplicate(%d) below the window = false", low-1)
	}
	m.checkRanges(t, r, top)
}

// checkRanges wants ranges that descend, do not touch, hold only what arrived, and the whole run up to the largest number.
func (m *naive) checkRanges(t *testing.T, r *Received, top uint64) {
	t.Helper()
	got := r.Ranges(nil)
	if len(got) == 0 || len(got) > MaxAckRanges || got[0].Largest != top {
		t.Fatalf("%d ranges %v, want 1 to %d from %d down", len(got), got, MaxAckRanges, top)
	}
	for i, g := range got {
		if g.Smallest > g.Largest || i > 0 && g.Largest+1 >= got[i-1].Smallest {
			t.Fatalf("ranges %v overlap, touch or ascend at %d", got, i)
		}
		for pn := g.Smallest; pn <= g.Largest; pn++ {
			if !m.has[pn] {
				t.Fatalf("range %v holds %d, which never arrived", g, pn)
			}
		}
	}
	if below := got[0].Smallest; below > m.pruned && m.has[below-1] {
		t.Fatalf("first range %v ends too early", got[0])
	}
}

func TestReceivedAgreesWithANaiveSet(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		in, m, next := newInbox(t, AppData, nil), newNaive(), uint64(rng.IntN(3))
		for range 400 {
			pn := next
			switch rng.IntN(10) {
			case 0:
				pn = next + uint64(rng.IntN(5))
			case 1:
				pn = next - min(next, uint64(rng.IntN(50)))
			case 2:
				if rng.IntN(20) == 0 {
					pn = next + uint64(rng.IntN(3*seenWindow))
				}
			case 3:
				m.prune(in, next-min(next, uint64(rng.IntN(30))))
			}
			if in.Duplicate(pn) {
				continue
			}
			in.arrive(pn)
			m.has[pn] = true
			next = max(next, pn+1)
			m.check(t, &in.Received)
		}
	}
}

func FuzzReceived(f *testing.F) {
	f.Add([]byte{0, 0, 2, 200, 1, 7, 9, 255, 3, 3})
	f.Add([]byte{128, 255, 255, 255, 0, 4, 64, 1, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		in, m := newInbox(t, AppData, nil), newNaive()
		for next := uint64(0); len(ops) >= 2; ops = ops[2:] {
			pn := next
			switch n := uint64(ops[1]); ops[0] % 5 {
			case 0:
				pn += n
			case 1:
				pn -= min(pn, n)
			case 2:
				pn += n * 16
			case 3:
				m.prune(in, next-min(next, n))
			case 4:
				in.now = in.now.Add(time.Duration(n) * ms)
				if in.WantAck(in.now) {
					in.AckSent(in.now)
				}
			}
			if in.Duplicate(pn) {
				continue
			}
			in.Add(in.now, pn, ops[0]&0x40 != 0, ops[0]>>4&3)
			m.has[pn] = true
			next = max(next, pn+1)
			m.check(t, &in.Received)
			if in.Pending() != (in.AckDeadline() != 0) {
				t.Fatalf("pending %v but deadline %v", in.Pending(), in.AckDeadline())
			}
		}
	})
}

// TestOddNumbersCostNoMoreThanOthers is the flood that leaves the most gaps.
func TestOddNumbersCostNoMoreThanOthers(t *testing.T) {
	in := newInbox(t, AppData, nil)
	pn := uint64(1)
	flood := func() {
		for range 1000 {
			if in.Duplicate(pn) {
				t.Fatalf("packet %d is new", pn)
			}
			in.Add(in.now, pn, true, NotECT)
			if !in.WantAck(in.now) {
				t.Fatalf("packet %d left a gap, and is not acknowledged", pn)
			}
			in.AckSent(in.now)
			pn += 2
		}
	}
	flood()
	if allocs := testing.AllocsPerRun(1000, flood); allocs != 0 {
		t.Errorf("1000 packets allocate %v times, want 0", allocs)
	}
	if n := len(in.Ranges(nil)); n != MaxAckRanges {
		t.Errorf("%d ranges after a million gaps, want %d", n, MaxAckRanges)
	}
}
