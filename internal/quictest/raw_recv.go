package quictest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// Flush takes all that the connection under test wants to send, and its events.
func (r *RawPeer) Flush() {
	r.t.Helper()
	for range 10_000 {
		if r.Conn == nil {
			return
		}
		sent := r.Conn.Transmit(r.Clock.Now(), &r.batch)
		if sent {
			for buf := r.batch.Buf; len(buf) > 0; {
				n := min(r.batch.Segment, len(buf))
				r.take(bytes.Clone(buf[:n]))
				buf = buf[n:]
			}
		}
		if !r.drainEvents() && !sent {
			return
		}
	}
	r.t.Fatal("the connection never comes to rest")
}

func (r *RawPeer) drainEvents() (any bool) {
	for {
		e, ok := r.Conn.NextEvent()
		if !ok {
			return any
		}
		any = true
		switch e.Kind {
		case core.EventIDIssued:
			r.Router.Add(e.ID, r.Conn)
		case core.EventIDRetired:
			r.Router.Remove(e.ID)
		case core.EventResetToken:
			r.Router.AddReset(e.Token, r.Conn)
		case core.EventTokenGone:
			r.Router.RemoveReset(e.Token)
		case core.EventOpened:
			r.Opened = append(r.Opened, e.Stream)
		}
		r.Events = append(r.Events, e)
	}
}

// Advance moves time on, with every timer of the connection under test firing
// when it is due.
func (r *RawPeer) Advance(d time.Duration) {
	r.t.Helper()
	until := r.Clock.Now().Add(d)
	still := 0 // timers that fired without any time passing
	for still < maxStill {
		at := r.Conn.Deadline()
		if at.IsZero() || at.After(until) {
			r.Clock.AdvanceTo(until)
			return
		}
		if still++; at.After(r.Clock.Now()) {
			still = 0
		}
		r.Clock.AdvanceTo(at)
		r.Conn.Tick(r.Clock.Now())
		r.Flush()
	}
	r.t.Fatalf("timers without end at %v", r.Clock.Since())
}

// maxStill is how often in a row a timer may be due at once: a connection whose
// deadline stays in the past keeps its driver busy for nothing.
const maxStill = 64

// take decodes a datagram of the connection under test.
func (r *RawPeer) take(data []byte) {
	r.GotBytes += len(data)
	r.GotDatagrams++
	size := len(data)
	for len(data) > 0 {
		n := r.takePacket(data, size)
		data = data[n:]
	}
	if r.AutoAck && r.complete {
		r.AckAll()
	}
}

