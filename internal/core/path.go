package core

import (
	"net/netip"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxPaths bounds the paths that a connection keeps: the one in use, the last
	// one that was proved, and one or two under proof. limit: RFC 9000 §9.3.1.
	maxPaths = 4
	// maxPathResponses bounds the challenges that wait for their answer; newer
	// ones replace older ones. limit: CVE-2023-49295 and its kin.
	maxPathResponses = 4
)

// path is one network path: a socket of ours, both addresses, and all that is
// known of the way between them.
type path struct {
	socket     int        // of the driver
	local      netip.Addr // invalid = whatever the socket takes
	remote     netip.AddrPort
	rec        *recovery.Path // paths that differ in the peer's port alone share one
	dcid       uint64         // sequence number of the peer's ID that we send to
	scid       ConnID         // our ID that the peer sends to; empty = nothing came yet
	validated  bool           // packets reach the peer here, and come from it
	limited    bool           // at most three times what came may be sent until then
	received   uint64         // bytes of UDP payload until validation
	sent       uint64
	responses  [][8]byte // limit: maxPathResponses
	validation validation
	spin       spin
	wanted     bool         // by us: the connection moves here when it is validated
	migrating  bool         // the log awaits what becomes of the move here
	tuple      string       // its name in the log; "" = the first path
	until      hook.Instant // it is forgotten then unless it is in use; 0 = no such plan
}

// capped reports whether the peer's address is not proved yet.
func (p *path) capped() bool { return p.limited && !p.validated }

// allowance is how many bytes may still be sent to an address that is not
// validated (RFC 9000 §8.1: at most three times what came from it).
func (p *path) allowance() int {
	if !p.capped() {
		return maxDatagram
	}
	limit := 3 * p.received
	if p.sent >= limit {
		return 0
	}
	return int(min(limit-p.sent, maxDatagram))
}

// is reports whether a datagram travels on p. An address that one of both does
// not know tells nothing.
func (p *path) is(socket int, local netip.Addr, remote netip.AddrPort) bool {
	return p.remote == remote && p.socket == socket && (p.local == local || !p.local.IsValid() || !local.IsValid())
}

// sameHosts reports whether p and q differ in ports at most.
func (p *path) sameHosts(q *path) bool {
	return p.remote.Addr() == q.remote.Addr() && p.local == q.local && p.local.IsValid()
}

// SavedPath returns the peer's address on the path in use, and what a later
// connection to it may begin with, false if nothing is worth it.
func (c *Conn) SavedPath() (remote netip.Addr, saved hook.SavedPath, ok bool) {
	saved, ok = c.path.rec.Saved()
	return c.path.remote.Addr(), saved, ok
}

// newRecovery returns what a path without history knows of its network.
func (c *Conn) newRecovery(id uint8) *recovery.Path {
	rec := recovery.NewPath(recovery.PathConfig{
		ID:         id,
		Congestion: c.cfg.Congestion(wire.MinInitialDatagram),
		NoECN:      c.cfg.NoECN,
		L4S:        c.cfg.L4S,
		MTU:        recovery.MTUConfig{Max: mtuMax(c.cfg.MaxMTU)},
	})
	rec.MTU.SetLimit(int(min(c.peer.MaxUDPPayload, maxDatagram)))
	return rec
}

// findPath returns the path that a datagram travels on, or nil.
func (c *Conn) findPath(socket int, local netip.Addr, remote netip.AddrPort) *path {
	if c.path.is(socket, local, remote) {
		return c.path
	}
	for _, p := range c.paths {
		if p.is(socket, local, remote) {
			return p
		}
	}
	return nil
}

// addPath keeps a path that has its addresses. It makes room by forgetting the
// one that matters least, and reports false if all of them matter.
func (c *Conn) addPath(now hook.Instant, p *path) bool {
	if len(c.paths) >= maxPaths {
		old := c.leastPath()
		if old == nil {
			return false
		}
		c.dropPath(now, old)
	}
	// RFC 9000 §9.4: congestion control and round-trip time start afresh unless
	// only the peer's port is new.
	if p.sameHosts(c.path) {
		p.rec = c.path.rec
	} else {
		p.rec = c.newRecovery(c.freeRecovery())
		c.det.AddPath(p.rec)
		if c.ext != nil {
			c.ext.replaceCongestion(p.rec)
		}
	}
	p.spin = c.newSpin()
	c.paths = append(c.paths, p)
	c.logTuple(now, p)
	return true
}

// leastPath is the oldest path that is neither in use nor what the connection
// would fall back to, nor where it wants to go; nil if there is none.
func (c *Conn) leastPath() *path {
	keep := c.lastValidated()
	for _, p := range c.paths {
		if p != c.path && p != keep && !p.wanted {
			return p
		}
	}
	return nil
}

// lastValidated is the path other than the one in use that was proved last;
// nil if there is none.
func (c *Conn) lastValidated() *path {
	var last *path
	for _, p := range c.paths {
		if p != c.path && p.validated && (last == nil || p.validation.endedAt >= last.validation.endedAt) {
			last = p
		}
	}
	return last
}

// freeRecovery is a number that no path's recovery state has.
func (c *Conn) freeRecovery() uint8 {
	used := uint(0)
	for _, p := range c.paths {
		used |= 1 << p.rec.ID()
	}
	for id := range uint8(recovery.MaxPaths) {
		if used&(1<<id) == 0 {
			return id
		}
	}
	panic("BUG: core: more paths than recovery has room for")
}

// dropPath forgets a path that is not in use. Its ID of the peer goes with it
// (RFC 9000 §9.5: none serves on two paths), and its socket if it was the last.
func (c *Conn) dropPath(now hook.Instant, p *path) {
	for i := range c.paths {
		if c.paths[i] == p {
			c.paths = append(c.paths[:i], c.paths[i+1:]...)
			break
		}
	}
	lastID, lastSocket := true, true
	for _, q := range c.paths {
		lastID = lastID && q.dcid != p.dcid
		lastSocket = lastSocket && q.socket != p.socket
	}
	if lastID {
		c.abandonRemote(p.dcid)
	}
	if lastSocket {
		c.events.push(Event{Kind: EventSocketIdle, Socket: p.socket})
	}
}

// setPath sends on p from now on.
func (c *Conn) setPath(now hook.Instant, p *path) {
	if c.path == p {
		return
	}
	c.path.until, p.until, p.wanted = 0, 0, false
	c.path = p
	c.log.MigrationState(now, "migration_started", p.tuple)
	if p.migrating = !p.validated; !p.migrating {
		c.log.MigrationState(now, "migration_complete", p.tuple)
	}
	c.ids.promote(p.dcid)
	c.det.SetPath(p.rec)
	c.det.SetAmplificationBlocked(false)
	c.paced = 0
}

// validatePath lifts the amplification limit: the handshake proved the address.
func (c *Conn) validatePath() {
	if !c.path.validated {
		c.path.validated = true
		c.det.SetAmplificationBlocked(false)
	}
}
