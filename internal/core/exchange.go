package core

import (
	"errors"
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxOffers bounds the plugins that each side offers and that are not over.
	// limit: PLUGIN_OFFER frames.
	maxOffers = 8
	// maxLocal bounds the numbers of plugins, and so how many a connection ever
	// sees. limit: offers that are refused and made again.
	maxLocal = 512
	// maxControlSpan bounds the control frames from the first that is missing, or
	// not acknowledged, to the last. limit: frames that wait for an earlier one,
	// and those that a peer never acknowledges.
	maxControlSpan = 64
	// maxEventSpan is the part of maxControlSpan that PLUGIN_EVENT frames may
	// fill. limit: messages of plugins that a peer does not acknowledge.
	maxEventSpan = 32
	// pluginCredit is how many bytes of a plugin's content may be under way before
	// the receiver has taken them. limit: PLUGIN_DATA frames that come out of order.
	pluginCredit = 64 << 10
	// maxPackage is the largest plugin that may be offered, in bytes; how much of
	// that is taken is up to the program.
	maxPackage = 1 << 30
	// maxControlFrameTaken is the largest control frame that we announce to take.
	maxControlFrameTaken = 16383
	// contentShare is after how many packets that streams fill one is left to the
	// content of plugins: it is not starved, and costs streams little.
	contentShare = 8
)

// The types of frames are handed out in slots, one to an offer.
const (
	slotSize  = hook.MaxFrames
	slotCount = int(wire.ServerPluginFrames-wire.FramePlugin) / slotSize
)

// Why a command about plugins is refused.
var (
	ErrNoExchange   = errors.New("the peer takes no part in the exchange of plugins")
	ErrNoOffers     = errors.New("the peer takes no offers of plugins")
	ErrOfferEarly   = errors.New("plugins are offered after the handshake")
	ErrOffers       = errors.New("too many plugins are offered already")
	ErrExchangeBusy = errors.New("the peer has not acknowledged earlier control frames yet")
	ErrNoPlugin     = errors.New("there is no such plugin on this connection")
	ErrPluginState  = errors.New("the plugin is not in the state for this")
)

// exchange is how plugins are offered, sent and agreed on over one connection
// (docs/plugin-exchange.md).
type exchange struct {
	peer    wire.PluginParams // announced, or remembered; Version 0 = not known yet, or no part
	plugins []*plugin         // those that are not over; limit: maxOffers, of each side
	next    [2]uint64         // the least number of the next offer of the client, of the server
	slot    int               // where the search for free frame types begins

	out    []controlOut // not acknowledged in order, oldest first; limit: maxControlSpan
	seq    uint64       // of the next one
	ahead  []controlIn  // frames that wait for an earlier one; limit: maxControlSpan
	expect uint64       // sequence number of the next frame

	told    bool   // the driver knows what was resumed
	taken   bool   // early data was taken, so that what was resumed stays
	passed  int    // packets without content although content waited
	ignored uint64 // frames of plugins that nobody here runs

	ticket ticketWait
	kept   []hook.Offer // client: what the server binds into its next ticket; limit: maxOffers, of each side
	lost   bool         // client: part of kept is over here already
}

// plugin is one that was offered, by either side, and is not over.
type plugin struct {
	hook.Offer
	ours      bool // this end offered it
	answered  bool // by AnswerReady or AnswerNeed
	need      bool // by AnswerNeed
	sentReady bool // this end runs it, and takes its frames
	gotReady  bool // the peer does
	resumed   bool // agreed on by an earlier connection
	ending    bool // it is over here, and PLUGIN_DETACH waits for room …
	why       hook.DetachReason
	reason    string // … with these

	content contentOut // if ours
	in      contentIn
}

// active reports whether both ends run the plugin, or the one that is to.
func (p *plugin) active() bool {
	if p.Mode == hook.Local {
		return p.sentReady || p.gotReady
	}
	return p.sentReady && p.gotReady
}

// sideOf returns who offers a plugin with this number: 0 the client, 1 the server.
func sideOf(local uint64) int { return int(local & 1) }

// ownSide is ours as sideOf counts.
func (c *Conn) ownSide() int {
	if c.client {
		return 0
	}
	return 1
}

// takesPart reports whether both ends announced that they exchange plugins.
func (c *Conn) takesPart() bool { return c.exch != nil && c.exch.peer.Version != 0 }

// find returns a plugin by its number, or nil.
func (e *exchange) find(local uint64) *plugin {
	for _, p := range e.plugins {
		if p.Local == local && !p.ending {
			return p
		}
	}
	return nil
}

// known reports whether a number was ever offered, though the plugin may be over.
func (e *exchange) known(local uint64) bool { return local < e.next[sideOf(local)] }