// takePacket decodes the packet at the front of data and returns its size.
func (r *RawPeer) takePacket(data []byte, size int) int {
	var h wire.Header
	var version wire.Version // of a long header
	p := Reply{Type: wire.Packet1RTT, Datagram: r.GotDatagrams, Size: size, To: r.batch.Remote, From: r.batch.Local, Socket: r.batch.Socket}
	id := App
	if wire.IsLongHeader(data[0]) {
		if inv, _ := wire.ParseInvariant(data); !r.client && r.initialID == nil && inv.Version != r.first {
			r.odcid, r.DCID = bytes.Clone(inv.DCID), bytes.Clone(inv.SCID) // to be refused, perhaps
			return len(data)
		}
		if !wire.ParseLong(data, &h) {
			r.t.Fatalf("cannot parse a packet of the connection: %x", data)
		}
		p.Type, p.Version, version = h.Type, h.Version, h.Version
		switch h.Type {
		case wire.PacketRetry, wire.PacketVersionNegotiation:
			p.Raw = data[:h.Length]
			r.Replies = append(r.Replies, p)
			return h.Length
		}
		switch id = Initial; h.Type {
		case wire.PacketHandshake:
			id = Handshake
		case wire.Packet0RTT:
			id = App
		}
		if id == Initial && !r.client && r.initialID == nil {
			r.meet(&h)
		}
		if r.client {
			r.DCID = bytes.Clone(h.SCID)
		}
		if id == Initial && (r.client || version == r.version || version == r.first) {
			r.sp[Initial].read, _ = r.initialKeys(version)
			if r.client && version != r.version {
				r.goOnIn(version)
			}
		}
	} else if !wire.ParseShort(data, r.idLen, &h) {
		r.t.Fatalf("cannot parse a short header of the connection: %x", data)
	}
	p.DCID, p.Token = string(h.DCID), string(h.Token)
	s := &r.sp[id]
	keys := s.read
	if h.Type == wire.Packet0RTT {
		keys = r.early
	}
	if keys == nil {
		return h.Length // the test has not let us come that far
	}
	pkt := data[:h.Length]
	truncated, pnLen, ok := keys.Unprotect(pkt, h.PNOffset)
	if ok {
		p.Number = wire.DecodePacketNumber(s.largest, truncated, pnLen)
		p.Spin = id == App && pkt[0]&wire.ShortSpinBit != 0
		p.Phase = id == App && pkt[0]&wire.ShortKeyPhase != 0
		payload, err := keys.Open(pkt, h.PNOffset+pnLen, p.Number)
		if err != nil && id == App {
			if s.read != nil && p.Phase != r.phase {
				return h.Length
			}
			p.Raw = data[:h.Length] // a stateless reset, perhaps
			r.Replies = append(r.Replies, p)
			return h.Length
		}
		if err == nil {
			r.accept(id, &p, payload)
		}
	} else if id == App {
		p.Raw = data[:h.Length]
		r.Replies = append(r.Replies, p)
	}
	return h.Length
}

// meet is how a server's RawPeer learns of its client.
func (r *RawPeer) meet(h *wire.Header) {
	r.odcid = bytes.Clone(h.DCID)
	r.Reconnect(r.odcid)
	if r.opts.Upgrade != 0 {
		r.goOnIn(r.opts.Upgrade)
	}
	r.DCID = bytes.Clone(h.SCID)
	conn := r.tls
	r.startTLS(conn)
}

// accept takes an authenticated packet.
func (r *RawPeer) accept(id recovery.SpaceID, p *Reply, payload []byte) {
	s := &r.sp[id]
	s.largest = max(s.largest, int64(p.Number))
	eliciting := false
	for len(payload) > 0 {
		var f wire.Frame
		n, err := wire.Next(payload, &f)
		if err != nil {
			r.t.Fatalf("the connection sent a bad frame: %v %v", f.Type, err)
		}
		payload = payload[n:]
		p.Frames = append(p.Frames, f)
		eliciting = eliciting || f.Type.AckEliciting()
		if f.Type == wire.FrameCrypto {
			s.in[f.Offset] = f.Data
		}
		r.done = r.done || f.Type == wire.FrameHandshakeDone
	}
	s.got = append(s.got, p.Number)
	r.Replies = append(r.Replies, *p)
	r.feedTLS(id)
}

// feedTLS hands handshake data to TLS as far as it is in order.
func (r *RawPeer) feedTLS(id recovery.SpaceID) {
	s := &r.sp[id]
	level := spaceLevel[id]
	for more := true; more; {
		more = false
		for off, data := range s.in {
			end := off + uint64(len(data))
			if end <= s.inAt {
				delete(s.in, off)
			} else if off <= s.inAt {
				rest := data[s.inAt-off:]
				s.inAt, more = end, true
				if err := r.tls.HandleData(level, rest); err != nil {
					r.t.Logf("TLS of the scripted peer: %v", err)
					return
				}
				r.drainTLS()
			}
		}
	}
}

// AckAll acknowledges everything that was received in the open spaces.
func (r *RawPeer) AckAll() {
	var packets [][]byte
	for id := Initial; id <= App; id++ {
		s := &r.sp[id]
		if s.write == nil || len(s.got) == 0 || id != App && r.done {
			continue
		}
		packets = append(packets, r.Packet(id, r.NextNumber(id), ack(r.Ranges(id)...)))
		s.got = s.got[len(s.got)-min(len(s.got), 64):]
	}
	d := core.Datagram{Data: bytes.Join(packets, nil), Remote: r.local, Local: r.remote.Addr()}
	r.SentBytes += len(d.Data)
	if len(d.Data) > 0 && r.Conn != nil {
		r.Conn.Receive(r.Clock.Now(), &d)
	}
}

