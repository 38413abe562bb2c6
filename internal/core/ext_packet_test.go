package core_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
)

// newRider makes an extension with a frame of 8 bytes that rides along.
func newRider(id string, ops ...hook.Op) *probe {
	p := newFramer(id, append(ops, hook.OpPacketBegin, hook.OpSendPayload, hook.OpReceivePayload)...)
	p.info.Payload = true
	p.info.Frames = append(p.info.Frames, hook.FrameDecl{Name: "R", RideAlong: true, MaxLen: 8})
	return p
}

func TestRideAlongFramesShowWhatTheSenderSaw(t *testing.T) {
	seed := quictest.Seed(t, 10)
	e := connect(t, seed, lossy(0.02))
	var clients, servers [2]*probe
	sent, rode := map[uint64][]byte{}, 0
	var shown []byte
	for i := range clients {
		client, server := newRider(fmt.Sprint("org.example.", i)), newRider(fmt.Sprint("org.example.", i))
		clients[i], servers[i] = client, server
		server.begin = func(p *hook.PacketPlan) { p.Ride = 1 }
		server.ride = func(frame uint8, b []byte, p *hook.PacketPlan) int {
			if frame != 1 || len(b) != 8 {
				t.Errorf("frame %d, %d bytes of room", frame, len(b))
			}
			shown = append(shown[:0], p.Frames...)
			return copy(b, fmt.Sprintf("%08d", p.Packet))
		}
		server.sealing = func(p *hook.SentPayload) {
			if was, seen := sent[p.Packet]; seen && !bytes.Equal(was, p.Frames) {
				t.Errorf("seed %d: packet %d was shown differently", seed, p.Packet)
			}
			if !bytes.Equal(shown, p.Frames) {
				t.Errorf("seed %d: packet %d was shown differently to who lets a frame ride along", seed, p.Packet)
			}
			if !p.Rode {
				t.Errorf("packet %d leaves without its frame", p.Packet)
			}
			sent[p.Packet] = bytes.Clone(p.Frames)
		}
		client.process = func(f *hook.ReceivedFrame) hook.Verdict {
			rode++
			if f.Index != 1 || string(f.Body) != fmt.Sprintf("%08d", f.Packet) || len(f.Before) == 0 || !bytes.Equal(f.Before, sent[f.Packet]) {
				t.Fatalf("seed %d: packet %d: %q rode with %x, the sender saw %x", seed, f.Packet, f.Body, f.Before, sent[f.Packet])
			}
			return hook.FrameTaken
		}
		e.attachBoth(client, server)
	}
	if !e.fetch(1<<20, time.Minute) {
		t.Fatal("nothing came")
	}
	e.wantAlive()
	if rode < 2*700 {
		t.Errorf("only %d frames rode along", rode)
	}
}

func TestNothingRidesOnAcknowledgmentsAlone(t *testing.T) {
	e := connected(t)
	client, server := newRider("org.example.r"), newRider("org.example.r")
	client.begin = func(p *hook.PacketPlan) { p.Ride, p.Reserve = 1, hook.MaxReserve }
	wrote := 0
	client.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int { wrote++; return len(b) }
	client.sealing = func(p *hook.SentPayload) {
		if len(p.Frames) == 0 {
			t.Error("a packet without frames was shown")
		}
	}
	e.attachBoth(client, server)
	if !e.fetch(1<<20, time.Minute) {
		t.Fatal("nothing came")
	}
	if acks := e.client.Stats().PacketsSent; wrote > int(acks)/2 || wrote == 0 {
		t.Errorf("%d frames rode in %d packets, most of which are acknowledgments", wrote, acks)
	}
	e.wantAlive()
}

// TestReservedRoomIsKept has many extensions keep bytes free: at most maxKept of a
// packet together.
func TestReservedRoomIsKept(t *testing.T) {
	for _, n := range []int{1, hook.MaxExtensions} {
		e := connect(t, quictest.Seed(t, 11), quictest.Options{Config: smallDatagrams})
		largest := 0
		for i := range n {
			p := newProbe(fmt.Sprint("org.example.", i), hook.OpPacketBegin, hook.OpSendPayload)
			p.info.Payload = true
			p.begin = func(p *hook.PacketPlan) { p.Reserve = hook.MaxReserve }
			p.sealing = func(p *hook.SentPayload) { largest = max(largest, len(p.Frames)) }
			e.attachTo(e.server, p)
		}
		if !e.fetch(200_000, time.Minute) {
			t.Fatal("nothing came")
		}
		// A short header, the tag, and what is rounded off to whole blocks.
		room, kept := 1200-1-8-2-16, min(n*hook.MaxReserve, core.MaxKept)
		if largest > room-kept || largest < room-kept-16 {
			t.Errorf("%d extensions: up to %d bytes of frames in %d, want %d kept free", n, largest, room, kept)
		}
	}
}

