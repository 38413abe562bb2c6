package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
)

// watching are the operations that watch.
var watching = []hook.Op{
	hook.OpReceiveDatagram, hook.OpReceivePayload, hook.OpReceiveDone, hook.OpSendPayload, hook.OpPacketSent, hook.OpPacketAcked, hook.OpPacketLost,
	hook.OpRTTSample, hook.OpStreamEvent, hook.OpDataSent, hook.OpDataReceived, hook.OpStateChanged,
}

func newWatcher(id string) *probe {
	p := newProbe(id, watching...)
	p.info.Payload = true
	return p
}

// TestDefect13ObserversArePassive lets an observer spoil every event that it gets:
// the next observer sees the true one, and the connection does what it would do
// without.
func TestDefect13ObserversArePassive(t *testing.T) {
	var transcripts [2]string
	for i := range transcripts {
		opts := lossy(0.02)
		opts.Transcript = true
		e := connect(t, quictest.Seed(t, 20), opts)
		if i > 0 {
			spoiler := newWatcher("org.example.a")
			spoiler.datagram = func(d *hook.ReceivedDatagram) { *d = hook.ReceivedDatagram{} }
			spoiler.payload = func(p *hook.ReceivedPayload) { *p = hook.ReceivedPayload{} }
			spoiler.received = func(p *hook.ReceivedPacket) { *p = hook.ReceivedPacket{} }
			spoiler.sealing = func(p *hook.SentPayload) { *p = hook.SentPayload{} }
			spoiler.sent = func(p *hook.SentPacket) { *p = hook.SentPacket{} }
			spoiler.acked = func(p *hook.PacketFate) { *p = hook.PacketFate{} }
			spoiler.lost = func(p *hook.PacketFate) { *p = hook.PacketFate{} }
			spoiler.rtt = func(_ uint8, r *hook.RTT) { *r = hook.RTT{} }
			e.attachTo(e.server, spoiler)
			second := newWatcher("org.example.b")
			second.datagram = func(d *hook.ReceivedDatagram) { wantSet(t, d.Bytes > 0 && d.Now > 0) }
			second.payload = func(p *hook.ReceivedPayload) { wantSet(t, len(p.Frames) > 0 && p.Now > 0) }
			second.received = func(p *hook.ReceivedPacket) { wantSet(t, p.Bytes > 0 && p.Now > 0) }
			second.sealing = func(p *hook.SentPayload) { wantSet(t, len(p.Frames) > 0 && p.Now > 0) }
			second.sent = func(p *hook.SentPacket) { wantSet(t, p.Bytes > 0 && p.Now > 0) }
			second.acked = func(p *hook.PacketFate) { wantSet(t, p.Bytes > 0 && p.Sent > 0 && p.Sent < p.Now) }
			second.lost = func(p *hook.PacketFate) { wantSet(t, p.Bytes > 0 && p.Sent > 0 && p.Sent < p.Now) }
			second.rtt = func(_ uint8, r *hook.RTT) { wantSet(t, r.HasSample && r.Latest > 0) }
			e.attachTo(e.server, second)
		} else { // each attempt to send takes a random bit
			e.server.Flush()
			e.server.Flush()
		}
		if !e.fetch(300_000, time.Minute) {
			t.Fatal("nothing came")
		}
		transcripts[i] = e.Transcript()
	}
	if transcripts[0] != transcripts[1] {
		t.Error("a connection that is watched sends other packets than one that is not")
	}
}

func wantSet(t *testing.T, ok bool) {
	t.Helper()
	if !ok {
		t.Error("an observer sees what another did to its event")
	}
}

