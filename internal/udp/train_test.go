package udp

import (
	"fmt"
	"slices"
	"testing"
)

func TestTrainIsCutIntoItsDatagrams(t *testing.T) {
	tests := []struct {
		name          string
		size, segment int
		want          []int
	}{
		{"alone", 700, 700, []int{700}},
		{"alone and empty", 0, 0, []int{0}},
		{"alone in a longer segment", 3, 10, []int{3}},
		{"segment size unknown", 9, 0, []int{9}},
		{"all equal", 30, 10, []int{10, 10, 10}},
		{"last one shorter", 25, 10, []int{10, 10, 5}},
		{"one byte each", 3, 1, []int{1, 1, 1}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			train := Train{Buf: numbered(tc.size), SegmentSize: tc.segment}
			var got []int
			var joined []byte
			for d := range train.Datagrams() {
				if cap(d) != len(d) {
					t.Errorf("datagram %d has room for %d bytes behind its %d, want none", len(got), cap(d), len(d))
				}
				got = append(got, len(d))
				joined = append(joined, d...)
			}
			if !slices.Equal(got, tc.want) || !slices.Equal(joined, train.Buf) {
				t.Errorf("datagrams of %d bytes by %d = %v, want %v and the same bytes", tc.size, tc.segment, got, tc.want)
			}
			if train.Len() != len(tc.want) {
				t.Errorf("Len() = %d, want %d", train.Len(), len(tc.want))
			}
		})
	}
}

func TestTrainIterationStopsWhenAskedAndAllocatesNothing(t *testing.T) {
	train := &Train{Buf: numbered(100), SegmentSize: 10}
	seen := 0
	allocs := testing.AllocsPerRun(100, func() {
		seen = 0
		for range train.Datagrams() {
			if seen++; seen == 4 {
				break
			}
		}
	})
	if seen != 4 || allocs != 0 {
		t.Errorf("iteration saw %d datagrams with %v allocations, want 4 with 0", seen, allocs)
	}
}

// numbered returns n bytes that tell their place.
func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

func ExampleTrain_Datagrams() {
	train := Train{Buf: []byte("onetwosix!"), SegmentSize: 3}
	for d := range train.Datagrams() {
		fmt.Printf("%s\n", d)
	}
	// Output:
	// one
	// two
	// six
	// !
}
