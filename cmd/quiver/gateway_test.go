package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/sockets/gateway"
)

// startGateway runs quiver gateway as a process until it has ended, with the test at the latest, and returns where it is: an address for each
// way. end sends a signal and wants the status 0.
func startGateway(t *testing.T, args ...string) (at []string, end func(os.Signal)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"gateway", "-v"}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "QUIVER_STATE_DIR="+t.TempDir(), "QUIVER_RUNTIME_DIR="+t.TempDir())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP, syscall.SIGINT) // whoever ignores them, as nohup does, would let the gateway ignore them too
	err = cmd.Start()
	signal.Stop(heard)
	if err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	var said strings.Builder
	over := make(chan error, 1)
	t.Cleanup(func() {
		cmd.Process.Kill()
		timeout.Stop()
		if t.Failed() {
			t.Logf("quiver gateway %s:\n%s", strings.Join(args, " "), said.String())
		}
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(` > .* at (?:tcp|udp) (\S+)$`).FindStringSubmatch(lines.Text()); m != nil {
			at = append(at, m[1])
		}
		if strings.Contains(lines.Text(), "the key of this gateway is sha256:") {
			break
		}
	}
	go func() {
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		over <- cmd.Wait()
	}()
	if len(at) == 0 {
		<-over
		t.Fatalf("the gateway does not say where it is: %s", said.String())
	}
	return at, func(s os.Signal) {
		t.Helper()
		cmd.Process.Signal(s)
		if err := <-over; err != nil {
			t.Errorf("gateway ends with %v after %v, want status 0:\n%s", err, s, said.String())
		}
	}
}

func TestGatewaysCarryHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.URL.Path) }))
	defer server.Close()
	target := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(target)
	far, endFar := startGateway(t, "--in", "quic://127.0.0.1:0/80", "--out", "tcp://"+target, "--in", "quic://127.0.0.1:0", "--out", "tcp://", "--allow-to", "127.0.0.1:"+port)
	near, endNear := startGateway(t, "--in", "tcp://127.0.0.1:0", "--out", "quic://"+far[0]+"/80", "--socks5", "127.0.0.1:0", "--out", "quic://"+far[1], "--drain", "1ms")
	get := func(addr string, proxy *url.URL) {
		t.Helper()
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
		resp, err := client.Get("http://" + addr + "/file")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello /file" {
			t.Errorf("GET gives %q, %v", body, err)
		}
	}
	get(near[0], nil)
	get(target, &url.URL{Scheme: "socks5", Host: near[1]})
	endNear(syscall.SIGHUP)
	endFar(syscall.SIGTERM)
}

func TestAGatewayWhosePortIsTakenSaysWhoMayHaveIt(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("QUIVER_STATE_DIR", t.TempDir())
	code, _, said := quiver(t, "gateway", "--in", "quic://"+taken.LocalAddr().String(), "--out", "tcp://127.0.0.1:1")
	if want := "quiver: hint: 'quiver ps' shows whether a run or another gateway has the port"; code != exitFailed || !strings.Contains(said, want) {
		t.Errorf("status %d, want 1 and %s:\n%s", code, want, said)
	}
}

func TestPairsAreWhatFollowsWhat(t *testing.T) {
	in, out, socks := func(s string) side { return side{"--in", s} }, func(s string) side { return side{"--out", s} }, func(s string) side { return side{"--socks5", s} }
	for _, tc := range []struct {
		sides []side
		want  string // pairs, or an error that begins with !
	}{
		{nil, ""},
		{[]side{in("tcp://:1"), out("quic://a"), in("quic://:2"), out("tcp://b:3")}, "tcp://:1 > quic://a, quic://:2 > tcp://b:3"},
		{[]side{socks("127.0.0.1:1"), out("quic://a")}, "socks5://127.0.0.1:1 > quic://a"},
		{[]side{socks("127.0.0.1:1"), in("tcp://:1"), out("quic://a")}, "socks5://127.0.0.1:1 > quic://, tcp://:1 > quic://a"},
		{[]side{socks("127.0.0.1:1"), socks("127.0.0.1:2")}, "socks5://127.0.0.1:1 > quic://, socks5://127.0.0.1:2 > quic://"},
		{[]side{in("tcp://:1"), socks("127.0.0.1:1")}, "!--in tcp://:1, want an --out behind it"},
		{[]side{out("quic://a"), in("tcp://:1")}, "!--out quic://a, want an --in before it"},
		{[]side{in("x"), out("quic://a")}, `!--in "x", want tcp://…, socks5://… or quic://…`},
	} {
		pairs, err := pairsOf(tc.sides)
		got := joinPairs(pairs)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != tc.want {
			t.Errorf("%v is %s, want %s", tc.sides, got, tc.want)
		}
	}
}

func joinPairs(pairs []gateway.Pair) string {
	var out []string
	for _, p := range pairs {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// TestRunReadsAPolicyFile is about defaults of other flags, which contradict nothing.
func TestRunReadsAPolicyFile(t *testing.T) {
	path := t.TempDir() + "/policy.conf"
	if err := os.WriteFile(path, []byte("connect default port 25 refuse\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	code, _, said := quiver(t, "run", "--policy", path, "--to", "10.0.0.1", "--", "true")
	if code != exitUsage || !strings.Contains(said, "--policy: got --to as well, want one of the two") || strings.Contains(said, "--fallback") || strings.Contains(said, "--ports") {
		t.Errorf("status %d:\n%s", code, said)
	}
}

func TestRunRefusesFlagsThatSayNothing(t *testing.T) {
	for _, c := range []struct{ flag, value string }{{"--to", ""}, {"--listen", ""}, {"--udp-port", "0"}, {"--udp-port", "65536"}, {"--pin", "xyz"}} {
		code, _, said := quiver(t, "run", c.flag, c.value, "--", "true")
		if code != exitUsage || !strings.Contains(said, c.flag) || !strings.Contains(said, "want ") {
			t.Errorf("%s %q: status %d, %q; want 2 and a sentence with the flag and what it wants", c.flag, c.value, code, said)
		}
	}
}
