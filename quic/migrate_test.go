package quic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// socket opens another socket of a side.
func (w *world) socket(side netsim.Side, port uint16) net.PacketConn {
	w.Helper()
	sock, err := w.net.Listen(side, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		w.Fatal(err)
	}
	return sock
}

// wantEcho sends bytes both ways on a stream whose peer end echoes.
func wantEcho(t *testing.T, s *quic.Stream, n int) {
	t.Helper()
	want := randomBytes(n)
	go s.Write(want)
	got := make([]byte, n)
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("echo of %d bytes: %v", n, err)
	}
}

func (w *world) echoes(client, server *quic.Config) (c, s *quic.Conn, stream *quic.Stream) {
	w.Helper()
	c, s = w.pair(client, server)
	cs, ss := w.streams(c, s)
	go io.Copy(ss, ss)
	time.Sleep(time.Second) // connection IDs arrive
	return c, s, cs
}

func TestMigrateMovesAnOpenStream(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s, stream := w.echoes(nil, nil)
		wantEcho(w.T, stream, 100_000)
		sock := w.socket(netsim.Left, 0)
		if err := c.MigrateTo(context.Background(), sock); err != nil {
			w.Fatal(err)
		}
		wantEcho(w.T, stream, 100_000)
		if c.LocalAddr().String() != sock.LocalAddr().String() || s.RemoteAddr().String() != sock.LocalAddr().String() {
			w.Errorf("client at %v, server sends to %v, want %v", c.LocalAddr(), s.RemoteAddr(), sock.LocalAddr())
		}
		third := w.socket(netsim.Left, 0)
		if err := c.MigrateTo(context.Background(), third); err != nil {
			w.Fatalf("second migration: %v", err)
		}
		wantEcho(w.T, stream, 1000)
		time.Sleep(5 * time.Second)
		if _, err := sock.WriteTo([]byte{0}, w.server.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			w.Errorf("the socket that no path uses: %v, want it closed", err)
		}
		if _, err := w.client.Conn.WriteTo([]byte{0}, w.server.LocalAddr()); err != nil {
			w.Errorf("the Transport's own socket: %v, want it open", err)
		}
	})
}

func TestMigrateStaysWhereNobodyAnswers(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, _, stream := w.echoes(nil, nil)
		nowhere := &deaf{PacketConn: w.socket(netsim.Left, 0)}
		start := time.Now()
		if err := c.MigrateTo(context.Background(), nowhere); !errors.Is(err, quic.ErrPathNotValidated) {
			w.Fatalf("got %v, want ErrPathNotValidated", err)
		}
		w.wantTook("giving up", start, time.Second, 5*time.Second)
		wantEcho(w.T, stream, 1000)
		if c.LocalAddr().String() == nowhere.LocalAddr().String() {
			w.Error("the connection moved")
		}
	})
}

// deaf is a socket whose writes get lost.
type deaf struct{ net.PacketConn }

func (*deaf) WriteTo(p []byte, _ net.Addr) (int, error) { return len(p), nil }

func TestMigrateEndsWithItsContext(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, _, stream := w.echoes(nil, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := c.MigrateTo(ctx, &deaf{PacketConn: w.socket(netsim.Left, 0)}); !errors.Is(err, context.DeadlineExceeded) {
			w.Fatalf("got %v, want DeadlineExceeded", err)
		}
		if err := c.MigrateTo(context.Background(), w.socket(netsim.Left, 0)); err != nil {
			w.Fatalf("the next migration: %v", err)
		}
		wantEcho(w.T, stream, 1000)
	})
}

func TestMigrateEndsWithTheConnection(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, _, _ := w.echoes(nil, nil)
		go func() {
			time.Sleep(100 * time.Millisecond)
			c.CloseWithError(7, "")
		}()
		var app *quic.ApplicationError
		if err := c.MigrateTo(context.Background(), &deaf{PacketConn: w.socket(netsim.Left, 0)}); !errors.As(err, &app) || app.Code != 7 {
			w.Fatalf("got %v, want the application's error 7", err)
		}
		if err := c.MigrateTo(context.Background(), w.socket(netsim.Left, 0)); !errors.As(err, &app) {
			w.Fatalf("afterwards: %v, want the same", err)
		}
	})
}

func TestMigrateIsRefusedWherePeersForbidIt(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s, _ := w.echoes(nil, &quic.Config{DisableActiveMigration: true})
		if err := c.MigrateTo(context.Background(), w.socket(netsim.Left, 0)); !errors.Is(err, quic.ErrMigrationDisabled) {
			w.Errorf("client: %v, want ErrMigrationDisabled", err)
		}
		if err := s.MigrateTo(context.Background(), w.socket(netsim.Right, 0)); !errors.Is(err, quic.ErrServerMigrates) {
			w.Errorf("server: %v, want ErrServerMigrates", err)
		}
	})
}

