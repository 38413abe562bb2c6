package fec_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// stream sends n packets with loss through a pair of guests, with what they tell each other, and returns both. News of a packet comes 60 packets
// later.
func stream(t *testing.T, s settings, n int, loss float64, r *rand.Rand) (tx, rx *guest, sent []packet, lost map[uint64]bool) {
	t.Helper()
	tx, rx = newGuest(t, s), newGuest(t, s)
	lost = map[uint64]bool{}
	pn := uint64(0)
	type flight struct {
		p    packet
		lost bool
	}
	var fly []flight
	for i := range n {
		p := packet{pn, make([]byte, 1+r.IntN(1100))}
		for j := range p.frames {
			p.frames[j] = byte(r.Uint32())
		}
		pn++
		waiting := uint64(5000)
		if i == n-1 || r.IntN(40) == 0 {
			waiting = 0
		}
		tx.now += 1e6
		rx.now = tx.now
		source := tx.send(p, true, waiting)
		sent = append(sent, p)
		gone := r.Float64() < loss
		fly = append(fly, flight{p, gone})
		if gone {
			lost[p.pn] = true
		} else if source != nil {
			rx.take(frameSource, p.pn, source, p.frames)
		}
		for _, b := range tx.repairs(pn) {
			if r.Float64() >= loss {
				rx.take(frameRepair, pn, b, nil)
			}
			pn++
		}
		if len(fly) > 60 {
			f := fly[0]
			fly = fly[1:]
			if f.lost {
				tx.lost(f.p.pn)
			} else {
				tx.acked(f.p.pn)
			}
		}
		for _, b := range rx.frames(frameRecovered, pn) {
			if v := tx.take(frameRecovered, pn, b, nil); v != taken {
				t.Fatalf("RECOVERED %x: verdict %d", b, v)
			}
		}
	}
	return tx, rx, sent, lost
}

func TestStreamsOfPacketsHealAndNothingElseIsHandedIn(t *testing.T) {
	for _, tc := range []struct {
		name  string
		s     settings
		least float64 // of the losses
	}{
		{"rlc, sliding window", settings{policy: full, rate: fixed, k: 25, r: 5, window: 40}, 0.95},
		{"rlc, blocks", settings{framework: block, policy: full, rate: fixed, k: 25, r: 5}, 0.9},
		{"rs", settings{scheme: rs, policy: full, rate: fixed, k: 25, r: 5}, 0.9},
		{"xor", settings{scheme: xor, policy: full, rate: fixed, k: 10, r: 2}, 0.7},
		{"rlc, measured", settings{policy: full}, 0.9},
		{"rlc, tails", settings{}, 0.6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tx, rx, sent, lost := stream(t, tc.s, 2000, 0.03, rand.New(rand.NewPCG(11, 12)))
			for _, p := range rx.recovered {
				i := slices.IndexFunc(sent, func(q packet) bool { return q.pn == p.pn })
				if i < 0 || !lost[p.pn] || !bytes.Equal(sent[i].frames, p.frames) {
					t.Fatalf("recovered packet %d is wrong", p.pn)
				}
			}
			if got := float64(len(rx.recovered)) / float64(len(lost)); got < tc.least {
				t.Errorf("%.2f of %d losses recovered, want %.2f", got, len(lost), tc.least)
			}
			if len(tx.delivered) != len(rx.recovered) {
				t.Errorf("the sender was told of %d packets, %d were recovered", len(tx.delivered), len(rx.recovered))
			}
			if rx.counts[1] != int64(len(rx.recovered)) || tx.counts[2] != int64(len(tx.delivered)) || tx.counts[0] == 0 {
				t.Errorf("counted %v and %v", tx.counts, rx.counts)
			}
		})
	}
}

