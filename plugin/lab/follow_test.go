package lab

import (
	"slices"
	"strings"
	"testing"
)

// follow returns all that is told of a scenario's packets.
func follow(t *testing.T, text string, setup Setup) (*Result, []PacketEvent) {
	t.Helper()
	var list []PacketEvent
	r, err := Follow(t.Context(), mustScenario(t, text), setup, func(e *PacketEvent) {
		list = append(list, *e)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, list
}

func count(list []PacketEvent, want func(e *PacketEvent) bool) (n uint64) {
	for i := range list {
		if want(&list[i]) {
			n++
		}
	}
	return n
}

func TestFollowingTellsOfEveryPacketAndChangesNothing(t *testing.T) {
	const text = "loss-5 --size=100kB --seed=3"
	r, list := follow(t, text, beacons(0))
	plain := mustRun(t, text, beacons(0))
	if !slices.Equal(r.Times(), plain.Times()) {
		t.Errorf("followed it took %v, else %v", r.Times(), plain.Times())
	}
	rep := &r.Repetitions[0]
	for server, end := range map[bool]*EndResult{false: &rep.Client, true: &rep.Server} {
		sent := count(list, func(e *PacketEvent) bool {
			return e.Server == server && (e.Kind == PacketArrived || e.Kind == PacketDropped)
		})
		if sent > end.PacketsSent || sent < end.PacketsSent-20 { // the last are still under way
			t.Errorf("server %v: told of %d packets, %d were sent", server, sent, end.PacketsSent)
		}
		if lost := count(list, func(e *PacketEvent) bool { return e.Server == server && e.Kind == PacketGivenUp }); lost < end.PacketsLost || lost == 0 { // probes for the MTU are lost too
			t.Errorf("server %v: told of %d packets declared lost, %d were", server, lost, end.PacketsLost)
		}
	}
	if n, want := count(list, func(e *PacketEvent) bool { return e.Kind == PacketDropped }), uint64(rep.Network.ToServer.ErrorDrops+rep.Network.ToClient.ErrorDrops); n < want || want == 0 {
		t.Errorf("told of %d packets that the network lost, it lost %d datagrams", n, want)
	}
	named := count(list, func(e *PacketEvent) bool {
		return e.Own && strings.Contains(strings.Join(e.Frames, " "), "beacon BEACON 8B")
	})
	if written := rep.Client.Extensions[0].FramesWritten + rep.Server.Extensions[0].FramesWritten; named > written || named+5 < written || named == 0 {
		t.Errorf("%d packets have a BEACON by name, %d were written", named, written)
	}
	if !slices.IsSortedFunc(list, func(a, b PacketEvent) int { return int(a.At - b.At) }) {
		t.Error("what is told is not in the order of time")
	}
}

func TestFollowingRefusesWhatRunRefuses(t *testing.T) {
	if _, err := Follow(t.Context(), mustScenario(t, "clean"), Setup{Client: End{Congestion: "vegas"}}, nil); err == nil {
		t.Error("a controller that there is not was followed")
	}
}
