package core

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// controlIn is a control frame that waits for an earlier one.
type controlIn struct {
	kind                     wire.FrameType
	seq, local, status, code uint64
	data                     []byte // bounded by one packet
}

// contentIn is the content of a plugin that comes from the peer.
type contentIn struct {
	buf     recvBuffer
	max     uint64 // what we let the peer send
	got     uint64 // bytes that the driver has
	sendMax bool   // max is to be sent
}

// takePluginFrame takes a frame of the exchange, or of a plugin. Where not both
// ends take part it is a frame that nobody knows.
func (c *Conn) takePluginFrame(now hook.Instant, f *wire.Frame, size int) error {
	switch {
	case f.Type.IsPlugin():
		c.exch.ignored++
		return nil
	case size > maxControlFrameTaken:
		return pluginError(f.Type, "control frame of %d bytes, we take %d", size, maxControlFrameTaken)
	case f.Type == wire.FramePluginData:
		return c.handlePluginData(f)
	case f.Type == wire.FramePluginMaxData:
		return c.handlePluginMax(f)
	}
	e := c.exch
	if f.Sequence < e.expect {
		return nil // again
	}
	if f.Sequence-e.expect >= maxControlSpan {
		return pluginError(f.Type, "control frame %d, and %d is missing", f.Sequence, e.expect)
	}
	in := controlIn{f.Type, f.Sequence, f.Local, f.Status, f.Code, f.Data}
	if f.Sequence > e.expect {
		if !slices.ContainsFunc(e.ahead, func(a controlIn) bool { return a.seq == in.seq }) {
			in.data = bytes.Clone(in.data)
			e.ahead = append(e.ahead, in)
		}
		return nil
	}
	return c.takeControl(now, in)
}

// takeControl processes the control frame that was due, and those that waited
// for it.
func (c *Conn) takeControl(now hook.Instant, in controlIn) error {
	for {
		e := c.exch
		e.expect++
		if err := c.handleControl(&in); err != nil {
			return err
		}
		i := slices.IndexFunc(e.ahead, func(a controlIn) bool { return a.seq == e.expect })
		if i < 0 || c.closing.state != stateOpen {
			c.tryTicket(now)
			return nil
		}
		in = e.ahead[i]
		e.ahead = slices.Delete(e.ahead, i, i+1)
	}
}

func (c *Conn) handleControl(f *controlIn) error {
	switch f.kind {
	case wire.FramePluginOffer:
		return c.handleOffer(f)
	case wire.FramePluginKeep:
		return c.handleKeep(f)
	}
	e := c.exch
	if !e.known(f.local) {
		return pluginError(f.kind, "plugin %d was never offered", f.local)
	}
	p := e.find(f.local)
	if f.kind == wire.FramePluginAnswer && sideOf(f.local) != c.ownSide() {
		return pluginError(f.kind, "plugin %d is the peer's own", f.local)
	}
	if p == nil {
		return nil // it is over
	}
	switch f.kind {
	case wire.FramePluginAnswer:
		return c.handleAnswer(p, f)
	case wire.FramePluginReady:
		return c.handleReady(p)
	case wire.FramePluginDetach:
		return c.handleDetach(p, f)
	}
	return c.handlePluginEvent(p, f)
}

// handleOffer takes the peer's offer of a plugin.
func (c *Conn) handleOffer(f *controlIn) error {
	var o wire.PluginOffer
	if err := wire.ParsePluginOffer(f.data, &o); err != nil {
		return pluginError(f.kind, "offer of plugin %d is malformed", f.local)
	}
	if wrong := c.wrongOffer(f.local, &o); wrong != "" {
		return pluginError(f.kind, "offer of plugin %d: %s", f.local, wrong)
	}
	p := &plugin{Offer: offerFromWire(f.local, &o)}
	c.exch.add(p)
	c.tellPlugin(PluginNews{Kind: PluginOffered, Local: p.Local, Offer: p.Offer})
	return nil
}

