package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

func configs() (client, server *tls.Config) { return quictest.TLSConfigs(time.Now(), "test") }

// listen starts a server on loopback that echoes every stream.
func listen(t *testing.T, conf *quic.Config) (*quic.Listener, *tls.Config) {
	t.Helper()
	client, server := configs()
	l, err := quic.ListenAddr("127.0.0.1:0", server, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return l, client
}

func echo(c *quic.Conn) {
	for {
		s, err := c.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			io.Copy(s, s)
			s.CloseWrite()
		}()
	}
}

func dial(t *testing.T, l *quic.Listener, client *tls.Config, conf *quic.Config) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := quic.DialAddr(ctx, l.Addr().String(), client, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	return c
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestStreamEchoesOverLoopback(t *testing.T) {
	l, client := listen(t, nil)
	c := dial(t, l, client, nil)
	s, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	want := randomBytes(5 << 20)
	go func() {
		s.Write(want)
		s.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, error %v, want the %d written", len(got), err, len(want))
	}
}

func TestPeerLearnsTheCloseCode(t *testing.T) {
	l, client := listen(t, nil)
	c := dial(t, l, client, nil)
	c.CloseWithError(7, "enough")
	_, err := c.OpenStream()
	var app *quic.ApplicationError
	if !errors.As(err, &app) || app.Code != 7 || app.Remote || !errors.Is(err, net.ErrClosed) {
		t.Fatalf("OpenStream after close: got %v, want a local ApplicationError 7 that is net.ErrClosed", err)
	}
}

// loopbackTransport makes a Transport on a loopback socket.
func loopbackTransport(tb testing.TB) *quic.Transport {
	tb.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	t := &quic.Transport{Conn: sock}
	tb.Cleanup(func() { t.Close() })
	return t
}

// loopbackPair makes both ends of a connection over loopback sockets.
func loopbackPair(tb testing.TB, conf *quic.Config) (c, s *quic.Conn) {
	tb.Helper()
	client, server := configs()
	l, err := quic.ListenAddr("127.0.0.1:0", server, conf)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	c, err = quic.DialAddr(background, l.Addr().String(), client, conf)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.CloseWithError(0, "") })
	s, err = l.Accept(background)
	if err != nil {
		tb.Fatal(err)
	}
	return c, s
}

func TestListenerOnAllAddressesIsDialedByItsOwn(t *testing.T) {
	if c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip("this machine has no IPv6:", err)
	} else {
		c.Close()
	}
	client, server := configs()
	l, err := quic.ListenAddr(":0", server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, addr := range []string{l.Addr().String(), ":" + port, "127.0.0.1:" + port, "[::1]:" + port} {
		c, err := quic.DialAddr(background, addr, client, nil)
		if err != nil {
			t.Errorf("dial %s of a listener on %v: %v", addr, l.Addr(), err)
			continue
		}
		c.CloseWithError(0, "")
	}
}

func TestDialAddrTakesTheServerNameFromTheAddress(t *testing.T) {
	l, client := listen(t, nil)
	client.ServerName = ""
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := quic.DialAddr(background, "localhost:"+port, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.CloseWithError(0, "")
	if name := c.ConnectionState().TLS.ServerName; name != "localhost" || client.ServerName != "" {
		t.Errorf("server name: got %q, and %q in the program's configuration, want localhost and none", name, client.ServerName)
	}
	_, err = quic.DialAddr(background, "127.0.0.1:"+port, client, nil)
	var host x509.HostnameError
	if !errors.As(err, &host) || host.Host != "127.0.0.1" {
		t.Errorf("dial by an address that the certificate lacks: got %v, want an x509.HostnameError", err)
	}
}
