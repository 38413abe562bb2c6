package core

import (
	"bytes"
	"crypto/subtle"
	"errors"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxHeldPackets and maxHeldBytes bound the packets that wait for keys
	// (RFC 9001 §5.7).
	maxHeldPackets = 32       // limit: packets of one connection
	maxHeldBytes   = 64 << 10 // limit: their bytes
)

// Reasons to drop a packet; they are never errors of the connection.
var (
	errShortPacket = errors.New("too short for a sample")
	errDuplicate   = errors.New("duplicate")
)

// heldPacket is a datagram's rest that came before its keys.
type heldPacket struct {
	data []byte // bounded by maxHeldBytes for all
	ecn  uint8
	kind wire.PacketType
}

// Receive takes a datagram that Router or a token found to be this
// connection's. It decrypts d.Data in place.
func (c *Conn) Receive(now Time, d *Datagram) {
	t := c.at(now)
	c.count.bytesReceived += uint64(len(d.Data))
	switch {
	case c.closing.state == stateClosing:
		c.receiveClosing()
		return
	case c.closing.state != stateOpen:
		return
	case !c.arrive(d):
		c.dropPacket(t, wire.Packet1RTT, len(d.Data), "connection_unknown")
		return
	}
	c.stir(t)
	c.receiveDatagram(t, d.Data, d.ECN)
	if c.ext != nil {
		c.ext.tellDatagram(t, d, c.arrivalPath())
		c.settle(t)
	}
	if len(c.held) > 0 && c.canRelease() {
		held := c.held
		c.held = nil
		for _, h := range held {
			c.receiveDatagram(t, h.data, h.ecn)
		}
	}
}

// fixedBit is set in the first byte of every packet of versions 1 and 2, but
// not in Version Negotiation packets.
const fixedBit = wire.ShortFixedBit

// receiveDatagram walks over the coalesced packets of a datagram (RFC 9000 §12.2).
func (c *Conn) receiveDatagram(now hook.Instant, data []byte, ecn uint8) {
	var first []byte
	for len(data) > 0 && c.closing.state == stateOpen {
		if !wire.IsLongHeader(data[0]) {
			if first == nil || len(data) > len(first) && bytes.Equal(first, data[1:1+len(first)]) {
				c.receiveShort(now, data, ecn)
			}
			return
		}
		var h wire.Header
		if !wire.ParseLong(data, &h) {
			c.dropPacket(now, wire.PacketInitial, len(data), "invalid")
			return
		}
		// RFC 9000 §12.2: a coalesced packet for another ID is ignored.
		if first == nil {
			first = bytes.Clone(h.DCID)
		}
		if bytes.Equal(first, h.DCID) {
			c.receiveLong(now, data[:h.Length], &h, ecn)
		}
		data = data[h.Length:]
	}
}

func (c *Conn) receiveLong(now hook.Instant, pkt []byte, h *wire.Header, ecn uint8) {
	id := recovery.Initial
	switch h.Type {
	case wire.PacketVersionNegotiation:
		c.handleVersionNegotiation(now, pkt)
		return
	case wire.PacketRetry:
		c.handleRetry(now, pkt, h)
		return
	case wire.Packet0RTT:
		id = recovery.AppData
	case wire.PacketHandshake:
		id = recovery.Handshake
	}
	if !c.takesVersion(h) || !c.takesFixedBit(pkt[0]) || !c.knownPeer(h) {
		c.dropPacket(now, h.Type, len(pkt), "invalid")
		return
	}
	s := &c.spaces[id]
	keys, never := c.openKeys(h, s)
	if keys == nil {
		c.hold(now, h.Type, pkt, ecn, never)
		return
	}
	// RFC 9000 §17.2.2: a token in an Initial of the server is an error; it is
	// not authenticated yet, so the packet goes.
	if c.client && h.Type == wire.PacketInitial && len(h.Token) > 0 {
		c.dropPacket(now, h.Type, len(pkt), "invalid")
		return
	}
	payload, pn, err := openLong(s, keys, pkt, h.PNOffset)
	if err != nil {
		c.dropped(now, h.Type, len(pkt), err)
		return
	}
	c.authenticatedLong(now, id, h)
	info := qlog.PacketInfo{Type: h.Type, Number: pn, HasNumber: true, DCID: h.DCID, SCID: h.SCID, Token: h.Token, Version: h.Version, Size: len(pkt), ECN: ecn}
	// RFC 9000 §17.2: reserved bits that are not zero.
	c.process(now, id, &info, payload, pkt[0]&0x0c != 0)
}

