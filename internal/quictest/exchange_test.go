package quictest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

var fec = sample{name: "org.example.fec", size: 8000, mode: hook.Negotiated, frames: 2}

// testTraders runs a test with the offer on either side.
func testTraders(t *testing.T, body func(t *testing.T, clientOffers bool)) {
	t.Run("offer of the client", func(t *testing.T) { body(t, true) })
	t.Run("offer of the server", func(t *testing.T) { body(t, false) })
}

// sides returns traders of which one, the first, offers.
func sides(t *testing.T, clientOffers bool, offers ...sample) (client, server, from, to *trader) {
	from, to = newTrader(t, offers...), newTrader(t)
	if clientOffers {
		return from, to, from, to
	}
	return to, from, from, to
}

func TestPluginIsOfferedSentAndActiveOnTheSameConnection(t *testing.T) {
	for _, v := range []wire.Version{wire.Version1, wire.Version2} {
		testTraders(t, func(t *testing.T, clientOffers bool) {
			p := NewPair(t, 1, Options{Config: trading(func(_ netsim.Side, cfg *core.Config) { cfg.Versions = []wire.Version{v} })})
			client, server, from, to := sides(t, clientOffers, fec)
			trade(t, p, client, server)
			runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
			wantContent(t, to, from)
			if o := to.active[from.made[0].Local]; string(o.Config) != "for "+fec.name || o.Digest != from.made[0].Digest || o.Size != 2*fec.size {
				t.Errorf("offered was %+v, arrived is %+v", from.made[0], o)
			}
		})
	}
}

// TestPluginIsActiveARoundTripAfterReady counts round trips of 30 ms: an offer and
// its answer, the content and its READY; the offer comes with the first flight of
// 1-RTT packets.
func TestPluginIsActiveARoundTripAfterReady(t *testing.T) {
	p := NewPair(t, 1, Options{Config: trading(nil)})
	client, server, from, to := sides(t, true, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the handshake", func() bool { return client.Established })
	start := p.Clock.Now()
	runUntil(t, p, "the peer's half", func() bool { return to.hasActive(fec.name) })
	if took := p.Clock.Now().Sub(start); took > 46*time.Millisecond {
		t.Errorf("the peer's half is ready after %v, want one round trip and a half", took)
	}
	runUntil(t, p, "the own half", func() bool { return from.hasActive(fec.name) })
	if took := p.Clock.Now().Sub(start); took > 61*time.Millisecond {
		t.Errorf("the own half is ready after %v, want two round trips", took)
	}
}

func TestPluginThatThePeerHasIsNotSent(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, from, to := sides(t, clientOffers, fec)
		to.has = []string{fec.name}
		trade(t, p, client, server)
		runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
		if to.told(core.PluginContent) > 0 {
			t.Error("the content was sent all the same")
		}
	})
}

func TestRefusedPluginLeavesTheConnectionAlone(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, from, to := sides(t, clientOffers, fec, sample{name: "org.example.second", size: 100, mode: hook.Negotiated})
		to.refuses = []string{fec.name}
		trade(t, p, client, server)
		runUntil(t, p, "the other plugin to be active", func() bool { return from.hasActive("org.example.second") })
		a := from.news[1].Answer
		if a.Status != hook.AnswerRefused || a.Code != 7 || a.Reason != "not "+fec.name {
			t.Errorf("the offerer heard %+v", a)
		}
		if err := from.Ready(p.Clock.Now(), from.made[0].Local, nil); err != core.ErrNoPlugin {
			t.Errorf("Ready after the refusal: %v, want %v", err, core.ErrNoPlugin)
		}
	})
}

func TestRefusalOfARequiredPluginEndsTheConnection(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, _, to := sides(t, clientOffers, sample{name: "org.example.must", size: 10, mode: hook.Required})
		to.refuses = []string{"org.example.must"}
		trade(t, p, client, server)
		runUntil(t, p, "the end", func() bool { return client.Closed && server.Closed })
		for _, tr := range []*trader{client, server} {
			if err := tr.Err(); !strings.Contains(err.Error(), "PLUGIN_ERROR") || !strings.Contains(err.Error(), "not org.example.must") {
				t.Errorf("the connection ended with %v", err)
			}
		}
	})
}

