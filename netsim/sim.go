package netsim

import (
	"fmt"
	"net/netip"
	"time"
)

// Sim carries packets across the link of a Scenario. It is pure: time comes in as an argument, and the same
// calls with the same seed give the same results. Not safe for concurrent use.
type Sim struct {
	// Observe, if set, learns the fate of each packet given to Send, once, before Pop or Send returns. The
	// packet's Data is valid during the call; after a drop it is the observer's to reuse.
	Observe func(Event)

	sc      *Scenario
	seed    uint64
	start   time.Time
	started bool
	links   [2]link // by sending side
	flying  Agenda[flight]
	nat     nat
	stats   Stats
}

// flight is a packet between the wire and the far end.
type flight struct {
	from Side
	copy bool // delivered as it is: the second of a duplicated pair
	p    Packet
}

// Event tells the fate of one packet.
type Event struct {
	At      time.Time
	From    Side
	Packet  Packet
	Dropped bool
	Note    string // "dropped: queue full", "corrupted: byte 7 …"; empty if nothing happened to the packet
}

func (e Event) String() string {
	note := e.Note
	if note == "" {
		note = "delivered"
	}
	return fmt.Sprintf("%s %s>%s %d bytes %s", e.At.Format("05.000000000"), e.From, e.From.Other(), e.Packet.size(), note)
}

// NewSim makes the network of sc. Equal seeds give equal networks.
func NewSim(sc *Scenario, seed uint64) *Sim {
	s := &Sim{sc: sc, seed: seed}
	s.links[Left].init(sc.Link[Left])
	s.links[Right].init(sc.Link[Right])
	s.nat.init(sc.NAT, seed)
	return s
}

// Start sets the beginning of the scenario, from which blackouts and rebindings are counted. Without it the
// first Send is the beginning. A second Start is ignored.
func (s *Sim) Start(now time.Time) {
	if !s.started {
		s.start, s.started = now, true
	}
}

// Send puts a packet at the end of the queue of side from, or drops it if there is no room. The Sim owns
// p.Data until the packet is popped or reported as dropped.
func (s *Sim) Send(now time.Time, from Side, p Packet) {
	s.Start(now)
	l, st, size := &s.links[from], s.stats.of(from), p.size()
	st.Packets++
	st.Bytes += uint64(size)
	if mtu := l.mtu(now.Sub(s.start)); mtu > 0 && size > mtu {
		st.TooBig++
		s.drop(now, from, p, "dropped: larger than the link's MTU")
		return
	}
	left, backlog, ok := l.accept(now, size)
	st.MaxQueue = max(st.MaxQueue, backlog)
	if !ok {
		st.QueueDrops++
		s.drop(now, from, p, "dropped: queue full")
		return
	}
	at, held := l.travel(left, s.seed, from)
	if held {
		st.Reordered++
	}
	l.sent++
	s.flying.Add(at, flight{from: from, p: p})
}

// Next returns when Pop has something to do, false if nothing is under way.
func (s *Sim) Next() (time.Time, bool) { return s.flying.Next() }

// Pop returns the next packet that has arrived by now and the side at which it arrived; ok is false if
// there is none. Call it until then. The caller owns p.Data.
func (s *Sim) Pop(now time.Time) (to Side, p Packet, ok bool) {
	for {
		at, f, due := s.flying.Pop(now)
		if !due {
			return 0, Packet{}, false
		}
		s.stats.Lateness.note(now.Sub(at))
		if f.copy || s.arrive(at, &f) {
			st := s.stats.of(f.from)
			st.Delivered++
			st.DeliveredBytes += uint64(f.p.size())
			return f.from.Other(), f.p, true
		}
	}
}

// Stats returns the counters so far.
func (s *Sim) Stats() Stats {
	st := s.stats
	st.Rebinds = s.nat.rebinds
	return st
}

// arrive applies what the receiving end does to a packet and reports whether it is delivered.
func (s *Sim) arrive(at time.Time, f *flight) bool {
	l, st := &s.links[f.from], s.stats.of(f.from)
	var note string
	if why := s.hazard(at, l, f); why != "" {
		st.ErrorDrops++
		s.drop(at, f.from, f.p, why)
		return false
	}
	if f.p.UDP {
		note = s.damage(at, l, f)
		l.udp++
	} else {
		l.other++
	}
	if s.Observe != nil {
		s.Observe(Event{At: at, From: f.from, Packet: f.p, Note: note})
	}
	return true
}

func (s *Sim) drop(at time.Time, from Side, p Packet, why string) {
	if s.Observe != nil {
		s.Observe(Event{At: at, From: from, Packet: p, Dropped: true, Note: why})
	}
}

// clientAddrs returns the addresses that the NAT takes for the client.
func clientAddrs() [2]netip.Addr { return networks[Left].hosts }
