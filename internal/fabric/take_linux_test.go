package fabric

import (
	"maps"
	"testing"

	"golang.org/x/sys/unix"
)

func TestASYNThatComesAgainIsHeldOnce(t *testing.T) {
	f := &Fabric{held: make(chan *Held, maxHeld)}
	for range 3 {
		f.take(day, &numbered(f, 1).syn, 0)
	}
	if held, again := f.stats.held.Load(), f.stats.repeated.Load(); len(f.held) != 1 || held != 1 || again != 2 {
		t.Errorf("%d held and %d repeated, want 1 and 2", held, again)
	}
}

func TestSYNsBeyondWhatWaitsForNextAreDroppedAndCounted(t *testing.T) {
	f := &Fabric{held: make(chan *Held, maxHeld)}
	for i := range maxHeld + 10 {
		f.take(day, &numbered(f, i).syn, 0)
	}
	if held, dropped := f.stats.held.Load(), f.stats.dropped.Load(); held != maxHeld || dropped != 10 {
		t.Errorf("%d held and %d dropped, want %d and 10", held, dropped, maxHeld)
	}
	h := <-f.held
	f.take(day, &numbered(f, maxHeld).syn, 0) // again, after a second
	if f.pending.take(h); len(f.held) != maxHeld {
		t.Error("a SYN that was dropped is not held when it comes again")
	}
}

func TestStocksAreBoundedAndGiveBackWhatIsLeft(t *testing.T) {
	c, ns, err := newCrew()
	if err != nil {
		inRoom(t)
		t.Fatal(err)
	}
	defer unix.Close(ns)
	defer c.close()
	before := descriptors(t)
	made := 0
	s := stock{crew: c, make: func() (int, error) {
		made++
		return makeSocket(unix.AF_INET)
	}}
	if err := c.do(s.fill); err != nil {
		t.Fatal(err)
	}
	if len(s.ready) != stockSize {
		t.Errorf("%d are ready, want %d", len(s.ready), stockSize)
	}
	fd, err := s.take()
	if err != nil || made != stockSize+1 {
		t.Errorf("%d made after one was taken, %v", made, err)
	}
	unix.Close(fd)
	s.close()
	c.do(s.fill)
	if after := descriptors(t); !maps.Equal(before, after) {
		t.Errorf("descriptors: %v, were %v", after, before)
	}
}
