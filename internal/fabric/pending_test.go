package fabric

import (
	"net/netip"
	"testing"
	"time"
)

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// numbered returns a connect that no other number has.
func numbered(f *Fabric, n int) *Held {
	s := syn{app: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 16), 1}), uint16(n)), dest: netip.MustParseAddrPort("10.0.0.2:80"), seq: uint32(n)}
	return newHeld(f, &s, 0)
}

func isGone(h *Held) bool {
	select {
	case <-h.Gone():
		return true
	default:
		return false
	}
}

func TestConnectsThatWaitAreBounded(t *testing.T) {
	var p pending
	for i := range maxPending + 10 {
		want := fresh
		if i >= maxPending {
			want = tooMany
		}
		if got, _ := p.hear(day, numbered(nil, i)); got != want {
			t.Fatalf("SYN %d: verdict %v, want %v", i, got, want)
		}
	}
	first := p.at(numbered(nil, 0).flow())
	if got, _ := p.hear(day.Add(waitingLife/2), numbered(nil, 1)); got != repeated {
		t.Errorf("verdict %v of one that waits", got)
	}
	later := day.Add(waitingLife + time.Second)
	if got, _ := p.hear(later, numbered(nil, maxPending)); got != fresh || len(p.waiting) != 2 {
		t.Errorf("when the programs of all but one have gone: verdict %v, %d wait, want %v and 2", got, len(p.waiting), fresh)
	}
	if !isGone(first) {
		t.Error("whoever thinks about it is not told")
	}
}

func TestAnswersAreRememberedForAWhileAndBounded(t *testing.T) {
	var p pending
	h := numbered(nil, 1)
	p.hear(day, h)
	if !p.answer(day, h, []byte("no")) {
		t.Fatal("no answer")
	}
	if p.answer(day, h, nil) || p.take(h) {
		t.Error("two answers")
	}
	if got, packet := p.hear(day.Add(time.Second), numbered(nil, 1)); got != told || string(packet) != "no" {
		t.Errorf("the same SYN after its answer: %v, %q, want %v and the answer", got, packet, told)
	}
	other := numbered(nil, 1)
	other.syn.seq++
	if got, _ := p.hear(day, other); got != fresh {
		t.Errorf("another SYN from the same port: %v, want %v", got, fresh)
	}
	p.take(other)
	for i := range 5 * maxAnswered {
		n := numbered(nil, 100+i)
		p.hear(day, n)
		p.answer(day, n, nil)
		if kept := len(p.answered[0]) + len(p.answered[1]); kept > 2*maxAnswered {
			t.Fatalf("%d answers are kept, want at most %d", kept, 2*maxAnswered)
		}
	}
	if got, _ := p.hear(day, numbered(nil, 1)); got != fresh {
		t.Errorf("a SYN whose answer is forgotten: %v, want %v", got, fresh)
	}
}

func TestASecondSocketAtAPortEndsTheFirst(t *testing.T) {
	var p pending
	first, second := numbered(nil, 1), numbered(nil, 1)
	second.syn.seq++
	p.hear(day, first)
	if got, _ := p.hear(day, second); got != fresh || !isGone(first) || isGone(second) {
		t.Errorf("verdict %v, the first has gone %v, the second %v", got, isGone(first), isGone(second))
	}
	p.swept = day.Add(-time.Hour)
	p.mu.Lock()
	p.sweep(day.Add(time.Second))
	p.mu.Unlock()
	if p.take(first) || !p.take(second) {
		t.Error("the wrong one waits")
	}
}

func TestAProgramThatGivesUpIsForgotten(t *testing.T) {
	var p pending
	h := numbered(nil, 1)
	p.hear(day, h)
	p.forget(numbered(nil, 1)) // of another one, which is gone long since
	if isGone(h) {
		t.Fatal("the wrong one is gone")
	}
	p.forget(h)
	if !isGone(h) || p.take(h) {
		t.Error("it waits still")
	}
}
