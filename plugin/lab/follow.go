package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// PacketEvent is something that happened to a packet.
type PacketEvent struct {
	At     time.Duration // since the first packet of the connection
	Sent   time.Duration // when the packet left
	Kind   PacketEventKind
	Server bool     // it is the server's packet; of Recovered: the server recovered it
	Type   string   // "initial", "handshake", "1RTT" …
	Number uint64   // of the packet; of Recovered: how many
	Bytes  int      // of UDP payload that are the packet's
	Frames []string // those of extensions by name: "fec.REPAIR 1180B"
	Own    bool     // there are frames of extensions among them
	ID     string   // of Recovered: the extension
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
	names     [][]string              // of frames, for each extension in the order in which they were numbered
	numbered  []string                // ids of these
	waiting   [2][]PacketEvent        // sent, and not seen as a datagram yet; bounded by a train of packets
	flying    map[*byte][]PacketEvent // packets by the datagram that they are in; bounded by what the network holds
	recovered [2]map[string]uint64
}

// configure has an end's log written to the follower.
func (f *follower) configure(side netsim.Side, cfg *virtual.Config) {
	f.recovered[side] = map[string]uint64{}
	cfg.Log = qlog.New(&record{f, side}, qlog.Header{Vantage: sideName(side)})
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

// know remembers the names of an extension's frames.
func (f *follower) know(info *hook.Info) {
	for _, id := range f.numbered {
		if id == info.ID {
			return
		}
	}
	var names []string
	short := info.ID[strings.LastIndexByte(info.ID, '.')+1:]
	for _, decl := range info.Frames {
		names = append(names, short+"."+decl.Name)
	}
	f.numbered, f.names = append(f.numbered, info.ID), append(f.names, names)
}

// record takes the records of one end's log.
type record struct {
	f    *follower
	side netsim.Side
}

// logRecord is as much as is of interest of a record in a qlog.
type logRecord struct {
	Name string
	Data struct {
		Header struct {
			Type   string `json:"packet_type"`
			Number uint64 `json:"packet_number"`
		}
		Raw    struct{ Length int }
		Frames []logFrame
	}
}

type logFrame struct {
	Name   string `json:"frame_type"`
	Type   uint64 `json:"frame_type_bytes"`
	Stream uint64 `json:"stream_id"`
	Offset uint64
	Fin    bool
	Ranges [][]uint64 `json:"acked_ranges"`
	Raw    struct {
		Length  int
		Payload int `json:"payload_length"`
	}
}

// Write takes one record.
func (r *record) Write(p []byte) (int, error) {
	var l logRecord
	if json.Unmarshal(bytes.TrimPrefix(p, []byte{0x1e}), &l) != nil {
		return len(p), nil
	}
	e := PacketEvent{Server: r.side == netsim.Right, Type: l.Data.Header.Type, Number: l.Data.Header.Number, Bytes: l.Data.Raw.Length}
	switch l.Name {
	case "quic:packet_sent":
		for i := range l.Data.Frames {
			text, own := r.f.frame(&l.Data.Frames[i])
			e.Frames, e.Own = append(e.Frames, text), e.Own || own
		}
		r.f.waiting[r.side] = append(r.f.waiting[r.side], e)
	case "quic:packet_lost":
		e.Kind = PacketGivenUp
		r.f.say(e)
	}
	return len(p), nil
}

var _ io.Writer = (*record)(nil)

// frame writes a frame as a word and its most telling numbers.
func (f *follower) frame(l *logFrame) (text string, own bool) {
	switch l.Name {
	case "plugin":
		return fmt.Sprintf("%s %dB", f.name(l.Type), max(l.Raw.Length, l.Raw.Payload)), true
	case "stream":
		text = fmt.Sprintf("STREAM %d @%d+%d", l.Stream, l.Offset, max(l.Raw.Length, l.Raw.Payload))
		if l.Fin {
			text += " fin"
		}
		return text, false
	case "ack":
		return "ACK " + ranges(l.Ranges), false
	}
	return strings.ToUpper(l.Name), false
}

// ranges writes the latest three ranges of an acknowledgment.
func ranges(list [][]uint64) string {
	var words []string
	for i, r := range list {
		if i == 3 {
			words = append(words, "…")
			break
		}
		switch {
		case len(r) == 1:
			words = append(words, fmt.Sprint(r[0]))
		case len(r) == 2:
			words = append(words, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
	}
	return strings.Join(words, ",")
}

// name returns the name of an extension's frame by its type.
func (f *follower) name(kind uint64) string {
	n := kind - uint64(wire.FramePlugin)
	if x := n / hook.MaxFrames; x < uint64(len(f.names)) && n%hook.MaxFrames < uint64(len(f.names[x])) {
		return f.names[x][n%hook.MaxFrames]
	}
	return fmt.Sprintf("frame %#x", kind)
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
			f.say(PacketEvent{Kind: PacketRecovered, Server: side == netsim.Right, Number: n, ID: x.ID})
		}
	}
}
