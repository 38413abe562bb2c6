package netsim

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// s0 is the link that most cases of the test network use.
const s0 = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"

func mustScenario(t testing.TB, text string) *Scenario {
	t.Helper()
	sc, err := ParseScenario(text)
	check(t, err)
	return sc
}

// bench drives a Sim in virtual time and writes down what happens.
type bench struct {
	*Sim
	t     *testing.T
	clock Clock
	log   []string
}

func newBench(t *testing.T, scenario string, seed uint64) *bench {
	t.Helper()
	return benchOf(t, mustScenario(t, scenario), seed)
}

func benchOf(t *testing.T, sc *Scenario, seed uint64) *bench {
	b := &bench{Sim: NewSim(sc, seed), t: t}
	b.Start(b.clock.Now())
	b.Observe = func(e Event) { b.log = append(b.log, fmt.Sprintf("%d %v", e.Packet.Tag, e)) }
	return b
}

// packet makes a UDP packet of size payload bytes from one side to the other.
func packet(from Side, size int, tag uint64) Packet {
	p := Packet{Data: make([]byte, size), Src: clientAP, Dst: serverAP, UDP: true, Tag: tag}
	for i := range p.Data {
		p.Data[i] = byte(i) | 0x40
	}
	if from == Right {
		p.Src, p.Dst = serverAP, clientAP
	}
	return p
}

// arrivals runs the Sim until nothing is under way and returns what arrives at each side.
type arrival struct {
	at time.Duration
	to Side
	p  Packet
}

func (b *bench) arrivals() (list []arrival) {
	for {
		next, ok := b.Next()
		if !ok {
			return list
		}
		b.clock.AdvanceTo(next)
		for {
			to, p, ok := b.Pop(b.clock.Now())
			if !ok {
				break
			}
			list = append(list, arrival{b.clock.Since(), to, p})
		}
	}
}

func tags(list []arrival) (tags []uint64) {
	for _, a := range list {
		tags = append(tags, a.p.Tag)
	}
	return tags
}

func TestSimDelaysAndSerialisesToTheNanosecond(t *testing.T) {
	b := newBench(t, s0, 1)
	b.Send(b.clock.Now(), Left, packet(Left, 1452, 1))
	b.Send(b.clock.Now(), Left, packet(Left, 100, 2))
	const full = (1452 + 28 + 2) * 8 * 100 * time.Nanosecond
	const small = (100 + 28 + 2) * 8 * 100 * time.Nanosecond
	at, _ := b.Next()
	if want := Epoch.Add(full + 15*time.Millisecond); !at.Equal(want) {
		t.Fatalf("first packet arrives after %v, want %v", at.Sub(Epoch), want.Sub(Epoch))
	}
	if _, _, early := b.Pop(at.Add(-1)); early {
		t.Error("packet popped a nanosecond before its arrival")
	}
	list := b.arrivals()
	if len(list) != 2 || list[0].to != Right || list[1].at != full+small+15*time.Millisecond {
		t.Errorf("arrivals %v, want the second packet after %v", list, full+small+15*time.Millisecond)
	}
}

func TestSimDirectionsDoNotShareTheWire(t *testing.T) {
	b := newBench(t, s0, 1)
	b.Send(b.clock.Now(), Left, packet(Left, 1000, 1))
	b.Send(b.clock.Now(), Right, packet(Right, 1000, 2))
	list := b.arrivals()
	if list[0].at != list[1].at || list[0].to != Right || list[1].to != Left {
		t.Errorf("arrivals %v and %v: want both at the same time, at opposite sides", list[0], list[1])
	}
}

