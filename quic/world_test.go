package quic_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

const (
	calm  = "simple-p2p --delay=15ms --bandwidth=100Mbps --queue=100"
	lossy = "drop-rate --delay=5ms --bandwidth=100Mbps --queue=100 --rate_to_client=5 --rate_to_server=5"
	rtt   = 30 * time.Millisecond // of calm
)

// world is a client's and a server's Transport on a simulated network, in a
// bubble with a clock of its own.
type world struct {
	*testing.T
	net            *netsim.Network
	client, server *quic.Transport
	clientTLS      *tls.Config
	serverTLS      *tls.Config
}

// inWorld runs body in a bubble, and closes everything after it: a goroutine
// that stays fails the test.
func inWorld(t *testing.T, scenario string, body func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc, err := netsim.ParseScenario(scenario)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, net: netsim.NewNetwork(sc, quictest.Seed(t, 1))}
		w.clientTLS, w.serverTLS = configs()
		w.client = w.transport(netsim.Left, 0)
		w.server = w.transport(netsim.Right, netsim.ServerPort)
		t.Cleanup(func() {
			w.client.Close()
			w.server.Close()
			w.net.Close()
		})
		body(w)
	})
}

func (w *world) transport(side netsim.Side, port uint16) *quic.Transport {
	w.Helper()
	sock, err := w.net.Listen(side, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		w.Fatal(err)
	}
	return &quic.Transport{Conn: sock}
}

func (w *world) listen(conf *quic.Config) *quic.Listener {
	w.Helper()
	l, err := w.server.Listen(w.serverTLS, conf)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

func (w *world) dialErr(conf *quic.Config) (*quic.Conn, error) {
	return w.client.Dial(context.Background(), w.server.LocalAddr(), w.clientTLS, conf)
}

func (w *world) dial(conf *quic.Config) *quic.Conn {
	w.Helper()
	c, err := w.dialErr(conf)
	if err != nil {
		w.Fatalf("dial: %v", err)
	}
	return c
}

func (w *world) accept(l *quic.Listener) *quic.Conn {
	w.Helper()
	c, err := l.Accept(context.Background())
	if err != nil {
		w.Fatalf("accept: %v", err)
	}
	return c
}

// pair makes both ends of a connection.
func (w *world) pair(client, server *quic.Config) (c, s *quic.Conn) {
	w.Helper()
	l := w.listen(server)
	c = w.dial(client)
	return c, w.accept(l)
}

// streams makes both ends of a bidirectional stream from c to s.
func (w *world) streams(c, s *quic.Conn) (cs, ss *quic.Stream) {
	w.Helper()
	cs, err := c.OpenStream()
	if err != nil {
		w.Fatalf("open: %v", err)
	}
	if _, err := cs.Write([]byte{1}); err != nil { // the peer learns of a stream with its first bytes
		w.Fatalf("first write: %v", err)
	}
	ss, err = s.AcceptStream(context.Background())
	if err != nil {
		w.Fatalf("accept stream: %v", err)
	}
	if _, err := io.ReadFull(ss, make([]byte, 1)); err != nil {
		w.Fatalf("first read: %v", err)
	}
	return cs, ss
}

// wantTook checks the virtual time since from.
func (w *world) wantTook(what string, from time.Time, least, most time.Duration) {
	w.Helper()
	if took := time.Since(from); took < least || took > most {
		w.Errorf("%s took %v, want between %v and %v", what, took, least, most)
	}
}
