package core_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/wire"
)

// reserve reserves a frame of n bytes within a call.
func (e *ends) reserve(c *quictest.Peer, p *probe, r hook.Reservation) (token hook.Token, err error) {
	e.t.Helper()
	e.do(c, p, func(conn hook.Conn) { token, err = conn.Reserve(r) })
	return token, err
}

// writes fills every frame with as many bytes as it was reserved for.
func writes(t hook.Token, b []byte, _ *hook.PacketPlan) int {
	for i := range b {
		b[i] = byte(t)
	}
	return len(b)
}

func TestAReservedFrameArrivesAndItsFateIsTold(t *testing.T) {
	e := connected(t)
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	client.info.Frames = append(client.info.Frames, hook.FrameDecl{Name: "G", AckEliciting: true, InFlight: true, MaxLen: 300})
	server.info.Frames = client.info.Frames
	client.write = writes
	fates := map[hook.Token]hook.Fate{}
	client.fate = func(t hook.Token, f hook.Fate, rtt time.Duration) {
		if _, told := fates[t]; told || f == hook.FrameAcked && (rtt < 30*time.Millisecond || rtt > 60*time.Millisecond) {
			e.t.Errorf("fate %d of frame %d after %v, told before: %t", f, t, rtt, told)
		}
		fates[t] = f
	}
	var got []hook.ReceivedFrame
	server.process = func(f *hook.ReceivedFrame) hook.Verdict {
		f.Body = bytes.Clone(f.Body)
		got = append(got, *f)
		return hook.FrameTaken
	}
	e.attachBoth(client, server)
	sizes := []int{1, 63, 64, 300}
	for _, n := range sizes {
		if _, err := e.reserve(e.client, client, hook.Reservation{Frame: 1, Size: n}); err != nil {
			t.Fatal(err)
		}
	}
	e.wait(time.Second)
	for i, n := range sizes {
		want := bytes.Repeat([]byte{byte(i + 1)}, n)
		if len(got) <= i || got[i].Index != 1 || !bytes.Equal(got[i].Body, want) || got[i].Before != nil {
			t.Fatalf("frame %d of %d arrived wrong: %+v", i, len(got), got)
		}
		if f, told := fates[hook.Token(i+1)]; !told || f != hook.FrameAcked {
			t.Errorf("fate of frame %d: %v, told %t", i, f, told)
		}
	}
	s := e.client.ExtensionStats(nil)[0]
	if s.FramesReserved != 4 || s.FramesWritten != 4 || s.FramesAcked != 4 || s.BytesWritten != 1+63+64+300+3+3+4+4 {
		t.Errorf("counted %+v", s)
	}
	if s := e.server.ExtensionStats(nil)[0]; s.FramesReceived != 4 || s.FramesIgnored != 0 {
		t.Errorf("the receiver counted %+v", s)
	}
}

func TestEveryFrameHasOneFate(t *testing.T) {
	seed := quictest.Seed(t, 3)
	e := connect(t, seed, lossy(0.1))
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	client.write = writes
	fates := map[hook.Token][]hook.Fate{}
	client.fate = func(t hook.Token, f hook.Fate, _ time.Duration) { fates[t] = append(fates[t], f) }
	e.attachBoth(client, server)
	for range 500 {
		e.reserve(e.client, client, hook.Reservation{Size: 700})
		e.wait(5 * time.Millisecond)
	}
	e.client.Detach(e.client.Now(), client.info.ID, hook.DetachAsked, nil)
	e.wait(5 * time.Second)
	count := map[hook.Fate]int{}
	for token, f := range fates {
		if len(f) != 1 {
			t.Fatalf("seed %d: frame %d has the fates %v", seed, token, f)
		}
		count[f[0]]++
	}
	s := e.client.ExtensionStats(nil)[0]
	if uint64(len(fates)) != s.FramesWritten || count[hook.FrameLost] < 10 || count[hook.FrameAcked] < 300 || count[hook.FrameDropped] == 0 {
		t.Errorf("seed %d: %d fates of %d frames: %v", seed, len(fates), s.FramesWritten, count)
	}
	e.wantAlive()
}

