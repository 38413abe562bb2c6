package quictest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// runUntilHeard runs until both halves of a plugin have frames and messages of the other.
func runUntilHeard(t *testing.T, p *Pair, a, b *half) {
	t.Helper()
	runUntil(t, p, "frames and messages in both directions", func() bool {
		return len(a.got) > 3 && len(b.got) > 3 && len(a.events) > 3 && len(b.events) > 3
	})
}

func TestHalvesOfAPluginTalkToEachOther(t *testing.T) {
	testTraders(t, func(t *testing.T, clientOffers bool) {
		for _, v := range []wire.Version{wire.Version1, wire.Version2} {
			opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.05, Reorder: 0.1})
			opts.Config = trading(func(_ netsim.Side, cfg *core.Config) { cfg.Versions = []wire.Version{v} })
			p := NewPair(t, 1, opts)
			client, server, from, to := sides(t, clientOffers, fec)
			client.runs, server.runs = true, true
			trade(t, p, client, server)
			runUntil(t, p, "the plugin", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
			a, b := from.halves[fec.name], to.halves[fec.name]
			runUntilHeard(t, p, a, b)
			if a.config != "for "+fec.name || b.config != a.config || a.server == b.server {
				t.Errorf("halves began as %+v and %+v", a, b)
			}
		}
	})
}

// TestHalfSendsNothingBeforeThePeerIsReady has frames of the one half arrive at
// the other as soon as that one is attached, and none be ignored.
func TestHalfSendsNothingBeforeThePeerIsReady(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.3})
		opts.Config = trading(nil)
		p := NewPair(t, seed, opts)
		client, server, from, to := sides(t, true, fec)
		client.runs, server.runs = true, true
		trade(t, p, client, server)
		runUntil(t, p, "the plugin", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
		runUntilHeard(t, p, from.halves[fec.name], to.halves[fec.name])
		for _, tr := range []*trader{client, server} {
			if n := tr.Stats().PluginFramesIgnored; n > 0 {
				t.Errorf("%v: %d frames came before their plugin was there", tr.End.Side, n)
			}
		}
	})
}

