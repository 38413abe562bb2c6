package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"github.com/seed51309289/quiver/internal/known"
)

// trust is how a server is trusted.
type trust uint8

const (
	byAnyone trust = iota // insecure
	byPin                 // one of some pins
	byMemory              // known hosts
	byCA                  // an authority vouches for a name
)

// expectation is who a server must be.
type expectation struct {
	trust trust
	peer  netip.AddrPort
	pins  []Pin          // byPin; bounded by Options.Pins
	want  pattern        // byCA
	roots *x509.CertPool // byCA
	ca    string         // byCA: where roots are from
}

// expect reads what a rule expects of a peer; see Client.
func (id *Identity) expect(peer netip.AddrPort, expect string) (*expectation, error) {
	e := &expectation{peer: canonical(peer)}
	switch {
	case id.opts.Insecure:
		e.trust = byAnyone
		return e, nil
	case expect == "" && id.roots == nil, expect == "pin":
		e.trust, e.pins = byMemory, id.pins
		if len(e.pins) > 0 {
			e.trust = byPin
		}
		return e, nil
	case expect == "", expect == "ca":
		e.want = pattern{text: e.peer.Addr().String(), addr: e.peer.Addr().WithZone("")}
		return e, e.authorities(id)
	}
	var err error
	if e.want, err = parsePattern(expect); err != nil {
		return nil, err
	}
	switch {
	case e.want.any:
		return nil, errors.New("identity \"*\" expects nobody in particular: name a key, a name or a SPIFFE ID, or leave it out")
	case e.want.pin != Pin{}:
		e.trust, e.pins = byPin, []Pin{e.want.pin}
		return e, nil
	}
	return e, e.authorities(id)
}

// authorities makes it the concern of those of Options, or for names and
// addresses without them, of the machine's.
func (e *expectation) authorities(id *Identity) (err error) {
	e.trust, e.roots, e.ca = byCA, id.roots, id.opts.CA
	if e.roots != nil {
		return nil
	}
	if e.want.spiffe != "" {
		return fmt.Errorf("identity %q: who vouches for it is not said: name its authorities with --ca FILE", e.want.text)
	}
	e.ca = System
	e.roots, err = loadRoots(System)
	return err
}

// serverName is what the ClientHello says, and the name by which a client
// remembers the server. Addresses are not sent (RFC 6066 §3).
func (e *expectation) serverName() string {
	if e.want.name != "" && e.want.name[0] != '*' {
		return e.want.name
	}
	return e.peer.Addr().WithZone("").String()
}

// verify compares a server's certificates with what is expected, from memory
// alone. stranger says that its key is to be remembered; see Confirm.
func (id *Identity) verify(e *expectation, chain []*x509.Certificate) (stranger bool, err error) {
	if len(chain) == 0 {
		return false, errNoCertificate
	}
	switch e.trust {
	case byAnyone:
		return false, nil
	case byPin:
		for _, p := range e.pins {
			if p.IsOf(chain[0]) {
				return false, nil
			}
		}
		return false, &PinMismatchError{Peer: e.peer, Seen: known.KeyPin(chain[0]), Known: e.pins}
	case byCA:
		return false, id.verifyName(e, chain)
	}
	return id.verifyMemory(e, chain[0])
}

func (id *Identity) verifyName(e *expectation, chain []*x509.Certificate) error {
	if err := vouch(chain, e.roots, id.now(), x509.ExtKeyUsageServerAuth); err != nil {
		return &UntrustedError{Peer: e.peer, CA: e.ca, Err: err}
	}
	if p := newPeer(chain[0], true); !e.want.matches(&p) {
		return &WrongPeerError{Peer: e.peer, Want: e.want.text, Got: p}
	}
	return nil
}

func (id *Identity) verifyMemory(e *expectation, cert *x509.Certificate) (stranger bool, err error) {
	seen := Host{Peer: e.peer, Key: known.KeyPin(cert), Since: id.now()}
	if list := id.hosts.lookup(e.peer); len(list) > 0 {
		return false, mismatch(list, seen, id.hosts.path)
	}
	if id.opts.Strict {
		return false, &UnknownHostError{Peer: e.peer, Seen: seen.Key, File: id.hosts.path}
	}
	return true, nil
}

// errTooEarly is what Confirm says of a handshake under way.
var errTooEarly = errors.New("identity: the handshake is not complete, so the peer has not proved that it has the key")

// Confirm remembers the key of a peer that was met for the first time, and says
// so, once among all processes. Whoever dialed with a configuration of Client
// calls it with the same peer and expect when the handshake is complete, and
// before an application's bytes leave. Mostly it has nothing to do and costs no
// more than a look into memory.
//
// An error ends the connection: a *PinMismatchError if another process met
// another key at the same time, a *FileError if the file of known hosts is broken
// since. That a key cannot be written is none, but a warning.
//
// A connection that began with early data (0-RTT) need not wait: Client offers
// sessions only of peers that were confirmed.
func (id *Identity) Confirm(peer netip.AddrPort, expect string, state tls.ConnectionState) error {
	if !state.HandshakeComplete {
		return errTooEarly
	}
	e, err := id.expect(peer, expect)
	if err != nil {
		return err
	}
	stranger, err := id.verify(e, state.PeerCertificates)
	if err != nil || !stranger {
		return err
	}
	return id.hosts.learn(Host{Peer: e.peer, Key: known.KeyPin(state.PeerCertificates[0]), Since: id.now()}, id.log)
}
