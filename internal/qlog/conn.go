package qlog

import (
	"net/netip"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// ConnectionStarted records the beginning of a connection: the addresses and
// the connection IDs that the endpoint (src) and its peer (dst) go by. An
// invalid address and a nil ID are left out.
func (l *Log) ConnectionStarted(now hook.Instant, local, remote netip.AddrPort, src, dst []byte) {
	if l.off() {
		return
	}
	e := l.begin(now, "connection_started")
	e.endpoint("local", local, src)
	e.endpoint("remote", remote, dst)
	l.commit()
}

func (e *enc) endpoint(k string, a netip.AddrPort, id []byte) {
	e.object(k)
	e.addrPort(a)
	if id != nil {
		e.array("connection_ids")
		e.hexValue(id)
		e.endArray()
	}
	e.end()
}

// VersionInformation records what versions each side is known to support and
// which one is used; an empty list is left out, and so is a chosen version of 0.
func (l *Log) VersionInformation(now hook.Instant, client, server []wire.Version, chosen wire.Version) {
	if l.off() {
		return
	}
	e := l.begin(now, "version_information")
	e.versions("client_versions", client)
	e.versions("server_versions", server)
	if chosen != 0 {
		e.version("chosen_version", chosen)
	}
	l.commit()
}

func (e *enc) versions(k string, list []wire.Version) {
	if len(list) == 0 {
		return
	}
	e.array(k)
	for _, v := range list[:min(len(list), maxVersions)] {
		e.comma()
		e.versionValue(v)
	}
	e.endArray()
}

// ALPN records the application protocol that the handshake chose.
func (l *Log) ALPN(now hook.Instant, chosen string) {
	if l.off() {
		return
	}
	e := l.begin(now, "alpn_information")
	e.object("chosen_alpn")
	e.str("string_value", chosen)
	e.end()
	l.commit()
}

// ParametersSet records the transport parameters of owner, "local" or
// "remote", and remembers the exponent by which later ACK delays are read.
func (l *Log) ParametersSet(now hook.Instant, owner string, p *wire.Params) {
	if l.off() {
		return
	}
	if owner == "remote" {
		l.remoteExponent = p.AckDelayExponent
	} else {
		l.localExponent = p.AckDelayExponent
	}
	e := l.begin(now, "parameters_set")
	e.str("initiator", owner)
	e.optionalHex("original_destination_connection_id", p.OriginalDCID)
	e.optionalHex("initial_source_connection_id", p.InitialSCID)
	e.optionalHex("retry_source_connection_id", p.RetrySCID)
	if p.ResetToken != nil {
		e.hex("stateless_reset_token", p.ResetToken[:])
	}
	e.bool("disable_active_migration", p.DisableMigration)
	e.uint("max_idle_timeout", uint64(p.MaxIdleTimeout/time.Millisecond))
	e.uint("max_udp_payload_size", p.MaxUDPPayload)
	e.uint("ack_delay_exponent", uint64(p.AckDelayExponent))
	e.uint("max_ack_delay", uint64(p.MaxAckDelay/time.Millisecond))
	e.uint("active_connection_id_limit", p.ActiveConnIDLimit)
	e.uint("initial_max_data", p.MaxData)
	e.uint("initial_max_stream_data_bidi_local", p.MaxStreamLocal)
	e.uint("initial_max_stream_data_bidi_remote", p.MaxStreamRemote)
	e.uint("initial_max_stream_data_uni", p.MaxStreamUni)
	e.uint("initial_max_streams_bidi", p.MaxStreamsBidi)
	e.uint("initial_max_streams_uni", p.MaxStreamsUni)
	if p.MaxDatagramFrame > 0 {
		e.uint("max_datagram_frame_size", p.MaxDatagramFrame)
	}
	// The draft has no names for what other drafts define.
	if p.ResetStreamAt {
		e.bool("reset_stream_at", true)
	}
	if p.MinAckDelay >= 0 {
		e.uint("min_ack_delay", uint64(p.MinAckDelay/time.Microsecond))
	}
	if p.Plugins.Version > 0 {
		e.uint("pq_plugins", p.Plugins.Version)
	}
	if a := p.Preferred; a != nil {
		e.preferred(a)
	}
	if p.GreaseQUICBit {
		e.bool("grease_quic_bit", true)
	}
	l.commit()
}

func (e *enc) optionalHex(k string, v []byte) {
	if v != nil {
		e.hex(k, v)
	}
}

func (e *enc) preferred(a *wire.PreferredAddress) {
	e.object("preferred_address")
	e.addrPort(a.V4)
	e.addrPort(a.V6)
	e.hex("connection_id", a.ConnID)
	e.hex("stateless_reset_token", a.ResetToken[:])
	e.end()
}

// KeyUpdated records new keys: keyType is client_ or server_ followed by
// initial_, handshake_, 0rtt_ or 1rtt_secret. phase, a count from 0, is written
// for 1-RTT keys. The keys themselves are never written.
func (l *Log) KeyUpdated(now hook.Instant, keyType string, phase uint64) {
	if l.off() {
		return
	}
	l.keyEvent(now, "key_updated", keyType, phase)
}

// KeyDiscarded records that keys are gone; the arguments are those of KeyUpdated.
func (l *Log) KeyDiscarded(now hook.Instant, keyType string, phase uint64) {
	if l.off() {
		return
	}
	l.keyEvent(now, "key_discarded", keyType, phase)
}

func (l *Log) keyEvent(now hook.Instant, name, keyType string, phase uint64) {
	e := l.begin(now, name)
	e.str("key_type", keyType)
	if strings.HasSuffix(keyType, "_1rtt_secret") {
		e.uint("key_phase", phase)
	}
	l.commit()
}

// MTUUpdated records that the path is known to carry datagrams of new bytes
// instead of old; done says that the search has ended. An old of 0 is left out.
func (l *Log) MTUUpdated(now hook.Instant, old, new int, done bool) {
	if l.off() {
		return
	}
	e := l.begin(now, "mtu_updated")
	if old > 0 {
		e.uint("old", uint64(old))
	}
	e.uint("new", uint64(max(new, 0)))
	e.bool("done", done)
	l.commit()
}

// SpinBit records a change of the spin bit on packets sent.
func (l *Log) SpinBit(now hook.Instant, state bool) {
	if l.off() {
		return
	}
	e := l.begin(now, "spin_bit_updated")
	e.bool("state", state)
	l.commit()
}

// TupleAssigned records that the connection may use another pair of addresses,
// which id names in other events.
func (l *Log) TupleAssigned(now hook.Instant, id string, local, remote netip.AddrPort) {
	if l.off() {
		return
	}
	e := l.begin(now, "tuple_assigned")
	e.str("tuple_id", id)
	e.endpoint("tuple_remote", remote, nil)
	e.endpoint("tuple_local", local, nil)
	l.commit()
}

// MigrationState records what becomes of a tuple: probing_started,
// probing_abandoned, probing_successful, migration_started, migration_abandoned
// or migration_complete.
func (l *Log) MigrationState(now hook.Instant, new, tuple string) {
	if l.off() {
		return
	}
	e := l.begin(now, "migration_state_updated")
	e.str("new", new)
	e.str("tuple_id", tuple)
	l.commit()
}

// ConnectionClose is the end of a connection.
type ConnectionClose struct {
	Owner   string // "local" or "remote": who ended it; empty = nobody, as in a timeout
	App     bool   // Code is of the application, not of the transport
	Code    uint64
	Reason  string // may come from the peer
	Trigger string // idle_timeout, application, error, version_mismatch, stateless_reset, aborted, unspecified; empty = none
}

// ConnectionClosed records the end of a connection. The error is left out for
// the triggers without one: idle_timeout, stateless_reset and version_mismatch.
func (l *Log) ConnectionClosed(now hook.Instant, c ConnectionClose) {
	if l.off() {
		return
	}
	e := l.begin(now, "connection_closed")
	if c.Owner != "" {
		e.str("initiator", c.Owner)
	}
	switch c.Trigger {
	case "idle_timeout", "stateless_reset", "version_mismatch":
	default:
		e.closeError(c.App, c.Code)
	}
	if c.Reason != "" {
		e.str("reason", c.Reason)
	}
	if c.Trigger != "" {
		e.str("trigger", c.Trigger)
	}
	l.commit()
}

func (e *enc) closeError(app bool, code uint64) {
	if !app {
		e.transportError("connection_error", code)
		return
	}
	e.str("application_error", "unknown")
	e.uint("error_code", code)
}