// Ranges returns the numbers received last in a space, the largest first.
func (r *RawPeer) Ranges(id recovery.SpaceID) []wire.AckRange {
	got := slices.Clone(r.sp[id].got)
	slices.Sort(got)
	var list []wire.AckRange
	for i := len(got) - 1; i >= 0; i-- {
		if n := len(list); n > 0 && list[n-1].Smallest <= got[i]+1 {
			list[n-1].Smallest = min(list[n-1].Smallest, got[i])
			continue
		}
		list = append(list, wire.AckRange{Smallest: got[i], Largest: got[i]})
	}
	return list
}

// WantFrame takes replies up to the first one with a frame of type t for which
// all matches hold, and returns that frame; what says why it is due.
func (r *RawPeer) WantFrame(what string, t wire.FrameType, match ...func(f *wire.Frame) bool) (Reply, wire.Frame) {
	r.t.Helper()
	for i, p := range r.Replies {
		for _, f := range p.Frames {
			if f.Type == t || t.IsStream() && f.Type.IsStream() || t == wire.FrameAck && f.Type == wire.FrameAckECN {
				if all(match, &f) {
					r.Replies = r.Replies[i+1:]
					return p, f
				}
			}
		}
	}
	r.t.Fatalf("%s: want %v, got %v; connection: %v", what, t, r.Describe(), r.Conn.Err())
	return Reply{}, wire.Frame{}
}

func all(match []func(f *wire.Frame) bool, f *wire.Frame) bool {
	for _, m := range match {
		if !m(f) {
			return false
		}
	}
	return true
}

// WantNoFrame checks that no reply since the last want has a frame of type t.
func (r *RawPeer) WantNoFrame(what string, t wire.FrameType) {
	r.t.Helper()
	for _, p := range r.Replies {
		for _, f := range p.Frames {
			if f.Type == t || t.IsStream() && f.Type.IsStream() {
				r.t.Fatalf("%s: want no %v, got %v", what, t, r.Describe())
			}
		}
	}
	r.Replies = nil
}

// WantSilence checks that nothing was sent since the last want.
func (r *RawPeer) WantSilence(what string) {
	r.t.Helper()
	if len(r.Replies) > 0 {
		r.t.Fatalf("%s: want silence, got %v", what, r.Describe())
	}
}

// WantClose checks that the connection under test closed with a transport
// error code, and told us.
func (r *RawPeer) WantClose(what string, code core.Code) wire.Frame {
	r.t.Helper()
	var local *core.LocalError
	if !errors.As(r.Conn.Err(), &local) || local.App || local.Code != uint64(code) {
		r.t.Fatalf("%s: want %v, connection: %v", what, code, r.Conn.Err())
	}
	_, f := r.WantFrame(what, wire.FrameConnectionClose)
	if f.Code != uint64(code) {
		r.t.Fatalf("%s: want %v, CONNECTION_CLOSE says %v", what, code, core.Code(f.Code))
	}
	return f
}

// WantOpen checks that the connection under test lives.
func (r *RawPeer) WantOpen(what string) {
	r.t.Helper()
	if err := r.Conn.Err(); err != nil {
		r.t.Fatalf("%s: want the connection to live, got %v", what, err)
	}
}

// Describe lists the replies that no want has looked at.
func (r *RawPeer) Describe() string {
	var lines []string
	for _, p := range r.Replies {
		var frames []string
		for _, f := range p.Frames {
			frames = append(frames, f.Type.String())
		}
		lines = append(lines, fmt.Sprintf("%v %d [%s]", p.Type, p.Number, strings.Join(frames, " ")))
	}
	return "{" + strings.Join(lines, ", ") + "}"
}
