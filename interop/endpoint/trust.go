package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// selfSignedLife is how long a certificate of SelfSigned is good.
const selfSignedLife = 14 * 24 * time.Hour

// SelfSigned makes a certificate for a server that has none; names are host
// names and addresses. Nothing vouches for it: clients need its Pin.
func SelfSigned(now time.Time, names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "quiver server"},
		NotBefore:    now.Add(-time.Hour), // the client's clock may be behind
		NotAfter:     now.Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Pin returns the SHA-256 of a certificate's DER bytes in hexadecimal: what
// `openssl x509 -fingerprint -sha256` prints, without the colons.
func Pin(der []byte) string { return known.CertificatePin(der).String() }

// TrustPin makes cfg trust the server whose certificate has the given Pin, or
// whose key has it, and no other, whatever names it has and whoever signed it.
// Colons and capitals in pin do not matter.
func TrustPin(cfg *tls.Config, pin string) error {
	want, err := known.ParsePin(pin)
	if err != nil {
		return err
	}
	cfg.InsecureSkipVerify = true // the pin says more than a chain
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		if cert := s.PeerCertificates[0]; !want.IsOf(cert) {
			return fmt.Errorf("certificate has SHA-256 %s, pinned is %s", Pin(cert.Raw), want)
		}
		return nil
	}
	return nil
}
