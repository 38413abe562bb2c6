package core

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// model is a set of bytes, one flag for each.
type model [400]bool

func (m *model) set(start, end uint64, v bool) {
	for i := start; i < end; i++ {
		m[i] = v
	}
}

func (m *model) spans() (list spans) {
	for i := 0; i < len(m); i++ {
		if !m[i] {
			continue
		}
		s := span{uint64(i), uint64(i)}
		for i < len(m) && m[i] {
			i++
			s.end = uint64(i)
		}
		list = append(list, s)
	}
	return list
}

func same(a, b spans) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestSpansAgreeWithAModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var s spans
		var m model
		for range 200 {
			start := uint64(random.IntN(380))
			end := start + uint64(random.IntN(20))
			if random.IntN(3) == 0 {
				s.sub(start, end)
				m.set(start, end, false)
			} else {
				s.add(start, end)
				m.set(start, end, true)
			}
			if want := m.spans(); !same(s, want) {
				t.Fatalf("seed %d: [%d,%d): got %v, want %v", seed, start, end, s, want)
			}
			covered := true
			for i := start; i < end; i++ {
				covered = covered && m[i]
			}
			if got := s.covers(start, end); got != covered {
				t.Fatalf("seed %d: covers(%d, %d) = %v", seed, start, end, got)
			}
		}
	}
}

// data is the byte of a stream at an offset.
func data(off uint64) byte { return byte(off*7 + off>>8) }

func piece(start, end uint64) []byte {
	b := make([]byte, end-start)
	for i := range b {
		b[i] = data(start + uint64(i))
	}
	return b
}

func TestRecvBufferPutsAnyPiecesInOrder(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		var pool chunkPool
		var b recvBuffer
		const total = 5 * chunkSize
		var read []byte
		for i := 0; uint64(len(read)) < total; i++ {
			start := uint64(random.IntN(total))
			if i > 200 { // fill what chance left out
				start = uint64(len(read))
			}
			end := min(start+uint64(random.IntN(3*chunkSize)), total)
			if !b.add(&pool, start, piece(start, end)) {
				t.Fatal("too many pieces")
			}
			p := make([]byte, random.IntN(2*chunkSize))
			read = append(read, p[:b.read(&pool, p)]...)
		}
		if !bytes.Equal(read, piece(0, total)) {
			t.Fatalf("seed %d: the bytes came out wrong", seed)
		}
		if len(b.data.chunks) != 0 {
			t.Fatalf("seed %d: %d chunks are kept for nothing", seed, len(b.data.chunks))
		}
	}
}

func TestRecvBufferBoundsItsPieces(t *testing.T) {
	var pool chunkPool
	var b recvBuffer
	n := 0
	for b.add(&pool, uint64(2*n+1), []byte{1}) {
		if n++; n > maxGaps {
			t.Fatalf("%d separate pieces are held, limit %d", n, maxGaps)
		}
	}
	if n != maxGaps {
		t.Errorf("refused after %d pieces, limit %d", n, maxGaps)
	}
}

func TestSendBufferDeliversWhateverIsLost(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 3))
		var pool chunkPool
		var b sendBuffer
		const total = 3*chunkSize + 17
		got := make([]byte, total)
		type sent struct{ start, end uint64 }
		var flying []sent
		for steps := 0; !(b.end() == total && b.allAcked()); steps++ {
			if steps > 100_000 {
				t.Fatalf("seed %d: never done: %+v", seed, b)
			}
			if n := min(uint64(random.IntN(5000)), total-b.end()); n > 0 {
				b.write(&pool, piece(b.end(), b.end()+n))
			}
			if start, end := b.pending(b.end()); start < end {
				end = min(end, start+uint64(1+random.IntN(1400)))
				b.read(start, got[start:end])
				b.sent(start, end)
				flying = append(flying, sent{start, end})
			}
			if len(flying) == 0 || random.IntN(3) == 0 {
				continue
			}
			i := random.IntN(len(flying))
			s := flying[i]
			switch random.IntN(4) {
			case 0:
				b.lose(s.start, s.end) // and it may yet be acknowledged
			case 1:
				b.lose(s.start, s.end)
				flying = append(flying[:i], flying[i+1:]...)
			default:
				b.ack(&pool, s.start, s.end)
				flying = append(flying[:i], flying[i+1:]...)
			}
		}
		if !bytes.Equal(got, piece(0, total)) {
			t.Fatalf("seed %d: the bytes went out wrong", seed)
		}
		if len(b.lost) > 0 || len(b.acked) > 0 || len(b.data.chunks) > 0 {
			t.Fatalf("seed %d: left over: lost %v, acked %v, %d chunks", seed, b.lost, b.acked, len(b.data.chunks))
		}
	}
}

func TestChunkPoolIsBounded(t *testing.T) {
	var p chunkPool
	for range 10 * maxFreeChunks {
		p.put(new(chunk))
	}
	if len(p.free) > maxFreeChunks {
		t.Errorf("%d free chunks are kept, limit %d", len(p.free), maxFreeChunks)
	}
}

func TestStreamQueueKeepsItsOrderAndNoDoubles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 4))
	var q streamQueue
	var want []*Stream
	all := make([]*Stream, 10)
	for i := range all {
		all[i] = &Stream{id: uint64(i)}
	}
	for range 10_000 {
		switch s := all[random.IntN(len(all))]; random.IntN(3) {
		case 0:
			if !s.queuedNew {
				want = append(want, s)
			}
			q.push(s, &s.queuedNew)
		case 1:
			if !q.empty() {
				q.pop(&q.front().queuedNew)
				want = want[1:]
			}
		case 2:
			if !q.empty() {
				q.rotate()
				want = append(want[1:], want[0])
			}
		}
		if q.empty() != (len(want) == 0) || !q.empty() && q.front() != want[0] {
			t.Fatal("the queue lost its order")
		}
	}
	if cap(q.list) > 64 {
		t.Errorf("a queue of at most 10 streams takes %d places", cap(q.list))
	}
}
