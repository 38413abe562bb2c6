package gateway

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/sockets/identity"
)

// fill takes all places for connections, and gives back a way to leave them.
func (r *running) fill() (leave func()) {
	r.t.Helper()
	eventually(r.t, "earlier connections are over", func() bool { return len(r.conns.list()) == 0 })
	var all []*conn
	for c := r.conns.add(&r.conf.Pairs[0], netip.AddrPort{}, nil); c != nil; c = r.conns.add(&r.conf.Pairs[0], netip.AddrPort{}, nil) {
		all = append(all, c)
	}
	if n := len(r.conns.list()); n != maxConns {
		r.t.Errorf("%d connections fit, want %d", n, maxConns)
	}
	return func() {
		for _, c := range all {
			c.remove()
		}
	}
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	a, b := chain(t, trusting, trusting, serve(t, echo))
	for name, full := range map[string]*running{"near": a, "far": b} {
		leave := full.fill()
		wantResetAt(t, a.tcp(0))
		leave()
		if log := full.log.String(); strings.Count(log, fmt.Sprintf("no room for more than %d connections", maxConns)) != 1 {
			t.Errorf("%s: log:\n%s", name, log)
		}
		wantEcho(t, dial(t, a.tcp(0)), "room again")
	}
	if log := a.log.String(); !strings.Contains(log, tcpq.Overloaded.String()) {
		t.Errorf("the far gateway did not say %v:\n%s", tcpq.Overloaded, log)
	}
}

func TestHandshakesBeyondTheLimitAreRefused(t *testing.T) {
	near := trusting
	near.ProxyFrom, _ = ParseProxyFrom([]string{"127.0.0.1"})
	a := start(t, near, "socks5://127.0.0.1:0", "quic://127.0.0.1:1", "tcp://127.0.0.1:0", "quic://127.0.0.1:1")
	var over []func()
	for range maxHandshakes {
		f, ok := a.conns.handshake()
		if !ok {
			t.Fatalf("%d handshakes fit, want %d", len(over), maxHandshakes)
		}
		over = append(over, f)
	}
	wantResetAt(t, a.tcp(0))
	wantResetAt(t, a.tcp(1))
	for _, f := range over {
		f()
	}
	c := dial(t, a.tcp(0))
	c.Write([]byte{5, 1, 0})
	if n, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Errorf("the proxy answers %d bytes, %v, want its method", n, err)
	}
}

func TestClientsThatSayNothingAreNotWaitedForLong(t *testing.T) {
	near := trusting
	near.ProxyFrom, _ = ParseProxyFrom([]string{"127.0.0.1"})
	near.patience = 20 * time.Millisecond
	a := start(t, near, "socks5://127.0.0.1:0", "quic://127.0.0.1:1", "tcp://127.0.0.1:0", "quic://127.0.0.1:1")
	proxy, header := dial(t, a.tcp(0)), dial(t, a.tcp(1))
	proxy.Write([]byte{5, 1})
	header.Write([]byte("\r\n\r\n"))
	if rest, err := io.ReadAll(proxy); len(rest) > 0 || err != nil {
		t.Errorf("the proxy says %x, %v, want the end", rest, err)
	}
	wantReset(t, header)
	eventually(t, "no place is kept", func() bool { return len(a.conns.list()) == 0 && a.conns.handshakes.Load() == 0 })
}

func TestWhatIsSaidSeldomIsForgottenWhenThereIsMuch(t *testing.T) {
	var s seldom
	now := time.Unix(1, 0)
	if !s.may("a", now) || s.may("a", now.Add(sayEvery-1)) || !s.may("a", now.Add(sayEvery)) {
		t.Errorf("want it said once in %v", sayEvery)
	}
	for i := range 3 * maxSaid {
		s.may(fmt.Sprint(i), now)
	}
	if len(s.said) > maxSaid {
		t.Errorf("%d things are remembered, want at most %d", len(s.said), maxSaid)
	}
}

