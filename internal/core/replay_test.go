package core

import (
	"encoding/binary"
	"testing"
	"time"
)

func hello(n uint64) (h [32]byte) {
	binary.BigEndian.PutUint64(h[:], n)
	return h
}

func TestGuardTakesAHelloOnce(t *testing.T) {
	start := time.Unix(1000, 0)
	g := NewGuard(start)
	at, issued := start, start
	if !g.Fresh(at, issued, hello(1)) || !g.Record(at, hello(1)) {
		t.Fatal("a new hello is refused")
	}
	for _, later := range []time.Duration{0, time.Second, earlyWindow - 1, earlyWindow, 2*earlyWindow - 1} {
		at = start.Add(later)
		if g.Fresh(at, at, hello(1)) || g.Record(at, hello(1)) {
			t.Errorf("the same hello is taken again after %v", later)
		}
	}
	if !g.Fresh(at, at, hello(2)) {
		t.Error("another hello is refused")
	}
}

// TestGuardForgetsNoHelloWhoseTicketIsGood looks at every age of a ticket:
// what is forgotten must be refused for the age of its ticket.
func TestGuardForgetsNoHelloWhoseTicketIsGood(t *testing.T) {
	start := time.Unix(1000, 0)
	for first := time.Duration(0); first < 3*earlyWindow; first += earlyWindow / 7 {
		g := NewGuard(start)
		issued := start.Add(first)
		if !g.Record(issued, hello(1)) {
			t.Fatal("a new hello is refused")
		}
		for age := time.Duration(0); age < 4*earlyWindow; age += earlyWindow / 11 {
			if g.Fresh(issued.Add(age), issued, hello(1)) {
				t.Errorf("a hello of %v after the start is taken again after %v", first, age)
			}
		}
	}
}

func TestGuardRefusesTicketsFromBeforeItsTimeAndOldOnes(t *testing.T) {
	start := time.Unix(1000, 0)
	g := NewGuard(start)
	if g.Fresh(start.Add(time.Second), start.Add(-time.Millisecond), hello(1)) {
		t.Error("RFC 8446 §8.2: a ticket from before the start is good for 0-RTT")
	}
	if g.Fresh(start.Add(earlyWindow), start, hello(1)) {
		t.Error("a ticket as old as the window is good for 0-RTT")
	}
	if !g.Fresh(start.Add(earlyWindow-1), start, hello(1)) {
		t.Error("a younger ticket is not")
	}
}

// TestGuardIsBounded fills maxReplayRecords.
func TestGuardIsBounded(t *testing.T) {
	start := time.Unix(1000, 0)
	g := NewGuard(start)
	for i := range uint64(maxReplayRecords) {
		if !g.Record(start, hello(i)) {
			t.Fatalf("hello %d is refused, limit %d", i, maxReplayRecords)
		}
	}
	if g.Fresh(start, start, hello(maxReplayRecords)) || g.Record(start, hello(maxReplayRecords)) {
		t.Error("a full Guard takes another hello")
	}
	later := start.Add(earlyWindow)
	if !g.Fresh(later, later, hello(maxReplayRecords)) {
		t.Error("a Guard stays full after its window")
	}
	if g.Fresh(later, later, hello(5)) {
		t.Error("it forgot what it was full of")
	}
}
