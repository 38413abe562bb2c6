package core

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// appKeys are the 1-RTT keys over key updates (RFC 9001 §6). The current ones
// are in the AppData space.
type appKeys struct {
	phase       bool         // the Key Phase bit of the current keys
	number      uint64       // how many updates there were
	next        *crypt.Keys  // read keys of the next phase, derived ahead (RFC 9001 §6.3)
	prev        *crypt.Keys  // read keys of the last phase, for reordered packets
	dropAt      hook.Instant // when prev goes; 0 while the peer has not followed
	scratch     []byte       // what prev is tried on
	firstRead   uint64       // first packet number received in this phase
	firstWrite  uint64       // first packet number sent in this phase
	wrote, read bool         // firstWrite, firstRead are set
	acked       bool         // a packet of this phase was acknowledged
	wanted      bool         // an update is to begin as soon as it may
	sealed      uint64       // packets sent in this phase
	failed      uint64       // packets that did not authenticate, in the life of the connection
	lastNumber  uint64       // the packet number after which none is left
}

// openShort unprotects and decrypts a 1-RTT packet in place, whatever its key
// phase.
func (c *Conn) openShort(now hook.Instant, pkt []byte, pnOffset int) (payload []byte, pn uint64, err error) {
	s, k := &c.spaces[recovery.AppData], &c.keys
	if k.prev == nil {
		c.nextReadKeys() // RFC 9001 §6.3: not when a packet asks for them, which would show
	}
	truncated, pnLen, ok := s.read.Unprotect(pkt, pnOffset)
	if !ok {
		return nil, 0, errShortPacket
	}
	pn = decodeNumber(&s.recv, truncated, pnLen)
	keys, updated := s.read, false
	if phase := pkt[0]&wire.ShortKeyPhase != 0; phase != k.phase {
		if k.prev != nil && (!k.read || pn < k.firstRead) {
			keys = k.prev
		} else {
			keys, updated = c.nextReadKeys(), true
		}
	}
	if updated && c.opensWithOldKeys(pkt, pnOffset+pnLen, pn) {
		return nil, pn, violation(KeyUpdateError, 0, "packet %d came under older keys than packet %d", pn, k.firstRead)
	}
	payload, err = keys.Open(pkt, pnOffset+pnLen, pn)
	if err != nil {
		return nil, pn, c.countForgery(err)
	}
	if s.recv.Duplicate(pn) { // RFC 9001 §9.5: not before, as in openLong
		return nil, pn, errDuplicate
	}
	if updated {
		if err := c.followKeyUpdate(now, pn); err != nil {
			return nil, pn, err
		}
	} else if keys == s.read && (!k.read || pn < k.firstRead) {
		c.readPhase(now, pn)
	}
	return payload, pn, nil
}

// opensWithOldKeys finds a peer that went back to old keys (RFC 9001 §6.4). The
// packet stays as it is, for the next keys to be tried.
func (c *Conn) opensWithOldKeys(pkt []byte, headerLen int, pn uint64) bool {
	k := &c.keys
	if k.prev == nil {
		return false
	}
	if cap(k.scratch) < len(pkt) {
		k.scratch = make([]byte, 0, max(len(pkt), c.path.rec.MTU.Current()))
	}
	return k.prev.Opens(k.scratch, pkt, headerLen, pn)
}

// readPhase notes the least packet number of the present phase. RFC 9001 §6.5:
// the old read keys stay for three PTOs from its first packet on.
func (c *Conn) readPhase(now hook.Instant, pn uint64) {
	k := &c.keys
	if !k.read && k.prev != nil {
		k.dropAt = now.Add(3 * c.pto())
	}
	k.firstRead, k.read = pn, true
}

func (c *Conn) nextReadKeys() *crypt.Keys {
	if c.keys.next == nil {
		c.keys.next = c.spaces[recovery.AppData].read.Next()
	}
	return c.keys.next
}

