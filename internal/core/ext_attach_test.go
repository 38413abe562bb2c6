package core_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestDefect12NoDeadHookIsAccepted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(p *probe)
		want   string
	}{
		{"an operation that does not exist", func(p *probe) { p.info.Hooks[0].Op = 95 }, "op 95 does not exist"},
		{"an operation to come", func(p *probe) { p.info.Hooks[0].Op = hook.OpPad }, "nothing can be attached to tx_pad yet"},
		{"another anchor", func(p *probe) { p.info.Hooks[0].Anchor = hook.Replace }, "rtt_sample is at replace, want after"},
		{"two anchors", func(p *probe) { p.info.Hooks[0].Anchor = hook.Before | hook.After }, "rtt_sample is at anchor 5, want after"},
		{"a hook twice", func(p *probe) { p.info.Hooks = append(p.info.Hooks, p.info.Hooks[0]) }, "rtt_sample is declared twice"},
		{"a chain of observers", func(p *probe) { p.info.Hooks[0].Chain = true }, "rtt_sample cannot be shared"},
		{"content that was not asked for", func(p *probe) { p.info.Hooks[0] = hook.HookDecl{Op: hook.OpSendPayload, Anchor: hook.Before} }, "not asked for"},
		{"hooks for frames without frames", func(p *probe) { p.info.Hooks[0] = hook.HookDecl{Op: hook.OpFrameFate, Anchor: hook.After} }, "none, but there are hooks for them"},
		{"native parts that nothing calls", func(p *probe) { p.native() }, "implements hook.States, but declares no hook"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantRefused(t, tc.change, tc.want, hook.OpRTTSample)
		})
	}
}

// wantRefused expects that a probe with a change is refused, and that this changes
// nothing.
func wantRefused(t *testing.T, change func(p *probe), want string, ops ...hook.Op) {
	t.Helper()
	e := connected(t)
	p := newProbe("org.example.p", ops...)
	change(p)
	err := e.client.Attach(e.client.Now(), p, offered(0))
	var refused *core.AttachError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
		t.Fatalf("Attach = %v, want an AttachError with %q", err, want)
	}
	if p.seen[hook.OpAttach] != 0 || len(e.client.ExtensionStats(nil)) != 0 {
		t.Error("a refused extension was attached")
	}
	if !e.fetch(10_000, 5e9) {
		t.Error("the connection suffered from an extension that it refused")
	}
}

func TestARefusedExtensionLeavesTheConnectionAlone(t *testing.T) {
	frame := hook.FrameDecl{Name: "F", AckEliciting: true, InFlight: true, MaxLen: 10}
	frames := func(change func(f *hook.FrameDecl)) func(p *probe) {
		return func(p *probe) {
			f := frame
			change(&f)
			p.info.Frames = []hook.FrameDecl{f}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(p *probe)
		want   string
	}{
		{"no name", func(p *probe) { p.info.ID = "" }, "0 bytes, want 1 to 100"},
		{"a long name", func(p *probe) { p.info.ID = strings.Repeat("x", hook.MaxIDLen+1) }, "101 bytes"},
		{"permissions of the future", func(p *probe) { p.info.Permissions |= 1 << 30 }, "0x40000000 are none"},
		{"too many frames", func(p *probe) { p.info.Frames = make([]hook.FrameDecl, hook.MaxFrames+1) }, "17 of them, at most 16"},
		{"a frame without a name", frames(func(f *hook.FrameDecl) { f.Name = "" }), "has no name"},
		{"a frame that elicits and does not count", frames(func(f *hook.FrameDecl) { f.InFlight = false }), "not in flight"},
		{"a large frame", frames(func(f *hook.FrameDecl) { f.MaxLen = hook.MaxFrameBody + 1 }), "1451 bytes"},
		{"an empty frame", frames(func(f *hook.FrameDecl) { f.MaxLen = 0 }), "0 bytes"},
		{"a large frame that rides along", frames(func(f *hook.FrameDecl) { f.RideAlong, f.MaxLen = true, hook.MaxRideAlong+1 }), "want 1 to 16"},
		{"a frame that rides along on nothing", frames(func(f *hook.FrameDecl) { f.RideAlong = true }), "no hook tx_packet_begin"},
		{"local frames", func(p *probe) { p.info.Frames, p.info.Mode = []hook.FrameDecl{frame}, hook.Local }, "no half to take them"},
		{"frames that nobody takes", func(p *probe) { p.info.Frames, p.info.Hooks = []hook.FrameDecl{frame}, nil }, "no hook frame_process"},
		{"too many metrics", func(p *probe) { p.info.Metrics = make([]hook.MetricDecl, hook.MaxMetrics+1) }, "33, want 0 to 32"},
		{"the same metric twice", func(p *probe) { p.info.Metrics = make([]hook.MetricDecl, 2) }, "two have the number 0"},
		{"more timers", func(p *probe) { p.info.Limits.Timers = hook.MaxTimers + 1 }, "limits.timers: 17"},
		{"more reservations", func(p *probe) { p.info.Limits.Reservations = hook.MaxReservations + 1 }, "limits.reservations: 65"},
		{"more reserved bytes", func(p *probe) { p.info.Limits.ReservedBytes = hook.MaxReservedBytes + 1 }, "limits.reserved bytes"},
		{"more news", func(p *probe) { p.info.Limits.Emit = hook.MaxEmit + 1 }, "limits.emit: 101"},
		{"a longer log", func(p *probe) { p.info.Limits.LogBytes = hook.MaxLogBytes + 1 }, "limits.log: 4097"},
		{"less than nothing", func(p *probe) { p.info.Limits.Timers = -1 }, "limits.timers: -1"},
		{"too much weight", func(p *probe) { p.info.Weight = core.MaxWeight + 1 }, "weight: 101"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantRefused(t, func(p *probe) {
				p.info.Frames = []hook.FrameDecl{frame}
				tc.change(p)
			}, tc.want, hook.OpFrameProcess)
		})
	}
}

