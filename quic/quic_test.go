package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
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
