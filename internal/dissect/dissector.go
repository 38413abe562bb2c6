package dissect

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

// dissector is a pass over a trace.
type dissector struct {
	options Options
	keys    keyLog
	trace   *Trace

	ids     map[string]ref              // a connection ID leads to the end that chose it; limit: maxConnIDs, of each connection
	pairs   map[addrPair][]ref          // limit: maxConns, and maxPairConns of each
	idLens  [wire.MaxConnIDLen + 1]bool // lengths that occur in ids
	tokens  map[[16]byte]bool           // stateless reset tokens; limit: maxResetTokens
	strays  []waiting                   // packets of no known connection; limit: maxWaitingPackets
	waits   int                         // packets kept in all waiting lists
	waitLen int                         // and their bytes

	candidates []candidate    // of the packet at hand; bounded by the connections of one pair and the lengths of IDs
	scratch    []byte         // the packet being opened
	frames     []Frame        // of the packet at hand; limit: maxFramesPerPacket
	arena      []Frame        // where frames are kept; bounded by the file
	interned   map[string]int // connection IDs already copied, as index into names; bounded by the datagrams
	names      [][]byte       // bounded by the datagrams
}

// waiting is a packet whose keys are not known yet.
type waiting struct {
	datagram, packet int // indexes in the trace
	header           wire.Header
	data             []byte // bounded by maxWaitingBytes for all
}

func newDissector(o Options) *dissector {
	d := &dissector{
		options: o, trace: &Trace{},
		ids: make(map[string]ref), pairs: make(map[addrPair][]ref), tokens: make(map[[16]byte]bool),
		interned: make(map[string]int), scratch: make([]byte, 1<<16),
	}
	for _, log := range o.KeyLogs {
		d.keys.add(log)
	}
	return d
}