func TestObserversHearOfEverything(t *testing.T) {
	seed := quictest.Seed(t, 21)
	e := connect(t, seed, lossy(0.05))
	w := newWatcher("org.example.w")
	before := e.server.Stats()
	sent, delivered := map[uint64]bool{}, uint64(0)
	var packets, bytes, acked, lost, gone uint64
	w.sent = func(p *hook.SentPacket) {
		packets, bytes = packets+1, bytes+uint64(p.Bytes)
		if p.Counted && p.InFlight < p.Bytes || p.AckEliciting && !p.Counted {
			t.Errorf("%+v", p)
		}
	}
	w.acked = func(*hook.PacketFate) { acked++ }
	w.lost = func(*hook.PacketFate) { lost++ }
	w.data = func(_, off uint64, n int, _ bool) {
		if sent[off] {
			t.Errorf("offset %d is sent for the first time again", off)
		}
		sent[off] = true
		gone += uint64(n)
	}
	w.arrived = func(_, _ uint64, n int, _ bool) { delivered += uint64(n) }
	var events []hook.StreamEvent
	w.stream = func(stream uint64, ev hook.StreamEvent) {
		if stream == 0 {
			events = append(events, ev)
		}
	}
	e.attachTo(e.server, w)
	const size = 500_000
	if !e.fetch(size, time.Minute) {
		t.Fatal("nothing came")
	}
	e.wait(2 * time.Second)
	s := e.server.Stats()
	if packets != s.PacketsSent-before.PacketsSent || bytes != s.BytesSent-before.BytesSent {
		t.Errorf("seed %d: saw %d packets of %d bytes, %d of %d left", seed, packets, bytes, s.PacketsSent-before.PacketsSent, s.BytesSent-before.BytesSent)
	}
	if lost < s.PacketsLost-before.PacketsLost || lost == 0 || acked+lost > packets || acked < packets/2 {
		t.Errorf("seed %d: of %d packets %d were acked and %d lost, counted %d", seed, packets, acked, lost, s.PacketsLost-before.PacketsLost)
	}
	if gone != size || delivered < size {
		t.Errorf("seed %d: %d bytes left for the first time, %d were acknowledged", seed, gone, delivered)
	}
	want := []hook.StreamEvent{hook.StreamOpened, hook.StreamFinRead, hook.StreamFinSent, hook.StreamOver}
	if fmt.Sprint(events) != fmt.Sprint(want) {
		t.Errorf("events of the stream %v, want %v", events, want)
	}
	for _, op := range watching {
		if op != hook.OpStateChanged && w.seen[op] == 0 {
			t.Errorf("%v was never called", op)
		}
	}
}

func TestResetsOfBothSidesAreToldOnce(t *testing.T) {
	e := connected(t)
	client, server := newWatcher("org.example.w"), newWatcher("org.example.w")
	var told [2][]hook.StreamEvent
	client.stream = func(_ uint64, ev hook.StreamEvent) { told[0] = append(told[0], ev) }
	server.stream = func(_ uint64, ev hook.StreamEvent) { told[1] = append(told[1], ev) }
	e.attachBoth(client, server)
	s, _ := e.client.Open(true)
	e.client.Write(s, []byte("x"))
	e.client.Flush()
	e.wait(time.Second)
	e.client.Reset(s, 1)
	e.client.Flush()
	e.server.OnEvent = func(ev core.Event) {
		if ev.Kind == core.EventReadable {
			e.server.Read(e.server.Now(), ev.Stream, make([]byte, 10))
		}
	}
	e.wait(time.Second)
	want := fmt.Sprint([]hook.StreamEvent{hook.StreamOpened, hook.StreamReset, hook.StreamOver})
	for i, got := range told {
		if fmt.Sprint(got) != want {
			t.Errorf("end %d was told %v, want %s", i, got, want)
		}
	}
}

