package core_test

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// TestAReservedFrameMayTakeWhatIsKeptFree has an extension that keeps room free in every packet, and sends a frame that needs all of a packet:
// what protects a full packet is as long as that and its own head.
func TestAReservedFrameMayTakeWhatIsKeptFree(t *testing.T) {
	e := connected(t)
	half := func() *probe {
		p := newFramer("org.example.keeper", hook.OpPacketBegin)
		p.info.Frames = append(p.info.Frames, hook.FrameDecl{Name: "R", RideAlong: true, MaxLen: 4})
		return p
	}
	p := half()
	const head = 4 // type and length of the frame
	var rooms []int
	room, rode := 0, 0
	p.begin = func(plan *hook.PacketPlan) {
		plan.Reserve, plan.Ride = 40, 1
		room = plan.Room
	}
	p.write = func(_ hook.Token, b []byte, _ *hook.PacketPlan) int {
		rooms = append(rooms, len(b))
		return len(b)
	}
	p.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int {
		rode++
		return copy(b, "ride")
	}
	e.attachBoth(p, half())
	e.do(e.client, p, func(c hook.Conn) {
		for range 3 {
			if _, err := c.Reserve(hook.Reservation{Size: hook.MaxFrameBody}); err != nil {
				t.Fatal(err)
			}
		}
	})
	e.client.Flush()
	e.Run(time.Second, func() bool { return false })
	if len(rooms) != 3 {
		t.Fatalf("%d frames written, want 3", len(rooms))
	}
	for _, n := range rooms {
		if n != room-head {
			t.Errorf("a frame had %d bytes, want %d: all of the packet", n, room-head)
		}
	}
	if rode != 0 {
		t.Errorf("%d frames ride along in packets that are full", rode)
	}
}

// TestFullPacketsAreOfOneSize: what rides along has this length or that, and a train of datagrams of one size leaves in one system call.
func TestFullPacketsAreOfOneSize(t *testing.T) {
	e := connected(t)
	half := func() *probe {
		p := newFramer("org.example.keeper", hook.OpPacketBegin, hook.OpPacketSent)
		p.info.Frames = append(p.info.Frames, hook.FrameDecl{Name: "R", RideAlong: true, MaxLen: 4})
		return p
	}
	p := half()
	sizes := map[int]int{}
	rode := 0
	p.begin = func(plan *hook.PacketPlan) { plan.Reserve, plan.Ride = 11, 1 }
	p.ride = func(_ uint8, b []byte, _ *hook.PacketPlan) int {
		rode++
		return copy(b, "id")
	}
	p.sent = func(s *hook.SentPacket) { sizes[s.Bytes]++ }
	e.attachBoth(p, half())
	e.upload(t, 200_000)
	full := 0 // of one of the sizes that the path was found to carry
	for _, n := range sizes {
		if n >= 8 {
			full += n
		}
	}
	if full < 150 || rode < 150 {
		t.Errorf("packets by size: %v, %d frames rode along; want 150 in trains of one size", sizes, rode)
	}
}
