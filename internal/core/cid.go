package core

import (
	"bytes"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// LocalIDLen is the length of the connection IDs that Quiver chooses, in bytes.
	LocalIDLen = 8
	// maxLocalIDs bounds the IDs that we give the peer, whatever it would take.
	// limit: RFC 9000 §5.1.1.
	maxLocalIDs = 4
	// maxRemoteIDs is the active_connection_id_limit that we announce.
	// limit: RFC 9000 §5.1.1.
	maxRemoteIDs = 4
	// maxRetiring bounds the RETIRE_CONNECTION_ID frames that wait for their
	// acknowledgment. limit: RFC 9000 §5.1.2.
	maxRetiring = 2 * maxRemoteIDs
)

// localID is a connection ID that the peer may send to.
type localID struct {
	seq     uint64
	id      ConnID
	token   [16]byte // for a stateless reset
	send    bool     // NEW_CONNECTION_ID is to be sent
	initial bool     // a client's first destination ID: routes here, has no sequence number
}

// remoteID is a connection ID that we may send to.
type remoteID struct {
	seq      uint64
	id       ConnID
	token    [16]byte
	hasToken bool
	used     bool // by a path
}

// connIDs are both sides' connection IDs (RFC 9000 §5.1). remote[0] is that of
// the path in use.
type connIDs struct {
	local         []localID // limit: maxLocalIDs, twice that while they rotate
	nextLocal     uint64
	localPrior    uint64     // the retire_prior_to that we ask for
	remote        []remoteID // limit: maxRemoteIDs
	retirePriorTo uint64
	retiring      []retiring   // limit: maxRetiring
	peerLimit     uint64       // how many the peer keeps
	initialUntil  hook.Instant // when the client's first destination ID goes; 0 = no such plan
}

// retiring is a sequence number on its way to the peer in RETIRE_CONNECTION_ID.
type retiring struct {
	seq  uint64
	send bool
}

func (s *connIDs) dcid() []byte { return s.remote[0].id.Bytes() }

// of is the ID with a sequence number, which a path uses.
func (s *connIDs) of(seq uint64) []byte { return s.find(seq).id.Bytes() }

// firstLocal is the ID that the handshake packets carry as source.
func (s *connIDs) firstLocal() []byte {
	for i := range s.local {
		if !s.local[i].initial {
			return s.local[i].id.Bytes()
		}
	}
	return nil
}

// keeps reports whether the peer may go on sending to an ID.
func (s *connIDs) keeps(id *ConnID) bool {
	for i := range s.local {
		if l := &s.local[i]; l.id == *id {
			return l.initial || l.seq >= s.localPrior
		}
	}
	return false
}

// newLocalID makes an ID and tells the driver to route it.
func (c *Conn) newLocalID() (localID, error) {
	var l localID
	l.id.n = LocalIDLen
	if err := c.random(l.id.b[:LocalIDLen]); err != nil {
		return l, err
	}
	if c.cfg.ShapeID != nil {
		c.cfg.ShapeID(l.id.b[:LocalIDLen], c.path.socket)
	}
	if c.cfg.ResetKey != nil {
		l.token = c.cfg.ResetKey.Token(l.id.Bytes())
	} else if err := c.random(l.token[:]); err != nil {
		return l, err
	}
	l.seq = c.ids.nextLocal
	c.ids.nextLocal++
	c.ids.local = append(c.ids.local, l)
	c.events.push(Event{Kind: EventIDIssued, ID: l.id})
	return l, nil
}

// issueLocalIDs fills up the peer's supply (RFC 9000 §5.1.1).
func (c *Conn) issueLocalIDs() {
	want := min(c.ids.peerLimit, maxLocalIDs)
	have := uint64(0)
	for i := range c.ids.local {
		if l := &c.ids.local[i]; !l.initial && l.seq >= c.ids.localPrior {
			have++
		}
	}
	for ; have < want; have++ {
		if _, err := c.newLocalID(); err != nil {
			return
		}
		c.ids.local[len(c.ids.local)-1].send = true
		c.control |= ctlNewIDs
	}
}

