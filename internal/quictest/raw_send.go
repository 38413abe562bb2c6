package quictest

import (
	"bytes"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// frame encodes a frame without fields.
func frame(t wire.FrameType) []byte { return wire.AppendFrame(nil, &wire.Frame{Type: t}) }

// encode encodes any frame that wire.AppendFrame can write.
func encode(f wire.Frame) []byte { return wire.AppendFrame(nil, &f) }

// stream encodes a STREAM frame.
func stream(id, off uint64, data string, fin bool) []byte {
	return append(wire.AppendStreamHeader(nil, id, off, len(data), fin), data...)
}

// crypto encodes a CRYPTO frame.
func crypto(off uint64, data []byte) []byte {
	return append(wire.AppendCryptoHeader(nil, off, len(data)), data...)
}

// ack encodes an ACK frame of ranges, the largest first.
func ack(ranges ...wire.AckRange) []byte { return wire.AppendAck(nil, 1<<16, ranges, 0, nil) }

// padding is n bytes of PADDING.
func padding(n int) []byte { return make([]byte, n) }

// Packet seals a packet of a space with the given number and frames.
func (r *RawPeer) Packet(id recovery.SpaceID, pn uint64, frames ...[]byte) []byte {
	return r.PacketBits(id, pn, 0, frames...)
}

// EarlyPacket seals a 0-RTT packet, with a number of the App space.
func (r *RawPeer) EarlyPacket(pn uint64, frames ...[]byte) []byte {
	r.t.Helper()
	if r.early == nil {
		r.t.Fatal("no 0-RTT keys")
	}
	payload := bytes.Join(frames, nil)
	const pnLen = 4
	b, lengthAt := wire.AppendLong(nil, wire.Packet0RTT, r.version, r.DCID, r.SCID, nil, pn, pnLen)
	offset := len(b) - pnLen
	wire.PutVarint2(b[lengthAt:], uint64(pnLen+len(payload)+crypt.TagSize))
	b = append(append(b, payload...), make([]byte, crypt.TagSize)...)
	return r.early.Seal(b[:len(b)-crypt.TagSize], offset, pnLen, pn)
}

// PacketBits is Packet with bits of the first byte flipped before sealing.
func (r *RawPeer) PacketBits(id recovery.SpaceID, pn uint64, flip byte, frames ...[]byte) []byte {
	r.t.Helper()
	payload := bytes.Join(frames, nil)
	const pnLen = 4 // so that even an empty payload can be sealed
	var b []byte
	lengthAt := 0
	if id == App {
		b = wire.AppendShort(b, r.DCID, pn, pnLen, r.phase, false)
	} else {
		t := wire.PacketInitial
		if id == Handshake {
			t = wire.PacketHandshake
		}
		b, lengthAt = wire.AppendLong(b, t, r.version, r.DCID, r.SCID, r.Token, pn, pnLen)
	}
	b[0] ^= flip
	offset := len(b) - pnLen
	if lengthAt > 0 {
		wire.PutVarint2(b[lengthAt:], uint64(pnLen+len(payload)+crypt.TagSize))
	}
	b = append(b, payload...)
	if r.sp[id].write == nil {
		r.t.Fatalf("no %v keys yet", id)
	}
	b = append(b, make([]byte, crypt.TagSize)...)
	return r.sp[id].write.Seal(b[:len(b)-crypt.TagSize], offset, pnLen, pn)
}

// NextNumber takes the next packet number of a space.
func (r *RawPeer) NextNumber(id recovery.SpaceID) uint64 {
	r.sp[id].next++
	return r.sp[id].next - 1
}

// Send sends one packet with the next number; an Initial in a datagram of 1200
// bytes.
func (r *RawPeer) Send(id recovery.SpaceID, frames ...[]byte) {
	r.t.Helper()
	r.SendNumber(id, r.NextNumber(id), frames...)
}

// SendNumber is Send with a number of the test's choice.
func (r *RawPeer) SendNumber(id recovery.SpaceID, pn uint64, frames ...[]byte) {
	r.t.Helper()
	if id == Initial {
		size := len(r.Packet(id, pn, frames...))
		frames = append(frames, padding(max(0, wire.MinInitialDatagram-size)))
	}
	r.SendDatagram(r.Packet(id, pn, frames...))
}

// SendDatagram delivers packets as one datagram, and takes the replies.
func (r *RawPeer) SendDatagram(packets ...[]byte) {
	r.t.Helper()
	r.SendFrom(0, packets...)
}

// SendFrom is SendDatagram with an ECN codepoint.
func (r *RawPeer) SendFrom(ecn uint8, packets ...[]byte) {
	r.t.Helper()
	d := core.Datagram{Data: bytes.Join(packets, nil), Remote: r.local, Local: r.remote.Addr(), ECN: ecn}
	r.SentBytes += len(d.Data)
	now := r.Clock.Now()
	switch route := r.Router.Route(now, &d); route.Kind {
	case core.RouteConn:
		route.Conn.Receive(now, &d)
	case core.RouteNew:
		conn, err := core.NewServer(now, &r.cfg, route.New)
		must(err)
		conn.Receive(now, &d)
		if conn.Heard() {
			r.Conn = conn
		}
	case core.RouteReset:
		route.Conn.ResetByPeer(now, &d)
	case core.RouteReply:
		r.take(route.Reply)
	}
	r.Flush()
}