func TestClientGoesToThePreferredAddress(t *testing.T) {
	preferred := netip.AddrPortFrom(netsim.ServerV4, 8443)
	server := &quic.Config{PreferredAddress: quic.PreferredAddress{V4: preferred}}
	inWorld(t, calm, func(w *world) {
		if err := w.server.AddConn(w.socket(netsim.Right, preferred.Port())); err != nil {
			w.Fatal(err)
		}
		c, s, stream := w.echoes(nil, server)
		wantEcho(w.T, stream, 100_000)
		if c.RemoteAddr().String() != preferred.String() || s.LocalAddr().String() != preferred.String() {
			w.Errorf("client sends to %v, server is at %v, want %v", c.RemoteAddr(), s.LocalAddr(), preferred)
		}
	})
	inWorld(t, calm, func(w *world) {
		c, _, stream := w.echoes(&quic.Config{IgnorePreferredAddress: true}, server)
		wantEcho(w.T, stream, 1000)
		if c.RemoteAddr().String() != w.server.LocalAddr().String() {
			w.Errorf("client sends to %v although it ignores the preferred address", c.RemoteAddr())
		}
	})
	inWorld(t, calm, func(w *world) { // nobody hears at the preferred address
		c, _, stream := w.echoes(nil, server)
		time.Sleep(10 * time.Second)
		wantEcho(w.T, stream, 1000)
		if c.RemoteAddr().String() != w.server.LocalAddr().String() {
			w.Errorf("client sends to %v, where nobody answers", c.RemoteAddr())
		}
	})
}

func TestListenerHearsOnEverySocket(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		more := w.socket(netsim.Right, 8443)
		if err := w.server.AddConn(more); err != nil {
			w.Fatal(err)
		}
		l := w.listen(nil)
		c, err := w.client.Dial(context.Background(), more.LocalAddr(), w.clientTLS, nil)
		if err != nil {
			w.Fatal(err)
		}
		s := w.accept(l)
		if s.LocalAddr().String() != more.LocalAddr().String() {
			w.Errorf("connection at %v, want %v", s.LocalAddr(), more.LocalAddr())
		}
		c.CloseWithError(0, "")
		w.server.Close()
		if err := w.server.AddConn(w.socket(netsim.Right, 8444)); !errors.Is(err, net.ErrClosed) {
			w.Errorf("AddConn after Close: %v, want net.ErrClosed", err)
		}
	})
}

func TestMigrateOverLoopback(t *testing.T) {
	l, client := listen(t, nil)
	c := dial(t, l, client, nil)
	s, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	wantEcho(t, s, 100_000)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, ip := range []net.IP{nil, net.IPv4(127, 0, 0, 1)} {
		before := c.LocalAddr().String()
		if err := c.Migrate(ctx, &net.UDPAddr{IP: ip}); err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().String() == before {
			t.Errorf("still at %v", before)
		}
		wantEcho(t, s, 300_000)
	}
	if err := c.Migrate(ctx, &net.UDPAddr{IP: net.IPv6loopback}); err == nil {
		t.Error("an IPv6 address cannot reach an IPv4 peer, want an error")
	}
	wantEcho(t, s, 1000)
}

func TestPreferredAddressesAreOfTheirFamily(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")
	for _, a := range []quic.PreferredAddress{{}, {V4: v4}, {V6: v6}, {V4: v4, V6: v6}} {
		if err := (&quic.Config{PreferredAddress: a}).Validate(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for _, a := range []quic.PreferredAddress{
		{V4: v6}, {V6: v4}, {V4: netip.AddrPortFrom(v4.Addr(), 0)}, {V6: netip.MustParseAddrPort("[::]:443")}, {V6: netip.MustParseAddrPort("[::ffff:192.0.2.1]:443")},
	} {
		if (&quic.Config{PreferredAddress: a}).Validate() == nil {
			t.Errorf("%+v: no error", a)
		}
	}
}

func TestConnectionIDsRotateUnderAnOpenStream(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		c, s, stream := w.echoes(nil, nil)
		time.Sleep(5 * time.Second) // the client's first ID is gone, too
		for _, end := range []*quic.Conn{c, s, s} {
			if !end.RotateConnectionIDs() {
				w.Error("no rotation on a connection at rest")
			}
			if end.RotateConnectionIDs() {
				w.Error("a rotation before the peer obeyed the last one")
			}
			wantEcho(w.T, stream, 10_000)
			time.Sleep(time.Second)
		}
		if err := c.MigrateTo(context.Background(), w.socket(netsim.Left, 0)); err != nil {
			w.Errorf("migrate: %v", err)
		}
		wantEcho(w.T, stream, 10_000)
	})
}
