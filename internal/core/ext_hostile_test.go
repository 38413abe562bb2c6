package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
)

// everywhere are the operations that call an extension while a connection works.
var everywhere = append([]hook.Op{
	hook.OpTimer, hook.OpFrameProcess, hook.OpFrameWrite, hook.OpFrameFate, hook.OpPacketBegin, hook.OpCongestionInit, hook.OpCongestionAck,
	hook.OpAckPolicy, hook.OpAckRequest, hook.OpStreamNext, hook.OpAppCall,
}, watching...)

// newBusy makes an extension that has a hook everywhere, and keeps all of them busy.
func newBusy(id string) *probe {
	p := newProbe(id, everywhere...)
	p.info.Payload = true
	p.info.Frames = []hook.FrameDecl{
		{Name: "F", AckEliciting: true, InFlight: true, MaxLen: hook.MaxFrameBody}, {Name: "R", RideAlong: true, MaxLen: 8}, {Name: "N", MaxLen: 100},
	}
	p.write = writes
	p.begin = func(plan *hook.PacketPlan) { plan.Ride, plan.Reserve = 1, 20 }
	p.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int { return len(b) }
	p.received = func(*hook.ReceivedPacket) {
		p.conn.Reserve(hook.Reservation{Size: 50})
		p.conn.Reserve(hook.Reservation{Frame: 2, Size: 20})
	}
	p.attach = func(*hook.AttachState) error { return p.conn.SetTimer(1, 0) }
	p.timer = func(id uint32) { p.conn.SetTimer(id, 0) }
	p.replace = func(_ hook.CongestionConfig, core hook.Congestion) hook.Congestion {
		cc := &controller{Congestion: core, name: "theirs"}
		cc.acked = func() { p.saw(hook.OpCongestionAck) }
		return cc
	}
	p.ask = func(s *hook.SendState) hook.AckRequest {
		return hook.AckRequest{Threshold: 1 + p.seen[hook.OpAckRequest]%10, MaxDelay: 10 * time.Millisecond, Reordering: 3}
	}
	return p
}

// TestAFailureInAnyOperationIsTheExtensionsOwn lets an extension fail in each
// operation: nothing calls it after that, and the connection does its work.
func TestAFailureInAnyOperationIsTheExtensionsOwn(t *testing.T) {
	for _, op := range everywhere {
		for _, nth := range []int{1, 4} {
			t.Run(fmt.Sprintf("%v, call %d", op, nth), func(t *testing.T) {
				e := connect(t, quictest.Seed(t, 40), lossy(0.03))
				client, server := newBusy("org.example.busy"), newBusy("org.example.busy")
				failed := false
				server.each = func(o hook.Op) {
					if failed && o != hook.OpDetach {
						t.Errorf("%v was called after the failure", o)
					}
					if o == op && server.seen[o] == nth {
						failed = true
						server.conn.Fault(errBroken)
					}
				}
				if err := e.client.Attach(e.client.Now(), client, offered(0)); err != nil {
					t.Fatal(err)
				}
				if err := e.server.Attach(e.server.Now(), server, offered(0)); err != nil && !failed {
					t.Fatal(err)
				}
				for range nth {
					e.server.CallExtension(e.server.Now(), "org.example.busy", 0, nil)
				}
				if !e.fetch(200_000, time.Minute) {
					t.Fatal("nothing came")
				}
				e.wait(time.Second)
				if op == hook.OpStateChanged {
					e.server.Close(e.server.Now(), 0, "") // the only change that is left
				} else {
					e.wantAlive()
				}
				once := op == hook.OpStateChanged || op == hook.OpCongestionInit
				if !failed && !(once && nth > 1) {
					t.Fatalf("seed %d: %v was called %d times only", e.Seed, op, server.seen[op])
				}
				if failed {
					e.wantDetached(server, hook.DetachFault)
					if name := e.server.Stats().Congestion; name != "cubic" {
						t.Errorf("the controller is %s", name)
					}
				}
			})
		}
	}
}

