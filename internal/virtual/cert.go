package virtual

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// Name is the host name that the certificate of TLS is for.
const Name = "server.test"

// TLS returns a client's and a server's TLS configuration that trust each other
// on the virtual clock, with the application protocol "test". They are made once
// and shared: clone one to change it. The certificate and its key are the same in
// every process: a test key, which proves nothing to anybody.
func TLS() (client, server *tls.Config) {
	c := shared()
	return c[0], c[1]
}

var shared = sync.OnceValue(func() [2]*tls.Config {
	key := ed25519.NewKeyFromSeed([]byte("quiver's key for virtual clocks!"))
	client, server, err := TLSConfigs(netsim.Epoch, "test", key)
	if err != nil {
		panic("BUG: virtual: " + err.Error())
	}
	return [2]*tls.Config{client, server}
})

// TLSConfigs returns a client's and a server's TLS configuration that trust each
// other at now, with one application protocol and key's certificate, which key
// signs itself.
func TLSConfigs(now time.Time, alpn string, key crypto.Signer) (client, server *tls.Config, err error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: Name},
		DNSNames:     []string{Name, "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	clock := func() time.Time { return now }
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
		MinVersion:   tls.VersionTLS13, NextProtos: []string{alpn}, Time: clock,
	}
	client = &tls.Config{RootCAs: roots, ServerName: Name, MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, Time: clock}
	return client, server, nil
}