func TestHalfThatFailsIsDetachedAtBothEnds(t *testing.T) {
	p := NewPair(t, 1, Options{Config: trading(nil)})
	client, server, from, to := sides(t, false, fec)
	client.runs, server.runs = true, true
	trade(t, p, client, server)
	runUntil(t, p, "the plugin", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
	a, b := from.halves[fec.name], to.halves[fec.name]
	b.broken = errBroken
	runUntil(t, p, "the end of both halves", func() bool { return len(a.ended) > 0 && len(b.ended) > 0 })
	if !slices.Equal(b.ended, []hook.DetachReason{hook.DetachFault}) || !slices.Equal(a.ended, []hook.DetachReason{hook.DetachPeer}) {
		t.Errorf("they ended because %v and %v", b.ended, a.ended)
	}
	i := slices.IndexFunc(from.news, func(n core.PluginNews) bool { return n.Kind == core.PluginDetached })
	if i < 0 || from.news[i].Code != uint64(hook.DetachFault) || !strings.Contains(from.news[i].Reason, errBroken.Error()) {
		t.Errorf("the peer heard %+v", from.news)
	}
	p.Run(time.Second, func() bool { return false })
	if client.Err() != nil || server.Err() != nil {
		t.Errorf("the connection ended: %v, %v", client.Err(), server.Err())
	}
}

func TestHalfThatCannotBeAttachedChangesNothing(t *testing.T) {
	r := rawTrader(t, true)
	local := r.offerAndNeed()
	o := hook.Offer{ID: "org.example.raw", Frames: 2, Mode: hook.Negotiated}
	bad := newHalf(o)
	bad.fails = true
	if err := r.Conn.Ready(r.Clock.Now(), local, bad); !errors.Is(err, errBroken) {
		t.Errorf("Ready: %v, want %v", err, errBroken)
	}
	o.Frames = 3
	var wrong *core.AttachError
	if err := r.Conn.Ready(r.Clock.Now(), local, newHalf(o)); !errors.As(err, &wrong) || wrong.Field != "frames" {
		t.Errorf("Ready with another number of frames: %v", err)
	}
	r.Flush()
	r.WantNoFrame("nothing is ready", wire.FramePluginReady)
	o.Frames = 2
	if err := r.Conn.Ready(r.Clock.Now(), local, newHalf(o)); err != nil {
		t.Error(err)
	}
}

// resuming is a Pair whose client has a ticket for the plugins of both traders,
// and the halves that a second connection runs.
type resuming struct {
	*Pair
	client, server       *trader // of the second connection
	clientSet, serverSet []hook.Offer
	halves               [2]map[string]*half
	refuses              [2]bool // that end cannot take up the plugins again
}

func newResuming(t *testing.T, seed uint64, opts Options, ofClient, ofServer []sample) *resuming {
	t.Helper()
	r := &resuming{halves: [2]map[string]*half{{}, {}}}
	opts.Config = resumable(trading(func(side netsim.Side, cfg *core.Config) {
		cfg.OfferPlugins = side == netsim.Right && len(ofServer) > 0 || side == netsim.Left && len(ofClient) > 0
		n, set := 0, &r.clientSet
		if side == netsim.Right {
			n, set = 1, &r.serverSet
		}
		cfg.ResumeExtensions = func(offers []hook.Offer) (list []hook.Extension, ok bool) {
			*set = offers
			for _, o := range offers {
				h := newHalf(o)
				r.halves[n][o.ID] = h
				list = append(list, h)
			}
			return list, !r.refuses[n]
		}
	}))
	r.Pair = NewPair(t, seed, opts)
	first, second := newTrader(t, ofClient...), newTrader(t, ofServer...)
	first.runs, second.runs = true, true
	serve(r.Pair)
	trade(t, r.Pair, first, second)
	want := append(names(ofClient), names(ofServer)...)
	runUntil(t, r.Pair, "the plugins", func() bool { return first.hasActive(want...) && second.hasActive(want...) })
	runUntil(t, r.Pair, "a ticket", func() bool {
		_, ok := r.Client.Config.TLS.ClientSessionCache.Get(Name)
		return ok
	})
	first.Close(r.Clock.Now(), 0, "")
	first.Flush()
	runUntil(t, r.Pair, "the first connection to end", func() bool { return first.Drained && second.Drained })
	r.Client.Conns, r.Server.Conns = nil, nil
	r.client, r.server = newTrader(t), newTrader(t)
	return r
}

// dial begins the second connection, with a request in its first flight if it
// has early data.
func (r *resuming) dial(t *testing.T) *Fetch {
	t.Helper()
	serve(r.Pair)
	next := r.Server.OnConn
	r.Server.OnConn = func(peer *Peer) {
		next(peer)
		r.server.attend(peer)
	}
	conn, err := core.NewClient(r.Clock.Now(), &r.Client.Config, r.Client.Addr.Addr(), r.Pair.Server.Addr)
	must(err)
	c := r.Client.Add(conn)
	if c.Early() != core.EarlyOffered {
		r.client.attend(c)
		c.Flush()
		return nil
	}
	s, _ := c.Open(false)
	f := &Fetch{Stream: s, Request: []byte("100")}
	s.User = f
	c.Write(s, f.Request)
	c.CloseWrite(s)
	c.OnEvent = func(e core.Event) {
		if _, ok := userOf(e.Stream); ok && e.Kind == core.EventReadable && !f.Done {
			f.Done = c.ReadInto(e.Stream, f)
		}
	}
	r.client.attend(c)
	c.Flush()
	return f
}

var relay = sample{name: "org.example.relay", size: 3000, mode: hook.Negotiated, frames: 1}
var watch = sample{name: "org.example.watch", size: 3000, mode: hook.Local}

func TestPluginsAreActiveInTheFirstFlightOfAResumedConnection(t *testing.T) {
	for _, v := range []wire.Version{wire.Version1, wire.Version2} {
		opts := Options{Config: func(_ netsim.Side, cfg *core.Config) { cfg.Versions = []wire.Version{v} }}
		r := newResuming(t, 1, opts, []sample{relay}, []sample{fec, watch})
		start := r.Clock.Now()
		r.dial(t)
		if r.client.Early() != core.EarlyOffered {
			t.Fatalf("0-RTT is %v, want offered", r.client.Early())
		}
		runUntil(t, r.Pair, "frames of the client", func() bool {
			return len(r.halves[1]) == 2 && len(r.halves[1][fec.name].got) > 0 && len(r.halves[1][relay.name].got) > 0
		})
		if took := r.Clock.Now().Sub(start); took > 16*time.Millisecond {
			t.Errorf("the client's first frame came after %v, want half a round trip", took)
		}
		for _, name := range []string{fec.name, relay.name} {
			runUntilHeard(t, r.Pair, r.halves[0][name], r.halves[1][name])
		}
		if r.client.Early() != core.EarlyAccepted || r.server.Early() != core.EarlyAccepted {
			t.Errorf("0-RTT is %v and %v, want accepted", r.client.Early(), r.server.Early())
		}
		// Watch is the server's, and runs at the client alone.
		if len(r.clientSet) != 3 || len(r.serverSet) != 2 || r.halves[0][watch.name] == nil {
			t.Errorf("the client took up %d plugins, the server %d", len(r.clientSet), len(r.serverSet))
		}
		if !r.client.hasActive(fec.name, relay.name, watch.name) || !r.server.hasActive(fec.name, relay.name, watch.name) {
			t.Errorf("active are %v and %v", r.client.active, r.server.active)
		}
		if !r.client.news[0].Resumed {
			t.Errorf("the first news is %+v", r.client.news[0])
		}
		for _, tr := range []*trader{r.client, r.server} {
			if n := tr.Stats().PluginFramesIgnored; n > 0 {
				t.Errorf("%v: %d frames were ignored", tr.End.Side, n)
			}
		}
		// The numbers go on where they were.
		if o, err := r.client.Offer(r.Clock.Now(), fec.offer()); err != nil || o.Local != 2 {
			t.Errorf("the next offer has number %d, %v", o.Local, err)
		}
		r.client.Flush()
		runUntil(t, r.Pair, "the offer", func() bool { return r.server.told(core.PluginOffered) == 1 })
	}
}

func TestResumedConnectionCanBeResumedAgain(t *testing.T) {
	r := newResuming(t, 1, Options{}, nil, []sample{fec})
	for range 3 {
		r.dial(t)
		runUntil(t, r.Pair, "frames", func() bool {
			return r.halves[1][fec.name] != nil && len(r.halves[1][fec.name].got) > 0 && r.client.Confirmed
		})
		if r.client.Early() != core.EarlyAccepted {
			t.Fatalf("0-RTT is %v, want accepted", r.client.Early())
		}
		r.Run(300*time.Millisecond, func() bool { return false }) // for the next ticket
		r.client.Close(r.Clock.Now(), 0, "")
		r.client.Flush()
		runUntil(t, r.Pair, "the end", func() bool { return r.client.Drained && r.server.Drained })
		r.Client.Conns, r.Server.Conns = nil, nil
		r.halves = [2]map[string]*half{{}, {}}
		r.client, r.server = newTrader(t), newTrader(t)
	}
}

func TestResumedPluginsOverAHarshLink(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		opts := bothWays(netsim.LinkConfig{Delay: 15 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.2})
		r := newResuming(t, seed, opts, []sample{relay}, []sample{fec})
		f := r.dial(t)
		if f == nil { // the ticket came too late for the list of plugins
			runUntil(t, r.Pair, "the handshake", func() bool { return r.client.Established })
			return
		}
		runUntil(t, r.Pair, "an answer", func() bool { return f.Done })
		if r.client.Early() == core.EarlyAccepted {
			runUntilHeard(t, r.Pair, r.halves[0][fec.name], r.halves[1][fec.name])
			runUntilHeard(t, r.Pair, r.halves[0][relay.name], r.halves[1][relay.name])
		}
	})
}

