package quictest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// trader is what a test's program does about plugins at one end.
type trader struct {
	*Peer
	t       *testing.T
	offers  []sample // to make once the handshake is complete
	has     []string // names of plugins that it need not be sent
	refuses []string // names of those that it does not want
	silent  bool     // it answers nothing
	runs    bool     // it attaches a half for each plugin

	speaks  bool
	made    []hook.Offer // as they were made
	news    []core.PluginNews
	content map[uint64][]byte
	active  map[uint64]hook.Offer
	offered map[uint64]hook.Offer
	halves  map[string]*half
}

// sample is a plugin of the tests.
type sample struct {
	name   string
	size   int
	mode   hook.Mode
	frames int
}

// code is its content.
func (s sample) code() []byte {
	b := make([]byte, s.size)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i>>8) ^ s.name[i%len(s.name)]
	}
	return b
}

func (s sample) offer() hook.Offer {
	return hook.Offer{
		Digest: sha256.Sum256(s.code()), ID: s.name, Version: "1.2.3", Size: 2 * s.size, Packed: s.size, Mode: s.mode, Frames: s.frames,
		Config: []byte("for " + s.name),
	}
}

// trading makes both ends take part in the exchange, before others change the configuration.
func trading(next func(side netsim.Side, cfg *core.Config)) func(side netsim.Side, cfg *core.Config) {
	return func(side netsim.Side, cfg *core.Config) {
		cfg.Plugins, cfg.AcceptPlugins = true, true
		if next != nil {
			next(side, cfg)
		}
	}
}

func newTrader(t *testing.T, offers ...sample) *trader {
	return &trader{t: t, offers: offers, content: map[uint64][]byte{}, active: map[uint64]hook.Offer{}, offered: map[uint64]hook.Offer{}, halves: map[string]*half{}}
}

// attend makes tr the program of a peer, beside what it does already.
func (tr *trader) attend(p *Peer) {
	tr.Peer = p
	inner := p.OnEvent
	p.OnEvent = func(e core.Event) {
		if inner != nil {
			inner(e)
		}
		if e.Kind == core.EventPlugin {
			tr.news = append(tr.news, *e.Plugin)
			tr.take(e.Plugin)
		}
	}
}

func (tr *trader) take(n *core.PluginNews) {
	now := tr.Now()
	if tr.silent {
		return
	}
	switch n.Kind {
	case core.PluginPeer:
		tr.speaks = n.Speaks
		if n.Accepts {
			tr.offerAll()
		}
	case core.PluginOffered:
		tr.offered[n.Local] = n.Offer
		tr.consider(n.Offer)
	case core.PluginAnswered:
		if n.Answer.Status == hook.AnswerNeed {
			s := tr.offers[slices.IndexFunc(tr.offers, func(s sample) bool { return s.name == n.Offer.ID })]
			tr.must(tr.Provide(now, n.Local, s.code()))
		}
		if n.Answer.Status != hook.AnswerRefused && n.Offer.Mode != hook.Local {
			tr.must(tr.Ready(now, n.Local, tr.half(n.Offer)))
		}
	case core.PluginContent:
		tr.content[n.Local] = append(tr.content[n.Local], n.Data...)
		if n.Last {
			tr.must(tr.Ready(now, n.Local, tr.half(tr.offered[n.Local])))
		}
	case core.PluginActive:
		tr.active[n.Local] = n.Offer
	case core.PluginDetached:
		delete(tr.active, n.Local)
	}
}

// half makes what runs a plugin at this end.
func (tr *trader) half(o hook.Offer) hook.Extension {
	if !tr.runs {
		return nil
	}
	h := newHalf(o)
	tr.halves[o.ID] = h
	return h
}

func (tr *trader) offerAll() {
	for _, s := range tr.offers {
		o, err := tr.Offer(tr.Now(), s.offer())
		tr.must(err)
		tr.made = append(tr.made, o)
	}
}

func (tr *trader) consider(o hook.Offer) {
	now := tr.Now()
	switch {
	case slices.Contains(tr.refuses, o.ID):
		tr.must(tr.Answer(now, o.Local, hook.Answer{Status: hook.AnswerRefused, Code: 7, Reason: "not " + o.ID}))
	case slices.Contains(tr.has, o.ID):
		tr.must(tr.Answer(now, o.Local, hook.Answer{Status: hook.AnswerReady}))
		tr.must(tr.Ready(now, o.Local, tr.half(o)))
	default:
		tr.must(tr.Answer(now, o.Local, hook.Answer{Status: hook.AnswerNeed}))
	}
}

func (tr *trader) must(err error) {
	tr.t.Helper()
	if err != nil && tr.Err() == nil {
		tr.t.Errorf("%v: %v", tr.End.Side, err)
	}
}

// told counts news of a kind.
func (tr *trader) told(k core.PluginNewsKind) (n int) {
	for i := range tr.news {
		if tr.news[i].Kind == k {
			n++
		}
	}
	return n
}

// hasActive reports whether the plugins with these names are agreed on, and no others.
func (tr *trader) hasActive(names ...string) bool {
	var have []string
	for _, o := range tr.active {
		have = append(have, o.ID)
	}
	slices.Sort(have)
	slices.Sort(names)
	return slices.Equal(have, names)
}

// trade connects a Pair whose ends are these traders.
func trade(t *testing.T, p *Pair, client, server *trader) {
	t.Helper()
	next := p.Server.OnConn
	p.Server.OnConn = func(peer *Peer) {
		if next != nil {
			next(peer)
		}
		server.attend(peer)
	}
	client.attend(p.Dial())
}

// wantContent checks that what was offered arrived as it was.
func wantContent(t *testing.T, to *trader, from *trader) {
	t.Helper()
	for local, got := range to.content {
		i := slices.IndexFunc(from.made, func(o hook.Offer) bool { return o.Local == local })
		if i < 0 || !bytes.Equal(got, from.offers[i].code()) {
			t.Errorf("content of plugin %d is %d bytes that are not those offered", local, len(got))
		}
		delete(to.content, local)
	}
}

func names(list []sample) (out []string) {
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}

func samples(n int, prefix string) (list []sample) {
	for i := range n {
		list = append(list, sample{name: fmt.Sprintf("org.example.%s%d", prefix, i), size: 3000 + 1000*i, mode: hook.Negotiated, frames: 1 + i%hook.MaxFrames})
	}
	return list
}

// initials opens the Initial packets of a connection: anybody can.
type initials struct {
	keys  [2]*crypt.Keys // of the client, of the server
	plain []byte
}

func (in *initials) tap(from netsim.Side, d []byte) []byte {
	var h wire.Header
	pkt := bytes.Clone(d)
	if !wire.IsLongHeader(pkt[0]) || !wire.ParseLong(pkt, &h) || h.Type != wire.PacketInitial {
		return d
	}
	if in.keys[0] == nil {
		in.keys[0], in.keys[1] = crypt.NewInitial(h.Version, h.DCID)
	}
	keys := in.keys[0]
	if from == netsim.Right {
		keys = in.keys[1]
	}
	if pn, n, ok := keys.Unprotect(pkt[:h.Length], h.PNOffset); ok {
		if plain, err := keys.Open(pkt[:h.Length], h.PNOffset+n, pn); err == nil {
			in.plain = append(in.plain, plain...)
		}
	}
	return d
}