func TestRecoveredPacketsAreToldToTheSender(t *testing.T) {
	ps := packets(rand.New(rand.NewPCG(1, 9)), 10, 10, 100)
	tx, rx := newGuest(t, settings{rate: fixed, k: 10, r: 4}), newGuest(t, settings{})
	sources := sendAll(tx, ps, 10)
	deliver(rx, ps, sources, tx.repairs(100), func(i int) bool { return i == 2 || i == 7 || i == 9 })
	frames := rx.frames(frameRecovered, 5)
	if len(frames) != 1 || !bytes.Equal(frames[0], []byte{2, 5, 2}) {
		t.Fatalf("RECOVERED %x, want 02 05 02", frames)
	}
	if v := tx.take(frameRecovered, 5, frames[0], nil); v != taken {
		t.Errorf("verdict %d", v)
	}
	if want := []uint64{ps[2].pn, ps[7].pn, ps[9].pn}; !slices.Equal(tx.delivered, want) {
		t.Errorf("delivered %d, want %d", tx.delivered, want)
	}
}

func TestAPacketThatTheConnectionRefusesIsNotToldAsRecovered(t *testing.T) {
	ps := packets(rand.New(rand.NewPCG(1, 10)), 4, 10, 100)
	sources, bodies := encode(t, rs, ps, 2)
	rx := newGuest(t, settings{})
	rx.refuse = true
	deliver(rx, ps, sources, bodies, func(i int) bool { return i == 1 })
	if f := rx.frames(frameRecovered, 1); len(f) != 0 {
		t.Errorf("RECOVERED %x, want none", f)
	}
}

func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	ps := packets(r, 20, 10, 400)
	sources, bodies := encode(t, rlc, ps, 6)
	for range 60 {
		lost := r.Perm(20)[:4]
		rx := newGuest(t, settings{})
		var events []int
		for i := range ps {
			if !slices.Contains(lost, i) {
				events = append(events, i, i)
			}
		}
		for i := range bodies {
			events = append(events, 20+i, 20+i)
		}
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		early := map[int]bool{} // recovered before they came
		for _, e := range events {
			if e < 20 {
				for _, p := range rx.recovered {
					early[int(p.pn)-7] = true
				}
				rx.take(frameSource, ps[e].pn, sources[e], ps[e].frames)
				continue
			}
			rx.take(frameRepair, 1000, bodies[e-20], nil)
		}
		got := map[int]bool{}
		for _, p := range rx.recovered {
			i := int(p.pn) - 7
			if got[i] || !bytes.Equal(p.frames, ps[i].frames) {
				t.Fatalf("packet %d recovered twice or wrong", p.pn)
			}
			got[i] = true
		}
		for _, i := range lost {
			if !got[i] {
				t.Errorf("lost %v, packet %d not recovered", lost, i)
			}
		}
	}
}

func TestLyingFramesAreRefusedOrIgnored(t *testing.T) {
	symbol := make([]byte, 40)
	body := func(scheme byte, first uint64, count, key int, s []byte) []byte {
		return append(append(appendVarint([]byte{scheme}, first), byte(count), byte(key>>8), byte(key)), s...)
	}
	for _, tc := range []struct {
		name   string
		frame  uint32
		body   []byte
		before []byte
		want   int64
	}{
		{"SOURCE without a number", frameSource, nil, []byte("x"), malformed},
		{"SOURCE with half a number", frameSource, []byte{0x40}, []byte("x"), malformed},
		{"SOURCE with more", frameSource, []byte{1, 2}, []byte("x"), malformed},
		{"SOURCE of nothing", frameSource, []byte{1}, nil, ignored},
		{"SOURCE of too much", frameSource, []byte{1}, make([]byte, 1433), ignored},
		{"SOURCE with a vast number", frameSource, appendVarint(nil, 1<<62-1), []byte("x"), taken},
		{"empty REPAIR", frameRepair, nil, nil, malformed},
		{"REPAIR of nothing", frameRepair, body(0, 0, 0, 1, symbol), nil, malformed},
		{"REPAIR of too many", frameRepair, body(0, 0, 65, 1, symbol), nil, malformed},
		{"REPAIR without a symbol", frameRepair, body(0, 0, 3, 1, nil), nil, malformed},
		{"REPAIR with half a head", frameRepair, body(0, 0, 3, 1, symbol[:6]), nil, malformed},
		{"REPAIR with too long a symbol", frameRepair, body(0, 0, 3, 1, make([]byte, 1439)), nil, malformed},
		{"REPAIR of an unknown scheme", frameRepair, body(3, 0, 3, 1, symbol), nil, malformed},
		{"REPAIR beyond the matrix", frameRepair, body(1, 0, 3, 64, symbol), nil, malformed},
		{"parity of no classes", frameRepair, body(2, 0, 3, 0, symbol), nil, malformed},
		{"parity of a class that is not", frameRepair, body(2, 0, 3, 0x0202, symbol), nil, malformed},
		{"REPAIR of vast numbers", frameRepair, body(0, 1<<62-1, 64, 1, symbol), nil, taken},
		{"RECOVERED of what was never sent", frameRecovered, []byte{5}, nil, malformed},
		{"RECOVERED of vast numbers", frameRecovered, appendVarint(nil, 1<<62-1), nil, malformed},
		{"RECOVERED twice the same", frameRecovered, []byte{0, 0}, nil, malformed},
		{"RECOVERED with half a number", frameRecovered, []byte{0, 0x80}, nil, malformed},
		{"empty RECOVERED", frameRecovered, nil, nil, taken},
		{"a frame that is none", 3, []byte{0}, nil, malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGuest(t, settings{})
			g.send(packet{1, []byte("one")}, true, 9)
			if got := g.take(tc.frame, 9, tc.body, tc.before); got != tc.want {
				t.Errorf("verdict %d, want %d", got, tc.want)
			}
			if len(g.recovered) > 0 || len(g.delivered) > 1 {
				t.Errorf("recovered %d, delivered %d packets", len(g.recovered), len(g.delivered))
			}
		})
	}
}