// TestServerThatCannotResumePluginsRejectsEarlyData: then everything is exchanged
// anew.
func TestServerThatCannotResumePluginsRejectsEarlyData(t *testing.T) {
	for name, change := range map[string]func(r *resuming){
		"it says so":           func(r *resuming) { r.refuses[1] = true },
		"it resumes none":      func(r *resuming) { r.Server.Config.ResumeExtensions = nil },
		"no exchange any more": func(r *resuming) { r.Server.Config.Plugins = false },
		"no early data":        func(r *resuming) { r.Server.Config.Early = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := newResuming(t, 1, Options{}, nil, []sample{fec})
			change(r)
			r.server.offers, r.server.runs, r.client.runs = []sample{fec}, true, true
			f := r.dial(t)
			if r.client.Early() != core.EarlyOffered {
				t.Fatalf("0-RTT is %v, want offered", r.client.Early())
			}
			early := r.halves[0][fec.name]
			runUntil(t, r.Pair, "the handshake", func() bool { return r.client.Confirmed && r.server.Confirmed })
			if r.client.Early() != core.EarlyRejected || !f.Done {
				t.Errorf("0-RTT is %v, want rejected", r.client.Early())
			}
			if !slices.Equal(early.ended, []hook.DetachReason{hook.DetachRejected}) {
				t.Errorf("the client's half ended because %v", early.ended)
			}
			if h := r.halves[1][fec.name]; h != nil && h.conn != nil {
				t.Errorf("the server attached it, and ended it because %v", h.ended)
			}
			if !r.Server.Config.Plugins {
				return
			}
			runUntil(t, r.Pair, "the plugin again", func() bool { return r.client.hasActive(fec.name) && r.server.hasActive(fec.name) })
			runUntilHeard(t, r.Pair, r.client.halves[fec.name], r.server.halves[fec.name])
		})
	}
}

