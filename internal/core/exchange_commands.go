package core

import (
	"fmt"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// mayExchange says why no command about plugins can be obeyed now, or nil.
func (c *Conn) mayExchange(frames int) error {
	switch {
	case c.closing.err != nil:
		return c.closing.err
	case !c.takesPart():
		return ErrNoExchange
	}
	return c.exch.roomFor(frames, maxControlSpan)
}

// pluginOf finds a plugin for a command.
func (c *Conn) pluginOf(local uint64, frames int) (*plugin, error) {
	if err := c.mayExchange(frames); err != nil {
		return nil, err
	}
	if p := c.exch.find(local); p != nil {
		return p, nil
	}
	return nil, ErrNoPlugin
}

// Offer offers a plugin to the peer: all of o but Local and TypeBase, which the
// connection chooses and returns. o.Config must not change any more.
// PluginAnswered tells what the peer says. The error is ErrNoExchange,
// ErrNoOffers, ErrOfferEarly, ErrOffers, ErrExchangeBusy, what is wrong with o,
// or why the connection ended.
func (c *Conn) Offer(now Time, o hook.Offer) (hook.Offer, error) {
	if err := checkOffer(&o); err != nil {
		return o, err
	}
	if c.exch != nil && !c.complete {
		return o, ErrOfferEarly
	}
	if err := c.mayExchange(1); err != nil {
		return o, err
	}
	e, side := c.exch, c.ownSide()
	switch {
	case !e.peer.Accepts:
		return o, ErrNoOffers
	case e.count(side) >= maxOffers || e.nextLocal(side) >= maxLocal:
		return o, ErrOffers
	}
	o.Local, o.TypeBase = e.nextLocal(side), 0
	if o.Frames > 0 {
		o.TypeBase = c.freeTypes()
	}
	c.at(now)
	e.add(&plugin{Offer: o, ours: true, content: contentOut{max: min(pluginCredit, uint64(o.Packed))}})
	c.sendControl(&wire.Frame{Type: wire.FramePluginOffer, Local: o.Local, Data: wire.AppendPluginOffer(nil, offerOnWire(&o))})
	return o, nil
}

func (e *exchange) nextLocal(side int) uint64 { return max(e.next[side], uint64(side)) }

func offerOnWire(o *hook.Offer) *wire.PluginOffer {
	return &wire.PluginOffer{
		Digest: o.Digest, ID: []byte(o.ID), Version: []byte(o.Version), Size: uint64(o.Size), Packed: uint64(o.Packed),
		Mode: uint64(o.Mode), Frames: uint64(o.Frames), TypeBase: o.TypeBase, Config: o.Config,
	}
}

// checkOffer says which field of an offer of ours no peer would take.
func checkOffer(o *hook.Offer) error {
	for _, f := range []struct {
		name           string
		got, min, most int
	}{
		{"ID has %d bytes", len(o.ID), 1, wire.MaxPluginID},
		{"Version has %d bytes", len(o.Version), 0, wire.MaxPluginVersion},
		{"Config has %d bytes", len(o.Config), 0, wire.MaxPluginConfig},
		{"Size is %d bytes", o.Size, 0, maxPackage},
		{"Packed is %d bytes", o.Packed, 0, maxPackage},
		{"Mode is %d", int(o.Mode), 0, int(hook.Required)},
		{"Frames is %d", o.Frames, 0, hook.MaxFrames},
	} {
		if f.got < f.min || f.got > f.most {
			return fmt.Errorf("offer of plugin %q: "+f.name+", want %d to %d", o.ID, f.got, f.min, f.most)
		}
	}
	if o.Mode == hook.Local && o.Frames > 0 {
		return fmt.Errorf("offer of plugin %q: mode %v, and %d frames, want none", o.ID, o.Mode, o.Frames)
	}
	return nil
}

// Answer answers the peer's offer: AnswerReady or AnswerNeed, upon which Ready
// follows, or AnswerRefused, which may also come after these and ends the
// plugin. Of the reason wire.MaxPluginReason bytes are sent.
func (c *Conn) Answer(now Time, local uint64, a hook.Answer) error {
	p, err := c.pluginOf(local, 1)
	switch {
	case err != nil:
		return err
	case p.ours || p.sentReady || p.answered && a.Status != hook.AnswerRefused || a.Status > hook.AnswerRefused,
		a.Status == hook.AnswerNeed && p.Packed == 0:
		return ErrPluginState
	}
	c.sendControl(&wire.Frame{Type: wire.FramePluginAnswer, Local: local, Status: uint64(a.Status), Code: min(a.Code, wire.MaxVarint), Data: reasonBytes(a.Reason)})
	switch a.Status {
	case hook.AnswerRefused:
		c.forget(p, hook.DetachAsked)
	case hook.AnswerNeed:
		p.answered, p.need = true, true
		p.in.max = min(pluginCredit, uint64(p.Packed))
	default:
		p.answered = true
	}
	c.tryTicket(c.at(now))
	return nil
}

// Provide gives the content of a plugin that the peer needs, Packed bytes, which
// are not copied and must not change any more.
func (c *Conn) Provide(now Time, local uint64, content []byte) error {
	p, err := c.pluginOf(local, 0)
	switch {
	case err != nil:
		return err
	case !p.ours || !p.need || p.content.data != nil || p.content.next > 0:
		return ErrPluginState
	case len(content) != p.Packed:
		return fmt.Errorf("content of plugin %s has %d bytes, %d were offered", p.ID, len(content), p.Packed)
	}
	if !p.gotReady {
		p.content.data = content
	}
	return nil
}

// DetachPlugin ends a plugin of the exchange, or withdraws an offer, and tells the
// peer why. If this end offered the plugin as required, and why is DetachFault,
// the connection ends.
func (c *Conn) DetachPlugin(now Time, local uint64, why hook.DetachReason, reason string) error {
	p, err := c.pluginOf(local, 0)
	if err != nil {
		return err
	}
	t := c.at(now)
	c.detach(p, why, reason)
	c.tryTicket(t)
	return nil
}

// SendPluginEvent sends a message to the peer's half of a plugin, reliably and
// in order, of at most wire.MaxPluginEvent bytes.
func (c *Conn) SendPluginEvent(now Time, local uint64, payload []byte) error {
	p, err := c.pluginOf(local, 0)
	switch {
	case err != nil:
		return err
	case len(payload) > wire.MaxPluginEvent:
		return hook.ErrRange
	case !p.gotReady && !p.active():
		return hook.ErrInactive
	}
	c.at(now)
	return c.sendPluginEvent(local, payload)
}

func (c *Conn) sendPluginEvent(local uint64, payload []byte) error {
	if c.exch == nil {
		return hook.ErrInactive
	}
	if err := c.exch.roomFor(1, maxEventSpan); err != nil {
		return err
	}
	c.sendControl(&wire.Frame{Type: wire.FramePluginEvent, Local: local, Data: payload})
	return nil
}

func reasonBytes(reason string) []byte {
	return []byte(reason[:min(len(reason), wire.MaxPluginReason)])
}