// RotateIDs gives the peer other connection IDs and asks it to retire the ones
// that it has. RFC 9000 §5.1.1: that may exceed its limit for a while. It
// reports false before the handshake is confirmed, and while the peer has not
// retired what it was asked to last time.
func (c *Conn) RotateIDs(now Time) bool {
	c.at(now)
	if !c.confirmed || c.closing.state != stateOpen {
		return false
	}
	for i := range c.ids.local {
		if l := &c.ids.local[i]; l.initial || l.seq < c.ids.localPrior {
			return false
		}
	}
	c.ids.localPrior = c.ids.nextLocal
	c.issueLocalIDs()
	return true
}

// tickInitialID stops routing the client's first destination ID, some time
// after the handshake: a late duplicate of its first Initial would begin
// another connection otherwise.
func (c *Conn) tickInitialID(now hook.Instant) {
	if at := c.ids.initialUntil; at.IsZero() || now < at {
		return
	}
	c.ids.initialUntil = 0
	for i := range c.ids.local {
		if c.ids.local[i].initial {
			c.events.push(Event{Kind: EventIDRetired, ID: c.ids.local[i].id})
			c.ids.local = append(c.ids.local[:i], c.ids.local[i+1:]...)
			return
		}
	}
}

func (c *Conn) handleNewConnectionID(now hook.Instant, f *wire.Frame) error {
	// RFC 9000 §19.15: not to an endpoint that is addressed by a zero-length ID.
	if len(c.ids.dcid()) == 0 {
		return violation(ProtocolViolation, f.Type, "connection ID %d for a peer with a zero-length ID", f.Sequence)
	}
	for i := range c.ids.remote {
		r := &c.ids.remote[i]
		sameSeq, sameID := r.seq == f.Sequence, bytes.Equal(r.id.Bytes(), f.ConnID)
		// RFC 9000 §19.15: a sequence number names one ID, and an ID has one number.
		if sameSeq != sameID || sameSeq && r.hasToken && r.token != f.ResetToken {
			return violation(ProtocolViolation, f.Type, "connection ID %d does not match what was issued before", f.Sequence)
		}
		if sameSeq {
			return nil
		}
	}
	if f.Sequence < c.ids.retirePriorTo {
		return c.retireRemote(f.Sequence)
	}
	if err := c.retireRemoteBelow(now, f); err != nil {
		return err
	}
	// RFC 9000 §5.1.1: more active IDs than we announced to keep.
	if len(c.ids.remote) > maxRemoteIDs {
		return violation(ConnectionIDLimitError, f.Type, "got %d active connection IDs, want at most %d", len(c.ids.remote), maxRemoteIDs)
	}
	return nil
}

// retireRemoteBelow adds the new ID of f and obeys its retire_prior_to before
// any of the old ones is used again (RFC 9000 §5.1.2).
func (c *Conn) retireRemoteBelow(now hook.Instant, f *wire.Frame) error {
	r := remoteID{seq: f.Sequence, id: MakeConnID(f.ConnID), token: f.ResetToken, hasToken: true}
	c.ids.remote = append(c.ids.remote, r)
	if f.RetirePriorTo <= c.ids.retirePriorTo {
		return nil
	}
	c.ids.retirePriorTo = f.RetirePriorTo
	kept := c.ids.remote[:0]
	for _, r := range c.ids.remote {
		if r.seq >= f.RetirePriorTo {
			kept = append(kept, r)
			continue
		}
		c.tokenGone(&r)
		if err := c.retireRemote(r.seq); err != nil {
			return err
		}
	}
	c.ids.remote = kept
	c.replaceRetired(now)
	return nil
}

// replaceRetired gives every path whose ID was retired another one, the path in
// use first. One that gets none goes: nothing can be sent on it any more.
func (c *Conn) replaceRetired(now hook.Instant) {
	c.replaceID(c.path)
	c.ids.promote(c.path.dcid)
	for _, p := range append([]*path(nil), c.paths...) {
		if !c.replaceID(p) {
			c.dropPath(now, p)
		}
	}
}

