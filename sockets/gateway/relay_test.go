package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
)

// socksTo asks the proxy at addr for a target, in the way of SOCKS5, and returns the connection and the reply's code.
func socksTo(t testing.TB, addr string, to target) (*net.TCPConn, byte) {
	t.Helper()
	c := dial(t, addr)
	req := []byte{5, 1, 0, 5, 1, 0}
	switch {
	case to.name != "":
		req = append(append(req, socksName, byte(len(to.name))), to.name...)
	case to.addr.Is4():
		req = append(append(req, socksIPv4), to.addr.AsSlice()...)
	default:
		req = append(append(req, socksIPv6), to.addr.AsSlice()...)
	}
	c.Write(append(req, byte(to.port>>8), byte(to.port)))
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatalf("proxy answers %x, %v", answer, err)
	}
	return c, answer[3]
}

func targetAt(a netip.AddrPort) target { return target{addr: a.Addr(), port: a.Port()} }

// lookup knows the names of tests.
func lookup(_ context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "svc.example", "other.example":
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case "two.example":
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")}, nil
	case "empty.example":
		return nil, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestProxiesReachWhatTheFarGatewayAllows(t *testing.T) {
	to, closed, other := serve(t, echo), closedPort(t), serve(t, echo)
	far := trusting
	far.AllowTo = []string{fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", to.Port(), closed.Port()), "0.0.0.0/0:1"}
	far.Lookup = lookup
	a, b := proxied(t, trusting, far)
	for _, tc := range []struct {
		to   target
		want byte
	}{
		{targetAt(to), socksGranted},
		{target{name: "svc.example", port: to.Port()}, socksGranted},
		{target{name: "two.example", port: to.Port()}, socksGranted}, // of its addresses one is allowed
		{targetAt(closed), socksRefused},
		{targetAt(other), socksDenied},
		{target{name: "svc.example", port: other.Port()}, socksDenied},
		{target{addr: netip.MustParseAddr("127.0.0.1"), port: 1}, socksDenied},       // 0.0.0.0/0 is not this machine
		{target{addr: netip.MustParseAddr("0.0.0.0"), port: 1}, socksDenied},         // which is this machine
		{target{addr: netip.MustParseAddr("169.254.169.254"), port: 1}, socksDenied}, // and this is beside it
		{target{addr: netip.MustParseAddr("::1"), port: to.Port()}, socksDenied},
		{target{name: "nowhere.example", port: to.Port()}, socksUnreachable},
		{target{name: "empty.example", port: to.Port()}, socksUnreachable},
	} {
		c, code := socksTo(t, a.tcp(0), tc.to)
		if code != tc.want {
			t.Errorf("%v is answered %d, want %d", tc.to, code, tc.want)
		}
		if code == socksGranted {
			wantEcho(t, c, "hello")
		} else if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("%v: after the refusal %x, %v, want the end", tc.to, rest, err)
		}
	}
	if log := b.log.String(); !strings.Contains(log, "--allow-to does not have 169.254.169.254:1") {
		t.Errorf("log:\n%s", log)
	}
}

func TestAllowedIsThisMachineOnlyByName(t *testing.T) {
	for list, wants := range map[string]map[string]bool{
		"0.0.0.0/0,::/0":                {"10.0.0.1:1": true, "127.0.0.1:1": false, "0.0.0.0:1": false, "169.254.1.1:1": false, "224.0.0.1:1": false, "[::1]:1": false, "[fe80::1]:1": false, "[::ffff:127.0.0.1]:1": false, "[2001:db8::1]:1": true},
		"127.0.0.0/8:80":                {"127.9.9.9:80": true, "127.9.9.9:81": false, "10.0.0.1:80": false},
		"0.0.0.0/0,127.0.0.1:80":        {"10.0.0.1:1": true, "127.0.0.1:80": true, "127.0.0.1:81": false},
		"[::1]:80,fe80::/10":            {"[::1]:80": true, "[::1]:81": false, "[fe80::1]:1": true},
		"10.0.0.0/8, 169.254.169.254:1": {"169.254.169.254:1": true, "169.254.169.254:2": false},
	} {
		a, err := newAllowed([]string{list})
		if err != nil {
			t.Fatal(err)
		}
		for dest, want := range wants {
			if got := a.has(netip.MustParseAddrPort(dest)); got != want {
				t.Errorf("%s has %s: %v, want %v", list, dest, got, want)
			}
		}
	}
}

func TestProxiesReachTheHostsThemselves(t *testing.T) {
	to := serve(t, echo)
	p := mustPair(t, fmt.Sprintf("quic://127.0.0.1/%d", to.Port()), "tcp://"+to.String())
	conf := trusting
	conf.Pairs, conf.Identity.StateDir = []Pair{p}, t.TempDir()
	if g, err := Open(t.Context(), conf); err != nil {
		t.Skipf("the shared UDP port is taken: %v", err)
	} else {
		g.close()
	}
	start(t, trusting, p.in.text, p.out.text)
	near := trusting
	near.Lookup = lookup
	a := start(t, near, "socks5://127.0.0.1:0", "quic://")
	for _, to := range []target{targetAt(to), {name: "svc.example", port: to.Port()}} {
		c, code := socksTo(t, a.tcp(0), to)
		if code != socksGranted {
			t.Fatalf("%v is answered %d", to, code)
		}
		wantEcho(t, c, "hello")
	}
	if _, code := socksTo(t, a.tcp(0), target{name: "nowhere.example", port: 1}); code != socksUnreachable {
		t.Errorf("a name without address is answered %d, want %d", code, socksUnreachable)
	}
}

func TestNamesOfTheNextHopAreLookedForUntilTheyAreThere(t *testing.T) {
	to := serve(t, echo)
	b := start(t, trusting, fmt.Sprintf("quic://127.0.0.1:0/%d", to.Port()), "tcp://"+to.String())
	known := make(chan struct{})
	near := trusting
	near.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
		select {
		case <-known:
			return lookup(ctx, host)
		default:
			return nil, errors.New("the name service is away")
		}
	}
	port := addrPort(b.endpoints[0].listener.Addr()).Port()
	a := start(t, near, "tcp://127.0.0.1:0", fmt.Sprintf("quic://svc.example:%d/%d", port, to.Port()))
	wantResetAt(t, a.tcp(0))
	close(known)
	a.routes[0].mu.Lock()
	a.routes[0].asked = time.Time{} // a second later
	a.routes[0].mu.Unlock()
	wantEcho(t, dial(t, a.tcp(0)), "hello")
}

