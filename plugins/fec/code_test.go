package fec_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTheGeneratorIsThatOfRFC8682(t *testing.T) {
	m := newTinyMT(1)
	for i, want := range []uint32{2545341989, 981918433, 3715302833, 2387538352, 3591001365} {
		if got := m.next(); got != want {
			t.Errorf("value %d from seed 1 is %d, want %d", i, got, want)
		}
	}
}

// packets returns n packets whose frames have between least and most bytes.
func packets(r *rand.Rand, n, least, most int) []packet {
	ps := make([]packet, n)
	for i := range ps {
		ps[i] = packet{uint64(7 + i), make([]byte, least+r.IntN(most-least+1))}
		for j := range ps[i].frames {
			ps[i].frames[j] = byte(r.Uint32())
		}
	}
	return ps
}

// symbolOf is the source symbol that a packet is.
func symbolOf(p packet) []byte {
	n := len(p.frames)
	return append([]byte{byte(n >> 8), byte(n), byte(p.pn >> 24), byte(p.pn >> 16), byte(p.pn >> 8), byte(p.pn)}, p.frames...)
}

func symbolsOf(ps []packet) (s [][]byte) {
	for _, p := range ps {
		s = append(s, symbolOf(p))
	}
	return s
}

// repair is a REPAIR frame, taken apart.
type repair struct {
	scheme, count int
	first         uint64
	key           uint16
	symbol        []byte
}

func parseRepair(t testing.TB, b []byte) repair {
	t.Helper()
	sid, n := varint(b[1:])
	r := repair{scheme: int(b[0]), first: sid, count: int(b[1+n]), key: uint16(b[2+n])<<8 | uint16(b[3+n]), symbol: b[4+n:]}
	if r.count == 0 {
		t.Fatalf("repair %x protects nothing", b[:5+n])
	}
	return r
}

// varint reads one (RFC 9000 §16).
func varint(b []byte) (v uint64, n int) {
	n = 1 << (b[0] >> 6)
	v = uint64(b[0] & 0x3f)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}

func appendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return append(b, byte(v>>8)|0x40, byte(v))
	case v < 1<<30:
		return append(b, byte(v>>24)|0x80, byte(v>>16), byte(v>>8), byte(v))
	}
	return append(b, byte(v>>56)|0xc0, byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

var schemes = []struct {
	name   string
	scheme int64
}{{"rlc", rlc}, {"rs", rs}, {"xor", xor}}

func TestRepairsAreWhatASecondCoderMakes(t *testing.T) {
	for _, tc := range schemes {
		t.Run(tc.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{1, 2, 3, 10, 25, 64} {
				g := newGuest(t, settings{scheme: tc.scheme, rate: fixed, k: 10, r: 3})
				ps := packets(r, n, 1, 1150)
				for i, p := range ps {
					g.send(p, true, uint64(n-1-i))
				}
				bodies := g.repairs(1000)
				if want := min(max(1, (3*n+9)/10), 16); len(bodies) != want {
					t.Errorf("%d packets have %d repairs, want %d", n, len(bodies), want)
				}
				for _, b := range bodies {
					got := parseRepair(t, b)
					if got.scheme != int(tc.scheme) || got.first != 0 || got.count != n {
						t.Fatalf("repair of %d from %d, scheme %d; want %d from 0, scheme %d", got.count, got.first, got.scheme, n, tc.scheme)
					}
					if want := repairOf(got.scheme, got.key, symbolsOf(ps)); !bytes.Equal(got.symbol, want) {
						t.Errorf("repair with key %d of %d packets differs from the second opinion", got.key, n)
					}
				}
			}
		})
	}
}

// deliver lets rx take those packets of tx that are not in lost, and the repairs.
func deliver(rx *guest, ps []packet, sources, repairs [][]byte, lost func(i int) bool) {
	for i, p := range ps {
		if !lost(i) {
			rx.take(frameSource, p.pn, sources[i], p.frames)
		}
	}
	for i, b := range repairs {
		if !lost(len(ps) + i) {
			rx.take(frameRepair, 1000+uint64(i), b, nil)
		}
	}
}

// encode sends ps with one tail of so many repairs.
func encode(t *testing.T, scheme int64, ps []packet, repairs int) (sources, bodies [][]byte) {
	t.Helper()
	tx := newGuest(t, settings{scheme: scheme, rate: fixed, k: int64(len(ps)), r: int64(repairs)})
	for i, p := range ps {
		sources = append(sources, tx.send(p, true, uint64(len(ps)-1-i)))
	}
	return sources, tx.repairs(1000)
}