func TestAnIllegalPlanEndsTheExtension(t *testing.T) {
	for name, plan := range map[string]func(p *hook.PacketPlan){
		"too much room":                func(p *hook.PacketPlan) { p.Reserve = hook.MaxReserve + 1 },
		"negative room":                func(p *hook.PacketPlan) { p.Reserve = -1 },
		"a frame that is not declared": func(p *hook.PacketPlan) { p.Ride = 2 },
		"a negative frame":             func(p *hook.PacketPlan) { p.Ride = -2 },
		"a frame that does not ride":   func(p *hook.PacketPlan) { p.Ride = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t)
			p := newRider("org.example.r")
			p.begin = plan
			e.attachTo(e.client, p)
			if !e.fetch(10_000, time.Second) {
				t.Error("nothing came")
			}
			e.wantDetached(p, hook.DetachFault)
			e.wantAlive()
		})
	}
	for name, n := range map[string]int{"too long": 9, "negative": -1} {
		t.Run("a frame that is "+name, func(t *testing.T) {
			e := connected(t)
			p := newRider("org.example.r")
			p.begin = func(p *hook.PacketPlan) { p.Ride = 1 }
			p.ride = func(uint8, []byte, *hook.PacketPlan) int { return n }
			e.attachTo(e.client, p)
			if !e.fetch(10_000, time.Second) {
				t.Error("nothing came")
			}
			e.wantDetached(p, hook.DetachFault)
			e.wantAlive()
		})
	}
}

// TestAPacketWithoutAnAckIsNotTakenForOne has frames that elicit nothing at the
// front of packets, where otherwise nothing but an ACK frame can be: ranges that the
// peer never saw must not be forgotten when it acknowledges such a packet.
func TestAPacketWithoutAnAckIsNotTakenForOne(t *testing.T) {
	e := connected(t)
	p := newFramer("org.example.quiet")
	p.info.Frames[0].AckEliciting = false
	p.write = func(_ hook.Token, b []byte, _ *hook.PacketPlan) int { return len(b) }
	e.attachTo(e.client, p)
	p.call = func(uint32, []byte) ([]byte, error) {
		_, err := p.conn.Reserve(hook.Reservation{Size: 10})
		return nil, err
	}
	if _, err := e.client.CallExtension(e.client.Now(), p.info.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	if n := e.client.NotedAcks(); n != 0 {
		t.Fatalf("%d packets are in flight that carry an ACK", n)
	}
	e.client.Flush()
	if s := e.client.ExtensionStats(nil)[0]; s.FramesWritten != 1 {
		t.Fatalf("%d frames were written, want 1", s.FramesWritten)
	}
	if n := e.client.NotedAcks(); n != 0 {
		t.Errorf("%d packets in flight are taken to carry an ACK frame, want none", n)
	}
}

// TestAnAnswerMayHoldForATrain: who wants the same of all packets is asked once for those that leave together.
func TestAnAnswerMayHoldForATrain(t *testing.T) {
	for _, train := range []bool{false, true} {
		e := connected(t)
		client := newRider("org.example.train")
		asked, rode := 0, 0
		client.begin = func(p *hook.PacketPlan) {
			asked++
			p.Ride, p.Train = 1, train
		}
		client.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int { rode++; return len(b) }
		e.attachBoth(client, newRider("org.example.train"))
		e.upload(t, 200_000)
		if rode < 130 {
			t.Fatalf("%d frames rode along, want one in each of 130 packets at least", rode)
		}
		if train != (asked < rode/2) {
			t.Errorf("train %t: asked %d times for %d packets", train, asked, rode)
		}
	}
}

// TestPacketsMayBeNoneOfItsBusiness: who wants nothing while much waits is not asked then, and is asked again when less does.
func TestPacketsMayBeNoneOfItsBusiness(t *testing.T) {
	e := connected(t)
	const above = 50_000
	client := newRider("org.example.above")
	asked, rode := 0, 0
	client.begin = func(p *hook.PacketPlan) {
		if asked++; asked > 1 && p.Waiting > above {
			t.Errorf("asked while %d bytes wait", p.Waiting)
		}
		p.Ride, p.Train, p.Above = 1, true, above
	}
	client.ride = func(_ uint8, b []byte, p *hook.PacketPlan) int {
		if rode++; p.Waiting > above && asked > 1 {
			t.Errorf("a frame rides along while %d bytes wait", p.Waiting)
		}
		return len(b)
	}
	e.attachBoth(client, newRider("org.example.above"))
	e.upload(t, 200_000)
	if asked < 2 || rode < 20 || rode > 60 {
		t.Errorf("asked %d times, %d frames rode along; want those of the last %d bytes", asked, rode, above)
	}
}
