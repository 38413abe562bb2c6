package quic

import (
	"crypto/tls"
	"slices"
	"time"
)

// Extensions of a ClientHello that offers sessions, and early data (RFC 8446 §4.2.11, §4.2.10).
const (
	extensionPreSharedKey = 41
	extensionEarlyData    = 42
)

// ownSessions returns a copy of a Listener's config that resumes only sessions
// of the version in which the client came (RFC 9369 §5). The others, and those
// that are not of QUIC, cost a whole handshake and are no error.
func ownSessions(config *tls.Config) *tls.Config {
	shared := config.Clone() // has the keys that crypto/tls makes if nobody set any
	shared.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := askConfig(config, hello)
		c, ok := hello.Context().Value(connKey{}).(*Conn)
		if err != nil || !ok || !slices.Contains(hello.Extensions, extensionPreSharedKey) {
			return chosen, err
		}
		if !slices.Contains(hello.Extensions, extensionEarlyData) {
			c.core.NoEarlyData()
		}
		own := orShared(chosen, shared).Clone()
		own.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
			s, err := openTicket(shared, chosen, ticket, state)
			if err != nil || s == nil || !c.core.MayResume(s) {
				return nil, err
			}
			return s, nil
		}
		return own, nil
	}
	return shared
}

func askConfig(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if config.GetConfigForClient == nil {
		return nil, nil
	}
	return config.GetConfigForClient(hello)
}

func orShared(chosen, shared *tls.Config) *tls.Config {
	if chosen != nil {
		return chosen
	}
	return shared
}

// openTicket finds the session of a ticket as crypto/tls does where nobody
// intervenes: with the keys that were set in the configuration chosen for the
// client, and with the shared ones only if none were. nil = it is not ours.
func openTicket(shared, chosen *tls.Config, ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	first := orShared(chosen, shared)
	if first.UnwrapSession != nil {
		return first.UnwrapSession(ticket, state)
	}
	s, err := first.DecryptTicket(ticket, state)
	if err != nil || s != nil || chosen == nil {
		return s, err
	}
	if s, err = shared.DecryptTicket(ticket, state); err != nil || s == nil || hasTicketKeys(chosen, s) {
		return nil, err
	}
	return s, nil
}

// hasTicketKeys reports whether keys for tickets were set in config, which does
// not say: two copies then read each other's tickets. Where none were, each
// makes its own, and throws away those of the past. s is any session.
func hasTicketKeys(config *tls.Config, s *tls.SessionState) bool {
	const later = 365 * 24 * time.Hour // than crypto/tls keeps a key of its own, 7 days
	one, other := config.Clone(), config.Clone()
	one.Time = func() time.Time { return time.Now().Add(later) }
	other.Time = one.Time
	ticket, err := one.EncryptTicket(tls.ConnectionState{}, s)
	if err != nil {
		return true // and then a ticket of the shared keys is none for it
	}
	read, _ := other.DecryptTicket(ticket, tls.ConnectionState{})
	return read != nil
}
