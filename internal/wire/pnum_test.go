package wire

import (
	"math/rand/v2"
	"testing"
)

func TestPacketNumberVectors(t *testing.T) {
	// RFC 9000 §A.2.
	if got := PacketNumberLen(0xac5c02, 0xabe8b3); got != 2 {
		t.Errorf("PacketNumberLen(0xac5c02 after 0xabe8b3) = %d, want 2", got)
	}
	if got := PacketNumberLen(0xace8fe, 0xabe8b3); got != 3 {
		t.Errorf("PacketNumberLen(0xace8fe after 0xabe8b3) = %d, want 3", got)
	}
	// RFC 9000 §A.3.
	if got := DecodePacketNumber(0xa82f30ea, 0x9b32, 2); got != 0xa82f9b32 {
		t.Errorf("DecodePacketNumber(0x9b32 after 0xa82f30ea) = %#x, want 0xa82f9b32", got)
	}
}

func TestFirstPacketNumbersDecode(t *testing.T) {
	for _, tc := range []struct {
		largest   int64
		truncated uint64
		n         int
		want      uint64
	}{
		{-1, 0, 1, 0},
		{-1, 0, 4, 0},
		{-1, 0xff, 1, 0xff}, // nothing smaller exists
		{-1, 2, 4, 2},
		{0, 1, 1, 1},
		{255, 0, 1, 256},
		{1<<62 - 2, 0xff, 1, 1<<62 - 1},
		{1<<62 - 1, 0xff, 1, 1<<62 - 1},
	} {
		if got := DecodePacketNumber(tc.largest, tc.truncated, tc.n); got != tc.want {
			t.Errorf("DecodePacketNumber(largest %d, %#x of %d bytes) = %d, want %d", tc.largest, tc.truncated, tc.n, got, tc.want)
		}
	}
}

// TestPacketNumberDecodesAtEveryReceiver lets a receiver have anything from the
// acknowledged packet to half a window beyond the one that arrives.
func TestPacketNumberDecodesAtEveryReceiver(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		acked := int64(r.Uint64()>>(3+r.IntN(60))) - 1
		pn := uint64(acked+1) + r.Uint64()>>(33+r.IntN(31))
		n := PacketNumberLen(pn, acked)
		half := int64(1) << (8*n - 1)
		largest := acked + r.Int64N(int64(pn)-acked+half-1)
		b := AppendPacketNumber(nil, pn, n)
		if len(b) != n {
			t.Fatalf("AppendPacketNumber(%d, %d bytes) wrote %d", pn, n, len(b))
		}
		var truncated uint64
		for _, c := range b {
			truncated = truncated<<8 | uint64(c)
		}
		if got := DecodePacketNumber(largest, truncated, n); got != pn {
			t.Fatalf("packet %d (acked %d, %d bytes) decodes as %d at a receiver that has %d", pn, acked, n, got, largest)
		}
	}
}
