package plugin

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

// tickets tells when a client has a session.
type tickets struct {
	tls.ClientSessionCache
	got chan struct{}
}

func (c *tickets) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	if s != nil {
		select {
		case c.got <- struct{}{}:
		default:
		}
	}
}

func TestAPluginIsTakenUpAgainWithEarlyData(t *testing.T) {
	file, trust := echoesFile(t, "negotiated")
	heard := make(emitted, 10)
	server := offering(t, file)
	server.OnEmit = heard.on
	client := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}}
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "plugin")
	session := &tickets{tls.NewLRUClientSessionCache(4), make(chan struct{}, 1)}
	clientTLS.ClientSessionCache = session
	ln, err := quic.ListenAddr("localhost:0", serverTLS, &quic.Config{Extensions: server, Allow0RTT: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	conf := &quic.Config{Extensions: client}
	first, err := quic.DialAddr(ctx, ln.Addr().String(), clientTLS, conf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	active(t, first, "org.example.echoes")
	select {
	case <-session.got:
	case <-ctx.Done():
		t.Fatal("no session")
	}
	first.CloseWithError(0, "")

	again, err := quic.DialAddrEarly(ctx, ln.Addr().String(), clientTLS, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer again.CloseWithError(0, "")
	x := again.ConnectionStats().Extensions
	if len(x) != 1 || !x[0].Active {
		t.Fatalf("with early data %+v is attached, want an active plugin", x)
	}
	if _, err := again.CallExtension("org.example.echoes", 1, nil); err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	heard.want(t, "org.example.echoes 9 ping")
	active(t, s, "org.example.echoes")
	select {
	case <-again.HandshakeComplete():
	case <-ctx.Done():
		t.Fatal("no handshake")
	}
	if !again.ConnectionState().Used0RTT {
		t.Error("early data was rejected")
	}
}