// count returns how many plugins one side has offered that are not over.
func (e *exchange) count(side int) (n int) {
	for _, p := range e.plugins {
		if sideOf(p.Local) == side {
			n++
		}
	}
	return n
}

// add keeps a new plugin.
func (e *exchange) add(p *plugin) {
	e.plugins = append(e.plugins, p)
	side := sideOf(p.Local)
	e.next[side] = max(e.next[side], p.Local+2)
}

func (e *exchange) remove(p *plugin) {
	e.plugins = slices.DeleteFunc(e.plugins, func(q *plugin) bool { return q == p })
}

// freeTypes finds types for the frames of an offer of ours. A slot that was
// given back last is taken last, so that late frames of its former plugin are
// not taken for those of the new one.
func (c *Conn) freeTypes() uint64 {
	e, base := c.exch, uint64(wire.FramePlugin)
	if !c.client {
		base = uint64(wire.ServerPluginFrames)
	}
	for range slotCount {
		first := base + uint64(e.slot*slotSize)
		e.slot = (e.slot + 1) % slotCount
		if !slices.ContainsFunc(e.plugins, func(p *plugin) bool { return p.Frames > 0 && p.TypeBase == first }) {
			return first
		}
	}
	panic("BUG: fewer slots of frame types than offers")
}

// PluginNewsKind is what a PluginNews tells.
type PluginNewsKind uint8

// The news about plugins.
const (
	PluginPeer     PluginNewsKind = iota // the handshake is complete; Speaks and Accepts tell of the peer
	PluginOffered                        // the peer offers Offer: Answer is due
	PluginAnswered                       // Answer is what the peer says to the offer Local; with AnswerNeed Provide is due, without a refusal Ready
	PluginContent                        // Data is the next part of the content of Local; Last says that it is the end
	PluginActive                         // Offer is agreed on, or was by an earlier connection if Resumed
	PluginDetached                       // the plugin Local is over: the peer, or a rejection of 0-RTT, ended it; Why, Code and Reason
	PluginEvent                          // Data is a message of the peer's half of Local that no extension takes
)

// PluginNews is one piece of news about a plugin.
type PluginNews struct {
	Kind            PluginNewsKind
	Local           uint64
	Speaks, Accepts bool
	Offer           hook.Offer
	Answer          hook.Answer
	Data            []byte
	Last, Resumed   bool
	Why             hook.DetachReason
	Code            uint64 // of the peer
	Reason          string // of the peer
}

func (c *Conn) tellPlugin(n PluginNews) { c.events.push(Event{Kind: EventPlugin, Plugin: &n}) }

// pluginParams is what we announce of the exchange.
func (cfg *Config) pluginParams() wire.PluginParams {
	if !cfg.Plugins {
		return wire.PluginParams{}
	}
	return wire.PluginParams{
		Version: wire.PluginVersion, MaxControl: maxControlFrameTaken, Accepts: cfg.AcceptPlugins, Offers: cfg.OfferPlugins,
	}
}

// startExchange tells the driver, when the handshake is complete, who takes part.
func (c *Conn) startExchange() {
	if c.exch == nil {
		return
	}
	p := c.exch.peer
	if p.Version == 0 {
		c.exch = nil
	}
	c.tellPlugin(PluginNews{Kind: PluginPeer, Speaks: p.Version != 0, Accepts: p.Accepts})
}

// pluginError is the error of a broken control frame.
func pluginError(t wire.FrameType, format string, args ...any) *LocalError {
	return violation(PluginError, t, format, args...)
}

// rest gives memory back that an idle connection does not need.
func (e *exchange) rest() {
	if len(e.out) == 0 {
		e.out = nil
	}
	if len(e.ahead) == 0 {
		e.ahead = nil
	}
	e.plugins = slices.Clip(e.plugins)
}

// ticketWait is what a server's ticket waits for: the plugins that go with it.
type ticketWait struct {
	settleBy hook.Instant // when those agreed on are all that go; 0 = there is no ticket to send
	sendBy   hook.Instant // when it is sent, whatever the client knows
	keep     uint64       // sequence number of the PLUGIN_KEEP, plus one; 0 = not sent yet
	set      []hook.Offer // what that named; limit: maxOffers, of each side
}

const (
	// ticketSettle is how long a server waits for what is offered to be agreed on,
	// and ticketDelay for the client to know what goes with its ticket. A ticket is
	// sent once (crypto/tls), so it pays to wait for a complete one.
	ticketSettle = 700 * time.Millisecond
	ticketDelay  = time.Second // limit: how long a client's silence delays its ticket
)
