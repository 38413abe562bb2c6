package recovery

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// ledger is the model of a Detector's bookkeeping: outstanding packets by space and number, and the fates that were told.
type ledger struct {
	reordered bool // a packet came after it was declared lost
	d         *Detector
	out       [NumSpaces]map[uint64]Sent
	skip      [NumSpaces]map[uint64]bool
	skips     [NumSpaces][]uint64
	top       [NumSpaces]uint64 // largest acknowledged
	any       [NumSpaces]bool
	gone      [NumSpaces]bool
	err       error
}

func newLedger(d *Detector) *ledger {
	l := &ledger{d: d}
	for i := range l.out {
		l.out[i], l.skip[i] = map[uint64]Sent{}, map[uint64]bool{}
	}
	d.cfg.Forget = l.forget
	return l
}

// forget wants only packets that nobody waits for to be dropped without a fate.
func (l *ledger) forget(p *Sent) {
	id, pn := SpaceID(p.Offset), uint64(p.Extra)
	if p.Flags&(AckEliciting|InFlight) != 0 {
		l.err = fmt.Errorf("%s packet %d, which is in flight, was forgotten", id, pn)
	}
	l.settle("forgotten", id, pn, p)
}

func (l *ledger) PacketAcked(id SpaceID, pn uint64, p *Sent) { l.settle("acked", id, pn, p) }
func (l *ledger) PacketLost(id SpaceID, pn uint64, p *Sent)  { l.settle("lost", id, pn, p) }

// settle wants every fate to be told once, with the content that was sent.
func (l *ledger) settle(fate string, id SpaceID, pn uint64, p *Sent) {
	want, ok := l.out[id][pn]
	if !ok {
		l.err = fmt.Errorf("%s packet %d %s, which is not outstanding", id, pn, fate)
	} else if p.Stream != want.Stream || p.Size != want.Size || p.At != want.At || p.Extra != want.Extra {
		l.err = fmt.Errorf("%s packet %d %s with content %+v, want %+v", id, pn, fate, *p, want)
	}
	delete(l.out[id], pn)
}

func (l *ledger) send(now hook.Instant, id SpaceID, p Sent) {
	if l.gone[id] || !l.d.CanTrack(id) {
		return
	}
	pn := l.d.NextNumber(id)
	p.Stream, p.Offset, p.Extra, p.At = pn*7, uint64(id), uint32(pn), now
	l.out[id][pn] = p
	l.d.OnSent(now, id, pn, p)
}

// ack acknowledges ranges that were sent, leaving skipped numbers out.
func (l *ledger) ack(now hook.Instant, id SpaceID, ranges []Range) {
	if len(ranges) == 0 || l.gone[id] {
		return
	}
	if _, err := l.d.OnAck(now, id, ranges, 0, nil, l); err != nil {
		l.err = err
	}
	for pn := range l.out[id] {
		for _, r := range ranges {
			if r.Contains(pn) {
				l.err = fmt.Errorf("%s packet %d was acknowledged in silence", id, pn)
			}
		}
	}
	l.top[id], l.any[id] = max(l.top[id], ranges[0].Largest), true
}

// lie acknowledges whatever comes up, and wants an error when that was never sent.
func (l *ledger) lie(now hook.Instant, id SpaceID, rnd func(int) int) {
	next := l.d.NextNumber(id)
	hi := next + 2 - min(next+2, uint64(rnd(30)))
	var ranges []Range
	bad := hi >= next
	for range 1 + rnd(40) {
		lo := hi - min(hi, uint64(rnd(6)))
		ranges = append(ranges, Range{Smallest: lo, Largest: hi})
		for i := range min(len(l.skips[id]), maxSkips) {
			bad = bad || Range{Smallest: lo, Largest: hi}.Contains(l.skips[id][len(l.skips[id])-1-i])
		}
		gap := uint64(2 + rnd(3))
		if lo < gap {
			break
		}
		hi = lo - gap
	}
	if !bad {
		l.ack(now, id, ranges)
		return
	}
	if _, err := l.d.OnAck(now, id, ranges, 0, nil, l); !l.gone[id] && !errors.Is(err, ErrUnsent) {
		l.err = fmt.Errorf("%s: acknowledgment of %v, next is %d, skipped %v: got %v, want ErrUnsent", id, ranges, next, l.skips[id], err)
	}
}

