package known

import "crypto/tls"

// Session is a TLS session as files keep it. It holds secrets.
type Session struct {
	Ticket []byte `json:"ticket,omitempty"`
	State  []byte `json:"state,omitempty"` // of crypto/tls: secret
}

// Pack returns the session in that form. It reports false for one that cannot
// be resumed, which is the zero Session.
func Pack(session *tls.ClientSessionState) (s Session, ok bool) {
	if session == nil {
		return s, false
	}
	ticket, state, err := session.ResumptionState()
	if err != nil || state == nil {
		return s, false
	}
	b, err := state.Bytes()
	if err != nil {
		return s, false
	}
	return Session{Ticket: ticket, State: b}, true
}

// Unpack returns what was packed. It reports false for the zero Session, and for
// one that cannot be read, as one of another release of Go.
func (s Session) Unpack() (*tls.ClientSessionState, bool) {
	if s.State == nil {
		return nil, false
	}
	state, err := tls.ParseSessionState(s.State)
	if err != nil {
		return nil, false
	}
	session, err := tls.NewResumptionState(s.Ticket, state)
	return session, err == nil
}