func TestReservationsAreLimited(t *testing.T) {
	e := connected(t)
	p := newFramer("org.example.f")
	p.write = func(hook.Token, []byte, *hook.PacketPlan) int { return hook.Defer }
	e.attachTo(e.client, p)
	e.do(e.client, p, func(c hook.Conn) {
		for _, bad := range []hook.Reservation{{Frame: 1, Size: 1}, {Frame: 255, Size: 1}, {Size: 0}, {Size: -1}, {Size: hook.MaxFrameBody + 1}} {
			if _, err := c.Reserve(bad); err != hook.ErrRange {
				t.Errorf("%+v: %v, want ErrRange", bad, err)
			}
		}
		bySize := hook.MaxReservedBytes / hook.MaxFrameBody
		for i := range bySize {
			if _, err := c.Reserve(hook.Reservation{Size: hook.MaxFrameBody}); err != nil {
				t.Fatalf("reservation %d: %v", i, err)
			}
		}
		if _, err := c.Reserve(hook.Reservation{Size: hook.MaxFrameBody}); err != hook.ErrLimit {
			t.Errorf("beyond MaxReservedBytes: %v", err)
		}
		for i := range hook.MaxReservations - bySize {
			if _, err := c.Reserve(hook.Reservation{Size: 1}); err != nil {
				t.Fatalf("reservation %d: %v", i, err)
			}
		}
		if _, err := c.Reserve(hook.Reservation{Size: 1}); err != hook.ErrLimit {
			t.Errorf("beyond MaxReservations: %v", err)
		}
		if c.Cancel(1) != nil || c.Cancel(1) != hook.ErrNoToken || c.Cancel(0) != hook.ErrNoToken {
			t.Error("a reservation cannot be taken back once")
		}
		if _, err := c.Reserve(hook.Reservation{Size: 1}); err != nil {
			t.Errorf("after one was taken back: %v", err)
		}
	})
	if p.seen[hook.OpFrameWrite] == 0 {
		t.Error("nothing was offered room")
	}
	if !e.fetch(100_000, 5*time.Second) {
		t.Error("reservations that wait for ever keep the application from sending")
	}
}

func TestADormantExtensionSendsNothingUntilThePeerIsReady(t *testing.T) {
	e := connected(t)
	p := newFramer("org.example.f")
	p.write = writes
	o := offered(0)
	o.Dormant = true
	if err := e.client.Attach(e.client.Now(), p, o); err != nil {
		t.Fatal(err)
	}
	if _, err := e.reserve(e.client, p, hook.Reservation{Size: 1}); err != hook.ErrInactive {
		t.Errorf("Reserve before the peer is ready: %v", err)
	}
	e.client.ActivateExtension(o.Local)
	if _, err := e.reserve(e.client, p, hook.Reservation{Size: 1}); err != nil {
		t.Errorf("Reserve after that: %v", err)
	}
	if s := e.client.ExtensionStats(nil)[0]; !s.Active || s.FramesWritten != 1 {
		t.Errorf("%+v", s)
	}
}

func TestUrgentFramesGoFirstAndWaitingOnesWait(t *testing.T) {
	e := connected(t)
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	order := ""
	client.write = func(t hook.Token, b []byte, p *hook.PacketPlan) int {
		order += fmt.Sprint(t, " ")
		return writes(t, b, p)
	}
	e.attachBoth(client, server)
	e.do(e.client, client, func(c hook.Conn) {
		c.Reserve(hook.Reservation{Size: 5, Wait: true})
	})
	e.wait(time.Second)
	if order != "" {
		t.Errorf("a frame that may wait was sent alone")
	}
	e.do(e.client, client, func(c hook.Conn) {
		c.Reserve(hook.Reservation{Size: 5})
		c.Reserve(hook.Reservation{Size: 5, Urgent: true})
		c.Reserve(hook.Reservation{Size: 5, Urgent: true})
	})
	if order != "3 4 2 1 " && order != "3 4 1 2 " {
		t.Errorf("written in the order %s, want 3 4 and the others", order)
	}
	order = ""
	e.do(e.client, client, func(c hook.Conn) { c.Reserve(hook.Reservation{Size: 5, Wait: true}) })
	e.fetch(10, time.Second)
	if order != "5 " {
		t.Errorf("a frame that may wait did not travel with a request")
	}
}

