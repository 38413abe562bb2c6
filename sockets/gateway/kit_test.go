package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/sockets/identity"
)

// within bounds every wait of the tests.
const within = 20 * time.Second

// running is a gateway of a test.
type running struct {
	*Gateway
	t    testing.TB
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned
	log  *lines
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a gateway until the test ends. What conf leaves open is what tests want: a state directory of its own, and no time to drain.
func start(t testing.TB, conf Config, pairs ...string) *running {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		conf.Pairs = append(conf.Pairs, mustPair(t, pairs[i], pairs[i+1]))
	}
	if conf.Identity.StateDir == "" {
		conf.Identity.StateDir = t.TempDir()
	}
	if conf.Drain == 0 {
		conf.Drain = -1
	}
	log := &lines{}
	conf.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	conf.Identity.Log = conf.Log
	g, err := Open(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{g, t, stop, make(chan struct{}), log}
	go func() {
		defer close(r.done)
		g.Run(ctx)
	}()
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("log of %v:\n%s", conf.Pairs, log)
		}
	})
	return r
}

// end stops the gateway and waits for it.
func (r *running) end() {
	r.stop()
	select {
	case <-r.done:
	case <-time.After(within):
		r.t.Fatal("the gateway does not end")
	}
}

func mustPair(t testing.TB, in, out string) Pair {
	t.Helper()
	p, err := ParsePair(in, out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tcp is where the i-th inlet of TCP is.
func (r *running) tcp(i int) string { return r.inlets[i].listener.Addr().String() }

// udp is where the first endpoint is.
func (r *running) udp() string { return r.endpoints[0].listener.Addr().String() }

// pin is the gateway's own key as an identity.
func (r *running) pin() string { return r.id.Pin().Tagged() }

// serve listens on loopback and runs handle for each connection, until the test ends.
func serve(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wait.Wait()
	})
	wait.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(within))
			wait.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echo sends back what it gets, and FIN after FIN.
func echo(c *net.TCPConn) {
	io.Copy(c, c)
	c.CloseWrite()
}

// closedPort is a port of loopback at which nobody listens.
func closedPort(t testing.TB) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(within))
	return c.(*net.TCPConn)
}

// wantEcho wants what is sent to come back, and FIN after FIN.
func wantEcho(t testing.TB, c *net.TCPConn, text string) {
	t.Helper()
	go func() {
		io.WriteString(c, text)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != text {
		t.Errorf("echo of %d bytes is %d bytes, %.40q, %v", len(text), len(got), got, err)
	}
}

// wantReset wants a connection to end with RST and without a byte.
func wantReset(t testing.TB, c *net.TCPConn) {
	t.Helper()
	var b [1]byte
	if n, err := c.Read(b[:]); n > 0 || err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("read gives %d bytes, %v, want a reset", n, err)
	}
}

// wantResetAt wants a new connection to end with RST, which may come before connect has returned.
func wantResetAt(t testing.TB, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, within)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(within))
		wantReset(t, c.(*net.TCPConn))
	} else if !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// chain is two gateways: TCP > QUIC > TCP to a target on loopback.
func chain(t testing.TB, near, far Config, to netip.AddrPort) (a, b *running) {
	t.Helper()
	b = start(t, far, fmt.Sprintf("quic://127.0.0.1:0/%d", to.Port()), "tcp://"+to.String())
	a = start(t, near, "tcp://127.0.0.1:0", fmt.Sprintf("quic://%s/%d", b.udp(), to.Port()))
	return a, b
}

// proxied is two gateways: a proxy, and a relay that may connect to what allow says.
func proxied(t testing.TB, near, far Config) (a, b *running) {
	t.Helper()
	b = start(t, far, "quic://127.0.0.1:0", "tcp://")
	a = start(t, near, "socks5://127.0.0.1:0", "quic://"+b.udp())
	return a, b
}

var trusting = Config{Identity: identity.Options{Insecure: true}}
