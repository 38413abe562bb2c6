package quic

import (
	"fmt"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
)

// Extensions decides what extends connections: code of the program itself, and plugins that the ends of a connection exchange over it
// (docs/plugin-exchange.md). Package plugin has one. Its methods are called by several connections at once.
type Extensions interface {
	// Exchange says whether the peers' offers of plugins are considered, and whether this end makes some soon after the handshake. If neither, the
	// connection takes no part in the exchange, and the peer sees no trace of it.
	Exchange() (accept, offer bool)
	// Extend is called for each connection, before anything is sent or processed on it; until it returns, c must not be used. What it returns is
	// attached at once, and e, unless it is nil, learns what becomes of it. An error fails Dial; a server's connection goes on without
	// extensions, and Config.Logger is told.
	Extend(c *Conn) (attach []Attachment, e Extender, err error)
}

// An Attachment is an extension and its settings.
type Attachment struct {
	Extension hook.Extension
	Config    []byte // as the extension expects it; nil = none
}

// An Extender follows one connection for an Extensions.
type Extender interface {
	// Resume returns what runs the plugins that an earlier connection to this peer agreed on, in their order, or false if not all of them are at hand:
	// then there is no early data, and they are offered anew. It is called in the middle of the handshake, under the connection's lock: it must not call
	// the connection, and not take long.
	Resume(offers []hook.Offer) ([]hook.Extension, bool)
	// News tells what happened, in order and one at a time, without a lock. It may call the connection. While it runs datagrams of the connection,
	// and of others that share its socket, may have to wait: what takes long belongs in a goroutine. n is valid during the call, but for Content.
	News(n *ExtensionNews)
}

// ExtensionNewsKind is what an ExtensionNews tells.
type ExtensionNewsKind uint8

// The news for an Extender, and which fields tell more.
const (
	ExtensionPeer     ExtensionNewsKind = iota // the handshake is complete: Speaks, Accepts
	ExtensionOffered                           // the peer offers a plugin: Offer; AnswerOffer is due
	ExtensionAnswered                          // the peer answers our offer Local: Answer; unless it refuses, ReadyOffer is due, and ProvideOffer if it needs the content
	ExtensionContent                           // the content of Local arrived, whole: Content
	ExtensionActive                            // both ends run Offer; Resumed if since an earlier connection
	ExtensionOver                              // the exchange of the plugin Local is over: Why, Reason
	ExtensionMessage                           // the peer's half of Local says Content, and no extension here takes it; some are dropped while News takes long
	ExtensionEmitted                           // the extension ID emitted Event: Content; some are dropped while News takes long
	ExtensionDetached                          // the extension ID is detached: Why, Err
	ExtensionClosed                            // the connection ended: Err; nothing comes after it
)

// ExtensionNews is one piece of news for an Extender.
type ExtensionNews struct {
	Kind            ExtensionNewsKind
	Local           uint64 // number of a plugin on this connection
	ID              string
	Speaks, Accepts bool // the peer takes part in the exchange; it considers offers
	Offer           hook.Offer
	Answer          hook.Answer
	Resumed         bool
	Content         []byte // the receiver's to keep
	Event           uint32
	Why             hook.DetachReason
	Reason          string // of the peer
	Err             error
}

// An AttachError says why an extension was not attached: which of its declarations is wrong, and what is wanted.
type AttachError = core.AttachError

// Why something about extensions and plugins is refused. The last word of a connection that has ended is that reason.
var (
	ErrNoExtension    = core.ErrNoExtension   // no extension of that ID is attached
	ErrNotCallable    = core.ErrNotCallable   // it takes no calls
	ErrExtensionBusy  = core.ErrExtensionBusy // it is in a call
	ErrNoExchange     = core.ErrNoExchange    // the peer takes no part in the exchange of plugins
	ErrOffersRefused  = core.ErrNoOffers      // the peer considers no offers
	ErrOfferTooEarly  = core.ErrOfferEarly    // the handshake is not complete
	ErrTooManyOffers  = core.ErrOffers        // eight are under way or agreed on
	ErrExchangeBusy   = core.ErrExchangeBusy  // the peer acknowledges too slowly
	ErrNoPlugin       = core.ErrNoPlugin      // no plugin of that number is on this connection
	ErrPluginSequence = core.ErrPluginState   // the plugin is not in the state for this
)

// maxExtenderNews is how many news may wait for an Extender that takes its time when a message comes. limit: more messages, of the peer and of extensions
// here, are dropped; what belongs to the exchange is not, and is bounded by the offers of a connection.
const maxExtenderNews = 256