// TestDefect10FramesOfExtensionsLeaveTheApplicationHalfOfTheBytes floods the
// connection with frames of two extensions while the application sends.
func TestDefect10FramesOfExtensionsLeaveTheApplicationHalfOfTheBytes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		sizes   [2]int
		weights [2]int
	}{
		{"large frames", [2]int{1400, 1400}, [2]int{1, 1}},
		{"large and small frames", [2]int{1400, 20}, [2]int{1, 1}},
		{"frames that fill no packet", [2]int{900, 700}, [2]int{1, 1}},
		{"one weighs more", [2]int{1000, 1000}, [2]int{3, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seed := quictest.Seed(t, 4)
			e := connect(t, seed, lossy(0))
			var flood [2]*probe
			for i := range flood {
				p, other := newFramer(fmt.Sprint("org.example.", i)), newFramer(fmt.Sprint("org.example.", i))
				p.info.Weight, flood[i] = tc.weights[i], p
				fill := func() {
					for {
						if _, err := p.conn.Reserve(hook.Reservation{Size: tc.sizes[i]}); err != nil {
							return
						}
					}
				}
				p.write = func(t hook.Token, b []byte, plan *hook.PacketPlan) int {
					fill()
					return writes(t, b, plan)
				}
				p.attach = func(*hook.AttachState) error { fill(); return nil }
				e.attachBoth(other, p) // the server sends
			}
			// Counted are packets that leave while the application has more to send.
			var total uint64
			var frames, last [2]uint64
			watch := newProbe("org.example.watch", hook.OpSendPayload)
			watch.info.Payload = true
			watch.sealing = func(p *hook.SentPayload) {
				for i, s := range e.server.ExtensionStats(nil)[:2] {
					if p.Waiting > 0 {
						frames[i] += s.BytesWritten - last[i]
					}
					last[i] = s.BytesWritten
				}
				if p.Waiting > 0 {
					total += uint64(len(p.Frames))
				}
			}
			e.attachTo(e.server, watch)
			const size = 4 << 20
			if !e.fetch(size, time.Minute) {
				t.Fatalf("seed %d: the transfer did not end", seed)
			}
			s := e.server.ExtensionStats(nil)
			share := 1 - float64(frames[0]+frames[1])/float64(total)
			t.Logf("the application had %.2f %%, the frames %d and %d bytes, starved %v and %v", 100*share, frames[0], frames[1], s[0].Starved, s[1].Starved)
			if share < 0.495 || share > 0.56 { // a packet or two of a turn are cut off at both ends
				t.Errorf("seed %d: the application had %.1f %% of the bytes, want half", seed, 100*share)
			}
			want := float64(tc.weights[0]) / float64(tc.weights[1])
			if got := float64(frames[0]) / float64(frames[1]); got < 0.9*want || got > 1.1*want {
				t.Errorf("seed %d: the extensions had %d and %d bytes, want %v to 1", seed, frames[0], frames[1], want)
			}
			if s[0].Starved == 0 {
				t.Error("nobody ever starved")
			}
			e.wantAlive()
		})
	}
}

func TestFramesUseWhatTheApplicationLeaves(t *testing.T) {
	seed := quictest.Seed(t, 5)
	e := connect(t, seed, lossy(0))
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	server.write = func(t hook.Token, b []byte, p *hook.PacketPlan) int {
		server.conn.Reserve(hook.Reservation{Size: 1200})
		return writes(t, b, p)
	}
	e.attachBoth(client, server)
	e.reserve(e.server, server, hook.Reservation{Size: 1200})
	e.wait(2 * time.Second)
	const most = 20e6 / 8 * 2
	if n := e.server.ExtensionStats(nil)[0].BytesWritten; float64(n) < 0.8*most || float64(n) > most {
		t.Errorf("seed %d: %d bytes in two seconds of a link that carries %v", seed, n, most)
	}
	if s := e.server.ExtensionStats(nil)[0].Starved; s != 0 {
		t.Errorf("it starved for %v although nobody else sent", s)
	}
	e.wantAlive()
}