func TestStatesOfAConnectionAreTold(t *testing.T) {
	p := quictest.NewPair(t, quictest.Seed(t, 22), quictest.Options{})
	var told [2][]hook.State
	w := [2]*probe{newProbe("org.example.w", hook.OpStateChanged), newProbe("org.example.w", hook.OpStateChanged)}
	for i := range w {
		w[i].attach = func(s *hook.AttachState) error {
			told[i] = append(told[i], s.State)
			if s.Server != (i == 1) {
				t.Errorf("end %d is a server: %t", i, s.Server)
			}
			return nil
		}
		w[i].state = func(from, to hook.State) { told[i] = append(told[i], to) }
	}
	p.Server.OnConn = func(c *quictest.Peer) {
		if err := c.Attach(c.Now(), w[1], offered(0)); err != nil {
			t.Fatal(err)
		}
	}
	client := p.Dial()
	if err := client.Attach(client.Now(), w[0], offered(0)); err != nil {
		t.Fatal(err)
	}
	p.Run(time.Second, func() bool { return false })
	client.Close(client.Now(), 0, "")
	client.Flush()
	p.Run(time.Second, func() bool { return false })
	for i, want := range [][]hook.State{
		{hook.Handshaking, hook.Established, hook.Confirmed, hook.Closing},
		{hook.Handshaking, hook.Established, hook.Confirmed, hook.Closing},
	} {
		if fmt.Sprint(told[i]) != fmt.Sprint(want) {
			t.Errorf("end %d was told %v, want %v", i, told[i], want)
		}
	}
}

func TestWatchingAllocatesNothing(t *testing.T) {
	p := newPipe(t, 44)
	for _, c := range []*core.Conn{p.client, p.server} {
		if err := c.Attach(p.now, newWatcher("org.example.w"), offered(0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		p.round()
	}
	if n := testing.AllocsPerRun(300, p.round); n != 0 {
		t.Errorf("%v allocations in a round that is watched, want none", n)
	}
}

func TestReplacedOperationsAllocateNothing(t *testing.T) {
	p := newPipe(t, 44)
	cc := &controller{name: "theirs"}
	x := newRider("org.example.all", hook.OpAckPolicy, hook.OpAckRequest, hook.OpStreamNext, hook.OpCongestionInit, hook.OpTimer, hook.OpReceiveDone)
	x.replace = func(_ hook.CongestionConfig, core hook.Congestion) hook.Congestion { cc.Congestion = core; return cc }
	x.next = func(s *hook.StreamsReady) int { return 0 }
	x.begin = func(plan *hook.PacketPlan) { plan.Ride = 1 }
	x.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int { return len(b) }
	x.timer = func(id uint32) { x.conn.SetTimer(id, 0) }
	x.write = func(t hook.Token, b []byte, plan *hook.PacketPlan) int { return len(b) }
	x.received = func(*hook.ReceivedPacket) { x.conn.Reserve(hook.Reservation{Size: 100}) }
	x.attach = func(*hook.AttachState) error { return x.conn.SetTimer(1, 0) }
	other := newRider("org.example.all")
	if err := p.client.Attach(p.now, other, offered(0)); err != nil {
		t.Fatal(err)
	}
	if err := p.server.Attach(p.now, x, offered(0)); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		p.round()
	}
	frames := x.seen[hook.OpFrameWrite]
	if n := testing.AllocsPerRun(300, p.round); n != 0 {
		t.Errorf("%v allocations in a round with everything replaced, want none", n)
	}
	if x.seen[hook.OpFrameWrite]-frames < 300 || x.seen[hook.OpTimer] == 0 || other.seen[hook.OpFrameProcess] < 300 {
		t.Errorf("%d frames were written, %d arrived, %d timers passed: the extension does nothing",
			x.seen[hook.OpFrameWrite]-frames, other.seen[hook.OpFrameProcess], x.seen[hook.OpTimer])
	}
}

func BenchmarkTransmitWatched(b *testing.B) {
	p := newPipe(b, 44)
	for _, c := range []*core.Conn{p.client, p.server} {
		if err := c.Attach(p.now, newWatcher("org.example.w"), offered(0)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(p.buf)))
	for b.Loop() {
		p.round()
	}
}