func TestRequiredPluginThatIsDetachedEndsTheConnection(t *testing.T) {
	for _, receiver := range []bool{false, true} {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, from, to := sides(t, true, sample{name: "org.example.must", size: 10, mode: hook.Required})
		trade(t, p, client, server)
		runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive("org.example.must") && to.hasActive("org.example.must") })
		who := from
		if receiver {
			who = to
		}
		if err := who.DetachPlugin(p.Clock.Now(), from.made[0].Local, hook.DetachFault, "it failed"); err != nil {
			t.Fatal(err)
		}
		who.Flush()
		runUntil(t, p, "the end", func() bool { return client.Closed && server.Closed })
		if err := to.Err(); !strings.Contains(err.Error(), "PLUGIN_ERROR") || !strings.Contains(err.Error(), "it failed") {
			t.Errorf("the connection ended with %v", err)
		}
	}
}

func TestLocalPluginRunsAtThePeerAlone(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, from, to := sides(t, clientOffers, sample{name: "org.example.telemetry", size: 500, mode: hook.Local})
		trade(t, p, client, server)
		runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive("org.example.telemetry") && to.hasActive("org.example.telemetry") })
		if err := from.Ready(p.Clock.Now(), from.made[0].Local, nil); err != core.ErrPluginState {
			t.Errorf("Ready of the end that does not run it: %v, want %v", err, core.ErrPluginState)
		}
	})
}

func TestDetachedPluginIsOverAtBothEnds(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		p := NewPair(t, 1, Options{Config: trading(nil)})
		client, server, from, to := sides(t, clientOffers, fec)
		trade(t, p, client, server)
		runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
		local := from.made[0].Local
		// Both at once: the frames cross.
		from.must(from.DetachPlugin(p.Clock.Now(), local, hook.DetachAsked, "enough"))
		to.must(to.DetachPlugin(p.Clock.Now(), local, hook.DetachAsked, "enough"))
		from.Flush()
		to.Flush()
		p.Run(time.Second, func() bool { return false })
		if from.Err() != nil || to.Err() != nil {
			t.Fatalf("the connection ended: %v, %v", from.Err(), to.Err())
		}
		from.offerAll() // the number is a new one, and so are its types
		from.Flush()
		runUntil(t, p, "the plugin to be active again", func() bool { return len(from.active) == 2 && len(to.active) == 2 })
		if again := from.made[1]; again.Local != local+2 || again.TypeBase == from.made[0].TypeBase {
			t.Errorf("offered again it is number %d with frames from %#x", again.Local, again.TypeBase)
		}
	})
}

func TestOneEndDetachesAndTheOtherHears(t *testing.T) {
	p := NewPair(t, 1, Options{Config: trading(nil)})
	client, server, from, to := sides(t, false, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
	to.must(to.DetachPlugin(p.Clock.Now(), from.made[0].Local, hook.DetachFault, "out of fuel"))
	to.Flush()
	runUntil(t, p, "the news", func() bool { return from.told(core.PluginDetached) == 1 })
	if n := from.news[len(from.news)-1]; n.Why != hook.DetachPeer || n.Code != uint64(hook.DetachFault) || n.Reason != "out of fuel" || n.Offer.ID != fec.name {
		t.Errorf("the offerer heard %+v", n)
	}
}

func TestEventsArriveInOrder(t *testing.T) {
	seeds(t, 5, func(t *testing.T, seed uint64) {
		opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.3})
		opts.Config = trading(nil)
		p := NewPair(t, seed, opts)
		client, server, from, to := sides(t, true, fec)
		trade(t, p, client, server)
		runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
		local, sent := from.made[0].Local, 0
		more := func() {
			for sent < 200 && from.SendPluginEvent(p.Clock.Now(), local, []byte{byte(sent)}) == nil {
				sent++
			}
			from.Flush()
		}
		runUntil(t, p, "all events", func() bool { more(); return to.told(core.PluginEvent) == 200 })
		var got []byte
		for _, n := range to.news {
			if n.Kind == core.PluginEvent {
				got = append(got, n.Data...)
			}
		}
		for i := range got {
			if got[i] != byte(i) {
				t.Fatalf("event %d is %d", i, got[i])
			}
		}
	})
}

