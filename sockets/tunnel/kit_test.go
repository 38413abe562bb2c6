package tunnel

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

const (
	calm = "simple-p2p --delay=15ms --bandwidth=100Mbps --queue=100"
	rtt  = 30 * time.Millisecond // of calm
)

var background = context.Background()

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// world is a Dialer and a Server, over a simulated network in a bubble, or over
// loopback sockets.
type world struct {
	testing.TB
	net       *netsim.Network // nil = loopback
	client    *quic.Transport
	server    *quic.Transport
	clientTLS *tls.Config
	serverTLS *tls.Config
	ln        *quic.Listener
	dialer    *Dialer
	srv       *Server

	mu       sync.Mutex
	handle   func(*Incoming)
	accepted chan *Stream // by the default handler
	served   chan error
}

// inWorld runs body in a bubble, and closes everything after it: a goroutine
// that stays fails the test.
func inWorld(t *testing.T, scenario string, opt Options, body func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc, err := netsim.ParseScenario(scenario)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, netsim.NewNetwork(sc, quictest.Seed(t, 1)), opt)
		body(w)
	})
}

// onLoopback makes a world of real sockets.
func onLoopback(tb testing.TB, opt Options) *world {
	tb.Helper()
	return newWorld(tb, nil, opt)
}

func newWorld(tb testing.TB, network *netsim.Network, opt Options) *world {
	tb.Helper()
	w := &world{TB: tb, net: network, accepted: make(chan *Stream, 1<<16), served: make(chan error, 1)}
	w.clientTLS, w.serverTLS = quictest.TLSConfigs(time.Now(), tcpq.ALPN)
	w.client = w.transport(netsim.Left, 0)
	w.server = w.transport(netsim.Right, netsim.ServerPort)
	w.srv = &Server{Options: opt}
	var err error
	if w.ln, err = w.server.Listen(w.serverTLS, w.srv.Options.ListenConfig(nil)); err != nil {
		tb.Fatal(err)
	}
	w.handle = func(in *Incoming) {
		if s, err := in.Accept(); err == nil {
			w.accepted <- s
		}
	}
	go func() { w.served <- w.srv.Serve(background, w.ln, func(in *Incoming) { w.handler()(in) }) }()
	w.dialer = w.newDialer(opt)
	tb.Cleanup(func() {
		gone, cancel := context.WithCancel(background)
		cancel()
		w.dialer.Close(gone)
		w.ln.Close()
		<-w.served
		w.srv.Close(gone)
		w.client.Close()
		w.server.Close()
		if w.net != nil {
			w.net.Close()
		}
	})
	return w
}

func (w *world) newDialer(opt Options) *Dialer { return &Dialer{Transport: w.client, Options: opt} }

func (w *world) handler() func(*Incoming) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handle
}

func (w *world) handleBy(h func(*Incoming)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle = h
}

func (w *world) transport(side netsim.Side, port uint16) *quic.Transport {
	w.Helper()
	if w.net == nil {
		sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			w.Fatal(err)
		}
		return &quic.Transport{Conn: sock}
	}
	sock, err := w.net.Listen(side, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		w.Fatal(err)
	}
	return &quic.Transport{Conn: sock}
}

// target is where the Server is.
func (w *world) target() Target {
	return Target{
		Peer: addrPort(w.server.LocalAddr()),
		TLS:  func() (*tls.Config, error) { return w.clientTLS, nil },
		Open: tcpq.Open{Dest: netip.MustParseAddrPort("192.0.2.1:80"), Source: netip.MustParseAddrPort("10.0.0.1:4000")},
	}
}

// pair makes both ends of a stream.
func (w *world) pair() (near, far *Stream) {
	w.Helper()
	near, err := w.dialer.Dial(background, w.target())
	if err != nil {
		w.Fatalf("dial: %v", err)
	}
	return near, <-w.accepted
}

// tcpPair makes both ends of a TCP connection over loopback.
func tcpPair(tb testing.TB) (a, b *net.TCPConn) {
	tb.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	dialed := make(chan net.Conn, 1)
	go func() {
		c, _ := net.Dial("tcp4", ln.Addr().String())
		dialed <- c
	}()
	c, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	a, b = c.(*net.TCPConn), (<-dialed).(*net.TCPConn)
	tb.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// pumped is two programs whose TCP connection goes through a tunnel.
type pumped struct {
	near, far       *net.TCPConn // of the programs
	nearEnd, farEnd chan Result
	nearLeg, farLeg *net.TCPConn
}

func (w *world) pumped() *pumped {
	w.Helper()
	ns, fs := w.pair()
	p := &pumped{nearEnd: make(chan Result, 1), farEnd: make(chan Result, 1)}
	p.near, p.nearLeg = tcpPair(w)
	p.far, p.farLeg = tcpPair(w)
	go func() { p.nearEnd <- Pump(p.nearLeg, ns) }()
	go func() { p.farEnd <- Pump(p.farLeg, fs) }()
	w.Cleanup(func() {
		p.near.SetLinger(0)
		p.near.Close()
		p.far.SetLinger(0)
		p.far.Close()
		<-p.nearEnd
		<-p.farEnd
	})
	return p
}

// wantEndings waits for both pumps.
func (p *pumped) wantEndings(tb testing.TB, near, far Ending) {
	tb.Helper()
	for _, end := range []struct {
		name string
		c    chan Result
		want Ending
	}{{"near", p.nearEnd, near}, {"far", p.farEnd, far}} {
		select {
		case r := <-end.c:
			end.c <- r
			if r.Ending != end.want {
				tb.Errorf("%s end: %v (%v), want %v", end.name, r.Ending, r.Err, end.want)
			}
		case <-time.After(10 * time.Second):
			tb.Errorf("%s end: the pump does not end, want %v", end.name, end.want)
		}
	}
}

var _ Leg = (*net.TCPConn)(nil)