func TestFramesOutOfFlightAreTwoPacketsARoundTrip(t *testing.T) {
	seed := quictest.Seed(t, 6)
	e := connect(t, seed, lossy(0))
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	for _, p := range []*probe{client, server} {
		p.info.Frames[0].AckEliciting, p.info.Frames[0].InFlight = false, false
	}
	flood := true
	client.write = func(t hook.Token, b []byte, p *hook.PacketPlan) int {
		if flood {
			client.conn.Reserve(hook.Reservation{Size: 1000})
		}
		return writes(t, b, p)
	}
	e.attachBoth(client, server)
	before := e.client.Stats()
	e.reserve(e.client, client, hook.Reservation{Size: 1000})
	e.wait(3 * time.Second)
	flood = false
	e.wait(time.Second)
	trips := int(3 * time.Second / e.client.Stats().SmoothedRTT)
	n := int(e.client.ExtensionStats(nil)[0].FramesWritten)
	if n > core.MaxExceed*(trips+2) || n < core.MaxExceed*(trips-10) { // maxExceed
		t.Errorf("seed %d: %d packets in %d round trips, want two in each", seed, n, trips)
	}
	if s := e.client.Stats(); s.InFlight != before.InFlight || client.seen[hook.OpFrameFate] > 0 {
		t.Errorf("%d bytes in flight, %d fates told, want none", s.InFlight, client.seen[hook.OpFrameFate])
	}
	if server.seen[hook.OpFrameProcess] != n {
		t.Errorf("%d of %d arrived", server.seen[hook.OpFrameProcess], n)
	}
	e.wantAlive()
}

func TestFramesInFlightThatElicitNothingLeaveFlight(t *testing.T) {
	e := connect(t, quictest.Seed(t, 7), lossy(0))
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	for _, p := range []*probe{client, server} {
		p.info.Frames[0].AckEliciting = false
	}
	n := 0
	client.write = func(t hook.Token, b []byte, p *hook.PacketPlan) int {
		if n++; n < 300 {
			client.conn.Reserve(hook.Reservation{Size: 1000})
		}
		return writes(t, b, p)
	}
	e.attachBoth(client, server)
	e.reserve(e.client, client, hook.Reservation{Size: 1000})
	e.wait(10 * time.Second)
	if s := e.client.Stats(); n != 300 || s.InFlight != 0 {
		t.Errorf("%d frames were written, %d bytes are in flight still", n, s.InFlight)
	}
	e.wantAlive()
}

func TestFramesForNobodyAreIgnored(t *testing.T) {
	e := connected(t)
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	client.write = writes
	e.attachBoth(client, server)
	e.server.Detach(e.server.Now(), server.info.ID, hook.DetachAsked, nil)
	e.reserve(e.client, client, hook.Reservation{Size: 10})
	e.wait(time.Second)
	if n := e.server.Stats().PluginFramesIgnored; n != 1 {
		t.Errorf("%d frames were ignored, want 1", n)
	}
	if s := e.client.ExtensionStats(nil)[0]; s.FramesAcked != 1 {
		t.Errorf("it was not acknowledged: %+v", s)
	}
	e.wantAlive()
}

