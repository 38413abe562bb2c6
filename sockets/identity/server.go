package identity

import (
	"crypto/tls"
)

// Server returns the configuration for a listener. It shows our own certificate
// and asks clients for theirs, which they need not have: who may do what is up to
// the caller, who asks Identity.Of and Peer.Matches. Only where Options.Allow is
// set are others turned away in the handshake, with a *NotAllowedError here.
//
// Clients resume sessions also of another process of the same state directory,
// within a week. Early data (0-RTT) is only taken with tickets that this Identity
// issued: another process does not know what was replayed to this one.
func (id *Identity) Server() (*tls.Config, error) {
	if err := id.tickets.load(); err != nil {
		return nil, err
	}
	conf := &tls.Config{
		MinVersion:    tls.VersionTLS13,
		NextProtos:    id.opts.Protocols,
		Certificates:  []tls.Certificate{id.own},
		ClientAuth:    tls.RequestClientCert,
		WrapSession:   id.tickets.wrap,
		UnwrapSession: id.tickets.unwrap,
		KeyLogWriter:  id.opts.KeyLog,
	}
	if len(id.allow) > 0 && !id.opts.Insecure {
		conf.VerifyConnection = id.admit
	}
	return conf, nil
}

// admit turns away clients that Options do not allow. It runs for resumed
// sessions as well.
func (id *Identity) admit(state tls.ConnectionState) error {
	peer := id.Of(state)
	for i := range id.allow {
		if id.allow[i].matches(&peer) {
			return nil
		}
	}
	return &NotAllowedError{Got: peer, Want: id.opts.Allow}
}
