package fabric

import (
	"net/netip"
	"testing"
)

// numbered returns a SYN that no other number has.
func numbered(n int) syn {
	return syn{app: netip.MustParseAddrPort("10.0.0.1:1000"), dest: netip.MustParseAddrPort("10.0.0.2:80"), seq: uint32(n)}
}

func TestSYNsBeyondWhatWaitsAreDroppedAndCounted(t *testing.T) {
	f := &Fabric{held: make(chan *Held, maxHeld)}
	for i := range maxHeld + 10 {
		f.take(numbered(i), 0)
	}
	if held, dropped := f.stats.held.Load(), f.stats.dropped.Load(); held != maxHeld || dropped != 10 {
		t.Errorf("%d held and %d dropped, want %d and 10", held, dropped, maxHeld)
	}
	h := <-f.held
	h.done()
	if f.take(h.syn, 0); len(f.held) != maxHeld {
		t.Error("a SYN that was answered is not held when it comes again")
	}
}

func TestASYNThatComesAgainIsHeldOnce(t *testing.T) {
	f := &Fabric{held: make(chan *Held, maxHeld)}
	for range 3 {
		f.take(numbered(1), 0)
	}
	if len(f.held) != 1 {
		t.Errorf("held %d times, want once", len(f.held))
	}
}

func TestConnectsThatWaitAreBounded(t *testing.T) {
	var p pending
	for i := range maxPending + 10 {
		s := numbered(i)
		if got, want := p.add(s.key()), i < maxPending; got != want {
			t.Fatalf("SYN %d: added %v, want %v", i, got, want)
		}
	}
}