// TestExchangeOverAHarshLink has both ends offer as much as they may, at once.
func TestExchangeOverAHarshLink(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.15, Duplicate: 0.1, Reorder: 0.2})
		opts.Config = trading(func(_ netsim.Side, cfg *core.Config) {
			if seed%2 == 0 {
				cfg.Versions = []wire.Version{wire.Version2}
			}
		})
		p := NewPair(t, seed, opts)
		client, server := newTrader(t, samples(8, "of-client")...), newTrader(t, samples(8, "of-server")...)
		client.offers[7].size = 200_000
		server.has = []string{client.offers[0].name}
		client.refuses = []string{server.offers[3].name}
		trade(t, p, client, server)
		want := append(names(client.offers), append(names(server.offers[:3:3]), names(server.offers[4:])...)...)
		runUntil(t, p, "all plugins to be active", func() bool { return client.hasActive(want...) && server.hasActive(want...) })
		wantContent(t, server, client)
		wantContent(t, client, server)
		used := map[uint64]string{}
		for _, o := range client.active {
			for i := range o.Frames {
				if other, twice := used[o.TypeBase+uint64(i)]; twice {
					t.Errorf("%s and %s have a type of frames in common", o.ID, other)
				}
				used[o.TypeBase+uint64(i)] = o.ID
			}
		}
	})
}

func TestPeerWithoutTheExchangeSeesAPlainConnection(t *testing.T) {
	for _, plain := range []netsim.Side{netsim.Left, netsim.Right} {
		p := NewPair(t, 1, Options{Config: trading(func(side netsim.Side, cfg *core.Config) { cfg.Plugins = side != plain })})
		client, server := newTrader(t, fec), newTrader(t, fec)
		trade(t, p, client, server)
		runUntil(t, p, "the handshake", func() bool { return client.Confirmed && server.Confirmed })
		for _, tr := range []*trader{client, server} {
			if tr.speaks || tr.told(core.PluginOffered) > 0 {
				t.Errorf("%v: %+v", tr.End.Side, tr.news)
			}
			if _, err := tr.Offer(p.Clock.Now(), fec.offer()); err != core.ErrNoExchange {
				t.Errorf("%v: Offer: %v, want %v", tr.End.Side, err, core.ErrNoExchange)
			}
		}
	}
}

func TestPeerThatTakesNoOffersGetsNone(t *testing.T) {
	p := NewPair(t, 1, Options{Config: trading(func(side netsim.Side, cfg *core.Config) { cfg.AcceptPlugins = side == netsim.Left })})
	client, server := newTrader(t), newTrader(t, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the server's plugin", func() bool { return client.hasActive(fec.name) })
	if _, err := client.Offer(p.Clock.Now(), fec.offer()); err != core.ErrNoOffers {
		t.Errorf("Offer: %v, want %v", err, core.ErrNoOffers)
	}
}

// TestListsOfPluginsDoNotTravelInTheClear looks for a name and a digest in
// what anybody can read: Initial packets.
func TestListsOfPluginsDoNotTravelInTheClear(t *testing.T) {
	var in initials
	p := NewPair(t, 1, Options{Config: trading(nil), Tap: in.tap})
	client, server, from, _ := sides(t, true, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin", func() bool { return from.hasActive(fec.name) })
	offer := fec.offer()
	if !bytes.Contains(in.plain, []byte(Name)) {
		t.Fatal("the name of the server cannot be read either: nothing was looked at")
	}
	if bytes.Contains(in.plain, []byte(fec.name)) || bytes.Contains(in.plain, offer.Digest[:4]) {
		t.Error("the plugin can be read in an Initial packet")
	}
}

// TestContentOfPluginsIsNotStarved has an application that fills every packet.
func TestContentOfPluginsIsNotStarved(t *testing.T) {
	p := NewPair(t, 1, Options{Config: trading(nil), ToServer: netsim.LinkConfig{Delay: 10 * time.Millisecond, Bandwidth: 10e6, QueuePackets: 100}, ToClient: netsim.LinkConfig{Delay: 10 * time.Millisecond, Bandwidth: 10e6, QueuePackets: 100}})
	big := sample{name: "org.example.big", size: 60_000, mode: hook.Negotiated}
	client, server, from, to := sides(t, false, big)
	p.Server.OnConn = func(peer *Peer) { peer.Serve(func(request []byte) []byte { return answer(request) }) }
	trade(t, p, client, server)
	runUntil(t, p, "the handshake", func() bool { return client.Established })
	f := client.Get([]byte("20000000"))
	client.attend(client.Peer) // Get took its place
	runUntil(t, p, "the plugin", func() bool { return to.hasActive(big.name) })
	got := f.Body.Len()
	if f.Done {
		t.Error("the plugin came after all of the application's data")
	}
	if got < 4*big.size {
		t.Errorf("of the application's data %d bytes came with a plugin of %d: it has more than its share", got, big.size)
	}
	wantContent(t, to, from)
}
