package quictest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// Name is the host name that test certificates are for.
const Name = "server.test"

// TLSConfigs returns a client's and a server's TLS configuration that trust
// each other at now, with one application protocol. It panics on failure,
// which only a broken random source can cause.
func TLSConfigs(now time.Time, alpn string) (client, server *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: Name},
		DNSNames:     []string{Name, "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	clock := func() time.Time { return now }
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
		MinVersion:   tls.VersionTLS13, NextProtos: []string{alpn}, Time: clock,
	}
	client = &tls.Config{RootCAs: roots, ServerName: Name, MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, Time: clock}
	return client, server
}

func must(err error) {
	if err != nil {
		panic("quictest: " + err.Error())
	}
}