func TestSimDropsTheTailExactlyBehindQueueDeviceAndWire(t *testing.T) {
	for _, queue := range []int{0, 1, 25} {
		b := newBench(t, fmt.Sprintf("simple-p2p --delay=15ms --bandwidth=10Mbps --queue=%d", queue), 1)
		for i := range 100 {
			b.Send(b.clock.Now(), Left, packet(Left, 1200, uint64(i)))
		}
		st := b.Stats().ToServer
		if want := uint64(queue + 1 + 1); st.Packets-st.QueueDrops != want || st.MaxQueue != queue+1 {
			t.Errorf("queue %d: %d of a burst fit, at most %d wait; want %d and %d", queue, st.Packets-st.QueueDrops, st.MaxQueue, want, queue+1)
		}
		b.clock.Advance(serialisation(1228, 10_000_000)) // the first packet leaves, one place is free
		b.Send(b.clock.Now(), Left, packet(Left, 1200, 100))
		b.Send(b.clock.Now(), Left, packet(Left, 1200, 101))
		if got := tags(b.arrivals()); got[len(got)-1] != 100 || len(got) != queue+3 {
			t.Errorf("queue %d: %v arrive, want %d packets, the last 100", queue, got, queue+3)
		}
	}
}

func TestSimGoodputOfAnIdealSenderMatchesTheModel(t *testing.T) {
	b := newBench(t, s0, 1)
	const total = 5000
	sent, received := 0, 0
	for ; sent < 20; sent++ { // more than the delay holds
		b.Send(b.clock.Now(), Left, packet(Left, 1452, 0))
	}
	for received < total*1452 { // one packet comes in, the next goes out: the wire never idles
		next, ok := b.Next()
		if !ok {
			t.Fatal("nothing is under way")
		}
		b.clock.AdvanceTo(next)
		for {
			_, p, ok := b.Pop(b.clock.Now())
			if !ok {
				break
			}
			received += len(p.Data)
			b.Send(b.clock.Now(), Left, packet(Left, 1452, 0))
		}
	}
	goodput := float64(received) * 8 / b.clock.Since().Seconds() / 1e6
	if goodput < 9.6 || goodput > 9.8 {
		t.Errorf("goodput %.3f Mbit/s, want 9.6 to 9.8", goodput)
	}
	if st := b.Stats().ToServer; st.QueueDrops != 0 {
		t.Errorf("%d packets of an ideal sender are dropped", st.QueueDrops)
	}
}

const troubled = "link --delay=5ms --jitter=2ms --bandwidth=20Mbps --queue=50 --loss=5 --corrupt=3 --duplicate=2 --reorder=5 --ce=10"

// transcript sends 2000 packets in both directions, spaced by gap, and returns all that happened.
func transcript(t *testing.T, seed uint64, gap time.Duration) []string {
	b := newBench(t, troubled, seed)
	for i := range 1000 {
		for _, side := range []Side{Left, Right} {
			p := packet(side, 200+i%1000, uint64(i))
			p.ECN = 2
			b.Send(b.clock.Now(), side, p)
		}
		b.clock.Advance(gap)
		for {
			if _, _, ok := b.Pop(b.clock.Now()); !ok {
				break
			}
		}
	}
	b.arrivals()
	return b.log
}

func TestSimSameSeedGivesTheSameTranscript(t *testing.T) {
	a, b, c := transcript(t, 7, time.Millisecond), transcript(t, 7, time.Millisecond), transcript(t, 8, time.Millisecond)
	if len(a) != 2000 || !slices.Equal(a, b) {
		t.Errorf("seed 7 gives two transcripts, of %d and %d lines", len(a), len(b))
	}
	if slices.Equal(a, c) {
		t.Error("seeds 7 and 8 give the same transcript")
	}
	for _, what := range []string{"random loss", "corrupted", "duplicated", "marked CE"} {
		if !slices.ContainsFunc(a, func(line string) bool { return strings.Contains(line, what) }) {
			t.Errorf("no packet was %s", what)
		}
	}
}