func TestFrameTypesOfExtensionsDoNotMeet(t *testing.T) {
	e := connected(t)
	first, second := newFramer("org.example.first"), newFramer("org.example.second")
	first.info.Frames = append(first.info.Frames, hook.FrameDecl{Name: "G", MaxLen: 1})
	e.attachTo(e.client, first)
	for _, base := range []uint64{uint64(wire.FramePlugin), uint64(wire.FramePlugin) + 1, uint64(wire.FramePlugin) - 1, uint64(wire.FramePlugin) + 256, 0x30, 1 << 20} {
		err := e.client.Attach(e.client.Now(), second, core.AttachOptions{Local: 2, TypeBase: base})
		if err == nil || !strings.Contains(err.Error(), "frame types") {
			t.Errorf("frames from %#x on: %v, want a refusal", base, err)
		}
	}
	if err := e.client.Attach(e.client.Now(), second, core.AttachOptions{Local: 2, TypeBase: uint64(wire.FramePlugin) + 255}); err != nil {
		t.Errorf("the last type: %v", err)
	}
}

func TestNothingHasTwoOwners(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second hook.Op
		chain         [2]bool
		refused       bool
	}{
		{"two that ask for acknowledgments", hook.OpAckRequest, hook.OpAckRequest, [2]bool{}, true},
		{"two controllers", hook.OpCongestionAck, hook.OpCongestionAck, [2]bool{}, true},
		{"two halves of a controller", hook.OpCongestionAck, hook.OpCongestionLoss, [2]bool{}, true},
		{"two acknowledgment policies", hook.OpAckPolicy, hook.OpAckPolicy, [2]bool{}, true},
		{"one that defers and one that does not", hook.OpAckPolicy, hook.OpAckPolicy, [2]bool{true, false}, true},
		{"two that defer", hook.OpAckPolicy, hook.OpAckPolicy, [2]bool{true, true}, false},
		{"two schedulers", hook.OpStreamNext, hook.OpStreamNext, [2]bool{false, true}, true},
		{"two schedulers that defer", hook.OpStreamNext, hook.OpStreamNext, [2]bool{true, true}, false},
		{"a policy and a scheduler", hook.OpAckPolicy, hook.OpStreamNext, [2]bool{}, false},
		{"two that watch", hook.OpPacketSent, hook.OpPacketSent, [2]bool{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := connected(t)
			a, b := newProbe("org.example.a", tc.first), newProbe("org.example.b", tc.second)
			a.info.Hooks[0].Chain, b.info.Hooks[0].Chain = tc.chain[0], tc.chain[1]
			e.attachTo(e.client, a)
			err := e.client.Attach(e.client.Now(), b, offered(1))
			if (err != nil) != tc.refused {
				t.Fatalf("Attach = %v, want refused %v", err, tc.refused)
			}
			if err != nil && !strings.Contains(err.Error(), "belongs to org.example.a") {
				t.Errorf("%q does not name the owner", err)
			}
		})
	}
}

func TestAnExtensionThatFailsToBeginIsNotAttached(t *testing.T) {
	broken := errors.New("no configuration")
	for name, attach := range map[string]func(p *probe) error{
		"an error":  func(p *probe) error { return broken },
		"a failure": func(p *probe) error { p.conn.Fault(broken); return nil },
		"later":     func(p *probe) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newFramer("org.example.p", hook.OpTimer, hook.OpCongestionInit)
			p.replace = func(hook.CongestionConfig, hook.Congestion) hook.Congestion { p.conn.Fault(broken); return nil }
			p.attach = func(*hook.AttachState) error {
				p.conn.SetTimer(1, 1)
				p.conn.Reserve(hook.Reservation{Size: 10})
				return attach(p)
			}
			if err := e.client.Attach(e.client.Now(), p, offered(0)); !errors.Is(err, broken) {
				t.Fatalf("Attach = %v, want %v", err, broken)
			}
			if !e.fetch(100_000, 5e9) {
				t.Error("nothing came")
			}
			if p.seen[hook.OpTimer]+p.seen[hook.OpFrameWrite] > 0 || (p.seen[hook.OpCongestionInit] > 0) != (name == "later") {
				t.Error("it was called all the same")
			}
			if began := name != "an error"; len(p.ends) > 1 || (len(p.ends) == 1) != began {
				t.Errorf("it was detached %d times", len(p.ends))
			}
		})
	}
}

