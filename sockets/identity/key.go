package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// keyFile holds our key and its certificate.
const keyFile = "key.pem"

// maxKeyFile is the most that a file of a key may have.
const maxKeyFile = 64 << 10 // limit: bytes

// noExpiry is "never" (RFC 5280 §4.1.2.5): the key is what peers remember, and
// there is nobody to renew a certificate.
var noExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// ownKey reads our key, or makes it. Processes that start at once get the same.
func (s *state) ownKey(now time.Time) (cert tls.Certificate, err error) {
	path := filepath.Join(s.dir, keyFile)
	if cert, err = readKey(path); !errors.Is(err, os.ErrNotExist) {
		return cert, err
	}
	err = s.locked(func() error {
		if cert, err = readKey(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if cert, err = makeKey(rand.Reader, now, hostName()); err != nil {
			return err
		}
		text, err := encodeKey(&cert)
		if err == nil {
			err = known.WriteFile(path, text)
		}
		if err != nil {
			return &FileError{Path: path, Err: reason(err), hint: "name a directory with room in $" + stateVar}
		}
		return nil
	})
	return cert, err
}

func readKey(path string) (tls.Certificate, error) {
	text, err := readSecret(path, maxKeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return cert, &FileError{
			Path: path, Err: fmt.Errorf("no key with its certificate in it: %w", err),
			hint: "restore it from a copy, or remove it: then a new key is made, which peers that remember keys will refuse",
		}
	}
	return cert, nil
}

func encodeKey(cert *tls.Certificate) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: key}, {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}} {
		if err := pem.Encode(&text, block); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// makeKey makes a key, and a certificate of its own for host, "" = no name.
func makeKey(random io.Reader, now time.Time, host string) (cert tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return cert, err
	}
	serial, err := rand.Int(random, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return cert, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "quiver"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks of peers may be behind
		NotAfter:     noExpiry,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if host != "" {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return cert, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// hostName returns the name of this machine if it can be in a certificate.
func hostName() string {
	name, err := os.Hostname()
	if p, bad := parsePattern(name); err != nil || bad != nil || p.name == "" {
		return ""
	}
	return name
}

// loadPair reads a certificate and a key that the user has from elsewhere. Who
// may read them is the user's concern.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return cert, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return cert, nil
}