// replaceID changes the ID of a path, and of those that share it, if it is gone.
func (c *Conn) replaceID(p *path) bool {
	if c.ids.find(p.dcid) != nil {
		return true
	}
	spare := c.ids.spare()
	if spare == nil {
		return false
	}
	gone := p.dcid
	c.useRemote(spare)
	for _, q := range c.paths {
		if q.dcid == gone {
			q.dcid = spare.seq
			q.spin.restart() // RFC 9000 §17.4: a new ID begins with a spin bit of 0
		}
	}
	return true
}

// find returns the peer's ID with a sequence number, nil if it was retired.
func (s *connIDs) find(seq uint64) *remoteID {
	for i := range s.remote {
		if s.remote[i].seq == seq {
			return &s.remote[i]
		}
	}
	return nil
}

// spare returns an ID of the peer that no path used yet, or nil.
func (s *connIDs) spare() *remoteID {
	for i := range s.remote {
		if !s.remote[i].used {
			return &s.remote[i]
		}
	}
	return nil
}

// promote brings the ID of the path in use to the front.
func (s *connIDs) promote(seq uint64) {
	for i := range s.remote {
		if s.remote[i].seq == seq {
			s.remote[0], s.remote[i] = s.remote[i], s.remote[0]
		}
	}
}

// useRemote notes that packets are sent to r. RFC 9000 §10.3.1: from then on,
// and not before, its token means a stateless reset.
func (c *Conn) useRemote(r *remoteID) {
	if !r.used && r.hasToken {
		c.events.push(Event{Kind: EventResetToken, Token: r.token})
	}
	r.used = true
}

// tokenGone tells the driver that r is used no longer.
func (c *Conn) tokenGone(r *remoteID) {
	if r.used && r.hasToken {
		c.events.push(Event{Kind: EventTokenGone, Token: r.token})
	}
}

// abandonRemote retires an ID that we chose to use no longer (RFC 9000 §5.1.2).
// It adds to the retirements that wait, which bounded how many IDs are in use.
func (c *Conn) abandonRemote(seq uint64) {
	for i := range c.ids.remote {
		r := &c.ids.remote[i]
		if r.seq != seq || len(r.id.Bytes()) == 0 {
			continue
		}
		c.tokenGone(r)
		c.ids.remote = append(c.ids.remote[:i], c.ids.remote[i+1:]...)
		c.ids.retiring = append(c.ids.retiring, retiring{seq, true})
		c.control |= ctlRetire
		return
	}
}

// retireRemote queues RETIRE_CONNECTION_ID.
func (c *Conn) retireRemote(seq uint64) error {
	for _, r := range c.ids.retiring {
		if r.seq == seq {
			return nil
		}
	}
	// RFC 9000 §5.1.2: an endpoint SHOULD limit the IDs whose retirement is not acknowledged.
	if len(c.ids.retiring) >= maxRetiring {
		return violation(ConnectionIDLimitError, wire.FrameNewConnectionID, "%d retired connection IDs are not acknowledged", len(c.ids.retiring))
	}
	c.ids.retiring = append(c.ids.retiring, retiring{seq, true})
	c.control |= ctlRetire
	return nil
}

func (c *Conn) handleRetireConnectionID(f *wire.Frame, dcid []byte) error {
	// RFC 9000 §19.16: a sequence number that was never issued.
	if f.Sequence >= c.ids.nextLocal {
		return violation(ProtocolViolation, f.Type, "retired connection ID %d, issued up to %d", f.Sequence, c.ids.nextLocal-1)
	}
	for i := range c.ids.local {
		l := &c.ids.local[i]
		if l.initial || l.seq != f.Sequence {
			continue
		}
		// RFC 9000 §19.16: not the ID that the packet itself was sent to.
		if bytes.Equal(l.id.Bytes(), dcid) {
			return violation(ProtocolViolation, f.Type, "retired connection ID %d in a packet sent to it", f.Sequence)
		}
		c.events.push(Event{Kind: EventIDRetired, ID: l.id})
		c.ids.local = append(c.ids.local[:i], c.ids.local[i+1:]...)
		c.issueLocalIDs()
		return nil
	}
	return nil
}

func (s *connIDs) forgetRetired(seq uint64) {
	for i := range s.retiring {
		if s.retiring[i].seq == seq {
			s.retiring = append(s.retiring[:i], s.retiring[i+1:]...)
			return
		}
	}
}