func TestCurlGoesThroughTheProxy(t *testing.T) {
	curl := need.Tool(t, "curl")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.Host) }))
	defer server.Close()
	to := netip.MustParseAddrPort(server.Listener.Addr().String())
	far := trusting
	far.AllowTo, far.Lookup = []string{"127.0.0.1"}, lookup
	near := trusting
	near.Users = someUsers
	a, _ := proxied(t, near, far)
	name := fmt.Sprintf("svc.example:%d", to.Port())
	for _, tc := range []struct {
		name string
		args []string
		want string // the body, or of the exit status
	}{
		{"SOCKS5, names at the far side", []string{"-x", "socks5h://alice:secret@" + a.tcp(0), "http://" + name}, "hello " + name},
		{"SOCKS5, names here", []string{"-x", "socks5://alice:secret@" + a.tcp(0), "http://" + to.String()}, "hello " + to.String()},
		{"CONNECT", []string{"-p", "-x", "http://alice:secret@" + a.tcp(0), "http://" + name}, "hello " + name},
		{"SOCKS5 without password", []string{"-x", "socks5h://" + a.tcp(0), "http://" + name}, "exit status 97"},
		{"CONNECT with a wrong password", []string{"-p", "-x", "http://alice:wrong@" + a.tcp(0), "http://" + name}, "exit status 56"},
		{"no CONNECT", []string{"-f", "-x", "http://alice:secret@" + a.tcp(0), "http://" + name}, "exit status 22"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			out, err := exec.CommandContext(ctx, curl, append([]string{"-sS", "--noproxy", ""}, tc.args...)...).Output()
			got := string(out)
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("curl %s: %s, want %s", strings.Join(tc.args, " "), got, tc.want)
			}
		})
	}
}

