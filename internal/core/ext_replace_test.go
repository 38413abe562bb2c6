package core_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
)

var errBroken = errors.New("broken")

// controller passes everything on to the built-in one, but for what it is told.
type controller struct {
	hook.Congestion
	name   string
	window func() int
	rate   func() uint64
	acked  func()
	calls  int
}

func (c *controller) Name() string { return c.name }

func (c *controller) Acked(e *hook.Acked) {
	c.calls++
	c.Congestion.Acked(e)
	if c.acked != nil {
		c.acked()
	}
}

func (c *controller) Window() int {
	if c.window != nil {
		return c.window()
	}
	return c.Congestion.Window()
}

func (c *controller) PacingRate() uint64 {
	if c.rate != nil {
		return c.rate()
	}
	return c.Congestion.PacingRate()
}

func newController(ops ...hook.Op) (*probe, *controller) {
	p, cc := newProbe("org.example.cc", append(ops, hook.OpCongestionInit, hook.OpCongestionAck, hook.OpAppCall)...), &controller{name: "theirs"}
	p.replace = func(_ hook.CongestionConfig, core hook.Congestion) hook.Congestion {
		cc.Congestion = core
		return cc
	}
	return p, cc
}

func TestAnExtensionControlsCongestionUntilItIsDetached(t *testing.T) {
	e := connected(t)
	p, cc := newController()
	cc.window = func() int { return 5000 }
	most := 0
	p.info.Hooks = append(p.info.Hooks, hook.HookDecl{Op: hook.OpPacketSent, Anchor: hook.After})
	p.sent = func(p *hook.SentPacket) { most = max(most, p.InFlight) }
	e.attachTo(e.server, p)
	if name := e.server.Stats().Congestion; name != "theirs" {
		t.Errorf("the controller is %s", name)
	}
	if !e.fetch(200_000, time.Minute) {
		t.Fatal("nothing came")
	}
	if most > 5000 || most < 3000 || cc.calls == 0 {
		t.Errorf("up to %d bytes in flight with a window of 5000, %d acknowledgments heard", most, cc.calls)
	}
	e.server.Detach(e.server.Now(), p.info.ID, hook.DetachAsked, nil)
	calls := cc.calls
	if s := e.server.Stats(); s.Congestion != "cubic" || s.CongestionWindow < 12000 {
		t.Errorf("afterwards the controller is %s with a window of %d", s.Congestion, s.CongestionWindow)
	}
	if !e.fetch(200_000, time.Minute) || cc.calls != calls {
		t.Errorf("a detached controller heard %d acknowledgments", cc.calls-calls)
	}
}

// TestWildWindowsDoNoHarm lets a controller ask for the impossible.
func TestWildWindowsDoNoHarm(t *testing.T) {
	for _, tc := range []struct {
		name   string
		window int
		rate   uint64
		want   int
	}{
		{"no window", 0, 0, 2 * 1200},
		{"a negative window", math.MinInt, 0, 2 * 1200},
		{"an endless window", math.MaxInt, 0, core.MaxWindow},         // maxWindow
		{"an endless rate", 100_000, math.MaxUint64, 100_000},         // maxPacingRate
		{"endless both", math.MaxInt, math.MaxUint64, core.MaxWindow}, // maxWindow
		{"a byte a second", 100_000, 1, 100_000},                      // minPacingRate
		{"no window and an endless rate", 0, math.MaxUint64, 2 * 1200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := lossy(0)
			opts.Config = smallDatagrams
			e := connect(t, quictest.Seed(t, 12), opts)
			p, cc := newController()
			cc.window, cc.rate = func() int { return tc.window }, func() uint64 { return tc.rate }
			e.attachTo(e.server, p)
			if w := e.server.Window(); w != tc.want {
				t.Errorf("the window is %d, want %d", w, tc.want)
			}
			if r := e.server.Stats().PacingRate; r > core.MaxPacingRate || r > 0 && r < core.MinPacingRate {
				t.Errorf("the pacing rate is %d", r)
			}
			if !e.fetch(100_000, 5*time.Minute) {
				t.Error("nothing came")
			}
			e.wantAlive()
		})
	}
}

func TestAControllerThatFailsIsReplacedInTheSameCall(t *testing.T) {
	for name, fails := range map[string]func(p *probe, cc *controller){
		"when it hears of acknowledgments": func(p *probe, cc *controller) { cc.acked = func() { p.conn.Fault(errBroken) } },
		"when it tells its window":         func(p *probe, cc *controller) { cc.window = func() int { p.conn.Fault(errBroken); return 1 } },
		"when it tells its rate":           func(p *probe, cc *controller) { cc.rate = func() uint64 { p.conn.Fault(errBroken); return 1 } },
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p, cc := newController()
			fails(p, cc)
			e.attachTo(e.server, p)
			if !e.fetch(100_000, 5*time.Second) {
				t.Error("nothing came")
			}
			e.wantDetached(p, hook.DetachFault)
			if s := e.server.Stats(); s.Congestion != "cubic" || s.CongestionWindow < 12000 {
				t.Errorf("the controller is %s with a window of %d", s.Congestion, s.CongestionWindow)
			}
			e.wantAlive()
		})
	}
}

