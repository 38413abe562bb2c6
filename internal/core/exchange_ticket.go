package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxRemembered bounds what a session remembers of plugins, in bytes, since a client
// sends all of its ticket in its ClientHello. limit: what is agreed on; of more
// nothing is remembered.
const maxRemembered = 2 << 10

// deadline is when the ticket that waits for plugins is to be looked at again.
func (e *exchange) deadline() hook.Instant {
	if e == nil || e.ticket.settleBy.IsZero() {
		return 0
	}
	if e.ticket.keep == 0 {
		return e.ticket.settleBy
	}
	return e.ticket.sendBy
}

// ticketSent reports whether no ticket waits.
func (e *exchange) ticketSent() bool { return e == nil || e.ticket.settleBy.IsZero() }

// planTicket sends a server's ticket, or lets it wait until it is known which
// plugins go with it: those of which frames may travel in early data. TLS is
// being drained.
func (c *Conn) planTicket(now hook.Instant) {
	if !c.takesPart() || !c.cfg.Early {
		c.sendTicket(now, nil, c.cfg.Early)
		return
	}
	c.exch.ticket = ticketWait{settleBy: now.Add(ticketSettle), sendBy: now.Add(ticketDelay)}
	c.decideTicket(now)
}

// tryTicket sends the ticket that waits if its time has come, and lets TLS go.
func (c *Conn) tryTicket(now hook.Instant) {
	if c.exch.ticketSent() || c.closing.state != stateOpen || !c.decideTicket(now) {
		return
	}
	if err := c.drainTLS(now); err != nil {
		c.fail(now, err)
	}
}

// decideTicket reports whether it sent the ticket that waits. What goes with it
// the client is told first, and the ticket is sent when the client is known to
// know: so both remember the same.
func (c *Conn) decideTicket(now hook.Instant) bool {
	e, w := c.exch, &c.exch.ticket
	if w.keep != 0 {
		known := e.seq-uint64(len(e.out)) >= w.keep
		if !known && now < w.sendBy {
			return false
		}
		c.sendTicket(now, w.set, known && c.cfg.Early)
		*w = ticketWait{}
		return true
	}
	if now < w.settleBy && !c.settled() {
		return false
	}
	set, fits := e.agreed()
	if len(set) > 0 && fits && e.roomFor(1, maxControlSpan) == nil {
		c.keep(set)
		return false
	}
	c.sendTicket(now, nil, len(set) == 0 && c.cfg.Early)
	*w = ticketWait{}
	return true
}

// settled reports whether nothing is offered that is not agreed on or refused,
// and who announced offers has made some.
func (c *Conn) settled() bool {
	e := c.exch
	for _, p := range e.plugins {
		if !p.active() {
			return false
		}
	}
	ours, theirs := c.ownSide(), 1-c.ownSide()
	made := func(side int) bool { return e.nextLocal(side) > uint64(side) }
	return (made(ours) || !c.cfg.OfferPlugins || !e.peer.Accepts) && (made(theirs) || !e.peer.Offers || !c.cfg.AcceptPlugins)
}

// agreed lists the plugins that are active, and reports whether a session can
// remember them.
func (e *exchange) agreed() (set []hook.Offer, fits bool) {
	for _, p := range e.plugins {
		if p.active() {
			set = append(set, p.Offer)
		}
	}
	return set, len(appendOffers(nil, set)) <= maxRemembered
}

// keep tells the client what goes with the ticket.
func (c *Conn) keep(set []hook.Offer) {
	var locals []byte
	for i := range set {
		locals = wire.AppendPluginKeep(locals, set[i].Local)
	}
	c.exch.ticket.set = set
	c.sendControl(&wire.Frame{Type: wire.FramePluginKeep, Data: locals})
	c.exch.ticket.keep = c.exch.seq
}

// handleKeep learns at a client what the server binds into its next ticket.
func (c *Conn) handleKeep(f *controlIn) error {
	e := c.exch
	locals, err := wire.ParsePluginKeep(f.data, nil)
	switch {
	case !c.client:
		return pluginError(f.kind, "a client sent %v", f.kind)
	case err != nil:
		return pluginError(f.kind, "malformed %v", f.kind)
	}
	e.kept, e.lost = nil, false
	for _, local := range locals {
		p := e.find(local)
		switch {
		case !e.known(local):
			return pluginError(f.kind, "plugin %d was never offered", local)
		case p != nil && !p.active():
			return pluginError(f.kind, "plugin %d is not agreed on", local)
		case p == nil: // our DETACH and this frame crossed
			e.lost = true
		default:
			e.kept = append(e.kept, p.Offer)
		}
	}
	return nil
}

// appendOffers encodes what a session remembers.
func appendOffers(b []byte, set []hook.Offer) []byte {
	for i := range set {
		body := wire.AppendPluginOffer(nil, offerOnWire(&set[i]))
		b = wire.AppendVarint(wire.AppendVarint(b, set[i].Local), uint64(len(body)))
		b = append(b, body...)
	}
	return b
}

// parseOffers reads what appendOffers wrote.
func parseOffers(b []byte) (set []hook.Offer, ok bool) {
	for len(b) > 0 {
		local, n := wire.ConsumeVarint(b)
		if n < 0 {
			return nil, false
		}
		size, m := wire.ConsumeVarint(b[n:])
		if b = b[n:]; m < 0 || size > uint64(len(b)-m) || len(set) == 2*maxOffers {
			return nil, false
		}
		var o wire.PluginOffer
		if wire.ParsePluginOffer(b[m:m+int(size)], &o) != nil {
			return nil, false
		}
		set = append(set, offerFromWire(local, &o))
		b = b[m+int(size):]
	}
	return set, true
}