// pick chooses about n runs of sent numbers below the next, avoiding skipped ones.
func (l *ledger) pick(id SpaceID, rnd func(int) int) (ranges []Range) {
	next := l.d.NextNumber(id)
	if next == 0 {
		return nil
	}
	hi := next - 1 - uint64(rnd(int(min(next, 20))))
	for range 1 + rnd(5) {
		lo := hi - min(hi, uint64(rnd(12)))
		for pn := lo; pn <= hi; pn++ {
			if l.skip[id][pn] {
				lo = pn + 1
			}
		}
		if lo <= hi {
			ranges = append(ranges, Range{Smallest: lo, Largest: hi})
		}
		gap := uint64(2 + rnd(4))
		if lo < gap {
			break
		}
		hi = lo - gap
	}
	return ranges
}

func (l *ledger) discard(id SpaceID) {
	l.d.Discard(id, l)
	l.gone[id] = true
}

// check compares the detector with the model.
func (l *ledger) check(now hook.Instant) error {
	if l.err != nil {
		return l.err
	}
	inFlight := map[uint8]int{}
	for i := range l.out {
		if err := l.checkSpace(SpaceID(i), inFlight); err != nil {
			return err
		}
	}
	for id, p := range l.d.paths {
		if p == nil {
			continue
		}
		if got := p.BytesInFlight(); got != inFlight[uint8(id)] || got < 0 {
			return fmt.Errorf("path %d: %d bytes in flight, want %d", id, got, inFlight[uint8(id)])
		}
		if n, retry := p.Budget(now); n < 0 || n > 0 && n < p.MTU.Current() || n > 0 && retry != 0 || retry != 0 && retry <= now {
			return fmt.Errorf("path %d: budget %d, retry %d at %d", id, n, retry, now)
		}
		if p.Window() < 2*p.MTU.Current() {
			return fmt.Errorf("path %d: window %d below the minimum", id, p.Window())
		}
	}
	return nil
}

// threshold is how far a packet without a fate may trail, for all that any path has learnt.
func (l *ledger) threshold() uint64 {
	for _, p := range l.d.paths {
		l.reordered = l.reordered || p != nil && p.spurious > 0
	}
	if l.reordered {
		return maxPacketThreshold
	}
	return packetThreshold
}

func (l *ledger) checkSpace(id SpaceID, inFlight map[uint8]int) error {
	s := l.d.spaces[id]
	if s == nil {
		if n := len(l.out[id]); n > 0 {
			return fmt.Errorf("%s: %d packets outstanding in a discarded space", id, n)
		}
		return nil
	}
	eliciting := 0
	for pn, p := range l.out[id] {
		if pn < s.sent.base || pn >= s.sent.next || s.sent.at(pn).Flags&outstanding == 0 {
			return fmt.Errorf("%s packet %d left the ring [%d, %d) without a fate", id, pn, s.sent.base, s.sent.next)
		}
		if l.any[id] && pn+l.threshold() <= l.top[id] {
			return fmt.Errorf("%s packet %d is outstanding although %d was acknowledged", id, pn, l.top[id])
		}
		if p.Flags&(AckEliciting|InFlight) != 0 && s.sent.at(pn).Path != noPath {
			inFlight[s.sent.at(pn).Path] += int(p.Size)
		}
		if p.Flags&AckEliciting != 0 {
			eliciting++
		}
	}
	if eliciting != s.eliciting {
		return fmt.Errorf("%s: %d ack-eliciting packets outstanding, want %d", id, s.eliciting, eliciting)
	}
	if n := uint64(len(s.sent.buf)); n&(n-1) != 0 || s.sent.span() > n {
		return fmt.Errorf("%s: ring of %d entries for %d numbers", id, n, s.sent.span())
	}
	return nil
}

