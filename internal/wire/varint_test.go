package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The vectors of RFC 9000 §A.1, and the edges of each size.
var varints = []struct {
	in       string
	want     uint64
	shortest bool
}{
	{"c2 19 7c 5e ff 14 e8 8c", 151288809941952652, true},
	{"9d 7f 3e 7d", 494878333, true},
	{"7b bd", 15293, true},
	{"25", 37, true},
	{"40 25", 37, false},
	{"00", 0, true},
	{"3f", 63, true},
	{"40 40", 64, true},
	{"7f ff", 16383, true},
	{"80 00 40 00", 16384, true},
	{"bf ff ff ff", 1<<30 - 1, true},
	{"c0 00 00 00 40 00 00 00", 1 << 30, true},
	{"ff ff ff ff ff ff ff ff", MaxVarint, true},
	{"c0 00 00 00 00 00 00 00", 0, false},
}

func TestVarintVectors(t *testing.T) {
	for _, tc := range varints {
		b := unhex(t, tc.in)
		got, n := ConsumeVarint(append(b, 0xaa))
		if got != tc.want || n != len(b) {
			t.Errorf("ConsumeVarint(%s) = %d, %d, want %d, %d", tc.in, got, n, tc.want, len(b))
		}
		cut(b, func(prefix []byte) {
			if _, n := ConsumeVarint(prefix); n != -1 {
				t.Errorf("ConsumeVarint(%x) of %s cut short takes %d bytes, want -1", prefix, tc.in, n)
			}
		})
		if !tc.shortest {
			continue
		}
		if enc := AppendVarint([]byte{1}, tc.want); !bytes.Equal(enc[1:], b) || SizeVarint(tc.want) != len(b) {
			t.Errorf("AppendVarint(%d) = %x of size %d, want %s", tc.want, enc[1:], SizeVarint(tc.want), tc.in)
		}
	}
}

func TestVarintComesBackAsItWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		v := r.Uint64() >> (2 + r.IntN(62))
		b := AppendVarint(nil, v)
		if got, n := ConsumeVarint(b); got != v || n != len(b) || n != SizeVarint(v) {
			t.Fatalf("%d written as %x comes back as %d in %d bytes", v, b, got, n)
		}
	}
}

func TestVarint2AlwaysTakesTwoBytes(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 1<<14 - 1} {
		b := AppendVarint2(nil, v)
		p := make([]byte, 2)
		PutVarint2(p, v)
		got, n := ConsumeVarint(b)
		if got != v || n != 2 || !bytes.Equal(b, p) {
			t.Errorf("AppendVarint2(%d) = %x, PutVarint2 = %x, read as %d in %d bytes; want 2 bytes, twice the same", v, b, p, got, n)
		}
	}
}

func TestVarintBeyondItsRangeIsABugOfTheCaller(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendVarint(2^62) returned, want a panic")
		}
	}()
	AppendVarint(nil, MaxVarint+1)
}
