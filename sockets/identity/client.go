package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// Client returns the configuration for one connection to a peer at its address
// and UDP port. expect says who must answer:
//
//   - "": "ca" if Options have authorities, else "pin".
//   - "pin": a key of Options.Pins, else the one that this peer showed before. The
//     key of a stranger is taken, unless Options are Strict: see Confirm.
//   - "ca": who an authority says has the peer's IP address.
//   - "sha256:HEX": who has that key or certificate.
//   - an IP address, a DNS name (may begin with "*.") or "spiffe://…" (may end with
//     "*"): who an authority of Options says it is; for the first two, of this
//     machine if Options have none.
//
// It reads files where they changed, so it is called before the dial and under no
// lock. Errors of the handshake wrap *PinMismatchError, *UnknownHostError,
// *UntrustedError or *WrongPeerError. A session of an earlier connection of this or
// another process is resumed if its certificates would be trusted today, and ours
// have not changed. To a server that asks we show our own certificate.
func (id *Identity) Client(peer netip.AddrPort, expect string) (*tls.Config, error) {
	if !peer.IsValid() || peer.Port() == 0 {
		return nil, fmt.Errorf("identity: peer %v: want an address and a UDP port", peer)
	}
	e, err := id.expect(peer, expect)
	if err != nil {
		return nil, err
	}
	if e.trust == byMemory {
		if err := id.hosts.load(); err != nil {
			return nil, err
		}
	}
	cache := &peerSessions{id: id, e: e, key: id.sessionKey(e)}
	id.sessions.load(cache.key)
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         id.opts.Protocols,
		ServerName:         e.serverName(),
		InsecureSkipVerify: true, // VerifyConnection does it, also for resumed sessions
		VerifyConnection:   cache.verify,
		ClientSessionCache: cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &id.own, nil // the only one, whatever authorities the server names
		},
		KeyLogWriter: id.opts.KeyLog,
	}, nil
}

// sessionKey names what must be the same for a session to be resumed: both ends,
// and how the one is trusted by the other.
func (id *Identity) sessionKey(e *expectation) string {
	text := fmt.Sprint(e.peer, " ", e.trust, " ", e.want.text, " ", e.pins, " ", id.pin, " ", strings.Join(id.opts.Protocols, ","))
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// peerSessions is the session cache of one configuration: it knows one server,
// by whatever name.
type peerSessions struct {
	id  *Identity
	e   *expectation
	key string

	mu    sync.Mutex          // guards chain; a leaf
	chain []*x509.Certificate // of the connection, which goes into its sessions; bounded by what crypto/tls takes of a server
}

var _ tls.ClientSessionCache = (*peerSessions)(nil)

// verify is VerifyConnection. It runs for resumed sessions as well, whose
// certificates are those of the first connection.
func (p *peerSessions) verify(state tls.ConnectionState) error {
	if _, err := p.id.verify(p.e, state.PeerCertificates); err != nil {
		return err
	}
	p.mu.Lock()
	p.chain = state.PeerCertificates
	p.mu.Unlock()
	return nil
}

// Get returns a session if the server whose it is would be trusted today: early
// data leaves before VerifyConnection is asked.
func (p *peerSessions) Get(string) (*tls.ClientSessionState, bool) {
	s := p.id.sessions.get(p.key)
	if s == nil {
		return nil, false
	}
	if stranger, err := p.id.verify(p.e, s.chain); stranger || err != nil {
		return nil, false
	}
	return s.state, true
}

// Put keeps a session, or forgets the one there is for nil.
func (p *peerSessions) Put(_ string, state *tls.ClientSessionState) {
	p.mu.Lock()
	chain := p.chain
	p.mu.Unlock()
	if state == nil || len(chain) == 0 {
		p.id.sessions.put(p.key, nil)
		return
	}
	p.id.sessions.put(p.key, &session{state: state, chain: chain, at: p.id.now()})
}
