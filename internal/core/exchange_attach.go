package core

import (
	"fmt"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// Ready says that this end runs a plugin: after its own AnswerReady or AnswerNeed
// to an offer of the peer, or when that is what the peer answered. x is attached,
// with the configuration of the offer; nil = there is nothing to attach. From now
// on its frames are taken; PluginActive tells when some may be sent. If x cannot be
// attached nothing changes, and the error is that of Attach.
func (c *Conn) Ready(now Time, local uint64, x hook.Extension) error {
	p, err := c.pluginOf(local, 1)
	switch {
	case err != nil:
		return err
	case !p.answered || p.sentReady || p.ours && p.Mode == hook.Local:
		return ErrPluginState
	}
	if err := c.attachPlugin(now, p, x); err != nil {
		return err
	}
	p.sentReady = true
	p.in.buf.drop(&c.pool)
	c.sendControl(&wire.Frame{Type: wire.FramePluginReady, Local: local})
	c.activated(p)
	c.tryTicket(c.clock)
	return nil
}

// attachPlugin attaches what runs a plugin at this end.
func (c *Conn) attachPlugin(now Time, p *plugin, x hook.Extension) error {
	if x == nil {
		return nil
	}
	if n := len(x.Info().Frames); n != p.Frames {
		return &AttachError{ID: x.Info().ID, Field: "frames", Want: fmt.Sprintf("%d of them, %d were offered", n, p.Frames)}
	}
	return c.Attach(now, x, AttachOptions{Local: p.Local, TypeBase: p.TypeBase, Dormant: !p.gotReady, Config: p.Config})
}

// activated begins what both ends are ready for.
func (c *Conn) activated(p *plugin) {
	if p.active() {
		c.activateExtension(p.Local)
		c.tellPlugin(PluginNews{Kind: PluginActive, Local: p.Local, Offer: p.Offer, Resumed: p.resumed})
	}
}

// forget ends a plugin, and what runs it here: all that comes of it from now on is
// late, and ignored.
func (c *Conn) forget(p *plugin, why hook.DetachReason) {
	p.in.buf.drop(&c.pool)
	c.exch.remove(p)
	if a := c.extensionByLocal(p.Local); a != nil {
		a.end(why, nil)
	}
}

// extensionEnded tells the peer that what runs a plugin here is over.
func (c *Conn) extensionEnded(local uint64, why hook.DetachReason, cause error) {
	if c.exch == nil || c.closing.err != nil {
		return
	}
	if p := c.exch.find(local); p != nil {
		reason := ""
		if cause != nil {
			reason = cause.Error()
		}
		c.detach(p, why, reason)
	}
}

// detach ends a plugin and tells the peer, as soon as there is room for another
// control frame.
func (c *Conn) detach(p *plugin, why hook.DetachReason, reason string) {
	p.ending, p.why, p.reason = true, why, reason
	c.sendDetaches()
	if a := c.extensionByLocal(p.Local); a != nil {
		a.end(why, nil)
	}
	if p.ours && p.Mode == hook.Required && why == hook.DetachFault {
		c.fail(c.clock, pluginError(0, "plugin %s %s failed, which is required: %s", p.ID, p.Version, reason))
	}
}

// sendDetaches queues the PLUGIN_DETACH frames that are due, as far as there is room.
func (c *Conn) sendDetaches() {
	for i := 0; i < len(c.exch.plugins); {
		p := c.exch.plugins[i]
		if !p.ending {
			i++
			continue
		}
		if c.exch.roomFor(1, maxControlSpan) != nil {
			return
		}
		c.sendControl(&wire.Frame{Type: wire.FramePluginDetach, Local: p.Local, Code: uint64(p.why), Data: reasonBytes(p.reason)})
		p.in.buf.drop(&c.pool)
		c.exch.remove(p)
	}
}

// runsHere reports whether this end runs a plugin that was offered.
func (c *Conn) runsHere(o *hook.Offer) bool {
	return o.Mode != hook.Local || sideOf(o.Local) != c.ownSide()
}

// resumePlugins takes up again what an earlier connection agreed on, for early
// data. It reports false, and changes nothing, if this end cannot.
func (c *Conn) resumePlugins(now hook.Instant, set []hook.Offer) bool {
	if len(set) == 0 {
		return true
	}
	if c.exch == nil || c.cfg.ResumeExtensions == nil || !c.client && !c.takesPart() {
		return false
	}
	c.dropResumed() // of another attempt
	var run []hook.Offer
	for i := range set {
		if c.runsHere(&set[i]) {
			run = append(run, set[i])
		}
	}
	var list []hook.Extension
	if len(run) > 0 {
		var ok bool
		if list, ok = c.cfg.ResumeExtensions(run); !ok || len(list) != len(run) {
			return false
		}
	}
	for _, o := range set {
		p := &plugin{Offer: o, ours: sideOf(o.Local) == c.ownSide(), answered: true, resumed: true}
		p.sentReady, p.gotReady = c.runsHere(&o), o.Mode != hook.Local || !c.runsHere(&o)
		var x hook.Extension
		if p.sentReady {
			x, list = list[0], list[1:]
		}
		c.exch.add(p)
		if c.attachPlugin(c.when(now), p, x) != nil {
			c.dropResumed()
			return false
		}
	}
	return true
}

// tellResumed begins what was taken up again: there is early data.
func (c *Conn) tellResumed() {
	if c.exch == nil {
		return
	}
	c.exch.told = true
	c.exch.taken = !c.client // whatever becomes of the packets, the client hears that
	for _, p := range c.exch.plugins {
		c.activated(p)
	}
}

// dropResumed ends what was taken up again for early data that is not sent, or not
// taken: everything is exchanged anew. What is over already counts too: the peer
// never heard of its number.
func (c *Conn) dropResumed() {
	e := c.exch
	if e == nil || e.taken {
		return
	}
	for _, p := range append([]*plugin(nil), e.plugins...) {
		c.forget(p, hook.DetachRejected)
		if e.told {
			c.tellPlugin(PluginNews{Kind: PluginDetached, Local: p.Local, Offer: p.Offer, Why: hook.DetachRejected})
		}
	}
	*e = exchange{peer: e.peer, next: [2]uint64{0, 1}, ignored: e.ignored}
	c.control &^= ctlExchange
}
