// Package tunnel carries TCP connections on streams of QUIC connections, as
// docs/tcpq.md says: a Dialer keeps connections to peers and opens streams on
// them, a Server takes streams, and Pump joins a stream to a TCP connection of
// this host, its leg.
//
//	s, err := dialer.Dial(ctx, tunnel.Target{Peer: peer, Key: "pin", TLS: config, Open: open})
//	leg, err := held.Connect()
//	result := tunnel.Pump(leg, s)
//
// It knows nothing of programs, policies or identities: a Target says which
// peer is wanted and how it must prove who it is.
//
// # Silence
//
// A TCP connection may be silent for ever, so a dialer's connections send a PING
// every Options.KeepAlive, which keeps bindings of address translators on the
// way. A peer that is not heard of for Options.PeerTimeout is gone: streams end
// as if reset. Two minutes survive a blackout of twenty seconds many times over.
// A connection that no stream uses is kept for Options.Unused, since the next
// stream is then open within a round trip.
package tunnel