// knownPeer checks the peer's source ID against the one it used first
// (RFC 9000 §7.2). Before that, a client takes any.
func (c *Conn) knownPeer(h *wire.Header) bool {
	if c.client && !c.heard {
		return true
	}
	return bytes.Equal(h.SCID, c.ids.remote[0].id.Bytes()) || c.complete
}

// authenticatedLong draws the conclusions from a long header that proved to be
// the peer's.
func (c *Conn) authenticatedLong(now hook.Instant, id recovery.SpaceID, h *wire.Header) {
	if c.client && !c.heard {
		// RFC 9000 §7.2: the server's choice replaces our first destination ID.
		c.ids.remote[0].id = MakeConnID(h.SCID)
	}
	c.heard = true
	if c.mayBecome(h.Version) && h.Version != c.version {
		c.switchVersion(h.Version)
	}
	if !c.client && id == recovery.Handshake {
		// RFC 9000 §8.1: a Handshake packet proves the address; RFC 9001 §4.9.1:
		// the Initial keys go.
		c.validatePath()
		c.discardSpace(now, recovery.Initial)
	}
}

func openLong(s *space, keys *crypt.Keys, pkt []byte, pnOffset int) (payload []byte, pn uint64, err error) {
	truncated, pnLen, ok := keys.Unprotect(pkt, pnOffset)
	if !ok {
		return nil, 0, errShortPacket
	}
	pn = decodeNumber(&s.recv, truncated, pnLen)
	payload, err = keys.Open(pkt, pnOffset+pnLen, pn)
	// RFC 9001 §9.5: not before the packet was opened; the time that saves would
	// tell whoever forges packets which number he hit.
	if err == nil && s.recv.Duplicate(pn) {
		return nil, pn, errDuplicate
	}
	return payload, pn, err
}

func decodeNumber(r *recovery.Received, truncated uint64, pnLen int) uint64 {
	largest := int64(-1)
	if pn, ok := r.Largest(); ok {
		largest = int64(pn)
	}
	return wire.DecodePacketNumber(largest, truncated, pnLen)
}

func (c *Conn) receiveShort(now hook.Instant, pkt []byte, ecn uint8) {
	var h wire.Header
	if !wire.ParseShort(pkt, LocalIDLen, &h) || !c.takesFixedBit(pkt[0]) {
		c.dropPacket(now, wire.Packet1RTT, len(pkt), "invalid")
		return
	}
	if c.spaces[recovery.AppData].read == nil {
		c.hold(now, wire.Packet1RTT, pkt, ecn, false)
		return
	}
	payload, pn, err := c.openShort(now, pkt, h.PNOffset)
	if err != nil {
		if errors.Is(err, crypt.ErrDecrypt) && c.isStatelessReset(pkt) {
			c.resetByPeer(now)
			return
		}
		c.dropped(now, wire.Packet1RTT, len(pkt), err)
		return
	}
	if largest, some := c.spaces[recovery.AppData].recv.Largest(); c.left() && some && pn > largest {
		// RFC 9000 §9.6.2: newer packets at the old address are dropped, those that
		// were delayed are not.
		c.dropPacket(now, wire.Packet1RTT, len(pkt), "rejected")
		return
	}
	c.arrival.spin = pkt[0]&wire.ShortSpinBit != 0
	info := qlog.PacketInfo{Type: wire.Packet1RTT, Number: pn, HasNumber: true, DCID: h.DCID, Size: len(pkt), ECN: ecn, KeyPhase: pkt[0]&wire.ShortKeyPhase != 0}
	// RFC 9000 §17.3.1: reserved bits that are not zero.
	c.process(now, recovery.AppData, &info, payload, pkt[0]&0x18 != 0)
}

