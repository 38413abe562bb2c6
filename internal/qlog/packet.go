package qlog

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// UnknownPacket is the type of a packet whose type is not known.
const UnknownPacket = wire.PacketType(0xff)

// PacketInfo is the outside of a packet. The slices are read during the call only.
type PacketInfo struct {
	Type      wire.PacketType
	Number    uint64
	HasNumber bool   // Number counts: Retry and Version Negotiation packets have none
	DCID      []byte // nil = not written
	SCID      []byte // nil = not written
	Token     []byte // of an Initial or Retry packet
	Version   wire.Version
	Size      int   // bytes of the packet in its datagram, header and tag included
	KeyPhase  bool  // the bit of a 1-RTT packet
	ECN       uint8 // the two bits of the IP header; 0 is not written
	// DatagramID tells which packets shared a datagram; 0 is not written.
	DatagramID uint32
	MTUProbe   bool
}

// PacketSent records that a packet left. payload is its plaintext: frames, or
// the version list of a Version Negotiation packet.
func (l *Log) PacketSent(now hook.Instant, p PacketInfo, payload []byte) {
	if l.off() {
		return
	}
	l.packet(now, "packet_sent", &p, payload, l.localExponent)
}

// PacketReceived records that a packet came and authenticated; payload is as for PacketSent.
func (l *Log) PacketReceived(now hook.Instant, p PacketInfo, payload []byte) {
	if l.off() {
		return
	}
	l.packet(now, "packet_received", &p, payload, l.remoteExponent)
}

func (l *Log) packet(now hook.Instant, name string, p *PacketInfo, payload []byte, exponent uint8) {
	e := l.begin(now, name)
	l.header(p)
	e.object("raw")
	e.uint("length", uint64(max(p.Size, 0)))
	e.uint("payload_length", uint64(len(payload)))
	e.end()
	if p.DatagramID != 0 {
		e.uint("datagram_id", uint64(p.DatagramID))
	}
	if p.ECN&3 != 0 {
		e.str("ecn", ecnNames[p.ECN&3])
	}
	if p.MTUProbe {
		e.bool("is_mtu_probe_packet", true)
	}
	switch p.Type {
	case wire.PacketRetry:
	case wire.PacketVersionNegotiation:
		l.versionList(payload)
	case wire.Packet1RTT, wire.Packet0RTT:
		l.frames(payload, exponent)
	default:
		// RFC 9000 §18.2: the exponent is of ACK frames in 1-RTT packets only.
		l.frames(payload, defaultExponent)
	}
	l.commit()
}

// The values of the ECN field (RFC 3168 §5).
var ecnNames = [4]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}

func (l *Log) header(p *PacketInfo) {
	e := &l.e
	e.object("header")
	e.str("packet_type", p.Type.String())
	if p.HasNumber {
		e.uint("packet_number", p.Number)
	}
	if p.Type == wire.Packet1RTT {
		e.bool("key_phase_bit", p.KeyPhase)
	} else if p.Type != UnknownPacket {
		e.version("version", p.Version)
	}
	if p.SCID != nil {
		e.uint("scil", uint64(len(p.SCID)))
		e.hex("scid", p.SCID)
	}
	if p.DCID != nil {
		e.uint("dcil", uint64(len(p.DCID)))
		e.hex("dcid", p.DCID)
	}
	if len(p.Token) > 0 {
		e.object("token")
		e.rawInfo(p.Token)
		e.end()
	}
	e.end()
}

func (l *Log) versionList(list wire.VersionList) {
	if list.Len() == 0 {
		return
	}
	e := &l.e
	e.array("supported_versions")
	for i := range min(list.Len(), maxVersions) {
		e.comma()
		e.versionValue(list.At(i))
	}
	e.endArray()
}

// PacketDropped records that a packet of size bytes was thrown away, and why:
// the triggers of the draft are internal_error, rejected, unsupported, invalid,
// duplicate, connection_unknown, decryption_failure, key_unavailable, general.
// The type may be UnknownPacket.
func (l *Log) PacketDropped(now hook.Instant, t wire.PacketType, size int, trigger string) {
	if l.off() {
		return
	}
	l.outside(now, "packet_dropped", t, size, trigger)
}

// PacketBuffered records that a packet waits; the triggers of the draft are
// backpressure and keys_unavailable.
func (l *Log) PacketBuffered(now hook.Instant, t wire.PacketType, size int, trigger string) {
	if l.off() {
		return
	}
	l.outside(now, "packet_buffered", t, size, trigger)
}

// outside writes an event of a packet that was not opened.
func (l *Log) outside(now hook.Instant, name string, t wire.PacketType, size int, trigger string) {
	e := l.begin(now, name)
	e.object("header")
	e.str("packet_type", t.String())
	e.end()
	e.rawLength(max(size, 0))
	e.str("trigger", trigger)
	l.commit()
}

// PacketLost records that loss detection gave a packet up; the triggers of the
// draft are reordering_threshold, time_threshold and pto_expired.
func (l *Log) PacketLost(now hook.Instant, t wire.PacketType, pn uint64, trigger string) {
	if l.off() {
		return
	}
	e := l.begin(now, "packet_lost")
	e.object("header")
	e.str("packet_type", t.String())
	e.uint("packet_number", pn)
	e.end()
	if trigger != "" {
		e.str("trigger", trigger)
	}
	l.commit()
}
