package lab

import (
	"context"
	"time"

	"github.com/seed51309289/quiver/internal/packetlog"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
)

// PacketEvent is something that happened to a packet.
type PacketEvent struct {
	At     time.Duration // since the first packet of the connection
	Sent   time.Duration // when the packet left
	Kind   PacketEventKind
	Server bool     // it is the server's packet; of PacketRecovered: the server recovered it
	Packet string   // type and number: "initial 0", "1RTT 12"
	Bytes  int      // of UDP payload that are the packet's
	Frames []string // those of extensions by name: "fec REPAIR 1180B"
	Own    bool     // there are frames of extensions among them
	ID     string   // of PacketRecovered: the extension
	Count  uint64   // of PacketRecovered: packets
}

// PacketEventKind says what happened to a packet.
type PacketEventKind uint8

// What happens to packets.
const (
	PacketArrived   PacketEventKind = iota
	PacketDropped                   // the network lost it when it was nearly there
	PacketGivenUp                   // its sender declared it lost
	PacketRecovered                 // an extension put packets together again
)

// Follow carries the first repetition of a scenario out and tells of its packets, in the order of time.
func Follow(ctx context.Context, s *Scenario, setup Setup, tell func(*PacketEvent)) (*Result, error) {
	if _, err := newBatch([]*Scenario{s}, []Setup{setup}); err != nil {
		return nil, err
	}
	f := &follower{tell: tell, flying: map[*byte][]PacketEvent{}}
	rep, err := once(ctx, s, &setup, s.Seed, f)
	if err != nil {
		return nil, err
	}
	return &Result{Scenario: s, Setup: setup.Title(), Repetitions: []Repetition{rep}}, nil
}

// follower reads along in the logs of both ends of a connection, and watches its network.
type follower struct {
	tell      func(*PacketEvent)
	pair      *virtual.Pair
	waiting   [2][]PacketEvent        // sent, and not seen as a datagram yet; bounded by a train of packets
	flying    map[*byte][]PacketEvent // packets by the datagram that they are in; bounded by what the network holds
	recovered [2]map[string]uint64
}

// configure has an end's log written to the follower.
func (f *follower) configure(side netsim.Side, cfg *virtual.Config) {
	f.recovered[side] = map[string]uint64{}
	cfg.Log = qlog.New(&record{f, side, packetlog.NewReader()}, qlog.Header{Vantage: sideName(side)})
}

// watch begins to look at the network of a pair.
func (f *follower) watch(pair *virtual.Pair) {
	f.pair = pair
	before := pair.Sim.Observe
	pair.Sim.Observe = func(e netsim.Event) {
		f.landed(e)
		if before != nil {
			before(e)
		}
	}
}

// record takes the records of one end's log.
type record struct {
	f      *follower
	side   netsim.Side
	reader *packetlog.Reader
}

// Write takes one record, which the log writes whole.
func (r *record) Write(p []byte) (int, error) {
	var in packetlog.Event
	if !r.reader.Read(p, &in) {
		return len(p), nil
	}
	e := PacketEvent{Server: r.side == netsim.Right, Packet: in.Packet(), Bytes: in.Bytes, Frames: in.Frames, Own: in.Own}
	switch in.Kind {
	case packetlog.Sent:
		r.f.waiting[r.side] = append(r.f.waiting[r.side], e)
	case packetlog.Lost:
		e.Kind = PacketGivenUp
		r.f.say(e)
	}
	return len(p), nil
}

// datagram takes a datagram as it leaves: the packets in it are those that were logged first.
func (f *follower) datagram(from netsim.Side, data []byte) []byte {
	size := 0
	var inside []PacketEvent
	for len(f.waiting[from]) > 0 && (size == 0 || size+f.waiting[from][0].Bytes <= len(data)) {
		e := f.waiting[from][0]
		f.waiting[from] = f.waiting[from][1:]
		e.Sent = f.pair.Clock.Since()
		size += e.Bytes
		inside = append(inside, e)
	}
	f.flying[&data[0]] = inside
	return data
}

// landed tells of the packets in a datagram that arrived, or was lost.
func (f *follower) landed(n netsim.Event) {
	if len(n.Packet.Data) == 0 {
		return
	}
	key := &n.Packet.Data[0]
	for _, e := range f.flying[key] {
		if n.Dropped {
			e.Kind = PacketDropped
		}
		f.say(e)
	}
	delete(f.flying, key)
}

func (f *follower) say(e PacketEvent) {
	e.At = f.pair.Clock.Since()
	f.tell(&e)
}

// lookAll looks at both ends, as far as there are two.
func (f *follower) lookAll(load *virtual.Load) {
	f.look(load.Client)
	if load.Server != nil {
		f.look(load.Server)
	}
}

// look tells what the extensions of an end recovered since it last looked.
func (f *follower) look(c *virtual.Peer) {
	side := c.End.Side
	for _, x := range c.ExtensionStats(nil) {
		if n := x.Recovered - f.recovered[side][x.ID]; n > 0 {
			f.recovered[side][x.ID] = x.Recovered
			f.say(PacketEvent{Kind: PacketRecovered, Server: side == netsim.Right, Count: n, ID: x.ID})
		}
	}
}
