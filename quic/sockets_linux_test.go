package quic

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
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
		if err := c.Migrate(ctx, nil); err != nil {
			t.Errorf("migrate: %v", err)
		}
		c.CloseWithError(0, "")
	}
	if len(used) < 2 {
		t.Errorf("%d clients came by one socket of %d", clients, sockets)
	}
}

// rebound is a socket whose datagrams leave from another port whenever the test
// says so, as behind a NAT.
type rebound struct {
	net.PacketConn // the program's
	relay          *net.UDPConn
	server         net.Addr
	out            atomic.Pointer[net.UDPConn]
}

func newRebound(t *testing.T, server net.Addr) *rebound {
	t.Helper()
	r := &rebound{PacketConn: listenLoopback(t), relay: listenLoopback(t), server: server}
	r.rebind(t)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, err := r.relay.Read(buf)
			if err != nil {
				return
			}
			r.out.Load().WriteTo(buf[:n], r.server)
		}
	}()
	return r
}

// rebind changes the port; what the server sends to a former one still comes in.
func (r *rebound) rebind(t *testing.T) {
	out := listenLoopback(t)
	r.out.Store(out)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			r.relay.WriteTo(buf[:n], r.LocalAddr())
		}
	}()
}

func listenLoopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestConnectionsStayWithTheirSocket has clients that the network moves, which
// they do not notice, and clients that move, which changes both sides' IDs.
func TestConnectionsStayWithTheirSocket(t *testing.T) {
	const sockets, clients, changes = 4, 8, 3
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "test")
	l, err := ListenAddr("127.0.0.1:0", serverTLS, &Config{Sockets: sockets})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.t.steering == nil {
		t.Skip("the system steers nothing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i := range 2 * clients {
		via, to := net.PacketConn(listenLoopback(t)), l.Addr()
		change := func(c *Conn) error { return c.Migrate(ctx, nil) }
		if i < clients {
			r := newRebound(t, l.Addr())
			via, to = r, r.relay.LocalAddr()
			change = func(*Conn) error { r.rebind(t); return nil }
		}
		c, err := Dial(ctx, via, to, clientTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, ctx, c, s)
		home := *s.place.Load()
		for range changes {
			before := *s.place.Load()
			if err := change(c); err != nil {
				t.Fatal(err)
			}
			exchange(t, ctx, c, s)
			if at := *s.place.Load(); at.socket != home.socket || at.remote == before.remote {
				t.Errorf("client %d: datagrams from %v arrive at socket %d, those from %v arrived at %d", i, at.remote, at.socket, before.remote, home.socket)
			}
		}
		c.CloseWithError(0, "")
	}
}

// exchange is a byte to the server and its echo.
func exchange(t *testing.T, ctx context.Context, c, s *Conn) {
	t.Helper()
	stream, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	stream.Write([]byte{1})
	stream.CloseWrite()
	far, err := s.AcceptStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(far, far)
	far.CloseWrite()
	if got, err := io.ReadAll(stream); err != nil || len(got) != 1 {
		t.Fatalf("got %d bytes, error %v", len(got), err)
	}
}

func TestSocketsThatCannotBeSteeredGoByAddresses(t *testing.T) {
	c := listenLoopback(t)
	c.Close()
	if s := steer([]net.PacketConn{c, c}); s != nil {
		t.Error("a closed socket is steered")
	}
}

func TestNumberOfSocketsIsBounded(t *testing.T) {
	for _, n := range []int{-1, maxSockets + 1} {
		if (&Config{Sockets: n}).Validate() == nil {
			t.Errorf("Sockets %d: no error", n)
		}
	}
}