func TestAControllerThatAsksForItsOwnWindowGetsTheLastOne(t *testing.T) {
	e := connected(t)
	p, cc := newController()
	calls := 0
	cc.window = func() int {
		calls++
		p.conn.Get(hook.FieldWindow, 0)
		return 30_000
	}
	e.attachTo(e.server, p)
	asked := uint64(0)
	e.do(e.server, p, func(c hook.Conn) { asked, _ = c.Get(hook.FieldWindow, 0) })
	if asked == 0 || !e.fetch(100_000, time.Minute) || calls == 0 {
		t.Errorf("it was told %d", asked)
	}
}

func TestAReplacedControllerServesEveryPath(t *testing.T) {
	for _, detach := range []bool{false, true} {
		e := connect(t, quictest.Seed(t, 13), quictest.Options{})
		paths := map[uint8]hook.Congestion{}
		p, _ := newController()
		p.replace = func(c hook.CongestionConfig, core hook.Congestion) hook.Congestion {
			paths[c.Path] = core
			if c.DatagramSize < 1200 {
				t.Errorf("path %d carries %d bytes", c.Path, c.DatagramSize)
			}
			return &controller{Congestion: core, name: fmt.Sprint("theirs ", c.Path)}
		}
		e.attachTo(e.server, p)
		e.server.Serve(func([]byte) []byte { return make([]byte, 1<<20) })
		f := e.client.Get([]byte("go"))
		e.wait(100 * time.Millisecond)
		e.Client.Addr = netip.AddrPortFrom(netip.MustParseAddr("10.99.0.7"), 50001) // the network moves the client
		e.Run(time.Second, func() bool { return len(paths) > 1 })
		if detach {
			e.server.Detach(e.server.Now(), p.info.ID, hook.DetachAsked, nil)
		}
		if !e.Run(time.Minute, func() bool { return f.Done }) {
			t.Fatal("nothing came")
		}
		if len(paths) != 2 || paths[0] == paths[1] {
			t.Errorf("it controlled the paths %v, want two", paths)
		}
		want := "theirs 1"
		if detach {
			want = "cubic"
		}
		if name := e.server.Stats().Congestion; name != want {
			t.Errorf("the controller is %s, want %s", name, want)
		}
		e.wantAlive()
	}
}

func TestAcknowledgmentPoliciesDeferToEachOther(t *testing.T) {
	e := connected(t)
	var asked [2]int
	for i := range asked {
		p := newProbe(fmt.Sprint("org.example.", i), hook.OpAckPolicy)
		p.info.Hooks[0].Chain, p.info.Hooks[0].Order = true, -i
		p.ackAt = func(s *hook.AckState) hook.Instant {
			asked[i]++
			s.MaxDelay, s.Eliciting = 0, 1000 // nobody else sees this
			return hook.DeferAck
		}
		e.attachTo(e.client, p)
	}
	if !e.fetch(100_000, time.Minute) {
		t.Fatal("nothing came")
	}
	if asked[0] == 0 || asked[0] != asked[1] {
		t.Errorf("asked %v times", asked)
	}
	e.wantAlive()
}

func TestAnAcknowledgmentPolicyDecides(t *testing.T) {
	sent := map[string]uint64{}
	for name, at := range map[string]func(s *hook.AckState) hook.Instant{
		"at once": func(s *hook.AckState) hook.Instant { return s.Now },
		"late":    func(s *hook.AckState) hook.Instant { return s.Oldest.Add(time.Hour) },
		"never":   func(s *hook.AckState) hook.Instant { return math.MaxInt64 },
		"ago":     func(s *hook.AckState) hook.Instant { return math.MinInt64 },
	} {
		e := connect(t, quictest.Seed(t, 14), lossy(0))
		p := newProbe("org.example.ack", hook.OpAckPolicy)
		p.ackAt = at
		e.attachTo(e.client, p)
		if !e.fetch(1<<20, time.Minute) {
			t.Fatalf("%s: nothing came", name)
		}
		sent[name] = e.client.Stats().PacketsSent
	}
	if sent["late"]*3 > sent["at once"]*2 || sent["ago"] != sent["at once"] || sent["never"] != sent["late"] {
		t.Errorf("packets of the receiver: %v", sent)
	}
}

func TestAnAcknowledgmentPolicyThatFailsDefers(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.ack", hook.OpAckPolicy)
	p.ackAt = func(s *hook.AckState) hook.Instant { p.conn.Fault(errBroken); return math.MaxInt64 }
	e.attachTo(e.client, p)
	if !e.fetch(100_000, time.Second) {
		t.Error("nothing came")
	}
	e.wantDetached(p, hook.DetachFault)
	e.wantAlive()
}