func TestSimSameSeedDropsTheSamePacketsThoughTimingShifts(t *testing.T) {
	drops := func(gap time.Duration) (list []string) {
		b := newBench(t, "drop-rate --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_client=10 --rate_to_server=30", 3)
		for i := range 500 {
			b.Send(b.clock.Now(), Left, packet(Left, 100, uint64(i)))
			b.clock.Advance(gap)
		}
		got := tags(b.arrivals())
		for i := range uint64(500) {
			if !slices.Contains(got, i) {
				list = append(list, fmt.Sprint(i))
			}
		}
		return list
	}
	a, b := drops(time.Millisecond), drops(1370*time.Microsecond)
	if !slices.Equal(a, b) || len(a) < 100 {
		t.Errorf("drops with two timings differ or are few:\n%v\n%v", a, b)
	}
}

func TestDropRateWithBurstCapIsABitLowerAndNeverExceedsTheCap(t *testing.T) {
	b := newBench(t, "drop-rate --delay=1ms --bandwidth=1Gbps --queue=1000 --rate_to_client=0 --rate_to_server=30 --burst_to_server=3", 1)
	const total = 100_000
	last, run, longest, dropped := uint64(0), 0, 0, 0
	b.Observe = func(e Event) {
		if e.Dropped {
			dropped++
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
		last = e.Packet.Tag
	}
	for i := range total {
		b.Send(b.clock.Now(), Left, packet(Left, 100, uint64(i)))
		b.clock.Advance(10 * time.Microsecond)
		for {
			if _, _, ok := b.Pop(b.clock.Now()); !ok {
				break
			}
		}
	}
	b.arrivals()
	if rate := 100 * float64(dropped) / total; rate < 29 || rate > 30 {
		t.Errorf("drop rate %.2f %%, want 29.5 with 30 %% and a burst of 3", rate)
	}
	if longest != 3 || last != total-1 {
		t.Errorf("longest run of drops %d, want 3", longest)
	}
}

func TestDropListDropsExactlyTheListedPackets(t *testing.T) {
	b := newBench(t, "droplist --delay=15ms --bandwidth=10Mbps --queue=25 --drops_to_server=2,3,7", 1)
	b.Send(b.clock.Now(), Left, Packet{Data: make([]byte, 60), Tag: 100}) // not UDP: not counted
	for i := range uint64(10) {
		b.Send(b.clock.Now(), Left, packet(Left, 100, i+1))
		b.Send(b.clock.Now(), Right, packet(Right, 100, 200))
	}
	var toServer []uint64
	toClient := 0
	for _, a := range b.arrivals() {
		if a.to == Right {
			toServer = append(toServer, a.p.Tag)
		} else {
			toClient++
		}
	}
	if want := []uint64{100, 1, 4, 5, 6, 8, 9, 10}; !slices.Equal(toServer, want) || toClient != 10 {
		t.Errorf("server gets %v, client %d packets; want %v and 10", toServer, toClient, want)
	}
}

func TestBlackholeSwallowsEverythingInItsWindows(t *testing.T) {
	for _, tc := range []struct{ direction, wantRight, wantLeft string }{
		{"both", "0123789...", "0123789..."}, {"toclient", "0123456789...", "0123789..."}, {"toserver", "0123789...", "0123456789..."},
	} {
		b := newBench(t, "blackhole --delay=0ms --bandwidth=1Gbps --queue=25 --direction="+tc.direction+" --off=300ms --on=400ms", 1)
		for i := range uint64(13) {
			b.Send(b.clock.Now(), Left, Packet{Data: make([]byte, 60), Tag: i}) // not UDP: swallowed, too
			b.Send(b.clock.Now(), Right, packet(Right, 60, i))
			b.clock.Advance(100 * time.Millisecond)
		}
		var got [2]string
		for _, a := range b.arrivals() {
			got[a.to] += "0123456789..."[a.p.Tag : a.p.Tag+1]
		}
		if got[Right] != tc.wantRight || got[Left] != tc.wantLeft {
			t.Errorf("%s: sent every 100 ms, arrives %s and %s; want %s and %s", tc.direction, got[Right], got[Left], tc.wantRight, tc.wantLeft)
		}
	}
}

func TestBlackholeRepeatsAsOftenAsAsked(t *testing.T) {
	h := Blackhole{On: 5 * time.Second, Off: 2 * time.Second, Repeat: 2}
	for _, tc := range []struct {
		at   time.Duration
		want bool
	}{{0, false}, {5*time.Second - 1, false}, {5 * time.Second, true}, {7*time.Second - 1, true}, {7 * time.Second, false},
		{12 * time.Second, true}, {14 * time.Second, false}, {19 * time.Second, false}, {-1, false}} {
		if got := h.swallows(tc.at); got != tc.want {
			t.Errorf("swallows(%v) = %v, want %v", tc.at, got, tc.want)
		}
	}
}

func TestCorruptionChangesOneEarlyByteAndDelivers(t *testing.T) {
	b := newBench(t, "corrupt-rate --delay=1ms --bandwidth=1Gbps --queue=6000 --rate_to_client=0 --rate_to_server=100", 1)
	var seen [51]bool
	for i := range 5000 {
		p := packet(Left, 1200, uint64(i))
		p.Data = AppendUDP(nil, clientAP, serverAP, 0, 62, p.Data)
		p.Payload = 28
		b.Send(b.clock.Now(), Left, p)
	}
	list := b.arrivals()
	for _, a := range list {
		was := packet(Left, 1200, 0).Data
		changed := -1
		for i, v := range a.p.UDPPayload() {
			if v != was[i] && changed >= 0 {
				t.Fatalf("packet %d: bytes %d and %d are changed", a.p.Tag, changed, i)
			}
			if v != was[i] {
				changed = i
			}
		}
		if changed < 0 || changed >= 51 || !a.p.checksumOK() {
			t.Fatalf("packet %d: changed byte %d, checksum right %v; want one of the first 51 and true", a.p.Tag, changed, a.p.checksumOK())
		}
		seen[changed] = true
	}
	if len(list) != 5000 || slices.Contains(seen[:], false) {
		t.Errorf("%d of 5000 packets arrive; bytes ever changed: %v", len(list), seen)
	}
}

func TestCorruptionNeverTouchesVersionNegotiation(t *testing.T) {
	b := newBench(t, "corrupt-rate --delay=1ms --bandwidth=1Gbps --queue=1000 --rate_to_client=100 --rate_to_server=100", 1)
	for i := range 200 {
		p := packet(Right, 100, uint64(i))
		copy(p.Data, []byte{0x80, 0, 0, 0, 0})
		b.Send(b.clock.Now(), Right, p)
	}
	for _, a := range b.arrivals() {
		want := packet(Right, 100, 0).Data
		copy(want, []byte{0x80, 0, 0, 0, 0})
		if !slices.Equal(a.p.Data, want) {
			t.Fatalf("Version Negotiation packet %d is changed", a.p.Tag)
		}
	}
	if st := b.Stats().ToClient; st.Corrupted != 0 || st.Delivered != 200 {
		t.Errorf("stats %+v, want 200 delivered, none corrupted", st)
	}
}

func TestJitterKeepsTheOrderAndReorderBreaksIt(t *testing.T) {
	send := func(sc string) []uint64 {
		b := newBench(t, sc, 5)
		for i := range uint64(1000) {
			b.Send(b.clock.Now(), Left, packet(Left, 100, i))
			b.clock.Advance(100 * time.Microsecond)
		}
		return tags(b.arrivals())
	}
	if got := send("link --delay=5ms --jitter=10ms"); !slices.IsSorted(got) || len(got) != 1000 {
		t.Errorf("with jitter %d packets arrive, in order: %v", len(got), slices.IsSorted(got))
	}
	if got := send("link --delay=5ms --reorder=10"); slices.IsSorted(got) || len(got) != 1000 {
		t.Errorf("with reordering %d packets arrive, in order: %v", len(got), slices.IsSorted(got))
	}
}

func TestLinkDropsWhatIsLargerThanItsMTU(t *testing.T) {
	b := newBench(t, "link --mtu=1280", 1)
	b.Send(b.clock.Now(), Left, packet(Left, 1252, 1))
	b.Send(b.clock.Now(), Left, packet(Left, 1253, 2))
	if got := tags(b.arrivals()); !slices.Equal(got, []uint64{1}) || b.Stats().ToServer.TooBig != 1 {
		t.Errorf("%v arrive, want only the packet of 1280 bytes", got)
	}
}

// TestLinkShrinksInTheMiddle sends packets of 1,400 and of 1,280 bytes each way, before and after the change.
func TestLinkShrinksInTheMiddle(t *testing.T) {
	b := newBench(t, "mtu --delay=15ms --bandwidth=10Mbps --queue=25 --first=1500 --then=1280 --after=2s", 1)
	for _, step := range []struct {
		at   time.Duration
		want []uint64
	}{
		{0, []uint64{1, 2}}, {1500 * time.Millisecond, []uint64{1, 2}}, {2 * time.Second, []uint64{2}}, {time.Hour, []uint64{2}},
	} {
		b.clock.AdvanceTo(Epoch.Add(step.at))
		for _, from := range []Side{Left, Right} {
			for _, pair := range [][2]netip.AddrPort{{clientAP, serverAP}, {netip.AddrPortFrom(ClientV6, 5), netip.AddrPortFrom(ServerV6, 443)}} {
				headers := 28
				if pair[0].Addr().Is6() {
					headers = 48
				}
				large, small := packet(from, 1400-headers, 1), packet(from, 1280-headers, 2)
				for _, p := range []*Packet{&large, &small} {
					p.Src, p.Dst = pair[from], pair[from.Other()]
					b.Send(b.clock.Now(), from, *p)
				}
				if got := tags(b.arrivals()); !slices.Equal(got, step.want) {
					t.Errorf("at %v from %v to %v: packets %v arrive, want %v", step.at, from, pair[from.Other()], got, step.want)
				}
			}
		}
	}
	if st := b.Stats(); st.ToServer.TooBig != 4 || st.ToClient.TooBig != 4 {
		t.Errorf("too big: %d to the server, %d to the client, want 4 each", st.ToServer.TooBig, st.ToClient.TooBig)
	}
}

// TestEveryScenarioTreatsIPv6AsIPv4 sends the same packets in both families: the same ones arrive, at the same times but
// for the longer header.
func TestEveryScenarioTreatsIPv6AsIPv4(t *testing.T) {
	for _, text := range append(publicScenarios[:len(publicScenarios):len(publicScenarios)],
		"mtu --delay=15ms --bandwidth=10Mbps --queue=25 --first=1500 --then=1280 --after=2s",
		"link --delay=15ms --bandwidth=10Mbps --queue=25 --jitter=800us --reorder=20 --reorder-by=2ms --duplicate=10 --ce=30 --loss=5",
	) {
		arrive := func(client, server netip.Addr) (got []string) {
			b := newBench(t, text, 5)
			for n := range uint64(400) {
				from := Side(n % 2)
				ends := [2]netip.AddrPort{netip.AddrPortFrom(client, 50000), netip.AddrPortFrom(server, 443)}
				if seen := b.nat.ports[50000]; seen != 0 {
					family, _ := b.nat.family(client)
					if from == Right {
						ends[Left] = netip.AddrPortFrom(b.nat.outside[family], seen)
					}
				}
				p, err := ParseIP(AppendUDP(nil, ends[from], ends[from.Other()], 2, 64, make([]byte, 1000)))
				check(t, err)
				p.Tag, p.WireSize = n, 1050
				b.Send(b.clock.Now(), from, p)
				b.clock.Advance(25 * time.Millisecond)
				for to, p, ok := b.Pop(b.clock.Now()); ok; to, p, ok = b.Pop(b.clock.Now()) {
					got = append(got, fmt.Sprint(p.Tag, to, p.Src.Port(), p.Dst.Port(), p.ECN, bytes.Count(p.UDPPayload(), []byte{0}), b.clock.Since()))
				}
			}
			return got
		}
		v4, v6 := arrive(ClientV4, ServerV4), arrive(ClientV6, ServerV6)
		if len(v4) < 100 || !slices.Equal(v4, v6) {
			t.Errorf("%s: %d packets arrive over IPv4, %d over IPv6, want the same ones and some", text, len(v4), len(v6))
		}
	}
}

func TestCEMarksOnlyCapablePackets(t *testing.T) {
	b := newBench(t, "link --ce=100", 1)
	for ecn := range uint8(4) {
		p := packet(Left, 100, 0)
		p.ECN = ecn
		b.Send(b.clock.Now(), Left, p)
	}
	var got []uint8
	for _, a := range b.arrivals() {
		got = append(got, a.p.ECN)
	}
	if want := []uint8{0, 3, 3, 3}; !slices.Equal(got, want) || b.Stats().ToServer.CEMarked != 2 {
		t.Errorf("ECN bits 0 1 2 3 arrive as %v, want %v", got, want)
	}
}

func TestObserveTellsTheFateOfEachPacketOnce(t *testing.T) {
	fates := make(map[string]int)
	for _, line := range transcript(t, 1, 100*time.Microsecond) {
		var at, dir string
		var tag int
		fmt.Sscan(line, &tag, &at, &dir)
		fates[fmt.Sprint(tag, dir)]++
	}
	if len(fates) != 2000 {
		t.Errorf("%d packets have a fate, want 2000", len(fates))
	}
	for who, n := range fates {
		if n != 1 {
			t.Errorf("packet %s has %d fates", who, n)
		}
	}
}

func TestSimAllocatesNothingPerPacketInSteadyState(t *testing.T) {
	s := NewSim(mustScenario(t, s0), 1)
	data, now := make([]byte, 1200), Epoch
	src, dst := clientAP, serverAP
	step := func() {
		s.Send(now, Left, Packet{Data: data, Src: src, Dst: dst, UDP: true})
		now = now.Add(time.Millisecond)
		for {
			if _, _, ok := s.Pop(now); !ok {
				break
			}
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

func BenchmarkSim(b *testing.B) {
	s := NewSim(mustScenario(b, s0), 1)
	data, now := make([]byte, 1200), Epoch
	dst := netip.AddrPort(serverAP)
	b.SetBytes(1200)
	for b.Loop() {
		s.Send(now, Left, Packet{Data: data, Dst: dst, UDP: true})
		now = now.Add(time.Millisecond)
		s.Pop(now)
	}
}

func TestAgendaHandsOutByTimeThenByOrderOfEntry(t *testing.T) {
	var a Agenda[int]
	for i := range 200 {
		a.Add(Epoch.Add(time.Duration(luck(1, Left, forLoss, uint64(i))%5)), i)
	}
	lastAt, lastV := Epoch, -1
	for n := range 200 {
		at, v, ok := a.Pop(Epoch.Add(10))
		if !ok {
			t.Fatalf("agenda is empty after %d values, want 200", n)
		}
		if at.Before(lastAt) || (at.Equal(lastAt) && v < lastV) {
			t.Errorf("value %d of %v comes after %d of %v", v, at, lastV, lastAt)
		}
		lastAt, lastV = at, v
	}
}

func TestClockNeverMovesBack(t *testing.T) {
	var c Clock
	c.AdvanceTo(Epoch.Add(time.Second))
	c.AdvanceTo(Epoch)
	c.Advance(-time.Second)
	if got := c.Since(); got != time.Second {
		t.Errorf("clock stands at %v, want 1s", got)
	}
}