func TestAnExtensionThatAttachesItsDoubleIsRefused(t *testing.T) {
	e := connected(t)
	p, double := newProbe("org.example.p", hook.OpTimer), newProbe("org.example.p", hook.OpTimer)
	p.attach = func(*hook.AttachState) error { return e.client.Attach(e.client.Now(), double, offered(1)) }
	err := e.client.Attach(e.client.Now(), p, offered(0))
	var refused *core.AttachError
	if !errors.As(err, &refused) || len(e.client.ExtensionStats(nil)) != 1 {
		t.Errorf("Attach = %v, %d are attached", err, len(e.client.ExtensionStats(nil)))
	}
	e.wantDetached(p, hook.DetachFault)
}

func TestAtMostMaxExtensionsAreAttached(t *testing.T) {
	e := connected(t)
	for i := range hook.MaxExtensions {
		e.attachTo(e.client, newProbe(fmt.Sprint("org.example.", i), hook.OpTimer))
	}
	err := e.client.Attach(e.client.Now(), newProbe("org.example.more", hook.OpTimer), offered(20))
	if err == nil || !strings.Contains(err.Error(), "8 extensions, at most 8") {
		t.Errorf("Attach = %v, want a refusal", err)
	}
}

// TestDefect14DetachEndsTheOneThatIsNamed: not the one that came last.
func TestDefect14DetachEndsTheOneThatIsNamed(t *testing.T) {
	e := connected(t)
	var all []*probe
	for i := range 3 {
		p := newProbe(fmt.Sprint("org.example.", i), hook.OpPacketSent)
		all = append(all, p)
		e.attachTo(e.client, p)
	}
	if !e.client.Detach(e.client.Now(), "org.example.1", hook.DetachAsked, nil) {
		t.Fatal("the second one was not found")
	}
	if e.client.Detach(e.client.Now(), "org.example.1", hook.DetachAsked, nil) {
		t.Error("it was detached twice")
	}
	before := all[1].seen[hook.OpPacketSent]
	if !e.fetch(10_000, 5e9) {
		t.Fatal("nothing came")
	}
	e.wantDetached(all[1], hook.DetachAsked)
	for i, p := range all {
		if saw := p.seen[hook.OpPacketSent] > before; saw == (i == 1) || i != 1 && len(p.ends) > 0 {
			t.Errorf("extension %d saw %d packets and was detached for %v", i, p.seen[hook.OpPacketSent], p.ends)
		}
	}
	if err := e.client.Attach(e.client.Now(), newProbe("org.example.1", hook.OpPacketSent), offered(20)); err != nil {
		t.Errorf("its place is not free again: %v", err)
	}
}

func TestHooksRunInTheirOrder(t *testing.T) {
	e := connected(t)
	var order []string
	for i, at := range []int{5, -1, 5, 0} {
		p := newProbe(fmt.Sprint(i), hook.OpPacketSent)
		p.info.Hooks[0].Order = at
		p.sent = func(*hook.SentPacket) { order = append(order, p.info.ID) }
		e.attachTo(e.client, p)
	}
	e.client.Open(false)
	e.fetch(10, 5e9)
	if got := strings.Join(order[:4], " "); got != "1 3 0 2" {
		t.Errorf("called in the order %s, want 1 3 0 2", got)
	}
}

func TestNumbersOfDetachedExtensionsAreKeptForSome(t *testing.T) {
	e := connected(t)
	for i := range core.MaxEnded + 3 { // maxEnded
		e.attachTo(e.client, newProbe(fmt.Sprint("org.example.", i), hook.OpTimer))
		e.client.Detach(e.client.Now(), fmt.Sprint("org.example.", i), hook.DetachAsked, nil)
	}
	s := e.client.ExtensionStats(nil)
	if len(s) != core.MaxEnded || s[0].ID != "org.example.3" || !s[0].Detached || s[0].Active {
		t.Errorf("%d are kept, the oldest is %+v", len(s), s[0])
	}
}

func TestTheEndOfTheConnectionEndsExtensions(t *testing.T) {
	e := connected(t)
	client, server := newProbe("org.example.p", hook.OpStateChanged), newProbe("org.example.p", hook.OpStateChanged)
	var states []hook.State
	client.state = func(from, to hook.State) { states = append(states, from, to) }
	e.attachBoth(client, server)
	e.client.Close(e.client.Now(), 1, "bye")
	e.client.Flush()
	e.wait(5e9)
	e.wantDetached(client, hook.DetachClosed)
	e.wantDetached(server, hook.DetachClosed)
	if fmt.Sprint(states) != fmt.Sprint([]hook.State{hook.Confirmed, hook.Closing}) {
		t.Errorf("states %v, want confirmed to closing", states)
	}
	if err := e.client.Attach(e.client.Now(), newProbe("org.example.late"), offered(0)); err == nil || !errors.Is(err, e.client.Err()) {
		t.Errorf("Attach to a closed connection = %v", err)
	}
}
