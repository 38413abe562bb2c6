package core

import (
	"net/netip"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxNewPaths bounds the paths that a peer may begin within one probe timeout:
	// each costs a recovery state, and its packets need no proof of anything.
	// limit: RFC 9000 §9.3.1, addresses that hop.
	maxNewPaths = 8
)

// arrival is the datagram that is being received.
type arrival struct {
	path       *path // nil = none that is known
	socket     int
	local      netip.Addr
	remote     netip.AddrPort
	size       int
	dcid       ConnID // of the packet at work
	spin       bool   // of the packet at work
	nonProbing bool   // it has a frame that moves the connection
}

// newPaths counts the paths that the peer began.
type newPaths struct {
	count int
	since hook.Instant
}

// isProbing reports whether a frame leaves the connection where it is
// (RFC 9000 §9.1).
func isProbing(t wire.FrameType) bool {
	switch t {
	case wire.FramePadding, wire.FramePathChallenge, wire.FramePathResponse, wire.FrameNewConnectionID:
		return true
	}
	return false
}

// arrive notes where a datagram came from, and reports whether it may be looked
// at.
func (c *Conn) arrive(d *Datagram) bool {
	p := c.findPath(d.Socket, d.Local, d.Remote)
	// RFC 9000 §9: no migration before the handshake is confirmed; and a client
	// discards packets from an address of the server that it does not use.
	if p == nil && (c.client || !c.confirmed) {
		return false
	}
	if c.arrival == nil {
		c.arrival = new(arrival)
	}
	*c.arrival = arrival{path: p, socket: d.Socket, local: d.Local, remote: d.Remote, size: len(d.Data)}
	if p != nil && p.capped() {
		p.received += uint64(len(d.Data))
		if p == c.path {
			c.det.SetAmplificationBlocked(false)
		}
	}
	return true
}

// admit returns the path of the datagram that is being received, making it if
// need be; nil if there is no room for another.
func (c *Conn) admit(now hook.Instant) *path {
	a := c.arrival
	if a.path != nil {
		return a.path
	}
	if now >= c.begun.since.Add(c.pto()) {
		c.begun = newPaths{since: now}
	}
	if c.begun.count >= maxNewPaths {
		return nil
	}
	c.begun.count++
	p := &path{socket: a.socket, local: a.local, remote: a.remote, limited: !c.client, received: uint64(a.size)}
	if !c.pickID(p) || !c.addPath(now, p) {
		return nil
	}
	if r := c.ids.find(p.dcid); r != nil {
		c.useRemote(r)
	}
	a.path = p
	return p
}

// pickID chooses the ID of the peer for a path that it began.
func (c *Conn) pickID(p *path) bool {
	p.dcid = c.path.dcid
	if len(c.ids.dcid()) == 0 {
		return true
	}
	// RFC 9000 §9.5: a peer that does not change the ID that it sends to did not
	// know of the new address; then our own may stay the same. If it did change
	// it, we must; unless it had to, because the ID is gone or shall go.
	rebound := c.arrival.dcid == c.path.scid || !c.ids.keeps(&c.path.scid)
	if rebound && p.sameHosts(c.path) {
		return true
	}
	spare := c.ids.spare()
	if spare == nil || len(c.ids.retiring) >= maxRetiring/2 {
		return rebound
	}
	p.dcid = spare.seq
	return true
}

// followPeer draws the conclusions from where a packet came from, once its
// frames are processed; newest says that none had a higher number.
func (c *Conn) followPeer(now hook.Instant, newest bool) {
	a := c.arrival
	if newest && a.path != nil {
		a.path.scid = a.dcid
		a.path.spin.received(a.spin, c.client)
	}
	switch {
	case c.client:
		return
	case a.path == c.path:
		if a.nonProbing && newest && len(c.paths) > 1 {
			c.want(nil)
		}
		return
	case a.nonProbing && newest:
		// RFC 9000 §9.2, §9.3: a non-probing packet with the highest number moves
		// the connection.
		if p := c.admit(now); p != nil {
			c.peerMoved(now, p)
		}
		return
	}
	// RFC 9000 §9.3: an address that changed is validated.
	if p := a.path; p != nil && !p.validated {
		c.startValidation(now, p)
	}
}

