package quic_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// forgingCache tells the client that all sessions are of one version.
type forgingCache struct {
	tls.ClientSessionCache
	*testing.T
	version quic.Version
}

func (f *forgingCache) Get(key string) (*tls.ClientSessionState, bool) {
	cached, ok := f.ClientSessionCache.Get(key)
	if !ok {
		return nil, false
	}
	ticket, state, err := cached.ResumptionState()
	if err != nil {
		f.Fatal(err)
	}
	prefix := []byte("quiver session 1\x00")
	for i, entry := range state.Extra {
		if bytes.HasPrefix(entry, prefix) {
			state.Extra[i] = bytes.Clone(entry)
			binary.BigEndian.PutUint32(state.Extra[i][len(prefix):], uint32(f.version))
		}
	}
	forged, err := tls.NewResumptionState(ticket, state)
	if err != nil {
		f.Fatal(err)
	}
	return forged, true
}

// dialIn dials with early data in a version, and closes once it was accepted
// and a ticket came.
func (w *world) dialIn(l *quic.Listener, v quic.Version) (resumed, early bool) {
	w.Helper()
	c, err := w.client.DialEarly(background, w.server.LocalAddr(), w.clientTLS, &quic.Config{Versions: []quic.Version{v}})
	if err != nil {
		w.Fatalf("dial in %v: %v", v, err)
	}
	s := w.accept(l)
	<-c.HandshakeComplete()
	<-s.HandshakeComplete()
	time.Sleep(rtt)
	at, as := c.ConnectionState(), s.ConnectionState()
	if at.TLS.DidResume != as.TLS.DidResume || at.Used0RTT != as.Used0RTT {
		w.Errorf("client and server differ: resumed %v and %v, 0-RTT %v and %v", at.TLS.DidResume, as.TLS.DidResume, at.Used0RTT, as.Used0RTT)
	}
	c.CloseWithError(0, "")
	time.Sleep(rtt)
	return at.TLS.DidResume, at.Used0RTT
}

func TestServerResumesNoSessionOfAnotherVersion(t *testing.T) {
	for _, first := range []quic.Version{quic.Version1, quic.Version2} {
		for _, then := range []quic.Version{quic.Version1, quic.Version2} {
			t.Run(first.String()+" then "+then.String(), func(t *testing.T) {
				inWorld(t, calm, func(w *world) {
					cache := &forgingCache{tls.NewLRUClientSessionCache(1), t, then}
					w.clientTLS.ClientSessionCache = cache
					l := w.listen(with0RTT)
					w.dialIn(l, first)
					resumed, early := w.dialIn(l, then)
					if same := first == then; resumed != same || early != same {
						t.Errorf("RFC 9369 §5: resumed %v, 0-RTT %v, want %v", resumed, early, same)
					}
				})
			})
		}
	}
}

func TestServerResumesNoSessionOfTLSOverTCP(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.SetSessionTicketKeys([][32]byte{{7}})
		l := w.listen(nil)
		w.resume(l)
		cache := w.clientTLS.ClientSessionCache
		cached, _ := cache.Get(w.clientTLS.ServerName)
		ticket, state, _ := cached.ResumptionState()
		session, err := w.serverTLS.DecryptTicket(ticket, tls.ConnectionState{})
		if err != nil || session == nil {
			t.Fatalf("the ticket is not the server's: %v", err)
		}
		session.Extra = nil
		if ticket, err = w.serverTLS.EncryptTicket(tls.ConnectionState{}, session); err != nil {
			t.Fatal(err)
		}
		cached, _ = tls.NewResumptionState(ticket, state)
		cache.Put(w.clientTLS.ServerName, cached)
		if c := w.dial(nil); c.ConnectionState().TLS.DidResume {
			t.Error("a session that names no version of QUIC was resumed")
		}
	})
}

func TestTicketsStayWithTheKeysOfTheirConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		keys bool
		want bool
	}{
		"the second has no keys":         {keys: false, want: true},
		"the second has keys of its own": {keys: true, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				var chosen *tls.Config
				second := w.serverTLS.Clone()
				if tt.keys {
					second.SetSessionTicketKeys([][32]byte{{9}})
				}
				w.serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
				l := w.listen(nil)
				w.resume(l)
				chosen = second
				for i, want := range []bool{tt.want, true} { // the second time with a ticket of the second
					c := w.dial(nil)
					w.accept(l)
					if got := c.ConnectionState().TLS.DidResume; got != want {
						t.Errorf("connection %d resumed: %v, want %v", i+1, got, want)
					}
					time.Sleep(rtt)
					c.CloseWithError(0, "")
				}
			})
		})
	}
}

func TestServersOwnStoreOfSessionsIsAsked(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		var kept *tls.SessionState
		w.serverTLS.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
			kept = s
			return []byte("handle"), nil
		}
		w.serverTLS.UnwrapSession = func(ticket []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
			if string(ticket) != "handle" {
				t.Errorf("asked for the session of %q", ticket)
			}
			return kept, nil
		}
		l := w.listen(nil)
		w.resume(l)
		if c := w.dial(nil); !c.ConnectionState().TLS.DidResume {
			t.Error("the session did not resume")
		}
	})
}
