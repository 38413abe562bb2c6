package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// Peer is who the other end proved to be. The zero value is somebody who showed
// no certificate.
type Peer struct {
	// Key is the pin of its public key. Zero = it showed no certificate.
	Key Pin
	// Names, Addrs and SPIFFE are those of its certificate, if an authority that we
	// trust vouches for it; else they are empty, as anybody can write anything into
	// a certificate of his own. They are bounded by what crypto/tls takes of a peer.
	Names  []string     // DNS names, in lower case; bounded by the same
	Addrs  []netip.Addr // bounded by the same
	SPIFFE []string

	certificate Pin
}

// Of returns who the other end is. It has names only where crypto/tls itself
// checked the certificate against authorities (VerifiedChains), which it does not
// with the configurations of this package: see Identity.Of.
func Of(state tls.ConnectionState) Peer {
	if len(state.PeerCertificates) == 0 {
		return Peer{}
	}
	return newPeer(state.PeerCertificates[0], len(state.VerifiedChains) > 0)
}

// Of returns which client the other end of a connection to our Server is, with
// its names if an authority of Options vouches for it today. It costs up to a
// verification of signatures, so ask once per connection.
func (id *Identity) Of(state tls.ConnectionState) Peer {
	chain := state.PeerCertificates
	if len(chain) == 0 {
		return Peer{}
	}
	vouched := id.clients != nil && vouch(chain, id.clients, id.now(), x509.ExtKeyUsageClientAuth) == nil
	return newPeer(chain[0], vouched)
}

// vouch checks a chain against authorities.
func vouch(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usage x509.ExtKeyUsage) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}

func newPeer(cert *x509.Certificate, vouched bool) Peer {
	p := Peer{Key: known.KeyPin(cert), certificate: known.CertificatePin(cert.Raw)}
	if !vouched {
		return p
	}
	for _, name := range cert.DNSNames {
		p.Names = append(p.Names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			p.Addrs = append(p.Addrs, addr.Unmap())
		}
	}
	if len(cert.URIs) == 1 && cert.URIs[0].Scheme == "spiffe" { // X509-SVID §2: exactly one URI
		p.SPIFFE = []string{cert.URIs[0].String()}
	}
	return p
}

// String returns its SPIFFE ID, else its first name or address, else the
// beginning of its pin, for people.
func (p Peer) String() string {
	switch {
	case len(p.SPIFFE) > 0:
		return p.SPIFFE[0]
	case len(p.Names) > 0:
		return p.Names[0]
	case len(p.Addrs) > 0:
		return p.Addrs[0].String()
	case p.Key == Pin{}:
		return "without a certificate"
	}
	return p.Key.Tagged()
}

// claims lists what an authority vouches for.
func (p Peer) claims() string {
	list := slices.Concat(p.SPIFFE, p.Names)
	for _, a := range p.Addrs {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		return "nobody by name"
	}
	return strings.Join(list, ", ")
}

// Matches reports whether the peer is one of those that a pattern means:
//
//   - "sha256:" and 64 hexadecimal digits: the one with that key, or certificate.
//   - "spiffe://domain/path": that SPIFFE ID; with a "*" at the end of the path,
//     all that begin so.
//   - an IP address, or a DNS name: that one; "*.example.org" is any name one label
//     longer than example.org.
//   - "*": anybody who showed a certificate.
//
// What is no pattern matches nobody; see CheckPattern.
func (p Peer) Matches(s string) bool {
	pat, err := parsePattern(s)
	return err == nil && pat.matches(&p)
}

// CheckPattern says what is wrong with a pattern of Peer.Matches.
func CheckPattern(s string) error {
	_, err := parsePattern(s)
	return err
}

// pattern is one of Peer.Matches. One of its fields is set.
type pattern struct {
	text   string
	any    bool
	pin    Pin
	spiffe string // a prefix if it ends in "*"
	addr   netip.Addr
	name   string // begins with "*." for any label
}

const spiffeScheme = "spiffe://"

func parsePattern(s string) (p pattern, err error) {
	p.text = s
	if s == "*" {
		p.any = true
		return p, nil
	}
	if strings.HasPrefix(s, spiffeScheme) {
		p.spiffe = s
		return p, checkSPIFFE(s)
	}
	if pin, err := known.ParsePin(s); err == nil || strings.HasPrefix(s, "sha256:") {
		p.pin = pin
		return p, err
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		p.addr = addr.Unmap()
		return p, nil
	}
	p.name = strings.ToLower(strings.TrimSuffix(s, "."))
	if !isName(strings.TrimPrefix(p.name, "*.")) {
		err = fmt.Errorf("identity %q: want sha256:…, spiffe://…, a DNS name or an IP address", s)
	}
	return p, err
}

// checkSPIFFE wants a trust domain without a star, which would be open to domains
// that merely begin alike.
func checkSPIFFE(s string) error {
	domain, path, slash := strings.Cut(strings.TrimPrefix(s, spiffeScheme), "/")
	path = strings.TrimSuffix(path, "*")
	if !isName(domain) || strings.Contains(path, "*") || !slash && strings.HasSuffix(s, "*") {
		return fmt.Errorf("identity %q: want spiffe://DOMAIN/PATH, a * only at the end of the path", s)
	}
	return nil
}

// isName reports whether s can be a DNS name, or a trust domain.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if s == "" || len(s) > 253 || strings.Trim(s, letters) != "" {
		return false
	}
	return !slices.Contains(strings.Split(s, "."), "")
}

func (pat *pattern) matches(p *Peer) bool {
	switch {
	case p.Key == Pin{}:
		return false
	case pat.any:
		return true
	case pat.spiffe != "":
		return slices.ContainsFunc(p.SPIFFE, pat.matchesSPIFFE)
	case pat.addr.IsValid():
		return slices.Contains(p.Addrs, pat.addr)
	case pat.name != "":
		return slices.ContainsFunc(p.Names, pat.matchesName)
	}
	return pat.pin == p.Key || pat.pin == p.certificate
}

func (pat *pattern) matchesSPIFFE(id string) bool {
	if begin, ok := strings.CutSuffix(pat.spiffe, "*"); ok {
		return strings.HasPrefix(id, begin)
	}
	return id == pat.spiffe
}

// matchesName compares with a name of a certificate, which may itself begin with
// a star (RFC 9525 §6.3).
func (pat *pattern) matchesName(name string) bool {
	return name == pat.name || oneLonger(name, pat.name) || oneLonger(pat.name, name)
}

// oneLonger reports whether name is one label longer than what follows the star
// of wild.
func oneLonger(name, wild string) bool {
	rest, ok := strings.CutPrefix(wild, "*.")
	if !ok || strings.HasPrefix(name, "*.") {
		return false
	}
	label, tail, _ := strings.Cut(name, ".")
	return label != "" && tail == rest
}

var errNoCertificate = errors.New("the peer showed no certificate")
