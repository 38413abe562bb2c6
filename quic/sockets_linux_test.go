package quic

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
)

func TestSeveralSocketsShareOneAddress(t *testing.T) {
	const sockets, clients = 4, 24
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "test")
	l, err := ListenAddr("127.0.0.1:0", serverTLS, &Config{Sockets: sockets})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if list := *l.t.sockets.Load(); len(list) != sockets {
		t.Fatalf("got %d sockets, want %d", len(list), sockets)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	used := map[int]bool{}
	for range clients {
		c, err := DialAddr(ctx, l.Addr().String(), clientTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		used[s.place.Load().socket] = true
		stream, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		stream.Write([]byte("hello"))
		stream.CloseWrite()
		far, err := s.AcceptStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, []byte("hello")) {
			t.Errorf("got %q, %v", got, err)
		}
		if err := c.Migrate(ctx, nil); err != nil { // to whichever socket hears the new port
			t.Errorf("migrate: %v", err)
		}
		c.CloseWithError(0, "")
	}
	if len(used) < 2 {
		t.Errorf("%d clients came by one socket of %d", clients, sockets)
	}
}

func TestNumberOfSocketsIsBounded(t *testing.T) {
	for _, n := range []int{-1, maxSockets + 1} {
		if (&Config{Sockets: n}).Validate() == nil {
			t.Errorf("Sockets %d: no error", n)
		}
	}
}