func TestClientsOfTheProxyThatTalkNonsenseGetAnAnswerAndTheEnd(t *testing.T) {
	a := start(t, trusting, "socks5://127.0.0.1:0", "quic://127.0.0.1:1")
	for says, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                "HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"\x05\x01\x00\x05\x02\x00\x01....\x00\x01":         "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00",
		"\x16\x03\x01\r\n\r\n" + strings.Repeat("x", 1000): "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		c := dial(t, a.tcp(0))
		io.WriteString(c, says)
		c.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("%.20q is answered %q, %v, want %q", says, got, err, want)
		}
	}
}

func TestProxyHeadersSayWhoseConnectionItIs(t *testing.T) {
	said := make(chan string, 1)
	to := serve(t, func(c *net.TCPConn) {
		src, dst, err := readProxy(c)
		said <- proxyMeaning(src, dst, err)
		echo(c)
	})
	key := start(t, Config{}, "tcp://127.0.0.1:0", "quic://127.0.0.1:1") // makes a key
	key.end()
	from, err := ParseProxyFrom([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	near := Config{ProxyFrom: from}
	near.Identity.StateDir = key.conf.Identity.StateDir
	far := Config{ProxyProtocol: true, SpeakFor: []string{key.pin()}}
	stranger, _ := chain(t, Config{}, far, to)
	believed, _ := chain(t, near, far, to)
	unknown, _ := chain(t, Config{ProxyFrom: from}, far, to)

	c := dial(t, stranger.tcp(0))
	wantEcho(t, c, "hello")
	if got, want := <-said, fmt.Sprintf("%v > %v", c.LocalAddr(), to); got != want {
		t.Errorf("of a client: %s, want %s", got, want)
	}

	header := appendProxy(nil, netip.MustParseAddrPort("203.0.113.9:1234"), netip.MustParseAddrPort("203.0.113.1:80"))
	c = dial(t, believed.tcp(0))
	c.Write(header)
	wantEcho(t, c, "hello")
	if got, want := <-said, fmt.Sprintf("203.0.113.9:1234 > %v", to); got != want {
		t.Errorf("of a client before a proxy: %s, want %s", got, want)
	}

	// The next life of the near gateway resumes the session, and its first OPEN is in early data.
	believed.end()
	again := start(t, near, believed.conf.Pairs[0].in.text, believed.conf.Pairs[0].out.text)
	c = dial(t, again.tcp(0))
	c.Write(header)
	wantEcho(t, c, "hello")
	if got, want := <-said, fmt.Sprintf("203.0.113.9:1234 > %v", to); got != want {
		t.Errorf("in early data: %s, want %s", got, want)
	}

	c = dial(t, unknown.tcp(0))
	c.Write(header)
	wantEcho(t, c, "hello")
	if got, want := <-said, fmt.Sprintf("127.0.0.1:1234 > %v", to); got != want {
		t.Errorf("of somebody who may not speak for others: %s, want %s", got, want)
	}
}

func TestProxyHeadersAreAskedForWhereTheyAreTrustedAndNowhereElse(t *testing.T) {
	to := serve(t, echo)
	header := string(appendProxy(nil, netip.MustParseAddrPort("203.0.113.9:1234"), netip.MustParseAddrPort("203.0.113.1:80")))
	near := trusting
	near.ProxyFrom, _ = ParseProxyFrom([]string{"127.0.0.1"})
	a, _ := chain(t, near, trusting, to)
	c := dial(t, a.tcp(0))
	c.CloseWrite()
	wantReset(t, c)
	c = dial(t, a.tcp(0))
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	wantReset(t, c)
	eventually(t, "the log says why", func() bool { return strings.Contains(a.log.String(), "PROXY protocol: no header") })

	near.ProxyFrom, _ = ParseProxyFrom([]string{"192.0.2.0/24"})
	b, _ := chain(t, near, trusting, to)
	wantEcho(t, dial(t, b.tcp(0)), header) // bytes like others
}

func TestNetworksOfTrustedProxiesAreRead(t *testing.T) {
	got, err := ParseProxyFrom([]string{"10.0.0.1/8", "::ffff:192.0.2.1", "fd00::/8"})
	if err != nil || fmt.Sprint(got) != "[10.0.0.0/8 192.0.2.1/32 fd00::/8]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "10.0.0.0/33", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if _, err := ParseProxyFrom([]string{bad}); err == nil || !strings.HasPrefix(err.Error(), "--accept-proxy-from ") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}
