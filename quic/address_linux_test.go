package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/nstest"
	"github.com/seed51309289/quiver/quic"
)

// hosts are a client's and a server's machine, joined by a link.
type hosts struct {
	*testing.T
	near, far *nstest.End
	client    *quic.Transport
	clientTLS *tls.Config
	server    netip.AddrPort
	ln        *quic.Listener
}

// onHosts starts a server on the far machine, on all addresses, and a client.
func onHosts(t *testing.T, local, remote, from string) *hosts {
	t.Helper()
	h := &hosts{T: t}
	h.near, h.far = nstest.Link(t)
	h.near.AddAddr(local)
	h.far.AddAddr(remote)
	clientTLS, serverTLS := configs()
	h.clientTLS = clientTLS
	sock := h.far.ListenUDP(netip.MustParseAddrPort("[::]:4433"))
	h.server = netip.AddrPortFrom(netip.MustParsePrefix(remote).Addr(), 4433)
	server := &quic.Transport{Conn: sock}
	t.Cleanup(func() { server.Close() })
	var err error
	if h.ln, err = server.Listen(serverTLS, nil); err != nil {
		t.Fatal(err)
	}
	h.client = &quic.Transport{Conn: h.near.ListenUDP(netip.MustParseAddrPort(from))}
	t.Cleanup(func() { h.client.Close() })
	return h
}

// pair makes a connection, and both ends of a stream.
func (h *hosts) pair() (c *quic.Conn, cs, ss *quic.Stream) {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := h.client.Dial(ctx, net.UDPAddrFromAddrPort(h.server), h.clientTLS, nil)
	if err != nil {
		h.Fatal(err)
	}
	if cs, err = c.OpenStream(); err == nil {
		_, err = cs.Write([]byte{0})
	}
	if err != nil {
		h.Fatal(err)
	}
	s, err := h.ln.Accept(ctx)
	if err != nil {
		h.Fatal(err)
	}
	if ss, err = s.AcceptStream(ctx); err == nil {
		_, err = io.ReadFull(ss, make([]byte, 1))
	}
	if err != nil {
		h.Fatal(err)
	}
	return c, cs, ss
}

// carry sends bytes from one end to the other, after those in before that nobody has read.
func (h *hosts) carry(what string, from, to *quic.Stream, before ...byte) {
	h.Helper()
	text := bytes.Repeat([]byte(what), 5000)
	begin := time.Now()
	to.SetReadDeadline(begin.Add(20 * time.Second))
	go from.Write(text)
	got := make([]byte, len(before)+len(text))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, append(before, text...)) {
		h.Fatalf("%s: %v", what, err)
	}
	h.Logf("%s: %d bytes took %v", what, len(text), time.Since(begin))
}

// rest is long enough for a connection to have nothing on the way.
const rest = 300 * time.Millisecond

// A socket without an address of its own sends from the one that the host has.
// While it has none nothing leaves, which is loss and no more.
func TestStreamOfAnUnboundClientSurvivesReplacementOfItsOnlyAddress(t *testing.T) {
	for _, v := range []struct{ name, local, remote, from, next string }{
		{"IPv4", "10.9.0.1/24", "10.9.0.9/24", "0.0.0.0:0", "10.9.0.2/24"},
		{"IPv4 on a socket for both", "10.9.0.1/24", "10.9.0.9/24", "[::]:0", "10.9.0.2/24"},
		{"IPv6", "fd00::1/64", "fd00::9/64", "[::]:0", "fd00::2/64"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			h := onHosts(t, v.local, v.remote, v.from)
			_, cs, ss := h.pair()
			h.carry("before", cs, ss)
			h.near.DelAddr(v.local)
			if _, err := cs.Write([]byte("lost")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rest) // in which the host has no address
			h.near.AddAddr(v.next)
			h.carry("after", cs, ss, []byte("lost")...)
			h.carry("back", ss, cs)
		})
	}
}

// A server knows of a client's new address by what the client sends from there,
// and a socket that is bound to an address sends from no other: both take Migrate.
func TestMigrateFollowsTheHostToItsNewAddress(t *testing.T) {
	for _, v := range []struct{ name, local, remote, from, next string }{
		{"a client that only listens", "10.9.0.1/24", "10.9.0.9/24", "0.0.0.0:0", "10.9.0.2/24"},
		{"a socket bound to the old address", "10.9.0.1/24", "10.9.0.9/24", "10.9.0.1:0", "10.9.0.2/24"},
		{"a socket bound to the old IPv6 address", "fd00::1/64", "fd00::9/64", "[fd00::1]:0", "fd00::2/64"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			h := onHosts(t, v.local, v.remote, v.from)
			c, cs, ss := h.pair()
			h.carry("before", ss, cs)
			time.Sleep(rest)
			h.near.DelAddr(v.local)
			if _, err := ss.Write([]byte("lost")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rest)
			h.near.AddAddr(v.next)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := c.Migrate(ctx, nil); err != nil {
				t.Fatal(err)
			}
			h.carry("after", ss, cs, []byte("lost")...)
			h.carry("back", cs, ss)
		})
	}
}

// A server answers from the address that the client knows. While that is gone
// nothing leaves, and not from another one either.
func TestServerGoesOnWhenItsAddressIsBack(t *testing.T) {
	for _, v := range []struct{ name, local, remote, from, other string }{
		{"IPv4", "10.9.0.1/24", "10.9.0.9/24", "0.0.0.0:0", "10.9.0.8/24"},
		{"IPv6", "fd00::1/64", "fd00::9/64", "[::]:0", "fd00::8/64"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			h := onHosts(t, v.local, v.remote, v.from)
			_, cs, ss := h.pair()
			h.carry("before", ss, cs)
			h.far.DelAddr(v.remote)
			h.far.AddAddr(v.other)
			if _, err := ss.Write([]byte("lost")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rest)
			h.far.AddAddr(v.remote)
			h.carry("after", ss, cs, []byte("lost")...)
		})
	}
}