// TestReedSolomonHealsEveryPattern loses every set of packets and repairs: what leaves as many symbols as there were packets gives back all.
func TestReedSolomonHealsEveryPattern(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, tc := range []struct{ k, m int }{{1, 1}, {1, 3}, {2, 2}, {4, 2}, {5, 4}, {8, 3}, {6, 6}} {
		ps := packets(r, tc.k, 5, 60)
		sources, bodies := encode(t, rs, ps, tc.m)
		if len(bodies) != tc.m {
			t.Fatalf("%d repairs, want %d", len(bodies), tc.m)
		}
		for set := range 1 << (tc.k + tc.m) {
			rx := newGuest(t, settings{scheme: rs})
			lost := func(i int) bool { return set>>i&1 != 0 }
			deliver(rx, ps, sources, bodies, lost)
			checkHealed(t, rx, ps, lost, tc.m, fmt.Sprintf("%d+%d, lost %b", tc.k, tc.m, set))
		}
	}
}

// checkHealed checks that rx recovered what was lost if the code promises that, and nothing that is wrong ever.
func checkHealed(t *testing.T, rx *guest, ps []packet, lost func(i int) bool, repairs int, what string) {
	t.Helper()
	missing, have := 0, 0
	for i := range ps {
		if lost(i) {
			missing++
		}
	}
	for i := range repairs {
		if !lost(len(ps) + i) {
			have++
		}
	}
	if want := missing; missing <= have && len(rx.recovered) != want {
		t.Errorf("%s: %d recovered, want %d", what, len(rx.recovered), want)
	}
	for _, p := range rx.recovered {
		i := slices.IndexFunc(ps, func(q packet) bool { return q.pn == p.pn })
		if i < 0 || !lost(i) || !bytes.Equal(ps[i].frames, p.frames) {
			t.Errorf("%s: recovered packet %d is wrong", what, p.pn)
		}
	}
}

// TestReedSolomonHealsAnyThatAreLost takes large blocks, and as many losses as there are repairs, at random and all in a row.
func TestReedSolomonHealsAnyThatAreLost(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tc := range []struct{ k, m int }{{64, 16}, {50, 10}, {25, 5}, {16, 16}} {
		ps := packets(r, tc.k, 100, 1100)
		sources, bodies := encode(t, rs, ps, tc.m)
		for range 6 {
			perm := r.Perm(tc.k + tc.m)[:tc.m]
			rx := newGuest(t, settings{scheme: rs})
			lost := func(i int) bool { return slices.Contains(perm, i) }
			deliver(rx, ps, sources, bodies, lost)
			checkHealed(t, rx, ps, lost, tc.m, fmt.Sprintf("%d+%d, lost %v", tc.k, tc.m, perm))
		}
		rx := newGuest(t, settings{scheme: rs})
		row := func(i int) bool { return i >= 3 && i < 3+tc.m && i < tc.k }
		deliver(rx, ps, sources, bodies, row)
		checkHealed(t, rx, ps, row, tc.m, fmt.Sprintf("%d+%d, a row", tc.k, tc.m))
	}
}

func TestParityHealsAsManyInARowAsItHasRepairs(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for m := 1; m <= 5; m++ {
		ps := packets(r, 20, 5, 300)
		sources, bodies := encode(t, xor, ps, m)
		for at := 0; at+m <= len(ps); at++ {
			rx := newGuest(t, settings{scheme: xor})
			lost := func(i int) bool { return i >= at && i < at+m }
			deliver(rx, ps, sources, bodies, lost)
			checkHealed(t, rx, ps, lost, m, fmt.Sprintf("%d of 20 from %d", m, at))
		}
	}
}

// TestRandomCodesHealAlmostAlways: n unknowns and n random equations over GF(256) without zeros are independent but for about one case in 255.
func TestRandomCodesHealAlmostAlways(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	const rounds, k, m = 400, 12, 4
	healed := 0
	ps := packets(r, k, 5, 40)
	tx := newGuest(t, settings{scheme: rlc, rate: fixed, k: k, r: m})
	for round := range rounds {
		now := slices.Clone(ps)
		var sources [][]byte
		for i := range now {
			now[i].pn += uint64(round * 100)
			sources = append(sources, tx.send(now[i], true, uint64(k-1-i)))
		}
		bodies := tx.repairs(now[k-1].pn + 1)
		for _, p := range now {
			tx.acked(p.pn)
		}
		tx.now += 1e9
		if len(bodies) != m {
			t.Fatalf("round %d: %d repairs, want %d", round, len(bodies), m)
		}
		rx := newGuest(t, settings{})
		perm := r.Perm(k)[:m]
		deliver(rx, now, sources, bodies, func(i int) bool { return slices.Contains(perm, i) })
		for _, p := range rx.recovered {
			i := slices.IndexFunc(now, func(q packet) bool { return q.pn == p.pn })
			if i < 0 || !bytes.Equal(now[i].frames, p.frames) {
				t.Fatalf("round %d: recovered packet %d is wrong", round, p.pn)
			}
		}
		if len(rx.recovered) == m {
			healed++
		}
	}
	if healed < rounds*98/100 {
		t.Errorf("%d of %d losses of %d healed by %d repairs, want 98 %%", healed, rounds, m, m)
	}
}