// datagram takes the next datagram of the capture.
func (d *dissector) datagram(frame int, at time.Duration, u *udpDatagram, comment string) {
	t := d.trace
	t.Datagrams = append(t.Datagrams, Datagram{
		Frame: frame, Time: at, Src: u.src, Dst: u.dst, ECN: u.ecn, Size: u.size, Comment: comment,
	})
	index := len(t.Datagrams) - 1
	rest := u.payload
	for len(rest) > 0 {
		n := d.packet(index, rest)
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	dg := &t.Datagrams[index]
	dg.Trailing = len(rest)
	switch {
	case len(u.payload) < u.size:
		dg.Note = fmt.Sprintf("only %d of %d bytes were captured", len(u.payload), u.size)
	case len(rest) > 0:
		dg.Note = describeTrailing(rest)
	}
	if len(dg.Packets) == 0 {
		dg.Strange = d.strange(rest)
	}
}

// strange reads the long header of a version that is not known, nil if there is none.
func (d *dissector) strange(b []byte) *Strange {
	inv, ok := wire.ParseInvariant(b)
	if !ok || inv.Version == 0 || inv.Version == wire.Version1 || inv.Version == wire.Version2 {
		return nil
	}
	return &Strange{Version: inv.Version, DCID: d.intern(inv.DCID), SCID: d.intern(inv.SCID)}
}

func describeTrailing(b []byte) string {
	if inv, ok := wire.ParseInvariant(b); ok && inv.Version != wire.Version1 && inv.Version != wire.Version2 {
		return "unknown version " + inv.Version.String()
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return "zero bytes"
	}
	return "not a QUIC packet"
}

// packet takes the packet at the start of b and returns its size, 0 if there is none.
func (d *dissector) packet(index int, b []byte) int {
	dg := &d.trace.Datagrams[index]
	var h wire.Header
	if wire.IsLongHeader(b[0]) {
		if !wire.ParseLong(b, &h) {
			return 0
		}
	} else {
		// RFC 9000 §17.3.1: the fixed bit is 1, so a coalesced zero is padding, unless the packet is for the
		// datagram's connection ID, too (§12.2): then the bit is greased (RFC 9287).
		if len(dg.Packets) > 0 && b[0]&wire.ShortFixedBit == 0 {
			if id := dg.Packets[0].DCID; len(id) == 0 || !bytes.HasPrefix(b[1:], id) {
				return 0
			}
		}
		h = wire.Header{Type: wire.Packet1RTT, Length: len(b)}
	}
	p := Packet{Type: h.Type, Version: h.Version, Number: -1, Size: h.Length}
	if h.Type != wire.Packet1RTT {
		p.DCID, p.SCID = d.intern(h.DCID), d.intern(h.SCID)
	}
	if len(h.Token) > 0 {
		p.Token = bytes.Clone(h.Token)
	}
	if h.PNOffset > 0 {
		p.PayloadSize = h.Length - h.PNOffset
	}
	if dg.Packets == nil {
		dg.Packets = make([]Packet, 0, 1)
	}
	dg.Packets = append(dg.Packets, p)
	w := waiting{index, len(dg.Packets) - 1, h, b[:h.Length]}
	switch h.Type {
	case wire.PacketVersionNegotiation:
		d.versionNegotiation(&w)
	case wire.PacketRetry:
		d.retry(&w)
	default:
		d.protected(&w, true)
	}
	return h.Length
}

func (d *dissector) at(w *waiting) (*Datagram, *Packet) {
	dg := &d.trace.Datagrams[w.datagram]
	return dg, &dg.Packets[w.packet]
}

// intern returns a lasting copy of a connection ID; equal IDs share one.
func (d *dissector) intern(id []byte) []byte {
	if len(id) == 0 {
		return nil
	}
	if i, ok := d.interned[string(id)]; ok {
		return d.names[i]
	}
	c := bytes.Clone(id)
	d.interned[string(c)] = len(d.names)
	d.names = append(d.names, c)
	return c
}

func (d *dissector) versionNegotiation(w *waiting) {
	dg, p := d.at(w)
	_, _, list, ok := wire.ParseVersionNegotiation(w.data)
	if !ok {
		p.Note = "malformed"
		return
	}
	for i := range min(list.Len(), 64) {
		p.Versions = append(p.Versions, list.At(i))
	}
	if found := d.find(dg, &w.header, w.data); len(found) > 0 {
		p.Conn = found[0].conn // and it comes from the server, RFC 9000 §17.2.1
	}
}

func (d *dissector) retry(w *waiting) {
	dg, p := d.at(w)
	p.Note = "its integrity tag belongs to no known connection"
	for _, r := range d.find(dg, &w.header, w.data) {
		for _, id := range r.conn.initialIDs {
			if !crypt.ValidRetry(w.header.Version, w.data, id) {
				continue
			}
			p.Conn, p.FromClient, p.Decrypted, p.Note = r.conn, false, true, ""
			r.conn.addRetry(w.header.SCID)
			d.addID(ref{r.conn, server}, w.header.SCID)
			return
		}
	}
}

// protected opens a packet, now or when its keys are there.
func (d *dissector) protected(w *waiting, mayWait bool) (done bool) {
	dg, p := d.at(w)
	note, wait := noteUnknown, true
	var owner *Conn
	for i, r := range d.find(dg, &w.header, w.data) {
		h := w.header
		if h.Type == wire.Packet1RTT && !wire.ParseShort(w.data, r.idLen, &h) {
			continue
		}
		o, why, later := d.open(r.conn, r.to.other(), &h, w.data)
		if why == "" {
			d.accept(w, r.ref, &h, &o)
			return true
		}
		if i == 0 {
			note, wait, owner = why, later, r.conn
			d.suspect(p, r.ref, &h)
		}
	}
	if w.header.Type == wire.PacketInitial && d.begin(w) {
		return true
	}
	p.Note = note
	if w.header.Type == wire.Packet1RTT && d.isReset(w.data) {
		p.Note, wait = "stateless reset", false
	}
	if wait && mayWait {
		d.keep(w, owner)
	}
	return false
}

// suspect notes to whom a packet that stays closed seems to belong.
func (d *dissector) suspect(p *Packet, r ref, h *wire.Header) {
	p.Conn, p.FromClient = r.conn, r.to == server
	if h.Type == wire.Packet1RTT {
		p.DCID, p.Version = d.intern(h.DCID), r.conn.Version
	}
}

// begin makes a connection of a client's Initial packet, which proves by its
// tag that it is one.
func (d *dissector) begin(w *waiting) bool {
	if len(d.trace.Conns) >= maxConns {
		d.trace.warn(fmt.Sprintf("only the first %d connections were followed", maxConns))
		return false
	}
	dg, _ := d.at(w)
	c := newConn(len(d.trace.Conns), w.header.Version, w.header.DCID, dg.Src, dg.Dst)
	o, note, _ := d.openInitial(c, client, &w.header, w.data)
	if note != "" {
		return false
	}
	d.trace.Conns = append(d.trace.Conns, c)
	d.addID(ref{c, server}, w.header.DCID)
	d.accept(w, ref{c, server}, &w.header, &o)
	return true
}

// keep lets a packet wait until its connection, if it is known, has keys.
func (d *dissector) keep(w *waiting, c *Conn) {
	if d.waits >= maxWaitingPackets || d.waitLen+len(w.data) > maxWaitingBytes {
		_, p := d.at(w)
		p.Note = noteTooMany
		return
	}
	d.waits++
	d.waitLen += len(w.data)
	kept := waiting{w.datagram, w.packet, w.header, bytes.Clone(w.data)}
	// The header's slices would keep the reader's buffer.
	kept.header.DCID, kept.header.SCID, kept.header.Token = d.intern(w.header.DCID), d.intern(w.header.SCID), nil
	if c == nil {
		d.strays = append(d.strays, kept)
		return
	}
	c.waiting = append(c.waiting, kept)
}

// retryWaiting opens what waits for a connection's keys.
func (d *dissector) retryWaiting(c *Conn) {
	list := c.waiting
	c.waiting = nil
	for i := range list {
		d.waits--
		d.waitLen -= len(list[i].data)
		d.protected(&list[i], true)
	}
}

// finish gives the packets of unknown connections a last chance: their
// connection ID may have been announced in a later frame of the capture.
func (d *dissector) finish() {
	const passes = 3 // each may open what the next one needs
	for range passes {
		list := d.strays
		d.strays = nil
		for i := range list {
			if !d.protected(&list[i], false) {
				d.strays = append(d.strays, list[i])
			}
		}
	}
	for _, c := range d.trace.Conns {
		d.retryWaiting(c)
		d.secretsOf(c)
		for e := range c.ends {
			for l := range c.ends[e].crypto {
				if c.ends[e].crypto[l].full {
					d.trace.warn(fmt.Sprintf("connection %d: CRYPTO data beyond %d bytes was not read", c.Index, maxCryptoBytes))
				}
			}
		}
	}
}

// candidate is an end to which a packet may lead, and the length of its
// destination connection ID if the packet has a short header.
type candidate struct {
	ref
	idLen int
}

// find returns the ends to which a packet may lead, the likeliest first. The
// result is valid until the next call.
func (d *dissector) find(dg *Datagram, h *wire.Header, b []byte) []candidate {
	d.candidates = d.candidates[:0]
	if h.Type == wire.Packet1RTT {
		for n := len(d.idLens) - 1; n > 0; n-- {
			if d.idLens[n] && len(b) > n {
				d.addCandidate(d.ids[string(b[1:1+n])], n)
			}
		}
	} else {
		d.addCandidate(d.ids[string(h.DCID)], 0)
		if r, ok := d.ids[string(h.SCID)]; ok {
			d.addCandidate(ref{r.conn, r.to.other()}, 0)
		}
	}
	list := d.pairs[addrPair{dg.Src, dg.Dst}]
	for i := len(list) - 1; i >= 0; i-- {
		d.addCandidate(list[i], max(list[i].conn.ends[list[i].to].idLen, 0))
	}
	return d.candidates
}

func (d *dissector) addCandidate(r ref, idLen int) {
	if r.conn == nil {
		return
	}
	for _, c := range d.candidates {
		if c.ref == r {
			return
		}
	}
	d.candidates = append(d.candidates, candidate{r, idLen})
}

func (d *dissector) addID(r ref, id []byte) {
	// A zero-length ID leads nowhere; such packets are found by their addresses.
	if len(id) == 0 || len(id) > wire.MaxConnIDLen {
		return
	}
	if old, ok := d.ids[string(id)]; ok && old == r {
		return
	}
	if r.conn.idCount++; r.conn.idCount > maxConnIDs {
		return
	}
	d.ids[string(id)] = r
	d.idLens[len(id)] = true
}

func (d *dissector) addPair(c *Conn, from role, dg *Datagram) {
	there := addrPair{dg.Src, dg.Dst}
	if c.ends[from].pair == there {
		return
	}
	c.ends[from].pair = there
	d.appendPair(there, ref{c, from.other()})
	d.appendPair(addrPair{dg.Dst, dg.Src}, ref{c, from})
}

func (d *dissector) appendPair(p addrPair, r ref) {
	list := d.pairs[p]
	if slices.Contains(list, r) {
		return
	}
	if len(list) >= maxPairConns {
		list = slices.Delete(list, 0, 1)
	}
	d.pairs[p] = append(list, r)
}