func TestABrokenHalfOfThePeerEndsTheExtensionAlone(t *testing.T) {
	for name, breaks := range map[string]func(server *probe){
		"a malformed frame": func(p *probe) {
			p.process = func(*hook.ReceivedFrame) hook.Verdict { return hook.FrameMalformed }
		},
		"a verdict that is none": func(p *probe) { p.process = func(*hook.ReceivedFrame) hook.Verdict { return 9 } },
		"a frame that is too long": func(p *probe) {
			p.info.Frames = []hook.FrameDecl{{Name: "F", AckEliciting: true, InFlight: true, MaxLen: 9}}
		},
		"a failure in ProcessFrame": func(p *probe) {
			p.process = func(*hook.ReceivedFrame) hook.Verdict { p.conn.Fault(fmt.Errorf("broken")); return hook.FrameTaken }
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			client, server := newFramer("org.example.f"), newFramer("org.example.f")
			client.write = writes
			breaks(server)
			e.attachBoth(client, server)
			e.reserve(e.client, client, hook.Reservation{Size: 10})
			e.wait(time.Second)
			e.wantDetached(server, hook.DetachFault)
			if s := e.server.ExtensionStats(nil)[0]; s.Err == nil || s.Faults != 1 {
				t.Errorf("%+v", s)
			}
			if !e.fetch(10_000, time.Second) {
				t.Error("nothing came")
			}
			e.wantAlive()
		})
	}
}

func TestALyingWriterIsDetached(t *testing.T) {
	for name, n := range map[string]int{"oversized output": 11, "a huge output": 1 << 30, "less than nothing": -2} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newFramer("org.example.f")
			p.write = func(hook.Token, []byte, *hook.PacketPlan) int { return n }
			e.attachTo(e.client, p)
			e.reserve(e.client, p, hook.Reservation{Size: 10})
			e.wantDetached(p, hook.DetachFault)
			if !e.fetch(10_000, time.Second) {
				t.Error("nothing came")
			}
			e.wantAlive()
		})
	}
}

func TestWritersThatWriteNothingAreAskedSoOften(t *testing.T) {
	for name, answer := range map[string]int{"drops": 0, "defers": hook.Defer} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newFramer("org.example.f", hook.OpPacketBegin)
			offers, most := 0, 0
			p.begin = func(*hook.PacketPlan) { offers = 0 }
			p.write = func(_ hook.Token, _ []byte, plan *hook.PacketPlan) int {
				offers++
				most = max(most, offers)
				p.conn.Reserve(hook.Reservation{Size: 10})
				return answer
			}
			e.attachTo(e.server, p)
			e.reserve(e.server, p, hook.Reservation{Size: 10})
			if !e.fetch(200_000, 5*time.Second) {
				t.Fatal("nothing came")
			}
			if most != core.MaxTries { // maxTries
				t.Errorf("%d offers in one packet, want %d", most, core.MaxTries)
			}
		})
	}
}

func TestAFrameTakenBackWhileItIsWrittenIsNotSent(t *testing.T) {
	e := connected(t)
	p := newFramer("org.example.f")
	p.write = func(t hook.Token, b []byte, _ *hook.PacketPlan) int {
		p.conn.Cancel(t)
		return len(b)
	}
	e.attachTo(e.client, p)
	e.reserve(e.client, p, hook.Reservation{Size: 10})
	if s := e.client.ExtensionStats(nil)[0]; s.FramesWritten != 0 {
		t.Errorf("%+v", s)
	}
	e.wantAlive()
}

func TestAFrameLargerThanThePathIsOfferedWhatThereIs(t *testing.T) {
	e := connect(t, quictest.Seed(t, 8), quictest.Options{Config: smallDatagrams})
	client, server := newFramer("org.example.f"), newFramer("org.example.f")
	room := 0
	client.write = func(t hook.Token, b []byte, p *hook.PacketPlan) int {
		room = len(b)
		return writes(t, b, p)
	}
	e.attachBoth(client, server)
	e.reserve(e.client, client, hook.Reservation{Size: hook.MaxFrameBody})
	e.wait(time.Second)
	if room < 1100 || room > 1200 || server.seen[hook.OpFrameProcess] != 1 {
		t.Errorf("%d bytes of room in a datagram of 1200; %d frames arrived", room, server.seen[hook.OpFrameProcess])
	}
	e.wantAlive()
}

func TestDefect4OtherFrameTypesAreNoAliases(t *testing.T) {
	e := connected(t)
	e.attachTo(e.client, newFramer("org.example.f"))
	for bit := 8; bit < 62; bit++ {
		if typ := wire.FramePlugin ^ 1<<bit; typ.IsPlugin() {
			t.Errorf("%#x passes for a frame of a plugin", uint64(typ))
		}
	}
}
