package netwatch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	peer, other = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	one, two    = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	none        netip.Addr
)

func TestALookIsTakenWhenItIsQuietOrWasLoudForLong(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }
	var c calm
	if !c.due().IsZero() {
		t.Errorf("due %v before any event", c.due())
	}
	for _, d := range []time.Duration{0, 50 * time.Millisecond, 140 * time.Millisecond} {
		if c.event(at(d)); !c.due().Equal(at(d + quiet)) {
			t.Errorf("after an event at %v: due %v, want %v later", d, c.due(), quiet)
		}
	}
	for d := 200 * time.Millisecond; d < 2*most; d += quiet / 2 {
		c.event(at(d))
	}
	if !c.due().Equal(at(most)) {
		t.Errorf("due %v, want %v after the first event", c.due(), most)
	}
}

// host is a kernel that says what it is told.
type host struct {
	mu  sync.Mutex
	way map[netip.Addr]netip.Addr
}

func (h *host) set(peer, source netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.way[peer] = source
}

func (h *host) ask(peer netip.Addr) netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.way[peer]
}

func TestChangesAreThoseOfPeersThatCanBeReached(t *testing.T) {
	h := &host{way: map[netip.Addr]netip.Addr{peer: one, other: one}}
	s := sources{}
	s.note(peer, h.ask)
	var changes []Change
	for _, tt := range []struct {
		name  string
		way   netip.Addr
		peers []netip.Addr
		want  []Change
	}{
		{"nothing happened", one, []netip.Addr{peer}, nil},
		{"no way", none, []netip.Addr{peer}, nil},
		{"back again", one, []netip.Addr{peer}, nil},
		{"no way, once more", none, []netip.Addr{peer, peer}, nil},
		{"another address", two, []netip.Addr{peer, peer, other}, []Change{{peer, one, two}}},
		{"still another address", two, []netip.Addr{peer, other}, nil},
		{"no connection any more", one, nil, nil},
		{"a new one, not noted", two, []netip.Addr{peer}, nil},
		{"and then moved", one, []netip.Addr{peer}, []Change{{peer, two, one}}},
	} {
		h.set(peer, tt.way)
		if s, changes = s.compare(tt.peers, h.ask); fmt.Sprint(changes) != fmt.Sprint(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, changes, tt.want)
		}
	}
}

func TestAPeerThatIsJustBeingDialedIsNotForgotten(t *testing.T) {
	h := &host{way: map[netip.Addr]netip.Addr{peer: one}}
	s := sources{}
	s.note(peer, h.ask)
	s.note(other, h.ask)         // to which there is no way
	s, _ = s.compare(nil, h.ask) // an event comes before the connection
	h.set(peer, two)
	s, changes := s.compare([]netip.Addr{peer, other}, h.ask)
	if len(changes) != 1 {
		t.Errorf("got %v, want that %v moved", changes, peer)
	}
	if s, _ = s.compare(nil, h.ask); len(s) != 0 {
		t.Errorf("%v is remembered of peers that are gone", s)
	}
}

// TestWatchedPeersAreBounded fills maxPeers.
func TestWatchedPeersAreBounded(t *testing.T) {
	s := sources{}
	ask := func(netip.Addr) netip.Addr { return one }
	var peers []netip.Addr
	for i := range maxPeers + 2 {
		p := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s.note(p, ask)
		peers = append(peers, p)
	}
	if len(s) != maxPeers {
		t.Errorf("%d peers are noted, want at most %d", len(s), maxPeers)
	}
	if s, _ = (sources{}).compare(peers, ask); len(s) != maxPeers {
		t.Errorf("%d peers are remembered, want at most %d", len(s), maxPeers)
	}
}

func TestOneLookForManyEventsAndNoneAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel, ev := net.Pipe()
		h := &host{way: map[netip.Addr]netip.Addr{peer: one}}
		asked, told := 0, make(chan []Change, 8)
		mapped := netip.AddrFrom16(peer.As16())
		w := start(ev, h.ask, func() []netip.Addr { asked++; return []netip.Addr{mapped} },
			func(ctx context.Context, c []Change) {
				told <- c
				<-ctx.Done()
			})
		w.Note(mapped)
		h.set(peer, two)
		for range 5 {
			kernel.Write([]byte("something"))
			time.Sleep(quiet / 2)
		}
		begin := time.Now()
		if got := <-told; len(got) != 1 || got[0] != (Change{peer, one, two}) {
			t.Errorf("told %v", got)
		}
		if asked != 1 || time.Since(begin) > quiet {
			t.Errorf("asked %d times, %v after the last event, want once in %v", asked, time.Since(begin), quiet)
		}
		w.Close() // ends the context of the callback, and waits for it
		if len(told) != 0 {
			t.Error("told again")
		}
		kernel.Close()
	})
}

func TestAWatcherEndsWithItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel, ev := net.Pipe()
		w := start(ev, sourceOf, func() []netip.Addr { return nil }, nil)
		kernel.Close()
		<-w.ended
		w.Close()
	})
}