// offerFromWire copies an offer that was checked.
func offerFromWire(local uint64, o *wire.PluginOffer) hook.Offer {
	return hook.Offer{
		Local: local, Digest: o.Digest, ID: string(o.ID), Version: string(o.Version), Size: int(o.Size), Packed: int(o.Packed),
		Mode: hook.Mode(o.Mode), Frames: int(o.Frames), TypeBase: o.TypeBase, Config: bytes.Clone(o.Config),
	}
}

// wrongOffer says what the peer must not offer.
func (c *Conn) wrongOffer(local uint64, o *wire.PluginOffer) string {
	e, side := c.exch, 1-c.ownSide()
	switch {
	case !c.cfg.AcceptPlugins:
		return "we said that we take none"
	case sideOf(local) != side:
		return "the number is one of ours"
	case e.known(local):
		return "the number was used before"
	case local >= maxLocal:
		return fmt.Sprintf("want a number below %d", maxLocal)
	case e.count(side) >= maxOffers:
		return fmt.Sprintf("it is one of more than %d at a time", maxOffers)
	case len(o.ID) == 0:
		return "it has no name"
	case o.Mode > uint64(hook.Required):
		return fmt.Sprintf("its mode is %d, want 0 to %d", o.Mode, hook.Required)
	case o.Size > maxPackage || o.Packed > maxPackage:
		return fmt.Sprintf("it has %d bytes, packed %d, want at most %d", o.Size, o.Packed, maxPackage)
	}
	return c.wrongTypes(side, o)
}

// wrongTypes says what is wrong with the frame types of an offer.
func (c *Conn) wrongTypes(side int, o *wire.PluginOffer) string {
	first, end := uint64(wire.FramePlugin), uint64(wire.ServerPluginFrames)
	if side == 1 {
		first, end = end, end+end-first
	}
	switch {
	case o.Frames == 0 && o.TypeBase == 0:
		return ""
	case o.Frames == 0 || o.Frames > hook.MaxFrames || o.Mode == uint64(hook.Local):
		return fmt.Sprintf("it has %d types of frames from %#x in mode %v, want at most %d, and none in mode %v", o.Frames, o.TypeBase, hook.Mode(o.Mode), hook.MaxFrames, hook.Local)
	case o.TypeBase < first || o.TypeBase+o.Frames > end:
		return fmt.Sprintf("its types of frames begin at %#x, want %#x to %#x", o.TypeBase, first, end-o.Frames)
	}
	for _, p := range c.exch.plugins {
		if o.TypeBase < p.TypeBase+uint64(p.Frames) && p.TypeBase < o.TypeBase+o.Frames {
			return fmt.Sprintf("its types of frames are also those of plugin %d", p.Local)
		}
	}
	return ""
}

// handleAnswer takes the peer's answer to an offer of ours.
func (c *Conn) handleAnswer(p *plugin, f *controlIn) error {
	a := hook.Answer{Status: hook.AnswerStatus(f.status), Code: f.code, Reason: string(f.data)}
	switch {
	case f.status > uint64(hook.AnswerRefused):
		return pluginError(f.kind, "answer %d to plugin %d is none", f.status, f.local)
	case p.gotReady || p.answered && a.Status != hook.AnswerRefused:
		return pluginError(f.kind, "plugin %d was answered before", f.local)
	case a.Status == hook.AnswerNeed && p.Packed == 0:
		return pluginError(f.kind, "plugin %d is needed, and was offered without content", f.local)
	}
	c.tellPlugin(PluginNews{Kind: PluginAnswered, Local: p.Local, Offer: p.Offer, Answer: a})
	if a.Status != hook.AnswerRefused {
		p.answered, p.need = true, a.Status == hook.AnswerNeed
		return nil
	}
	return c.lose(p, "peer refused", a.Reason)
}

// lose ends a plugin that the peer refused or detached. A connection that
// requires it ends with it.
func (c *Conn) lose(p *plugin, what, reason string) error {
	c.forget(p, hook.DetachPeer)
	if p.ours && p.Mode == hook.Required {
		return pluginError(0, "%s plugin %s %s, which is required: %s", what, p.ID, p.Version, reason)
	}
	return nil
}

