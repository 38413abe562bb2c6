package quictest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"time"

	"github.com/seed51309289/quiver/internal/virtual"
)

// Name is the host name that test certificates are for.
const Name = virtual.Name

// TLSConfigs returns a client's and a server's TLS configuration that trust
// each other at now, with one application protocol. It panics on failure,
// which only a broken random source can cause.
func TLSConfigs(now time.Time, alpn string) (client, server *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	client, server, err = virtual.TLSConfigs(now, alpn, key)
	must(err)
	return client, server
}

func must(err error) {
	if err != nil {
		panic("quictest: " + err.Error())
	}
}
