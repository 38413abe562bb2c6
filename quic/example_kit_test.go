package quic_test

import (
	"context"
	"crypto/tls"
	"log"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

func exampleTLS() (client, server *tls.Config) {
	return quictest.TLSConfigs(time.Now(), "example")
}

// exampleConns makes both ends of a connection.
func exampleConns() (client, server *quic.Conn, stop func()) {
	clientTLS, serverTLS := exampleTLS()
	ln, err := quic.ListenAddr("localhost:0", serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err = quic.DialAddr(context.Background(), ln.Addr().String(), clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	server, err = ln.Accept(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	return client, server, func() {
		client.CloseWithError(0, "")
		ln.Close()
	}
}