// countForgery obeys the integrity limit (RFC 9001 §6.6).
func (c *Conn) countForgery(err error) error {
	c.keys.failed++
	if c.keys.failed >= c.spaces[recovery.AppData].read.IntegrityLimit() {
		return violation(AEADLimitReached, 0, "%d packets did not authenticate", c.keys.failed)
	}
	return err
}

// followKeyUpdate is called for the first packet of a new phase (RFC 9001 §6.2).
func (c *Conn) followKeyUpdate(now hook.Instant, pn uint64) error {
	// RFC 9001 §6.2: an update before we have answered the last one is an error
	// of the peer, which cannot have an acknowledgment.
	if !c.complete || c.keys.number > 0 && !c.keys.wrote {
		return violation(KeyUpdateError, 0, "key update before the last one was acknowledged")
	}
	c.switchKeys()
	c.readPhase(now, pn)
	c.logKeys(now, (*qlog.Log).KeyUpdated, "1rtt", c.keys.number)
	return nil
}

// switchKeys moves both directions to the next phase.
func (c *Conn) switchKeys() {
	s, k := &c.spaces[recovery.AppData], &c.keys
	next := c.nextReadKeys()
	*k = appKeys{phase: !k.phase, number: k.number + 1, prev: s.read, failed: k.failed, lastNumber: k.lastNumber}
	s.read, s.write = next, s.write.Next()
}

// UpdateKeys begins a key update, now or as soon as RFC 9001 §6.1 allows one:
// the handshake is confirmed, and a packet of the present phase was
// acknowledged. It reports whether it began.
func (c *Conn) UpdateKeys(now Time) bool {
	c.keys.wanted = c.closing.state == stateOpen
	return c.beginKeyUpdate(c.at(now))
}

// beginKeyUpdate begins the update that is wanted if it may.
func (c *Conn) beginKeyUpdate(now hook.Instant) bool {
	k := &c.keys
	// RFC 9001 §6.5: not while packets of the phase before may come, either.
	if !k.wanted || !c.confirmed || !k.acked || k.prev != nil {
		return false
	}
	c.switchKeys()
	c.logKeys(now, (*qlog.Log).KeyUpdated, "1rtt", k.number)
	c.control |= ctlPing
	return true
}

// countSealed updates the keys well before their confidentiality limit
// (RFC 9001 §6.6), and closes the connection if that is not possible.
func (c *Conn) countSealed(now hook.Instant, pn uint64) {
	k := &c.keys
	if !k.wrote {
		k.firstWrite, k.wrote = pn, true
	}
	k.sealed++
	limit := c.spaces[recovery.AppData].write.ConfidentialityLimit()
	if k.sealed > limit/2 && c.confirmed && k.acked && k.prev == nil {
		c.switchKeys()
		c.logKeys(now, (*qlog.Log).KeyUpdated, "1rtt", c.keys.number)
	}
	if k.sealed >= limit {
		c.abandon(now, violation(AEADLimitReached, 0, "%d packets were sent under one key", k.sealed))
	}
	// RFC 9000 §12.3: without a packet number there is no CONNECTION_CLOSE. One
	// is kept back, since numbers are skipped now and then.
	if pn+1 >= k.lastNumber {
		c.abandon(now, violation(InternalError, 0, "all %d packet numbers are used up", pn+1))
	}
}

// ackedNumber notes that the peer has packet numbers of the present phase.
func (c *Conn) ackedNumber(now hook.Instant, largest uint64) {
	if c.keys.wrote && largest >= c.keys.firstWrite {
		c.keys.acked = true
		c.beginKeyUpdate(now)
	}
}

func (c *Conn) tickKeys(now hook.Instant) {
	if at := c.keys.dropAt; !at.IsZero() && now >= at {
		c.keys.prev, c.keys.dropAt, c.keys.scratch = nil, 0, nil
		c.nextReadKeys()
		c.logKeys(now, (*qlog.Log).KeyDiscarded, "1rtt", c.keys.number-1)
		c.beginKeyUpdate(now)
	}
}
