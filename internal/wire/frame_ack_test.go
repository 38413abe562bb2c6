package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// randomRanges makes n ranges as AppendAck wants them, from largest down.
func randomRanges(r *rand.Rand, n int) []AckRange {
	bits := 4 + r.IntN(24)
	out := make([]AckRange, n)
	at := r.Uint64() >> (64 - bits)
	for i := n - 1; i >= 0; i-- {
		out[i].Smallest = at
		out[i].Largest = at + r.Uint64()>>(64-bits)
		at = out[i].Largest + 2 + r.Uint64()>>(64-bits)
	}
	return out
}

func decodeAck(t *testing.T, b []byte) (Ack, []AckRange) {
	t.Helper()
	var f Frame
	n, err := Next(b, &f)
	if err != nil || n != len(b) {
		t.Fatalf("Next(%x) = %d, %v, want all %d bytes", b, n, err, len(b))
	}
	return f.Ack, f.Ack.AppendRanges(nil, 1000)
}

func TestAckRangesComeBackAsTheyWereWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		ranges := randomRanges(r, 1+r.IntN(64))
		delay := r.Uint64() >> (2 + r.IntN(62))
		var ecn *ECNCounts
		if r.IntN(2) == 0 {
			ecn = &ECNCounts{r.Uint64N(1 << 40), r.Uint64N(100), r.Uint64N(1 << 20)}
		}
		a, got := decodeAck(t, AppendAck(nil, 1<<16, ranges, delay, ecn))
		if !same(got, ranges) || a.Delay != delay || a.ECN != (ecn != nil) {
			t.Fatalf("%v, delay %d, comes back as %v, delay %d", ranges, delay, got, a.Delay)
		}
		if ecn != nil && (ECNCounts{a.ECT0, a.ECT1, a.CE}) != *ecn {
			t.Fatalf("counts %+v come back as %+v", *ecn, a)
		}
	}
}

func TestAckKeepsWithinItsRoomAndLeavesOutTheOldest(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		ranges := randomRanges(r, 1+r.IntN(20))
		whole := AppendAck(nil, 1<<16, ranges, 300, nil)
		last := 0
		for room := range len(whole) + 3 {
			b := AppendAck([]byte{0xee}, room, ranges, 300, nil)[1:]
			if len(b) > room {
				t.Fatalf("room %d: %d bytes", room, len(b))
			}
			if len(b) == 0 {
				if last > 0 {
					t.Fatalf("room %d: nothing, but less room held %d ranges", room, last)
				}
				continue
			}
			_, got := decodeAck(t, b)
			if !same(got, ranges[:len(got)]) || len(got) < last {
				t.Fatalf("room %d: %v, want the first of %v, at least %d", room, got, ranges, last)
			}
			last = len(got)
		}
		if last != len(ranges) || !bytes.Equal(whole, AppendAck(nil, len(whole), ranges, 300, nil)) {
			t.Fatalf("room %d holds %d of %d ranges, want all: they take just that", len(whole), last, len(ranges))
		}
	}
}

func TestAckWritesAtMost64Ranges(t *testing.T) {
	ranges := randomRanges(rand.New(rand.NewPCG(9, 9)), 100)
	_, got := decodeAck(t, AppendAck(nil, 1<<16, ranges, 0, nil))
	if !same(got, ranges[:64]) {
		t.Errorf("%d ranges written, want the first 64", len(got))
	}
}

func TestAppendRangesStopsAtItsLimit(t *testing.T) {
	ranges := randomRanges(rand.New(rand.NewPCG(10, 10)), 40)
	var f Frame
	if _, err := Next(AppendAck(nil, 1<<16, ranges, 0, nil), &f); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 2, 39, 40, 41} {
		if got := f.Ack.AppendRanges(nil, limit); !same(got, ranges[:min(limit, 40)]) {
			t.Errorf("limit %d: %d ranges, want the first %d", limit, len(got), min(limit, 40))
		}
	}
}