// extender is what a connection has to tell its Extender, which is never called under the connection's lock.
type extender struct {
	to      Extender
	list    []ExtensionNews   // limit: maxExtenderNews, of messages
	content map[uint64][]byte // of plugins that are arriving; bounded by what their offers announced and AnswerNeed agreed to
	busy    bool              // somebody is in News
	over    bool              // ExtensionClosed is in list, or was told
}

// extend asks conf what extends the connection, before its core exists, and prepares the core's configuration.
func (c *Conn) extend(conf *Config, cfg *core.Config) ([]Attachment, error) {
	if conf == nil || conf.Extensions == nil {
		return nil, nil
	}
	cfg.AcceptPlugins, cfg.OfferPlugins = conf.Extensions.Exchange()
	cfg.Plugins = cfg.AcceptPlugins || cfg.OfferPlugins
	list, e, err := conf.Extensions.Extend(c)
	if err != nil {
		cfg.Plugins, cfg.AcceptPlugins, cfg.OfferPlugins = false, false, false
		return nil, fmt.Errorf("quic: extend connection: %w", err)
	}
	if e != nil {
		c.extender = &extender{to: e}
		cfg.ResumeExtensions = e.Resume
	}
	return list, nil
}

// attachAll attaches what Extend returned to a connection that nobody else knows yet.
func (c *Conn) attachAll(now time.Time, list []Attachment) error {
	for _, a := range list {
		if err := c.core.Attach(now, a.Extension, core.AttachOptions{Local: core.NoLocal, Config: a.Config}); err != nil {
			return fmt.Errorf("quic: %w", err)
		}
	}
	return nil
}

// newsOf turns an event of the core into news. The caller holds c.mu.
func (c *Conn) newsOf(e *core.Event) {
	x := c.extender
	if x == nil || x.over {
		return
	}
	if n := e.Extension; n != nil {
		kind := ExtensionEmitted
		if n.Detached {
			kind = ExtensionDetached
		} else if len(x.list) >= maxExtenderNews {
			return
		}
		x.list = append(x.list, ExtensionNews{Kind: kind, ID: n.ID, Event: n.Event, Content: n.Payload, Why: n.Why, Err: n.Err})
		return
	}
	n := e.Plugin
	out := ExtensionNews{
		Local: n.Local, Speaks: n.Speaks, Accepts: n.Accepts, Offer: n.Offer, ID: n.Offer.ID, Answer: n.Answer, Resumed: n.Resumed,
		Content: n.Data, Why: n.Why, Reason: n.Reason,
	}
	switch n.Kind {
	case core.PluginPeer:
		out.Kind = ExtensionPeer
	case core.PluginOffered:
		out.Kind, out.Local = ExtensionOffered, n.Offer.Local
	case core.PluginAnswered:
		out.Kind = ExtensionAnswered
	case core.PluginContent:
		if out.Content = x.gather(n); !n.Last {
			return
		}
		out.Kind = ExtensionContent
	case core.PluginActive:
		out.Kind, out.Local = ExtensionActive, n.Offer.Local
	case core.PluginDetached:
		delete(x.content, n.Local)
		out.Kind = ExtensionOver
	case core.PluginEvent:
		if len(x.list) >= maxExtenderNews {
			return
		}
		out.Kind = ExtensionMessage
	}
	x.list = append(x.list, out)
}

// forgetContent gives up what has arrived of a plugin that is over here, or came from elsewhere. The caller holds c.mu.
func (c *Conn) forgetContent(local uint64, err error) error {
	if c.extender != nil && err == nil {
		delete(c.extender.content, local)
	}
	return err
}

// gather keeps a part of a plugin's content; with the last one it returns all.
func (x *extender) gather(n *core.PluginNews) []byte {
	if x.content == nil {
		x.content = make(map[uint64][]byte)
	}
	x.content[n.Local] = append(x.content[n.Local], n.Data...)
	if !n.Last {
		return nil
	}
	whole := x.content[n.Local]
	delete(x.content, n.Local)
	return whole
}

// extensionsOver tells that nothing comes any more. The caller holds c.mu.
func (c *Conn) extensionsOver(err error) {
	if x := c.extender; x != nil && !x.over {
		x.over, x.content = true, nil
		x.list = append(x.list, ExtensionNews{Kind: ExtensionClosed, Err: err})
	}
}

// takeExtender returns whom to tell news, nil if there are none, or somebody does it already. The caller holds c.mu.
func (c *Conn) takeExtender() *extender {
	x := c.extender
	if x == nil || x.busy || len(x.list) == 0 {
		return nil
	}
	x.busy = true
	return x
}