// step does one random thing.
func (l *ledger) step(now *hook.Instant, rnd func(int) int) {
	id := SpaceID(rnd(NumSpaces))
	if rnd(3) > 0 {
		id = AppData
	}
	switch op := rnd(20); op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		flags := []Flag{AckEliciting, AckEliciting, AckEliciting | ECT, AckEliciting | MTUProbe, InFlight, 0}[rnd(6)]
		for range 1 + rnd(6) {
			l.send(*now, id, Sent{Size: uint16(40 + rnd(1500)), Flags: flags, Path: l.d.path.id})
		}
	case 8, 9, 10, 11, 12:
		l.ack(*now, id, l.pick(id, rnd))
	case 13, 14:
		*now = now.Add(time.Duration(rnd(60)) * ms)
	case 15, 16:
		if at := l.d.Deadline(); at != 0 {
			*now = max(*now, at)
			l.d.OnTimeout(*now, l)
		}
	case 17:
		if !l.gone[id] && l.d.CanTrack(id) {
			l.skip[id][l.d.NextNumber(id)] = true
			l.skips[id] = append(l.skips[id], l.d.NextNumber(id))
			l.d.SkipNumber(id)
		}
	case 18:
		switch rnd(60) {
		case 0:
			l.discard(SpaceID(rnd(2)))
		case 1:
			l.d.SetHandshakeConfirmed()
		case 2:
			l.d.SetPath(NewPath(PathConfig{ID: uint8(rnd(3))}))
		case 3:
			if !l.gone[Initial] {
				l.d.OnRetry(l)
			}
		case 4:
			l.d.Trim()
		}
	case 19:
		if l.d.SetAmplificationBlocked(rnd(4) == 0); rnd(2) == 0 {
			l.lie(*now, id, rnd)
		}
	}
}

func TestDetectorAgreesWithALedger(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for game := range 60 {
		now := hook.Instant(time.Second)
		l := newLedger(NewDetector(Config{Client: game%2 == 0}, NewPath(PathConfig{})))
		for i := range 500 {
			l.step(&now, rng.IntN)
			if err := l.check(now); err != nil {
				t.Fatalf("game %d, step %d: %v", game, i, err)
			}
		}
	}
}