// process handles an authenticated packet.
func (c *Conn) process(now hook.Instant, id recovery.SpaceID, info *qlog.PacketInfo, payload []byte, reserved bool) {
	c.idle.onReceive(now)
	c.count.packetsReceived++
	if c.log != nil {
		c.log.PacketReceived(now, *info, payload)
	}
	if reserved {
		c.fail(now, violation(ProtocolViolation, 0, "reserved bits of packet %d are set", info.Number))
		return
	}
	// RFC 9000 §12.4: a packet without frames.
	if len(payload) == 0 {
		c.fail(now, violation(ProtocolViolation, 0, "packet %d has no frames", info.Number))
		return
	}
	c.arrival.dcid, c.arrival.nonProbing = MakeConnID(info.DCID), false
	if c.ext != nil {
		c.beginPayload(now, info, payload)
	}
	eliciting, err := c.handleFrames(now, id, info, payload)
	if err != nil {
		c.fail(now, err)
		return
	}
	s := &c.spaces[id]
	if s.discarded { // by handleFrames
		return
	}
	largest, some := s.recv.Largest()
	s.recv.Add(now, info.Number, eliciting, info.ECN)
	if id == recovery.AppData && c.closing.state == stateOpen {
		c.followPeer(now, !some || info.Number > largest)
	}
	if c.ext != nil {
		c.received(now, info, eliciting)
	}
}

// dropped records a packet that is not processed, or closes on a violation.
func (c *Conn) dropped(now hook.Instant, t wire.PacketType, size int, err error) {
	if _, ok := err.(*LocalError); ok { // not errors.As, which allocates
		c.fail(now, err)
		return
	}
	trigger := "decryption_failure"
	if err == errDuplicate {
		trigger = "duplicate"
	}
	c.dropPacket(now, t, size, trigger)
}

// hold keeps a packet that came before its keys (RFC 9001 §5.7); gone says
// that the keys were discarded already.
func (c *Conn) hold(now hook.Instant, t wire.PacketType, pkt []byte, ecn uint8, gone bool) {
	size := 0
	for _, h := range c.held {
		size += len(h.data)
	}
	if gone || len(c.held) >= maxHeldPackets || size+len(pkt) > maxHeldBytes {
		c.dropPacket(now, t, len(pkt), "key_unavailable")
		return
	}
	c.log.PacketBuffered(now, t, len(pkt), "keys_unavailable")
	c.held = append(c.held, heldPacket{bytes.Clone(pkt), ecn, t})
}

// canRelease reports whether keys came for packets that are held.
func (c *Conn) canRelease() bool {
	for _, h := range c.held {
		ready := false
		switch h.kind {
		case wire.Packet0RTT:
			ready = c.earlyDecided()
		case wire.Packet1RTT:
			ready = c.spaces[recovery.AppData].read != nil
		default:
			ready = c.spaces[recovery.Handshake].read != nil
		}
		if ready {
			return true
		}
	}
	return false
}

// isStatelessReset compares the end of a packet, from an address of the peer,
// with the tokens of all IDs in use, in constant time (RFC 9000 §10.3.1).
func (c *Conn) isStatelessReset(pkt []byte) bool {
	if len(pkt) < minStatelessReset || c.arrival.path == nil {
		return false
	}
	tail, found := pkt[len(pkt)-16:], 0
	for i := range c.ids.remote {
		if r := &c.ids.remote[i]; r.hasToken && r.used {
			found |= subtle.ConstantTimeCompare(tail, r.token[:])
		}
	}
	return found == 1
}

// minStatelessReset is the least size of a stateless reset, in bytes (RFC 9000 §10.3).
const minStatelessReset = 21

// ResetByPeer ends the connection because Router saw its stateless reset token
// in d. RFC 9000 §10.3.1: from another address than the peer's it means nothing.
func (c *Conn) ResetByPeer(now Time, d *Datagram) {
	if c.findPath(d.Socket, d.Local, d.Remote) != nil {
		c.resetByPeer(c.at(now))
	}
}

func (c *Conn) resetByPeer(now hook.Instant) {
	if c.closing.state != stateOpen {
		return
	}
	// RFC 9000 §10.3.1: the endpoint enters the draining period.
	c.end(now, stateDraining, &StatelessResetError{}, "remote", nil)
}