// handleReady learns that the peer runs a plugin.
func (c *Conn) handleReady(p *plugin) error {
	switch {
	case p.gotReady:
		return pluginError(wire.FramePluginReady, "plugin %d is ready twice", p.Local)
	case !p.answered:
		return pluginError(wire.FramePluginReady, "plugin %d is ready before it was answered", p.Local)
	case !p.ours && p.Mode == hook.Local:
		return pluginError(wire.FramePluginReady, "plugin %d is local, and does not run at the end that offers it", p.Local)
	}
	p.gotReady = true
	p.content = contentOut{} // it needs no more of it
	c.activated(p)
	return nil
}

// handleDetach learns that the peer has ended a plugin, or withdrawn an offer.
func (c *Conn) handleDetach(p *plugin, f *controlIn) error {
	c.tellPlugin(PluginNews{Kind: PluginDetached, Local: p.Local, Offer: p.Offer, Why: hook.DetachPeer, Code: f.code, Reason: string(f.data)})
	return c.lose(p, "peer detached", string(f.data))
}

// handlePluginEvent takes a message of the peer's half of a plugin.
func (c *Conn) handlePluginEvent(p *plugin, f *controlIn) error {
	if !p.sentReady && !p.active() {
		return pluginError(f.kind, "message for plugin %d, which is not ready", p.Local)
	}
	if !c.takeExtensionEvent(p.Local, f.data) {
		c.tellPlugin(PluginNews{Kind: PluginEvent, Local: p.Local, Data: bytes.Clone(f.data)})
	}
	return nil
}

// handlePluginMax lets us send more of a plugin's content.
func (c *Conn) handlePluginMax(f *wire.Frame) error {
	e := c.exch
	if !e.known(f.Local) || sideOf(f.Local) != c.ownSide() {
		return pluginError(f.Type, "plugin %d was never offered", f.Local)
	}
	p := e.find(f.Local)
	switch {
	case p == nil || p.gotReady:
		return nil
	case f.Limit > uint64(p.Packed):
		return pluginError(f.Type, "limit of plugin %d is %d, it has %d bytes", f.Local, f.Limit, p.Packed)
	}
	p.content.max = max(p.content.max, f.Limit)
	return nil
}

// handlePluginData takes a part of a plugin's content.
func (c *Conn) handlePluginData(f *wire.Frame) error {
	e := c.exch
	if !e.known(f.Local) || sideOf(f.Local) == c.ownSide() {
		return pluginError(f.Type, "content of plugin %d, which was never offered", f.Local)
	}
	p, end := e.find(f.Local), f.Offset+uint64(len(f.Data))
	switch {
	case p == nil:
		return nil // it is over
	case !p.need:
		return pluginError(f.Type, "content of plugin %d, which nobody asked for", f.Local)
	case end > uint64(p.Packed):
		return pluginError(f.Type, "content of plugin %d reaches %d, it has %d bytes", f.Local, end, p.Packed)
	case f.Fin != (end == uint64(p.Packed)):
		return pluginError(f.Type, "content of plugin %d: end is %v at %d of %d bytes", f.Local, f.Fin, end, p.Packed)
	case end > p.in.max:
		return pluginError(f.Type, "content of plugin %d reaches %d, we allowed %d", f.Local, end, p.in.max)
	case p.sentReady:
		return nil // it came from elsewhere meanwhile
	case !p.in.buf.add(&c.pool, f.Offset, f.Data):
		return pluginError(f.Type, "content of plugin %d lies in more than %d pieces", f.Local, maxGaps)
	}
	c.handContent(p)
	return nil
}

// handContent gives the driver what came in order, and the peer credit for it.
func (c *Conn) handContent(p *plugin) {
	in, total := &p.in, uint64(p.Packed)
	for {
		data := in.buf.peek()
		if data == nil {
			break
		}
		in.got += uint64(len(data))
		c.tellPlugin(PluginNews{Kind: PluginContent, Local: p.Local, Data: bytes.Clone(data), Last: in.got == total})
		in.buf.consume(&c.pool, uint64(len(data)))
	}
	if in.max < total && in.max-in.got <= pluginCredit/2 {
		in.max, in.sendMax = min(total, in.got+pluginCredit), true
		c.control |= ctlExchange
	}
}