func TestClientThatCannotResumePluginsOffersNoEarlyData(t *testing.T) {
	for name, change := range map[string]func(r *resuming){
		"it says so":           func(r *resuming) { r.refuses[0] = true },
		"it resumes none":      func(r *resuming) { r.Client.Config.ResumeExtensions = nil },
		"no exchange any more": func(r *resuming) { r.Client.Config.Plugins = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := newResuming(t, 1, Options{}, nil, []sample{fec})
			change(r)
			r.server.offers = []sample{fec}
			r.dial(t)
			if r.client.Early() != core.EarlyNone {
				t.Fatalf("0-RTT is %v, want none", r.client.Early())
			}
			runUntil(t, r.Pair, "the handshake", func() bool { return r.client.Confirmed && r.server.Confirmed })
			if !r.client.TLSState().DidResume {
				t.Error("the session was not resumed")
			}
			if h := r.halves[1][fec.name]; h != nil && !slices.Equal(h.ended, []hook.DetachReason{hook.DetachRejected}) {
				t.Errorf("the server took up the plugin, and ended it because %v", h.ended)
			}
			if r.server.news[0].Kind != core.PluginPeer && r.Client.Config.Plugins {
				t.Errorf("the first news at the server is %+v", r.server.news[0])
			}
			if r.Client.Config.Plugins {
				runUntil(t, r.Pair, "the plugin again", func() bool { return r.client.hasActive(fec.name) && r.server.hasActive(fec.name) })
			}
		})
	}
}

// TestDetachThatCrossesTheTicketCostsEarlyData: the server takes for agreed on what
// is over at the client, which therefore offers no early data with that ticket.
func TestDetachThatCrossesTheTicketCostsEarlyData(t *testing.T) {
	p := NewPair(t, 1, Options{Config: resumable(trading(offering))})
	client, server, _, _ := sides(t, false, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin at the client", func() bool { return client.hasActive(fec.name) })
	client.must(client.DetachPlugin(p.Clock.Now(), 1, hook.DetachAsked, "changed its mind"))
	runUntil(t, p, "the plugin at the server", func() bool { return server.hasActive(fec.name) })
	client.Flush()
	runUntil(t, p, "a ticket", func() bool {
		_, ok := p.Client.Config.TLS.ClientSessionCache.Get(Name)
		return ok
	})
	conn, err := core.NewClient(p.Clock.Now(), &p.Client.Config, p.Client.Addr.Addr(), p.Server.Addr)
	must(err)
	if conn.Early() != core.EarlyNone {
		t.Errorf("0-RTT is %v, want none", conn.Early())
	}
}