// TestARepairThatDoesNotFitItsSymbolsHandsInNothing: a sum that does not look like a packet is none.
func TestARepairThatDoesNotFitItsSymbolsHandsInNothing(t *testing.T) {
	ps := packets(rand.New(rand.NewPCG(15, 16)), 6, 50, 60)
	sources, bodies := encode(t, rlc, ps, 2)
	for at := range bodies[0] {
		for _, flip := range []byte{1, 0x80} {
			b := bytes.Clone(bodies[0])
			b[at] ^= flip
			rx := newGuest(t, settings{})
			deliver(rx, ps, sources, [][]byte{b}, func(i int) bool { return i == 3 })
			for _, p := range rx.recovered {
				// What a flip in the frames changes cannot be seen: the packet was authentic, so the peer wrote it.
				if at < 7 && bytes.Equal(p.frames, ps[3].frames) {
					t.Errorf("flip %#x of byte %d: packet %d is handed in as if nothing were", flip, at, p.pn)
				}
			}
		}
	}
	// One that is shorter than a symbol it is said to hold.
	rx := newGuest(t, settings{})
	short := bodies[0][:20]
	deliver(rx, ps, sources, nil, func(i int) bool { return i == 3 })
	if v := rx.take(frameRepair, 50, short, nil); v != malformed {
		t.Errorf("short repair: verdict %d, want malformed", v)
	}
}

// TestTheWorstCallStaysWithinItsFuel has as many equations as there can be, and a symbol that they all wait for.
func TestTheWorstCallStaysWithinItsFuel(t *testing.T) {
	const rows, perSum, perCall = 32, 350, 200_000
	g := newGuest(t, settings{})
	r := rand.New(rand.NewPCG(17, 18))
	for key := range 64 {
		symbol := make([]byte, 1438)
		for i := range symbol {
			symbol[i] = byte(r.Uint32())
		}
		first := uint64(r.IntN(64))
		g.take(frameRepair, 1, append(append(appendVarint([]byte{0}, first), 64, byte(key>>8), byte(key)), symbol...), nil)
	}
	if g.worst < rows {
		t.Fatalf("%d calls at most: the equations are not there", g.worst)
	}
	for sid := range uint64(128) {
		g.take(frameSource, sid, appendVarint(nil, sid), make([]byte, 1300))
	}
	if g.worst*perSum > perCall*3/4 {
		t.Errorf("%d host calls in one call, want at most %d", g.worst, perCall*3/4/perSum)
	}
}