// tellExtender hands news out until there are none. x is what takeExtender returned; the caller does not hold c.mu.
func (c *Conn) tellExtender(x *extender) {
	if x == nil {
		return
	}
	c.mu.Lock()
	for len(x.list) > 0 {
		list := x.list
		x.list = nil
		c.mu.Unlock()
		for i := range list {
			x.to.News(&list[i])
		}
		c.mu.Lock()
	}
	x.busy = false
	c.mu.Unlock()
}

// command runs one command of the core, and sends what it leaves.
func (c *Conn) command(do func(now time.Time) error) error {
	c.mu.Lock()
	now := time.Now()
	err := do(now)
	c.flush(now)
	if err != nil {
		return publicError(err)
	}
	return nil
}

// Server reports whether this end accepted the connection. It may be called from Extensions.Extend on.
func (c *Conn) Server() bool { return c.listener != nil }

// Attach lets an extension take part in the connection from now on, at this end only; config is for its Attach. The peer is not asked: frames of
// an extension's own need an offer. The error is an *AttachError, which wants something of the extension, that of its Attach, or why the connection ended; nothing
// is attached then.
func (c *Conn) Attach(x hook.Extension, config []byte) error {
	return c.command(func(now time.Time) error {
		return c.core.Attach(now, x, core.AttachOptions{Local: core.NoLocal, Config: config})
	})
}

// Detach ends the extension with that ID, if it was agreed on with the peer at both ends. The connection goes on with its own behaviour. The error is
// ErrNoExtension.
func (c *Conn) Detach(id string) error {
	return c.command(func(now time.Time) error {
		if !c.core.Detach(now, id, hook.DetachAsked, nil) {
			return core.ErrNoExtension
		}
		return nil
	})
}

// CallExtension asks the extension with that ID for something, as it defines op, and returns its answer of at most hook.MaxCallBytes. The extension
// runs under the connection's lock. The error is ErrNoExtension, ErrNotCallable, ErrExtensionBusy, or the extension's.
func (c *Conn) CallExtension(id string, op uint32, in []byte) (out []byte, err error) {
	err = c.command(func(now time.Time) error {
		out, err = c.core.CallExtension(now, id, op, in)
		return err
	})
	return out, err
}

// OfferPlugin offers a plugin to the peer: all of o but Local and TypeBase, which it returns. ExtensionAnswered tells what the peer says. The error says what is
// wrong with o, or is ErrNoExchange, ErrOffersRefused, ErrOfferTooEarly, ErrTooManyOffers, ErrExchangeBusy, or why the connection ended.
func (c *Conn) OfferPlugin(o hook.Offer) (hook.Offer, error) {
	err := c.command(func(now time.Time) (err error) {
		o, err = c.core.Offer(now, o)
		return err
	})
	return o, err
}

// AnswerOffer answers an offer of the peer. After AnswerReady and AnswerNeed ReadyOffer must follow, or a refusal after all.
func (c *Conn) AnswerOffer(local uint64, a hook.Answer) error {
	return c.command(func(now time.Time) error { return c.forgetContent(local, c.core.Answer(now, local, a)) })
}

// ProvideOffer gives the content of a plugin that the peer needs: the Packed bytes of the offer, which must not change any more.
func (c *Conn) ProvideOffer(local uint64, content []byte) error {
	return c.command(func(now time.Time) error { return c.core.Provide(now, local, content) })
}

// ReadyOffer attaches what runs a plugin here, with the settings of the offer, and tells the peer that this end is ready; x nil attaches nothing. ExtensionActive tells
// when both are. The error is as of Attach.
func (c *Conn) ReadyOffer(local uint64, x hook.Extension) error {
	return c.command(func(now time.Time) error { return c.forgetContent(local, c.core.Ready(now, local, x)) })
}

// DetachOffer ends a plugin of the exchange at both ends, or takes an offer back; reason is for the people at the other end. A plugin that this end offered as
// hook.Required takes the connection with it if it failed.
func (c *Conn) DetachOffer(local uint64, why hook.DetachReason, reason string) error {
	return c.command(func(now time.Time) error { return c.forgetContent(local, c.core.DetachPlugin(now, local, why, reason)) })
}

// MessageOffer sends a message of at most hook.MaxEventBytes to the peer's half of a plugin, reliably and in order.
func (c *Conn) MessageOffer(local uint64, payload []byte) error {
	return c.command(func(now time.Time) error { return c.core.SendPluginEvent(now, local, payload) })
}
