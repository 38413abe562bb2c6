package core

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// memory is what both sides keep beside a TLS session: a server in the ticket,
// a client next to it.
type memory struct {
	version wire.Version // RFC 9369 §5: a session belongs to one
	at      time.Time    // when the ticket was issued
	alpn    string       // the application protocol, also that of early data
	params  wire.Params  // the server's limits (RFC 9000 §7.4.1)
	plugins []hook.Offer // those that both sides agreed on; limit: maxOffers, of each side
}

// memoryPrefix tells our entry of tls.SessionState.Extra from those of others.
// The second kind also has a list of plugins, after its length in two bytes.
var (
	memoryPrefix        = []byte("quiver session 1\x00")
	memoryPluginsPrefix = []byte("quiver session 2\x00")
)

// appendMemory encodes m as an entry of tls.SessionState.Extra.
func appendMemory(m *memory) []byte {
	b := bytes.Clone(memoryPrefix)
	if len(m.plugins) > 0 {
		b = bytes.Clone(memoryPluginsPrefix)
		list := appendOffers(nil, m.plugins)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(list))), list...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(m.version))
	b = binary.BigEndian.AppendUint64(b, uint64(m.at.UnixMilli()))
	b = append(append(b, byte(len(m.alpn))), m.alpn...)
	return wire.AppendParams(b, &m.params)
}

// recall finds what appendMemory left in a session.
func recall(s *tls.SessionState) (m memory, ok bool) {
	for _, entry := range s.Extra {
		if m, ok = recallEntry(entry); ok {
			break
		}
	}
	return m, ok
}

func recallEntry(entry []byte) (m memory, ok bool) {
	b, ok := bytes.CutPrefix(entry, memoryPrefix)
	if !ok {
		m.plugins, b, ok = recallPlugins(entry)
	}
	const fixed = 4 + 8 + 1
	if !ok || len(b) < fixed || len(b) < fixed+int(b[fixed-1]) {
		return m, false
	}
	m.version = wire.Version(binary.BigEndian.Uint32(b))
	m.at = time.UnixMilli(int64(binary.BigEndian.Uint64(b[4:])))
	n := fixed + int(b[fixed-1])
	m.alpn = string(b[fixed:n])
	p, err := wire.ParseParams(b[n:], true)
	if err != nil {
		return m, false
	}
	m.params = *p
	return m, true
}

// recallPlugins reads the list of plugins in an entry that has one, and returns
// what follows.
func recallPlugins(entry []byte) (set []hook.Offer, rest []byte, ok bool) {
	b, found := bytes.CutPrefix(entry, memoryPluginsPrefix)
	if !found || len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	set, ok = parseOffers(b[2:n])
	return set, b[n:], ok
}

// memorable returns the part of p that RFC 9000 §7.4.1 lets a client remember.
func memorable(p *wire.Params) wire.Params {
	m, d := *p, wire.DefaultParams()
	m.OriginalDCID, m.InitialSCID, m.RetrySCID, m.ResetToken, m.Preferred = nil, nil, nil, nil, nil
	m.AckDelayExponent, m.MaxAckDelay, m.Grease = d.AckDelayExponent, d.MaxAckDelay, 0
	// RFC 9287 §3.1, RFC 9368 §3, draft-ietf-quic-ack-frequency §3: nor these.
	m.GreaseQUICBit, m.Versions, m.MinAckDelay = false, nil, d.MinAckDelay
	return m
}