func TestNumbersMayJump(t *testing.T) {
	ps := packets(rand.New(rand.NewPCG(19, 20)), 6, 50, 60)
	sources, bodies := encode(t, rlc, ps, 2)
	for _, far := range []uint64{6, 100, 127, 128, 129, 1000, 1 << 40, 1<<62 - 1} {
		rx := newGuest(t, settings{})
		deliver(rx, ps, sources, nil, func(i int) bool { return i == 3 })
		rx.take(frameSource, 99, appendVarint(nil, far), []byte("far"))
		rx.take(frameRepair, 100, bodies[0], nil)
		if want := far < 128; (len(rx.recovered) == 1) != want {
			t.Errorf("after symbol %d: %d recovered, want %v", far, len(rx.recovered), want)
		}
	}
}

func TestPacketNumbersBeyond32Bits(t *testing.T) {
	for _, base := range []uint64{1 << 32, 1<<32 - 3, 1<<40 + 5, 3<<32 - 2} {
		ps := packets(rand.New(rand.NewPCG(21, 22)), 6, 50, 60)
		for i := range ps {
			ps[i].pn = base + uint64(i)
		}
		sources, bodies := encode(t, rlc, ps, 1)
		rx := newGuest(t, settings{})
		for i, p := range ps {
			if i != 2 {
				rx.take(frameSource, p.pn, sources[i], p.frames)
			}
		}
		rx.take(frameRepair, base+7, bodies[0], nil)
		if len(rx.recovered) != 1 || rx.recovered[0].pn != ps[2].pn {
			t.Errorf("recovered %v, want packet %d", rx.recovered, ps[2].pn)
		}
	}
}

// TestTheNewsForTheSenderAreBounded recovers more than a RECOVERED frame holds while none can be sent.
func TestTheNewsForTheSenderAreBounded(t *testing.T) {
	const news = 32
	tx, rx := newGuest(t, settings{}), newGuest(t, settings{})
	for pn := range uint64(100) {
		tx.now += 1e9
		tx.send(packet{pn, []byte("message")}, true, 0)
		for _, b := range tx.repairs(1000 + pn) {
			rx.take(frameRepair, 1000+pn, b, nil)
		}
		tx.acked(pn)
	}
	if len(rx.recovered) != 100 {
		t.Fatalf("%d recovered, want 100", len(rx.recovered))
	}
	if n := len(rx.reserved); n != 1 {
		t.Errorf("%d reservations, want 1", n)
	}
	for _, b := range rx.frames(frameRecovered, 1) {
		if v := tx.take(frameRecovered, 1, b, nil); v != taken {
			t.Errorf("verdict %d", v)
		}
	}
	if n := len(tx.delivered); n == 0 || n > news {
		t.Errorf("%d told, want 1 to %d", n, news)
	}
}

// FuzzFrames feeds two guests with what nobody sane would send. They must not trap, and each call must stay bounded.
func FuzzFrames(f *testing.F) {
	ps := packets(rand.New(rand.NewPCG(23, 24)), 3, 5, 30)
	for i := range ps {
		f.Add([]byte{0, byte(i), 0, 1, byte(i), 3, 'a', 'b', 'c'})
	}
	f.Add([]byte{1, 9, 0, 12, 0, 0, 3, 0, 1, 0, 3, 0, 0, 0, 1, 'x', 2, 3, 0, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		g := newGuest(t, settings{rate: fixed, k: 2, r: 3})
		for pn := uint64(0); len(in) >= 4 && pn < 200; pn++ {
			op, low, high, n := in[0], in[1], in[2], int(in[3])
			in = in[4:]
			n = min(n, len(in))
			data := in[:n]
			in = in[n:]
			g.now += uint64(low) * 1e6
			number := binary.LittleEndian.Uint16([]byte{low, high})
			switch op % 6 {
			case 0:
				g.take(frameSource, pn, appendVarint(nil, uint64(number)<<(op/6%48)), data)
			case 1:
				g.take(frameRepair, pn, data, nil)
			case 2:
				g.take(frameRecovered, pn, data, nil)
			case 3:
				g.send(packet{uint64(number), append(data, 1)}, low&1 != 0, uint64(high)&3)
			case 4:
				for _, b := range g.repairs(pn) {
					g.take(frameRepair, pn, b, nil)
				}
			case 5:
				g.lost(uint64(number))
				g.must(opTimer, 0, 0, nil, nil)
			}
		}
		if g.worst > 300 {
			t.Errorf("%d host calls in one call", g.worst)
		}
	})
}
