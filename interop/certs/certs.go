// Package certs makes the throw-away certificates of one interop run: a root, a chain of a chosen length and the leaf's key, in the
// files and encodings that the endpoints of the QUIC interop runner expect under /certs.
//
// Key and signatures are functions of the random source alone, so a seeded source gives the same bytes, and therefore the same packet
// sizes, again.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	validity       = 10 * 24 * time.Hour // browsers that pin a leaf by its hash accept at most 14 days
	clockSlack     = time.Hour           // a peer's clock may be a little behind ours
	rootPathLen    = 100
	inflatingNames = 20  // extra names of the leaf in a long chain
	inflatingLen   = 250 // characters of each
	maxChain       = rootPathLen
)

// leafNames are the hosts that a leaf is valid for. There is no address among them: endpoints are reached by name.
var leafNames = []string{"server", "server4", "server6", "server46"}

// ecParameters is the DER of the object identifier of P-256, which OpenSSL writes in front of a SEC 1 key.
var ecParameters = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// Generate writes cert.pem (the leaf, then chainLength-1 intermediates, without the root), priv.key (the leaf's key as SEC 1, mode 0600)
// and ca.pem (the root) into dir, which must exist. All keys are P-256; everything is valid for ten days from now. A chain longer than one
// gets a leaf of about 5.5 kB, which makes the server's flight exceed the anti-amplification limit. A nil random means crypto/rand.
func Generate(dir string, chainLength int, now time.Time, random io.Reader) error {
	if chainLength < 1 || chainLength > maxChain {
		return fmt.Errorf("certificate chain of length %d, want 1 to %d", chainLength, maxChain)
	}
	if random == nil {
		random = rand.Reader
	}
	m := maker{now: now, random: random}
	root, err := m.issue("interop runner Root Certificate Authority", nil, caTemplate)
	if err != nil {
		return fmt.Errorf("root certificate: %w", err)
	}
	issuer, chain := root, []byte(nil)
	for i := 1; i < chainLength; i++ {
		if issuer, err = m.issue(fmt.Sprintf("interop runner intermediate %d", i), issuer, caTemplate); err != nil {
			return fmt.Errorf("intermediate certificate %d: %w", i, err)
		}
		chain = append(issuer.pem(), chain...) // the order of a TLS Certificate message: each certifies the one before
	}
	names, err := m.names(chainLength)
	if err != nil {
		return err
	}
	leaf, err := m.issue("interop runner leaf", issuer, func(c *x509.Certificate) { c.DNSNames = names })
	if err != nil {
		return fmt.Errorf("leaf certificate: %w", err)
	}
	return leaf.write(dir, chain, root)
}

// caTemplate turns a template into that of a certificate authority.
func caTemplate(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageCertSign
	c.BasicConstraintsValid, c.IsCA, c.MaxPathLen = true, true, rootPathLen
}

// pair is a certificate with the key that it certifies.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (p *pair) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

// write puts the three files of this leaf into dir; chain is the PEM of the intermediates.
func (p *pair) write(dir string, chain []byte, root *pair) error {
	der, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		return fmt.Errorf("leaf key: %w", err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: ecParameters})
	key = append(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})...)
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"cert.pem", append(p.pem(), chain...), 0o644},
		{"priv.key", key, 0o600},
		{"ca.pem", root.pem(), 0o644},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// maker holds what all certificates of one run share.
type maker struct {
	now    time.Time
	random io.Reader
}

// issue makes a key and a certificate for it, signed by parent, or by itself when parent is nil. adjust completes the template.
func (m *maker) issue(organization string, parent *pair, adjust func(*x509.Certificate)) (*pair, error) {
	key, err := m.key()
	if err != nil {
		return nil, err
	}
	template, err := m.template(organization, key)
	if err != nil {
		return nil, err
	}
	adjust(template)
	if parent == nil {
		template.AuthorityKeyId = template.SubjectKeyId
		parent = &pair{cert: template, key: key}
	}
	// Without a random source ECDSA signs deterministically (RFC 6979), so the certificate depends on m.random only.
	der, err := x509.CreateCertificate(nil, template, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &pair{cert: cert, key: key}, nil
}

func (m *maker) template(organization string, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(m.random, serial); err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // RFC 5280 §4.1.2.2: positive; and of constant length
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	id := sha1.Sum(point) // RFC 5280 §4.2.1.2 method 1; identifies, protects nothing
	return &x509.Certificate{
		SerialNumber:       new(big.Int).SetBytes(serial),
		Subject:            pkix.Name{Organization: []string{organization}},
		SignatureAlgorithm: x509.ECDSAWithSHA256,
		NotBefore:          m.now.Add(-clockSlack),
		NotAfter:           m.now.Add(validity),
		SubjectKeyId:       id[:],
	}, nil
}

// key draws a P-256 key. A draw outside the group's order, one in 2^32, is drawn again.
func (m *maker) key() (*ecdsa.PrivateKey, error) {
	raw := make([]byte, 32)
	for range 8 {
		if _, err := io.ReadFull(m.random, raw); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("key: the random source gives no number below the order of P-256")
}

// names returns the leaf's host names, inflated by random ones when the chain is to be large.
func (m *maker) names(chainLength int) ([]string, error) {
	names := append([]string(nil), leafNames...)
	if chainLength == 1 {
		return names, nil
	}
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for range inflatingNames {
		name := make([]byte, inflatingLen)
		if _, err := io.ReadFull(m.random, name); err != nil {
			return nil, fmt.Errorf("names: %w", err)
		}
		for i, b := range name {
			name[i] = alphabet[int(b)%len(alphabet)]
		}
		names = append(names, string(name))
	}
	return names, nil
}
