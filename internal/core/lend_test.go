package core

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// TestTakenBytesAreThoseThatWereReceived adds random pieces of a stream in a
// random order, takes what is readable now and then, and keeps it for a while:
// whatever arrives meanwhile, it must stay as it is.
func TestTakenBytesAreThoseThatWereReceived(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		want := make([]byte, 10*chunkSize)
		rand.NewChaCha8([32]byte{byte(seed)}).Read(want)
		var pool chunkPool
		var b recvBuffer
		var got []byte
		var kept []Piece
		var expect [][]byte
		release := func() {
			for i, p := range kept {
				if !bytes.Equal(p.Data, expect[i]) {
					t.Fatalf("seed %d: a piece of %d bytes changed while it was lent", seed, len(p.Data))
				}
				pool.put(p.chunk)
			}
			kept, expect = nil, nil
		}
		take := func() {
			dst := make([]Piece, 1+random.IntN(4))
			pieces, n := b.take(&pool, 1+random.Uint64N(3*chunkSize), dst)
			for _, p := range dst[:pieces] {
				if len(p.Data) == 0 || &p.Data[0] != &p.chunk[p.in] {
					t.Fatalf("seed %d: a piece of %d bytes is not where it says", seed, len(p.Data))
				}
				n -= uint64(len(p.Data))
				got = append(got, p.Data...)
				kept, expect = append(kept, p), append(expect, bytes.Clone(p.Data))
			}
			if n != 0 {
				t.Fatalf("seed %d: pieces have %d bytes less than was said", seed, n)
			}
		}
		for len(got) < len(want) {
			at := max(0, len(got)-1000) + random.IntN(3*chunkSize)
			if at < len(want) {
				end := min(len(want), at+1+random.IntN(chunkSize))
				b.add(&pool, uint64(at), want[at:end])
			}
			if random.IntN(3) == 0 {
				b.add(&pool, uint64(len(got)), want[len(got):min(len(want), len(got)+1+random.IntN(20000))])
			}
			for range random.IntN(3) {
				take()
			}
			if random.IntN(4) == 0 {
				release()
			}
		}
		release()
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: other bytes were taken", seed)
		}
		if b.drop(&pool); pool.used != 0 {
			t.Fatalf("seed %d: %d chunks are missing", seed, pool.used)
		}
	}
}

// TestCommittedBytesAreThoseThatWereFilledIn writes a stream by reservations of
// which a part is used, mixed with plain writes, while its beginning is
// acknowledged.
func TestCommittedBytesAreThoseThatWereFilledIn(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 3))
		want := make([]byte, 10*chunkSize)
		rand.NewChaCha8([32]byte{byte(seed)}).Read(want)
		c, err := newConn(time.Now(), &Config{Versions: []wire.Version{wire.Version1}, SendBuffer: 5 * chunkSize, Rand: rand.NewChaCha8([32]byte{}), Congestion: func(mss int) hook.Congestion {
			cc, _ := recovery.New("cubic", mss)
			return cc
		}}, true, netip.Addr{}, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		s := c.addStream(0)
		w := &s.send
		for acked := uint64(0); acked < uint64(len(want)); {
			var dst [4]Piece
			pieces, err := c.Reserve(s, dst[:1+random.IntN(4)])
			if err != nil {
				t.Fatal(err)
			}
			end := int(w.buf.end())
			if random.IntN(4) == 0 { // somebody else writes meanwhile
				n := min(random.IntN(9000), len(want)-end)
				m, _ := c.Write(s, want[end:end+n])
				end += m
			}
			n := 0
			for _, p := range dst[:pieces] {
				n += copy(p.Data, want[min(len(want), end+n):])
			}
			if random.IntN(2) == 0 {
				n = random.IntN(n + 1)
			}
			if err := c.Commit(s, dst[:pieces], n); err != nil {
				t.Fatal(err)
			}
			if got := int(w.buf.end()); got != end+n {
				t.Fatalf("seed %d: the stream ends at %d, want %d", seed, got, end+n)
			}
			got := make([]byte, w.buf.buffered())
			w.buf.read(w.buf.data.base, got)
			if !bytes.Equal(got, want[w.buf.data.base:w.buf.end()]) {
				t.Fatalf("seed %d: other bytes at %d", seed, w.buf.data.base)
			}
			if more := w.buf.buffered(); more > 0 {
				acked += 1 + random.Uint64N(more)
				w.buf.sent(w.buf.next, acked)
				w.buf.ack(&c.pool, w.buf.data.base, acked)
			}
		}
		if w.buf.drop(&c.pool); c.pool.used != 0 {
			t.Fatalf("seed %d: %d chunks are missing", seed, c.pool.used)
		}
	}
}
