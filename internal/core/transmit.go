package core

import (
	"encoding/binary"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// packet is one packet under construction in a batch. Offsets count from the
// start of the batch's buffer.
type packet struct {
	id       recovery.SpaceID
	keys     *crypt.Keys
	early    bool // 0-RTT
	start    int  // of the header
	pnOffset int
	pnLen    int
	lengthAt int // of the length field; 0 in a short header
	payload  int // of the first frame
	end      int // after the last frame
	limit    int // where frames must end; the tag follows
	whole    int // where they must before that was brought to whole AES blocks
	pn       uint64
	dcid     []byte
	sent     recovery.Sent
	ackOnly  bool // nothing but an ACK so far, and frames of extensions that elicit none
	plugin   bool // frames of extensions are in it
	frames   int  // of the first frame that is no ACK; 0 = there is none
}

// move says that the packet begins n bytes later in its datagram.
func (p *packet) move(n int) {
	for _, at := range []*int{&p.start, &p.pnOffset, &p.payload, &p.end, &p.limit, &p.whole} {
		*at += n
	}
	if p.lengthAt > 0 {
		p.lengthAt += n
	}
	if p.frames > 0 {
		p.frames += n
	}
}

// kind is the packet's type.
func (p *packet) kind() wire.PacketType {
	if p.early {
		return wire.Packet0RTT
	}
	return spaceTypes[p.id]
}

// versionOf is the version of a packet's header. RFC 9369 §4.1: early data stays
// in the original one.
func (c *Conn) versionOf(p *packet) wire.Version {
	if p.early {
		return c.vers.original
	}
	return c.version
}

// Transmit fills b with datagrams to send now and reports whether there are
// any. Call it until it reports false.
func (c *Conn) Transmit(now Time, b *Batch) bool {
	t := c.at(now)
	b.Buf, b.Segment, b.Probe = b.Buf[:0], 0, false
	b.Socket, b.Remote, b.Local, b.ECN = c.path.socket, c.path.remote, c.path.local, 0
	if c.ext != nil {
		c.settle(t)
	}
	switch c.closing.state {
	case stateDraining, stateDrained:
		return false
	case stateClosing:
		return c.transmitClose(t, b)
	}
	if c.transmitPaths(t, b) {
		return true
	}
	budget, retry := c.det.Budget(t)
	c.paced = 0
	b.ECN = c.path.rec.ECN.Mark()
	if c.transmitProbe(t, b, budget) {
		return true
	}
	if !c.fill(t, b, budget) && !retry.IsZero() {
		c.paced = retry
	}
	return len(b.Buf) > 0
}

// fill appends datagrams until nothing is left to send, or nothing may be
// sent. It reports false if the congestion window or the pacer stopped it.
func (c *Conn) fill(now hook.Instant, b *Batch, budget int) (free bool) {
	mtu := c.path.rec.MTU.Current()
	for n := 0; n < max(b.MaxSegments, 1); n++ {
		limit := mtu
		if b.Segment > 0 {
			limit = b.Segment
		}
		limit = min(limit, cap(b.Buf)-len(b.Buf), c.path.allowance())
		if c.blocked() {
			// RFC 9000 §8.1: wait for more bytes from the client.
			c.det.SetAmplificationBlocked(true)
			return true
		}
		if limit < min(mtu, max(b.Segment, 1)) {
			return true // the buffer is full
		}
		c.train = b.Segment
		size := c.appendDatagram(now, b, limit, budget >= limit)
		c.train = 0
		if size == 0 {
			if b.Segment > 0 && c.ext != nil && c.ext.wants() {
				return true // a frame that is too long for this train begins the next
			}
			if budget < limit && c.wantsBudget() {
				return false
			}
			c.det.OnAppLimited()
			return true
		}
		budget -= size
		if b.Segment == 0 {
			b.Segment = size
		}
		if c.closing.state != stateOpen {
			return true // the packet was the last that its keys may seal
		}
		if size < b.Segment || size < mtu && !c.complete {
			return true
		}
	}
	return true
}

// blocked reports whether the peer's address is not proved, and must not get
// another datagram until more comes from it.
func (c *Conn) blocked() bool {
	return c.path.capped() && c.path.allowance() < c.leastCapped()
}

// leastCapped is the least room for a datagram to an address that is not
// proved, in bytes: in the handshake that of any Initial.
func (c *Conn) leastCapped() int {
	if !c.complete {
		return wire.MinInitialDatagram
	}
	return longestShort + minPayload + crypt.TagSize
}

// wantsBudget reports whether there is anything that congestion control holds back.
func (c *Conn) wantsBudget() bool {
	if c.control != 0 || !c.streams.control.empty() || !c.streams.lost.empty() || c.datagramsWait() {
		return true
	}
	if !c.streams.newData.empty() && c.flow.available() > 0 || c.ext != nil && c.ext.wants() {
		return true
	}
	for i := range c.spaces {
		if c.spaces[i].write != nil && c.spaces[i].wantsCrypto() {
			return true
		}
	}
	return c.exch != nil && c.exch.contentWaits()
}

// appendDatagram appends one datagram of at most limit bytes: a packet of each
// space that has something to say, coalesced (RFC 9000 §12.2). free says that
// congestion control lets ack-eliciting packets go. It returns the size.
func (c *Conn) appendDatagram(now hook.Instant, b *Batch, limit int, free bool) int {
	start := len(b.Buf)
	buf := b.Buf[:start+limit]
	var packets [recovery.NumSpaces]packet
	n, at := 0, start
	for id := range recovery.SpaceID(recovery.NumSpaces) {
		s, p := &c.spaces[id], &packets[n]
		if !c.det.CanTrack(id) || !c.beginPacket(p, id, c.path, buf[:at], start+limit, minPayload) {
			continue
		}
		if c.appendFrames(now, p, buf, free || s.probes > 0 || c.stuck(id)) {
			at = p.end + crypt.TagSize
			n++
		}
	}
	if n == 0 {
		return 0
	}
	c.padDatagram(packets[:n], buf, start, limit)
	at = packets[n-1].end + crypt.TagSize
	for i := range packets[:n] {
		c.finishPacket(now, &packets[i], buf, b.ECN)
	}
	b.Buf = buf[:at]
	c.path.sent += uint64(at - start)
	return at - start
}

// stuck reports whether handshake data waits for a window that early data, its
// answer, or what a client sent after its Finished fills. Nothing would ever empty it: what is in flight can be
// acknowledged after the handshake only, and until then no timer is armed for it.
//
// DEVIATES RFC 9002 §7: one packet leaves beyond the congestion window, as on a
// probe timeout, because without it the connection never goes on.
func (c *Conn) stuck(id recovery.SpaceID) bool {
	s := &c.spaces[id]
	if id == recovery.AppData || c.confirmed || !c.det.ElicitingInFlight(recovery.AppData) || c.det.ElicitingInFlight(id) {
		return false
	}
	start, end := s.out.pending(s.out.end())
	return start < end
}

// The longest headers, in bytes.
const (
	longestLong  = 1 + 4 + 1 + 20 + 1 + 20 + 8 + 2 + 4
	longestShort = 1 + 20 + 4
)

// beginPacket writes the header of a packet that leaves on a path, after what
// is in buf. It reports false if frames would have less than room before end,
// or if there are no keys.
func (c *Conn) beginPacket(p *packet, id recovery.SpaceID, on *path, buf []byte, end, room int) bool {
	*p = packet{id: id, start: len(buf), limit: end - crypt.TagSize, ackOnly: true}
	if p.keys, p.early = c.sealKeys(id); p.keys == nil {
		return false
	}
	p.sent.Path = on.rec.ID()
	p.pn = c.det.NextNumber(id)
	acked := int64(-1)
	if pn, ok := c.det.LargestAcked(id); ok {
		acked = int64(pn)
	}
	p.pnLen = wire.PacketNumberLen(p.pn, acked)
	var token []byte
	if id == recovery.Initial {
		token = c.token
	}
	longest := longestShort
	if p.kind() != wire.Packet1RTT {
		longest = longestLong + len(token)
	}
	if p.limit-p.start < longest+room {
		return false
	}
	if kind := p.kind(); kind == wire.Packet1RTT {
		p.dcid = c.ids.of(on.dcid)
		buf = wire.AppendShort(buf, p.dcid, p.pn, p.pnLen, c.keys.phase, on.spin.bit)
	} else {
		p.dcid = c.ids.dcid()
		buf, p.lengthAt = wire.AppendLong(buf, kind, c.versionOf(p), p.dcid, c.ids.firstLocal(), token, p.pn, p.pnLen)
	}
	if c.clearsFixedBit() {
		buf[p.start] &^= fixedBit
	}
	p.payload, p.end = len(buf), len(buf)
	p.pnOffset = p.payload - p.pnLen
	if p.whole = p.limit; id == recovery.AppData {
		p.limit = wholeBlocks(p, p.limit)
	}
	return true
}

// wholeBlocks shortens a packet to a plaintext of whole AES blocks, which spares the
// cipher its slow tail.
func wholeBlocks(p *packet, limit int) int { return limit - (limit-p.payload)%16 }

// follow makes p, in which extensions keep room free, as long as the packet that it
// follows in a train, and returns how much smaller it is than one that follows none.
func (c *Conn) follow(p *packet) int {
	if c.train == 0 || p.id != recovery.AppData {
		return 0
	}
	p.limit = p.whole
	return max(wholeBlocks(p, p.start+c.path.rec.MTU.Current()-crypt.TagSize)-p.limit, 0)
}

// minPayload is the room that a packet must offer its frames, in bytes.
const minPayload = 64

// padDatagram brings a datagram that must be large up to 1200 bytes: one with an
// Initial (RFC 9000 §14.1: a client always, a server when the Initial is
// ack-eliciting). The PADDING goes into the Initial: it is soon out of flight,
// and what comes after the handshake has no bytes that say nothing.
func (c *Conn) padDatagram(packets []packet, buf []byte, start, limit int) {
	first, last := &packets[0], &packets[len(packets)-1]
	if first.id != recovery.Initial || !c.client && first.sent.Flags&recovery.AckEliciting == 0 {
		return
	}
	missing := min(wire.MinInitialDatagram, limit) - (last.end + crypt.TagSize - start)
	if missing <= 0 {
		return
	}
	copy(buf[first.end+missing:], buf[first.end:last.end])
	clear(buf[first.end : first.end+missing])
	first.end += missing
	first.sent.Flags |= recovery.InFlight
	for i := range packets[1:] {
		packets[1+i].move(missing)
	}
}

// finishPacket seals the packet and records it as sent.
func (c *Conn) finishPacket(now hook.Instant, p *packet, buf []byte, ecn uint8) {
	s := &c.spaces[p.id]
	size := p.end + crypt.TagSize - p.start
	if p.lengthAt > 0 {
		wire.PutVarint2(buf[p.lengthAt:], uint64(p.end+crypt.TagSize-p.pnOffset))
	}
	if c.log != nil {
		c.logSent(now, p, buf, size, ecn)
	}
	p.keys.Seal(buf[p.start:p.end:p.end+crypt.TagSize], p.pnOffset-p.start, p.pnLen, p.pn)
	p.sent.Size = uint16(size)
	if p.sent.Flags&recovery.AckEliciting != 0 {
		p.sent.Flags |= recovery.InFlight
		c.idle.onSend(now)
		s.probes = max(s.probes-1, 0)
	}
	if ecn != 0 {
		p.sent.Flags |= recovery.ECT
	}
	c.count.packetsSent++
	c.count.bytesSent += uint64(size)
	c.det.OnSent(now, p.id, p.pn, p.sent)
	if c.ext != nil && p.id == recovery.AppData {
		c.ext.tellSent(now, p)
	}
	c.stir(now)
	c.afterSent(now, p)
}

// afterSent is what sending a packet of a space entails.
func (c *Conn) afterSent(now hook.Instant, p *packet) {
	switch p.id {
	case recovery.Handshake:
		if c.client {
			// RFC 9001 §4.9.1: a client drops Initial keys with its first Handshake packet.
			c.discardSpace(now, recovery.Initial)
		}
	case recovery.AppData:
		if !p.early {
			c.countSealed(now, p.pn)
		}
		if c.skipIn--; c.skipIn == 0 {
			c.skipNumber()
		}
	}
}

// firstSkip is when the first packet number is left out.
const firstSkip = 64

// skipNumber leaves a packet number out, so that a peer that acknowledges what
// it did not receive is caught (RFC 9000 §21.4).
func (c *Conn) skipNumber() {
	c.det.SkipNumber(recovery.AppData)
	var r [4]byte
	if c.random(r[:]) != nil {
		return
	}
	c.skipIn = skipInterval(c.path.rec.Window()/c.path.rec.MTU.Current(), binary.BigEndian.Uint32(r[:]))
}

// skipInterval is after how many packets the next number is left out. There are
// about four in a window, so that whoever acknowledges a window ahead is caught,
// and the newest of them, which is all that is checked, span two windows. In
// small windows there are fewer: every gap costs the peer an acknowledgment.
func skipInterval(window int, luck uint32) int {
	mean := max(window/4, 2*firstSkip)
	return mean/2 + int(luck%uint32(mean))
}

func (c *Conn) logSent(now hook.Instant, p *packet, buf []byte, size int, ecn uint8) {
	info := qlog.PacketInfo{Type: p.kind(), Number: p.pn, HasNumber: true, DCID: p.dcid, Size: size, ECN: ecn,
		MTUProbe: p.sent.Flags&recovery.MTUProbe != 0}
	if p.kind() != wire.Packet1RTT {
		info.SCID, info.Version = c.ids.firstLocal(), c.versionOf(p)
	} else {
		info.KeyPhase = c.keys.phase
	}
	if info.Type == wire.Packet1RTT {
		c.logSpin(now, buf[p.start]&wire.ShortSpinBit != 0)
	}
	if p.id == recovery.Initial {
		info.Token = c.token
	}
	c.log.PacketSent(now, info, buf[p.payload:p.end])
}

// probeAfter is how many bytes a path must have carried before larger packets
// are tried on it: who has less to say does not need them, and a short
// connection is spared the probes. Where datagrams can be sent, whose size the
// packets bound, the search begins at once.
const probeAfter = 16 << 10

// transmitProbe sends a path MTU probe when one is due: PING and PADDING,
// alone (RFC 9000 §14.4).
func (c *Conn) transmitProbe(now hook.Instant, b *Batch, budget int) bool {
	if !c.confirmed || c.path.sent < probeAfter && c.peer.MaxDatagramFrame == 0 {
		return false
	}
	size := c.path.rec.MTU.Probe(now)
	if size == 0 || c.path.capped() || size > cap(b.Buf) || budget < size || !c.det.CanTrack(recovery.AppData) {
		return false
	}
	buf := b.Buf[:size]
	var p packet
	if !c.beginPacket(&p, recovery.AppData, c.path, buf[:0], size, minPayload) {
		return false
	}
	p.limit = size - crypt.TagSize
	buf[p.payload] = byte(wire.FramePing)
	clear(buf[p.payload+1 : p.limit])
	p.end = p.limit
	p.sent.Flags |= recovery.AckEliciting | recovery.MTUProbe
	c.finishPacket(now, &p, buf, b.ECN)
	b.Buf, b.Segment, b.Probe = buf, size, true
	return true
}

// TooBig tells that the socket refused a datagram of size bytes.
func (c *Conn) TooBig(now Time, size int) { c.path.rec.MTU.LocalTooBig(c.at(now), size) }

// transmitClose sends CONNECTION_CLOSE in every space in which the peer may be
// able to read it (RFC 9000 §10.2.3).
func (c *Conn) transmitClose(now hook.Instant, b *Batch) bool {
	limit := min(wire.MinInitialDatagram, cap(b.Buf), c.path.allowance())
	if !c.closing.send || limit < min(wire.MinInitialDatagram, c.leastCapped()) {
		return false
	}
	c.closing.send = false
	buf := b.Buf[:limit]
	var packets [recovery.NumSpaces]packet
	n, at := 0, 0
	for id := range recovery.SpaceID(recovery.NumSpaces) {
		if c.spaces[id].write == nil || id == recovery.AppData && !c.complete {
			continue
		}
		p, f := &packets[n], c.closeFrame(id)
		if !c.beginPacket(p, id, c.path, buf[:at], limit, minPayload) || p.payload+32+len(f.Data) > p.limit {
			continue
		}
		p.end = len(wire.AppendFrame(buf[:p.payload], f))
		at = p.end + crypt.TagSize
		n++
	}
	if n == 0 {
		return false
	}
	c.padDatagram(packets[:n], buf, 0, limit)
	for i := range packets[:n] {
		c.finishPacket(now, &packets[i], buf, 0)
	}
	b.Buf = buf[:packets[n-1].end+crypt.TagSize]
	b.Segment = len(b.Buf)
	c.path.sent += uint64(len(b.Buf))
	return true
}