func TestAGatewayThatEndsLetsConnectionsEnd(t *testing.T) {
	near, far := trusting, trusting
	near.Drain, far.Drain = within, within
	a, b := chain(t, near, far, serve(t, echo))
	hello := func(c *net.TCPConn) {
		t.Helper()
		io.WriteString(c, "hello")
		if got := make([]byte, 5); true {
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
	c := dial(t, a.tcp(0))
	hello(c)

	// The far one refuses what is new on the connection that there is.
	b.stop()
	eventually(t, "it ends", b.ending)
	wantResetAt(t, a.tcp(0))
	hello(c)

	a.stop()
	eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", a.tcp(0))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	hello(c)
	wantEcho(t, c, "the last words")
	a.end()
	b.end()
}

func TestAGatewayWithoutTimeEndsConnectionsAtOnce(t *testing.T) {
	a, b := chain(t, trusting, trusting, serve(t, echo))
	c := dial(t, a.tcp(0))
	io.WriteString(c, "hello")
	io.ReadFull(c, make([]byte, 5))
	silent := start(t, trusting, "socks5://127.0.0.1:0", "quic://127.0.0.1:1")
	s := dial(t, silent.tcp(0))
	eventually(t, "the client is there", func() bool { return len(silent.conns.list()) == 1 })
	b.end()
	wantReset(t, c)
	a.end()
	silent.end()
	wantReset(t, s)
}

func TestConfigsThatMakeNoSenseAreRefused(t *testing.T) {
	pair := func(in, out string) []Pair { return []Pair{mustPair(t, in, out)} }
	relay := pair("quic://:1", "tcp://")
	for _, tc := range []struct {
		conf Config
		want string
	}{
		{Config{}, "nothing to do: want --in and --out, or --socks5"},
		{Config{Pairs: relay}, "--out tcp:// connects to where others say, want --allow-to with the destinations that they may have, such as 10.0.0.0/8:443"},
		{Config{Pairs: pair("quic://:1", "tcp://a:1"), AllowTo: []string{"10.0.0.0/8"}}, "--allow-to is about --out tcp://, which is not there"},
		{Config{Pairs: relay, AllowTo: []string{"10.0.0.1/8"}}, `--allow-to: got "10.0.0.1/8", want HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000; hint: write 10.0.0.0/8, or the address alone`},
		{Config{Pairs: pair("socks5://:1080", "quic://a")}, "--in socks5://:1080: a proxy for everybody who can reach it, want --proxy-users FILE, or an address on loopback such as 127.0.0.1"},
		{Config{Pairs: pair("socks5://10.0.0.1:1080", "quic://a")}, "--in socks5://10.0.0.1:1080: a proxy for everybody who can reach it, want --proxy-users FILE, or an address on loopback such as 127.0.0.1"},
		{Config{Pairs: pair("tcp://:1", "quic://a"), ProxyProtocol: true}, "--proxy-protocol is about --out tcp://…, which is not there"},
		{Config{Pairs: pair("quic://:1", "tcp://a:1"), SpeakFor: []string{"a"}}, "--speak-for is about what --proxy-protocol tells, which is not there"},
		{Config{Pairs: pair("quic://:1", "tcp://a:1"), ProxyProtocol: true, SpeakFor: []string{"a b"}}, `--speak-for: identity "a b": want sha256:…, spiffe://…, a DNS name or an IP address`},
		{Config{Pairs: append(pair("tcp://:1", "quic://a"), pair("tcp://:1", "quic://b")...)}, "--in tcp://:1 is there twice, for quic://a and for quic://b"},
		{Config{Pairs: append(pair("quic://:1", "tcp://a:1"), pair("quic://:1", "tcp://b:1")...)}, "--in quic://:1 is there twice, for tcp://a:1 and for tcp://b:1"},
	} {
		tc.conf.Identity = identity.Options{StateDir: t.TempDir()}
		if _, err := Open(t.Context(), tc.conf); err == nil || err.Error() != tc.want {
			t.Errorf("%v:\n got %v\nwant %s", tc.conf.Pairs, err, tc.want)
		}
	}
	for _, ok := range []Config{
		{Pairs: pair("socks5://[::1]:1080", "quic://a")}, {Pairs: pair("socks5://localhost:1080", "quic://a")}, {Pairs: pair("socks5://:1080", "quic://a"), Users: someUsers},
		{Pairs: append(pair("quic://:1", "tcp://a:1"), pair("tcp://:1", "quic://b")...)},
		{Pairs: append(pair("quic://:1", "tcp://a:1"), pair("quic://:1/2", "tcp://b:1")...)},
		{Pairs: append(pair("quic://:1", "tcp://a:1"), relay...), AllowTo: []string{"a"}},
	} {
		if err := ok.check(); err != nil {
			t.Errorf("%v: %v", ok.Pairs, err)
		}
	}
}