// peerMoved sends to the peer's new address from now on.
func (c *Conn) peerMoved(now hook.Instant, p *path) {
	// RFC 9000 §9.6.2: but to where the server would rather be reached only when
	// that path is validated, since whoever forwards packets can change where they go.
	if !p.validated && !c.prefers(c.path.local) && c.prefers(p.local) {
		c.want(p)
		c.startValidation(now, p)
		return
	}
	old := c.path
	c.setPath(now, p)
	c.events.push(Event{Kind: EventMoved, Socket: p.socket})
	if !p.validated {
		c.startValidation(now, p)
	} else {
		c.retirePaths(now)
	}
	// RFC 9000 §9.3.3: the old path is validated, too, so that a packet forwarded
	// by somebody else does not take the connection away.
	if old.validated {
		c.startValidation(now, old)
	}
}

// want lets the connection move to p when it is validated, and to no other path.
func (c *Conn) want(p *path) {
	for _, q := range c.paths {
		q.wanted = q == p
	}
}

// prefers reports whether a server would rather be reached at one of its
// addresses.
func (c *Conn) prefers(local netip.Addr) bool {
	return local.IsValid() && (local == c.cfg.PreferredV4.Addr() || local == c.cfg.PreferredV6.Addr())
}

// left reports whether the packet at work came to an address that a server left
// for its preferred one.
func (c *Conn) left() bool {
	a := c.arrival
	return a.path != c.path && a.local.IsValid() && c.prefers(c.path.local) && !c.prefers(a.local)
}

// Move asks for another path: from a socket of the driver, and one of its
// addresses, to remote, which is the peer's present one or its preferred one.
// It is validated first; then EventMoved tells that it is in use, or
// EventMoveFailed that the connection stays where it is.
func (c *Conn) Move(now Time, socket int, local netip.Addr, remote netip.AddrPort) error {
	t := c.at(now)
	switch {
	case c.closing.err != nil:
		return c.closing.err
	case !c.client:
		return ErrServerMoves
	case !c.confirmed:
		// RFC 9000 §9: not before the handshake is confirmed.
		return ErrMoveTooEarly
	case c.peer.DisableMigration && !c.isPreferred(remote):
		// RFC 9000 §18.2: not from another address, unless to the preferred one.
		return ErrMoveDisabled
	case c.moving():
		return ErrMoving
	}
	if remote != c.path.remote && !c.isPreferred(remote) || c.findPath(socket, local, remote) != nil {
		return ErrMoveNowhere
	}
	// RFC 9000 §9.5: an ID never serves on two paths, so that nobody sees that
	// they belong together; §5.1.1: without another one there is no migration.
	spare := c.ids.spare()
	if len(c.ids.dcid()) == 0 || spare == nil || len(c.ids.retiring) >= maxRetiring/2 {
		return ErrNoSpareID
	}
	p := &path{socket: socket, local: local, remote: remote, dcid: spare.seq, wanted: true}
	if !c.addPath(t, p) {
		return ErrMoving
	}
	c.useRemote(c.ids.find(p.dcid))
	c.startValidation(t, p)
	return nil
}

// isPreferred reports whether the server asked to be reached at remote
// (RFC 9000 §9.6).
func (c *Conn) isPreferred(remote netip.AddrPort) bool {
	a := c.peer.Preferred
	return a != nil && remote.IsValid() && (remote == a.V4 || remote == a.V6)
}

// CancelMove gives a Move up, if one is under way. The connection stays where
// it is; EventSocketIdle tells when the socket is free.
func (c *Conn) CancelMove(now Time) {
	for _, p := range c.paths {
		if p.wanted {
			c.dropPath(c.at(now), p)
			return
		}
	}
}

// moving reports whether a Move is under way.
func (c *Conn) moving() bool {
	for _, p := range c.paths {
		if p.wanted {
			return true
		}
	}
	return false
}

// PreferredAddress returns where the server would rather be reached; an address
// that is not valid is none (RFC 9000 §9.6).
func (c *Conn) PreferredAddress() (v4, v6 netip.AddrPort) {
	if a := c.peer.Preferred; a != nil {
		return a.V4, a.V6
	}
	return v4, v6
}

// Path returns the path in use: the driver's socket, its address if that is
// known, and the peer's.
func (c *Conn) Path() (socket int, local netip.Addr, remote netip.AddrPort) {
	return c.path.socket, c.path.local, c.path.remote
}

// Paths returns how many paths the connection keeps.
func (c *Conn) Paths() int { return len(c.paths) }