func FuzzDetector(f *testing.F) {
	f.Add([]byte{2, 0, 0, 5, 2, 1, 8, 0, 3, 3, 3, 15, 0, 2, 13, 30}, true)
	f.Add([]byte{2, 17, 2, 0, 0, 5, 2, 9, 0, 0, 0, 0, 2, 18, 2, 1, 2, 18, 0, 0}, false)
	f.Fuzz(func(t *testing.T, ops []byte, client bool) {
		rnd := func(n int) int {
			if len(ops) == 0 {
				return 0
			}
			v := int(ops[0]) % n
			ops = ops[1:]
			return v
		}
		now := hook.Instant(time.Second)
		l := newLedger(NewDetector(Config{Client: client}, NewPath(PathConfig{})))
		for len(ops) > 0 {
			l.step(&now, rnd)
			if err := l.check(now); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRingAgreesWithAMap(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var r ring
	model := map[uint64]uint64{}
	for range 20000 {
		if rng.IntN(5) > 0 || r.span() == 0 {
			v := rng.Uint64()
			model[r.next] = v
			r.push(Sent{Stream: v, Flags: outstanding | InFlight}, nil)
		} else {
			for range min(r.span(), uint64(rng.IntN(8))) {
				delete(model, r.base)
				r.base++
			}
			if rng.IntN(200) == 0 {
				r.base = r.next
				clear(model)
			}
		}
		if r.span() == 0 {
			r.rest()
			continue
		}
		pn := r.base + rng.Uint64N(r.span())
		if got := r.at(pn).Stream; got != model[pn] {
			t.Fatalf("entry %d = %d, want %d", pn, got, model[pn])
		}
	}
	for _, pn := range slices.Sorted(maps.Keys(model)) {
		if r.at(pn).Stream != model[pn] {
			t.Fatalf("entry %d = %d, want %d", pn, r.at(pn).Stream, model[pn])
		}
	}
}

func TestRingShrinksWhenItRestsSmall(t *testing.T) {
	var r ring
	use := func(n int) {
		for range n {
			r.push(Sent{Flags: outstanding | InFlight}, nil)
		}
		r.base = r.next
		r.rest()
	}
	use(5000)
	if len(r.buf) != 8192 {
		t.Fatalf("%d entries for 5000 packets, want 8192", len(r.buf))
	}
	for range 100 {
		use(3)
	}
	if len(r.buf) != minRing {
		t.Errorf("%d entries after a hundred small uses, want %d", len(r.buf), minRing)
	}
	r.trim()
	if r.buf != nil {
		t.Error("a trimmed ring keeps memory")
	}
	use(3)
}

func TestDetectorTracksUpToItsLimit(t *testing.T) {
	r := newRig(t, true)
	sent := 0
	for r.d.CanTrack(AppData) {
		r.send(1)
		sent++
	}
	if sent != MaxTracked-1 || len(r.d.spaces[AppData].sent.buf) > MaxTracked {
		t.Errorf("%d packets in %d entries, want %d", sent, len(r.d.spaces[AppData].sent.buf), MaxTracked-1)
	}
	r.ack(0, uint64(sent-1))
	wantVar(r, "room again", r.d.CanTrack(AppData), true)
}

// A receiver sends nothing but ACK frames, and the peer never acknowledges them.
func TestOwnAcksDoNotPileUp(t *testing.T) {
	r := newRig(t, true)
	forgot := 0
	r.d.cfg.Forget = func(p *Sent) {
		if p.Offset != uint64(forgot) {
			t.Fatalf("forgot packet %d, want %d", p.Offset, forgot)
		}
		forgot++
	}
	const n = 100_000
	for pn := range uint64(n) {
		r.d.OnSent(r.now, AppData, pn, Sent{Size: 40, Offset: pn})
	}
	s := r.d.spaces[AppData].sent
	if len(s.buf) > maxOwnAcks || forgot+int(s.span()) != n {
		t.Errorf("%d entries, %d of %d forgotten", len(s.buf), forgot, n)
	}
	r.wantNoDeadline("nothing is waited for")
	r.ack(0, n-1)
	wantVar(r, "what is remembered is told", len(r.acked), int(n-forgot))
}

// RFC 9000 §9.4: what left on an old path says nothing about the new one.
func TestReplacedPathStartsAfresh(t *testing.T) {
	r := newRig(t, true)
	r.send(4)
	old := r.p
	r.p = NewPath(PathConfig{Congestion: &recorder{window: 1 << 20}})
	r.d.SetPath(r.p)
	r.send(1)
	wantVar(r, "in flight", r.p.BytesInFlight(), 1200)
	r.advance(100 * ms)
	r.ack(3, 3)
	r.wantAcked("content is told", 3)
	r.wantLost("and lost", 0)
	wantVar(r, "no sample", r.p.RTT.HasSample(), false)
	wantVar(r, "no congestion", len(r.cc().losses)+len(old.cc.(*recorder).losses), 0)
	wantVar(r, "in flight", r.p.BytesInFlight(), 1200)
}

func TestPathsAreMeasuredApart(t *testing.T) {
	r := newRig(t, true)
	second := NewPath(PathConfig{ID: 1, Congestion: &recorder{window: 1 << 20}})
	r.d.AddPath(second)
	r.send(1)
	r.d.OnSent(r.now, AppData, 1, Sent{Size: 1200, Flags: AckEliciting | PathProbe, Path: 1})
	r.advance(30 * ms)
	r.ack(1, 1)
	wantVar(r, "the probed path has a sample", second.RTT.Latest(), 30*ms)
	wantVar(r, "the other has none", r.p.RTT.HasSample(), false)
	wantVar(r, "in flight there", second.BytesInFlight(), 0)
	wantVar(r, "in flight here", r.p.BytesInFlight(), 1200)
}

// Security 25: a frame with hundreds of ranges, again and again, costs no more than its ranges.
func TestAckFloodIsCheap(t *testing.T) {
	r := newRig(t, true)
	r.send(20000)
	var ranges []Range
	for pn := uint64(19999); len(ranges) < 500; pn -= 40 {
		ranges = append(ranges, Range{Smallest: pn, Largest: pn})
	}
	start := time.Now()
	for range 2000 {
		if _, err := r.d.OnAck(r.now, AppData, ranges, 0, nil, noFates{}); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("2000 frames of 500 ranges took %v", took)
	}
}