func TestAnExtensionAsksForAcknowledgments(t *testing.T) {
	seed := quictest.Seed(t, 15)
	for _, fails := range []bool{false, true} {
		e := connect(t, seed, lossy(0))
		p := newProbe("org.example.ask", hook.OpAckRequest)
		p.ask = func(s *hook.SendState) hook.AckRequest {
			if fails {
				p.conn.Fault(errBroken)
			}
			return hook.AckRequest{Threshold: 30, MaxDelay: 20 * time.Millisecond, Reordering: 5}
		}
		e.attachTo(e.server, p)
		if !e.fetch(1<<20, time.Minute) {
			t.Fatal("nothing came")
		}
		n := e.client.Stats().PacketsSent
		if p.seen[hook.OpAckRequest] == 0 || !fails && n > 150 {
			t.Errorf("seed %d: fails %t: %d packets of the receiver, asked %d times", seed, fails, n, p.seen[hook.OpAckRequest])
		}
		if fails {
			e.wantDetached(p, hook.DetachFault)
		}
		e.wantAlive()
	}
}

// serveMany lets the server send n answers of size bytes at the same time, and
// returns in which order they ended.
func (e *ends) serveMany(n, size int) (order []uint64) {
	e.t.Helper()
	e.server.Serve(func([]byte) []byte { return make([]byte, size) })
	var all []*quictest.Fetch
	for range n {
		all = append(all, e.client.Get([]byte("go")))
	}
	done := map[uint64]bool{}
	ok := e.Run(time.Minute, func() bool {
		for _, f := range all {
			if f.Done && !done[f.Stream.ID()] {
				done[f.Stream.ID()] = true
				order = append(order, f.Stream.ID())
			}
		}
		return len(order) == n
	})
	if !ok {
		e.t.Fatalf("seed %d: %d of %d answers came", e.Seed, len(order), n)
	}
	return order
}

func TestAnExtensionSchedulesStreams(t *testing.T) {
	e := connect(t, quictest.Seed(t, 16), lossy(0))
	p := newProbe("org.example.sched", hook.OpStreamNext)
	p.next = func(s *hook.StreamsReady) int { // the highest number first
		best := 0
		for i, r := range s.Ready {
			if r.ID > s.Ready[best].ID {
				best = i
			}
			if r.Bytes == 0 || r.Sent+r.Bytes > 60_000 || s.Room <= 0 {
				t.Errorf("%+v with room for %d", r, s.Room)
			}
		}
		return best
	}
	e.attachTo(e.server, p)
	order := e.serveMany(8, 60_000)
	if order[0] < 20 || order[7] > 8 {
		t.Errorf("the streams ended in the order %v", order)
	}
}

func TestASchedulerChoosesFromMaxReadyStreams(t *testing.T) {
	e := connect(t, quictest.Seed(t, 17), lossy(0))
	p := newProbe("org.example.sched", hook.OpStreamNext)
	most := 0
	p.next = func(s *hook.StreamsReady) int {
		most = max(most, len(s.Ready))
		return len(s.Ready) - 1
	}
	e.attachTo(e.server, p)
	e.serveMany(90, 20_000)
	if most != hook.MaxReady {
		t.Errorf("it chose from %d streams, want MaxReady", most)
	}
	e.wantAlive()
}

func TestASchedulerThatFailsLeavesItToTheCore(t *testing.T) {
	for name, next := range map[string]func(p *probe, s *hook.StreamsReady) int{
		"a stream that is not there": func(p *probe, s *hook.StreamsReady) int { return len(s.Ready) },
		"a negative stream":          func(p *probe, s *hook.StreamsReady) int { return -2 },
		"a failure":                  func(p *probe, s *hook.StreamsReady) int { p.conn.Fault(errBroken); return 0 },
		"a larger choice": func(p *probe, s *hook.StreamsReady) int {
			s.Ready = append(s.Ready, hook.ReadyStream{})
			return len(s.Ready) - 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newProbe("org.example.sched", hook.OpStreamNext)
			p.next = func(s *hook.StreamsReady) int { return next(p, s) }
			e.attachTo(e.server, p)
			e.serveMany(4, 30_000)
			e.wantDetached(p, hook.DetachFault)
			e.wantAlive()
		})
	}
}

func TestSchedulersThatDeferChangeNothing(t *testing.T) {
	var packets [2]uint64
	for i := range packets {
		e := connect(t, quictest.Seed(t, 18), lossy(0))
		if i == 1 {
			e.attachTo(e.server, newProbe("org.example.sched", hook.OpStreamNext, hook.OpAckPolicy))
		}
		e.serveMany(5, 50_000)
		packets[i] = e.server.Stats().PacketsSent
	}
	if packets[0] != packets[1] {
		t.Errorf("%d packets with a scheduler that defers, %d without", packets[1], packets[0])
	}
}