// reduced names a limit that is smaller in now than in then although early data
// may have been sent up to it (RFC 9000 §7.4.1).
func reduced(then, now *wire.Params) (name string, smaller bool) {
	for _, l := range []struct {
		name      string
		then, now uint64
	}{
		{"active_connection_id_limit", then.ActiveConnIDLimit, now.ActiveConnIDLimit},
		{"initial_max_data", then.MaxData, now.MaxData},
		{"initial_max_stream_data_bidi_local", then.MaxStreamLocal, now.MaxStreamLocal},
		{"initial_max_stream_data_bidi_remote", then.MaxStreamRemote, now.MaxStreamRemote},
		{"initial_max_stream_data_uni", then.MaxStreamUni, now.MaxStreamUni},
		{"initial_max_streams_bidi", then.MaxStreamsBidi, now.MaxStreamsBidi},
		{"initial_max_streams_uni", then.MaxStreamsUni, now.MaxStreamsUni},
		{"max_datagram_frame_size", then.MaxDatagramFrame, now.MaxDatagramFrame}, // RFC 9221 §3
		{"pq_plugins", then.Plugins.Version, now.Plugins.Version},
		{"pq_plugins", then.Plugins.MaxControl, now.Plugins.MaxControl},
	} {
		if l.now < l.then {
			return l.name, true
		}
	}
	return "", false
}

// sendTicket lets the client resume, with early data if early says so, for which
// the plugins in set are taken up again. A connection does not fail for want of one.
func (c *Conn) sendTicket(now hook.Instant, set []hook.Offer, early bool) {
	own := c.cfg.params()
	m := memory{c.version, c.when(now), c.tls.state.NegotiatedProtocol, memorable(&own), set}
	c.tls.conn.SendSessionTicket(tls.QUICSessionTicketOptions{EarlyData: early, Extra: [][]byte{appendMemory(&m)}})
}

// storeSession keeps a ticket of the server, with what it allows.
func (c *Conn) storeSession(now hook.Instant, s *tls.SessionState) {
	m := memory{c.version, c.when(now), c.tls.state.NegotiatedProtocol, memorable(c.early.server), nil}
	if c.exch != nil {
		m.plugins = c.exch.kept
		s.EarlyData = s.EarlyData && !c.exch.lost
	}
	s.Extra = append(s.Extra, appendMemory(&m))
	c.tls.conn.StoreSession(s) // it fails only at a server
}

// forgetSession makes up for a mistake of crypto/tls: after a HelloRetryRequest
// it computes the binder of its second ClientHello before it takes early_data
// out of it, so that a server which knows the session answers decrypt_error.
// Without the session the next connection gets through.
func (c *Conn) forgetSession() { c.cfg.TLS.ClientSessionCache.Put(c.cfg.TLS.ServerName, nil) }

// sessionCache is a client's cache as one connection sees it: sessions of other
// versions are not there (RFC 9369 §5), and what TLS is told to change about a
// session changes a copy.
type sessionCache struct {
	tls.ClientSessionCache
	version wire.Version
	late    *time.Duration // by how much TLS takes the session last got for too old
}

// Get returns a session of the connection's version.
func (s sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	cached, ok := s.ClientSessionCache.Get(key)
	if !ok || cached == nil {
		return nil, false
	}
	ticket, state, err := cached.ResumptionState()
	if err != nil || state == nil {
		return nil, false
	}
	m, ok := recall(state)
	if !ok || m.version != s.version {
		return nil, false
	}
	*s.late = m.at.Sub(m.at.Truncate(time.Second))
	own := *state
	fresh, err := tls.NewResumptionState(ticket, &own)
	return fresh, err == nil
}

// MayResume reports whether a server may resume a session of one of its tickets:
// it must be of the version in which the client came (RFC 9369 §5). The driver
// asks, since the keys of tickets are in the configuration that it shares among
// connections.
func (c *Conn) MayResume(s *tls.SessionState) bool {
	m, ok := recall(s)
	return ok && m.version == c.vers.original
}

// tlsConfig is the configuration for TLS on this connection.
func (c *Conn) tlsConfig() *tls.Config {
	if !c.client || c.cfg.TLS.ClientSessionCache == nil {
		return c.cfg.TLS
	}
	cfg := c.cfg.TLS.Clone()
	late := new(time.Duration)
	cfg.ClientSessionCache = sessionCache{cfg.ClientSessionCache, c.version, late}
	if clock := cfg.Time; clock != nil {
		// crypto/tls keeps the time of a ticket in whole seconds and so may tell
		// an age that is up to a second too high. A server that measures exactly
		// takes that for a replay and rejects early data (RFC 8446 §8.3).
		cfg.Time = func() time.Time { return clock().Add(-*late) }
	}
	return cfg
}