// TestExtensionsComeAndGoInAnyOperation detaches an extension, and attaches
// another one, from within every operation of a third.
func TestExtensionsComeAndGoInAnyOperation(t *testing.T) {
	for _, op := range everywhere {
		t.Run(op.String(), func(t *testing.T) {
			e := connect(t, quictest.Seed(t, 41), lossy(0.03))
			client, server := newBusy("org.example.busy"), newBusy("org.example.busy")
			victim, late := newWatcher("org.example.victim"), newWatcher("org.example.late")
			gone := false
			victim.each = func(o hook.Op) {
				if gone && o != hook.OpDetach {
					t.Errorf("%v of a detached extension was called", o)
				}
			}
			server.each = func(o hook.Op) {
				if o != op || gone {
					return
				}
				gone = true
				e.server.Detach(e.server.Now(), victim.info.ID, hook.DetachAsked, nil)
				if err := e.server.Attach(e.server.Now(), late, offered(7)); err != nil {
					t.Error(err)
				}
				if _, err := e.server.CallExtension(e.server.Now(), server.info.ID, 0, nil); err != core.ErrExtensionBusy && op != hook.OpCongestionInit {
					t.Errorf("the extension was called while it runs: %v", err)
				}
			}
			if err := e.server.Attach(e.server.Now(), victim, offered(6)); err != nil {
				t.Fatal(err)
			}
			e.attachBoth(client, server)
			e.server.CallExtension(e.server.Now(), "org.example.busy", 0, nil)
			if !e.fetch(200_000, time.Minute) {
				t.Fatal("nothing came")
			}
			e.wait(time.Second)
			if op == hook.OpStateChanged {
				return // it comes with the end, in which all are detached
			}
			e.wantAlive()
			if !gone {
				t.Fatalf("%v was never called", op)
			}
			e.wantDetached(victim, hook.DetachAsked)
			if late.seen[hook.OpPacketSent] == 0 {
				t.Error("the new extension is never called")
			}
		})
	}
}

// TestAnExtensionThatDetachesItselfIsGone does so from within each operation.
func TestAnExtensionThatDetachesItselfIsGone(t *testing.T) {
	for _, op := range everywhere {
		if op == hook.OpStateChanged {
			continue
		}
		t.Run(op.String(), func(t *testing.T) {
			e := connect(t, quictest.Seed(t, 42), lossy(0.03))
			client, server := newBusy("org.example.busy"), newBusy("org.example.busy")
			server.each = func(o hook.Op) {
				if o == op {
					e.server.Detach(e.server.Now(), server.info.ID, hook.DetachAsked, nil)
				}
			}
			e.attachBoth(client, server)
			e.server.CallExtension(e.server.Now(), "org.example.busy", 0, nil)
			if !e.fetch(200_000, time.Minute) {
				t.Fatal("nothing came")
			}
			e.wait(time.Second)
			e.wantAlive()
			e.wantDetached(server, hook.DetachAsked)
			if name := e.server.Stats().Congestion; name != "cubic" {
				t.Errorf("the controller is %s", name)
			}
		})
	}
}

// TestAConnectionEndsInAnyOperation closes it from within each.
func TestAConnectionEndsInAnyOperation(t *testing.T) {
	for _, op := range everywhere {
		if op == hook.OpStateChanged {
			continue
		}
		t.Run(op.String(), func(t *testing.T) {
			e := connect(t, quictest.Seed(t, 43), lossy(0.03))
			client, server := newBusy("org.example.busy"), newBusy("org.example.busy")
			watcher := newWatcher("org.example.w")
			e.attachBoth(client, server)
			e.attachTo(e.server, watcher)
			server.each = func(o hook.Op) {
				if o == op {
					e.server.Close(e.server.Now(), 7, "")
				}
			}
			if op == hook.OpCongestionInit {
				return // only within Attach
			}
			e.server.CallExtension(e.server.Now(), "org.example.busy", 0, nil)
			e.fetch(200_000, time.Minute)
			e.wait(time.Second)
			e.wantDetached(server, hook.DetachClosed)
			e.wantDetached(watcher, hook.DetachClosed)
			if e.server.Err() == nil || e.client.Err() == nil {
				t.Errorf("the ends have %v and %v", e.server.Err(), e.client.Err())
			}
		})
	}
}

func TestDefect2ExtensionsCannotCallEachOtherInCircles(t *testing.T) {
	e := connected(t)
	a, b := newProbe("org.example.a", hook.OpAppCall), newProbe("org.example.b", hook.OpAppCall)
	depth := 0
	call := func(id string) func(uint32, []byte) ([]byte, error) {
		return func(uint32, []byte) ([]byte, error) {
			depth++
			return e.client.CallExtension(e.client.Now(), id, 0, nil)
		}
	}
	a.call, b.call = call("org.example.b"), call("org.example.a")
	e.attachTo(e.client, a)
	e.attachTo(e.client, b)
	if _, err := e.client.CallExtension(e.client.Now(), "org.example.a", 0, nil); err != core.ErrExtensionBusy || depth != 2 {
		t.Errorf("the circle ended with %v after %d calls", err, depth)
	}
	e.wantAlive()
}
