package udp

import (
	"math/rand/v2"
	"testing"
)

// The vector is that of Linux's lib/tests/siphash_kunit.c for 7 bytes.
func TestHalfSipHashIsTheKernels(t *testing.T) {
	if got := halfSipHash([2]uint32{0x03020100, 0x07060504}, 0x03020100, 0x060504); got != 0x9d38d9d6 {
		t.Errorf("hash of 00 to 06 = %#x, want 0x9d38d9d6", got)
	}
}

func TestShapedIDsLeadToTheirSocketAndLookRandom(t *testing.T) {
	const ids = 20000
	luck := rand.New(rand.NewPCG(1, 2))
	for _, sockets := range []int{1, 2, 3, 7, 200, 256} {
		s := NewSteering([8]byte{1, 2, 3, 4, 5, 6, 7, 8}, sockets)
		var seen [256]int
		for range ids {
			id := randomID(luck)
			head := [7]byte(id[:])
			s.Shape(id[:], sockets-1)
			if got := s.Socket(id[:]); got != sockets-1 {
				t.Fatalf("%d sockets: ID %x leads to %d, want %d", sockets, id, got, sockets-1)
			}
			if head != [7]byte(id[:]) {
				t.Fatalf("more than the last byte changed")
			}
			seen[id[7]]++
		}
		for b, n := range seen {
			if n < ids/256/2 || n > 2*ids/256 {
				t.Errorf("%d sockets: last byte %#x in %d IDs of %d that lead to one of them, want about %d", sockets, b, n, ids, ids/256)
			}
		}
	}
}

func TestOnlyTheKeyTellsTheSocketOfAnID(t *testing.T) {
	const ids = 20000
	luck := rand.New(rand.NewPCG(3, 4))
	ours, guess := NewSteering([8]byte{1}, 2), NewSteering([8]byte{2}, 2)
	same := 0
	for range ids {
		id := randomID(luck)
		ours.Shape(id[:], 0)
		if guess.Socket(id[:]) == 0 {
			same++
		}
	}
	if same < ids*48/100 || same > ids*52/100 {
		t.Errorf("another key tells the socket of %d IDs of %d, want half", same, ids)
	}
}

func TestWhatCannotBeSteeredStaysAsItIs(t *testing.T) {
	s := NewSteering([8]byte{1}, 2)
	for _, socket := range []int{-1, 2} {
		id := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
		if s.Shape(id[:], socket); id != [8]byte{1, 2, 3, 4, 5, 6, 7, 8} {
			t.Errorf("socket %d: ID %x changed", socket, id)
		}
	}
	s.Shape([]byte{1, 2, 3}, 0)
}

func randomID(luck *rand.Rand) (id [8]byte) {
	for i := range id {
		id[i] = byte(luck.Uint32())
	}
	return id
}
