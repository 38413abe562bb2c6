package plugins_test

import (
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin/lab"
)

// sender is one of several connections that send all they can to one server, over one bottleneck.
type sender struct {
	builtin string         // controller; "" = cubic
	plugin  *lab.Extension // attached to it; nil = none
	from    time.Duration  // when it begins
	until   time.Duration  // when it ends; 0 = never

	conn *virtual.Peer
	out  *core.Stream
	rtts []time.Duration // smoothed, every 10 ms of the measured time
	sent uint64          // bytes delivered in the measured time
}

// shareBottleneck lets senders send for so long over one link, and measures from the given time on.
func shareBottleneck(t *testing.T, seed uint64, link netsim.LinkConfig, measured, until time.Duration, senders ...*sender) {
	t.Helper()
	pair := virtual.NewPair(seed, virtual.Options{ToServer: link, ToClient: netsim.LinkConfig{Delay: link.Delay}})
	defer pair.Close()
	received := map[*virtual.Peer]uint64{}
	pair.Server.OnConn = func(c *virtual.Peer) { c.OnEvent = reader(c, received) }
	for _, s := range senders {
		pair.At(netsim.Epoch.Add(s.from), func() { s.dial(t, pair) })
	}
	var sample func()
	sample = func() {
		for _, s := range senders {
			s.rtts = append(s.rtts, s.conn.Stats().SmoothedRTT)
		}
		pair.At(pair.Clock.Now().Add(10*time.Millisecond), sample)
	}
	before := map[*virtual.Peer]uint64{}
	pair.At(netsim.Epoch.Add(measured), func() {
		for c, n := range received {
			before[c] = n
		}
		sample()
	})
	pair.Run(until, func() bool { return false })
	if err := pair.Err(); err != nil {
		t.Fatal(err)
	}
	if len(pair.Server.Conns) != len(senders) {
		t.Fatalf("%d connections, want %d", len(pair.Server.Conns), len(senders))
	}
	for i, s := range senders { // in the order in which they dialled
		c := pair.Server.Conns[i]
		s.sent = received[c] - before[c]
		for _, x := range s.conn.ExtensionStats(nil) {
			if x.Detached || x.Faults > 0 {
				t.Fatalf("%s: %s %v", x.ID, x.Why, x.Faults)
			}
		}
	}
}

func (s *sender) dial(t *testing.T, pair *virtual.Pair) {
	name := s.builtin
	if name == "" {
		name = "cubic"
	}
	pair.Client.Config.Congestion, _ = virtual.Congestion(name)
	pair.Client.OnConn = func(c *virtual.Peer) {
		s.conn, c.OnEvent = c, s.event
		if s.plugin == nil {
			return
		}
		x, err := s.plugin.New()
		if err == nil {
			err = c.Extend(x, s.plugin.Config)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := pair.Dial(); err != nil {
		t.Error(err)
	}
}

// event is the application of a sender.
func (s *sender) event(e core.Event) {
	switch e.Kind {
	case core.EventEstablished:
		s.out, _ = s.conn.Open(false)
		s.write()
	case core.EventWritable:
		s.write()
	}
}

// over reports whether the sender has sent enough.
func (s *sender) over() bool { return s.until > 0 && s.conn.Now().Sub(netsim.Epoch) >= s.until }

var filler [64 << 10]byte

func (s *sender) write() {
	for !s.over() {
		if n, err := s.conn.Write(s.out, filler[:]); n == 0 || err != nil {
			return
		}
	}
}

// reader is the application of the server: it counts what each connection brought.
func reader(c *virtual.Peer, received map[*virtual.Peer]uint64) func(core.Event) {
	buf := make([]byte, 64<<10)
	return func(e core.Event) {
		if e.Kind != core.EventReadable {
			return
		}
		for {
			n, err := c.Read(c.Now(), e.Stream, buf)
			received[c] += uint64(n)
			if n == 0 || err != nil {
				return
			}
		}
	}
}

// queue returns the q-th quantile of the time that packets waited, in packets of the link's rate.
func (s *sender) queue(link netsim.LinkConfig, q float64) float64 {
	slices.Sort(s.rtts)
	waited := s.rtts[int(q*float64(len(s.rtts)-1))] - 2*link.Delay
	return waited.Seconds() * float64(link.Bandwidth) / (8 * fullPacket)
}

// fullPacket is a datagram of 1452 bytes with its headers, and payload what it carries of a stream at the most.
const fullPacket, payload = 1480, 1420
