package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// world is the directories of one run, and a certificate that is its own authority.
type world struct{ www, downloads, certs string }

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{t.TempDir(), t.TempDir(), t.TempDir()}
	for name, text := range files {
		write(t, filepath.Join(w.www, name), []byte(text))
	}
	cert, err := SelfSigned(time.Now(), "server", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	write(t, filepath.Join(w.certs, "cert.pem"), chain)
	write(t, filepath.Join(w.certs, "ca.pem"), chain)
	write(t, filepath.Join(w.certs, "priv.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return w
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

// freeAddr returns an address on loopback that nobody listens on just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// play runs server and client of one test case in this process and returns the client's exit code and what both said.
func (w *world) play(t *testing.T, testCase string, names ...string) (code int, said string) {
	t.Helper()
	addr := freeAddr(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var server, client bytes.Buffer
	served := make(chan int, 1)
	go func() {
		served <- Run(ctx, Env{Role: "server", TestCase: testCase, Listen: addr, WWW: w.www, Certs: w.certs}, &server, &server)
	}()
	var urls []string
	for _, name := range names {
		urls = append(urls, "https://"+addr+"/"+name)
	}
	code = Run(ctx, Env{
		Role: "client", TestCase: testCase, Requests: urls, Downloads: w.downloads, Certs: w.certs, KeyLog: filepath.Join(w.certs, "keys.log"),
	}, &client, &client)
	cancel()
	if got := <-served; got != ExitOK {
		t.Errorf("server of %s exits with %d when it is told to stop, want 0: %s", testCase, got, &server)
	}
	return code, client.String() + server.String()
}

func TestEveryCaseOfBothRolesBringsTheFiles(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20_000)
	for name := range cases["client"] {
		if _, both := cases["server"][name]; !both || name == "versionnegotiation" || name == "chacha20" {
			continue // these two have tests of their own
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"a": "small", "b": big})
			code, said := w.play(t, name, "a", "b")
			if code != ExitOK {
				t.Fatalf("client exits with %d, want 0: %s", code, said)
			}
			for file, want := range map[string]string{"a": "small", "b": big} {
				if got, err := os.ReadFile(filepath.Join(w.downloads, file)); err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v, want %d", file, len(got), err, len(want))
				}
			}
			keys, err := os.ReadFile(filepath.Join(w.certs, "keys.log"))
			if conns := map[bool]int{true: 2, false: 1}[name == "multiconnect" || name == "stateless-reset" || name == "resumption" || name == "zerortt"]; err != nil || bytes.Count(keys, []byte("CLIENT_TRAFFIC_SECRET_0")) != conns {
				t.Errorf("key log: %v, %q, want the secrets of %d connections", err, keys, conns)
			}
		})
	}
}

// followed runs a case whose two sides have other values of TESTCASE, and
// returns the client's connection's version and key updates.
func followed(t *testing.T, client, server string) (quic.Version, uint64) {
	t.Helper()
	w := newWorld(t, map[string]string{"big": strings.Repeat("0123456789abcdef", 200_000)})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	addr := freeAddr(t)
	served := make(chan int, 1)
	go func() {
		served <- Run(ctx, Env{Role: "server", TestCase: server, Listen: addr, WWW: w.www, Certs: w.certs}, io.Discard, io.Discard)
	}()
	e := Env{Certs: w.certs}
	cfg, err := clientTLS(&e)
	if err != nil {
		t.Fatal(err)
	}
	tc := cases["client"][client]
	tc.conf.IgnoreUnreachable = true // the server may be late, as in Run
	var conn *quic.Conn
	c := Client{TLS: cfg, Conf: &tc.conf, Downloads: w.downloads, Log: slog.New(slog.DiscardHandler), OnConn: func(c *quic.Conn) {
		conn = c
		if tc.updateKeys {
			c.UpdateKeys()
		}
	}}
	if err := c.Fetch(ctx, []string{"https://" + addr + "/big"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-served
	return conn.ConnectionState().Version, conn.ConnectionStats().KeyUpdates
}

func TestCasesOfVersionsAndKeysDoWhatTheyAreFor(t *testing.T) {
	for _, tt := range []struct {
		client, server string
		version        quic.Version
		updates        bool
	}{
		{"handshake", "handshake", quic.Version1, false},
		{"v2", "v2", quic.Version2, false},
		{"v2", "transfer", quic.Version1, false},
		{"keyupdate", "transfer", quic.Version1, true},
		{"transfer", "keyupdate-server", quic.Version1, true},
		{"v2-keyupdate", "v2-keyupdate", quic.Version2, true},
	} {
		version, updates := followed(t, tt.client, tt.server)
		if version != tt.version || (updates > 0) != tt.updates {
			t.Errorf("client %s, server %s: %v with %d key updates, want %v and some: %v", tt.client, tt.server, version, updates, tt.version, tt.updates)
		}
	}
}

func TestVersionNegotiationCaseEndsWithTheServersAnswer(t *testing.T) {
	if code, said := newWorld(t, nil).play(t, "versionnegotiation", ""); code != ExitOK || !strings.Contains(said, "version negotiated") {
		t.Errorf("client exits with %d, %s, want 0 and what the server has", code, said)
	}
}

func TestExitCodesAreThoseOfTheContract(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct {
		name string
		env  Env
		code int
		want string
	}{
		{"case that nobody knows", Env{Role: "client", TestCase: "hopscotch"}, ExitUnsupported, `unsupported test case "hopscotch" for the client`},
		{"case of later", Env{Role: "server", TestCase: "multipath"}, ExitUnsupported, `unsupported test case "multipath" for the server`},
		{"no role", Env{TestCase: "handshake"}, ExitFailed, `ROLE is "", want client or server`},
		{"no certificate", Env{Role: "server", TestCase: "handshake", Certs: w.www}, ExitFailed, "cert.pem"},
		{"broken URL", Env{Role: "client", TestCase: "handshake", Certs: w.certs, Requests: []string{"server/a"}}, ExitFailed, "want https://host:port/path"},
		{"URL that leads out", Env{Role: "client", TestCase: "handshake", Certs: w.certs, Requests: []string{"https://h/../a"}}, ExitFailed, "does not name a file below"},
	} {
		var said bytes.Buffer
		if code := Run(t.Context(), tt.env, &said, &said); code != tt.code || !strings.Contains(said.String(), tt.want) {
			t.Errorf("%s: exit code %d, %q, want %d with %q", tt.name, code, &said, tt.code, tt.want)
		}
	}
	if code, said := w.play(t, "handshake", "gone"); code != ExitFailed || !strings.Contains(said, "the server has no such file") {
		t.Errorf("missing file: exit code %d, %s, want 1", code, said)
	}
}

func TestEnvironmentIsReadAsTheRunnerWritesIt(t *testing.T) {
	e := FromEnviron([]string{"ROLE=client", "TESTCASE=transfer", "REQUESTS=https://server4:443/a https://server4:443/b", "SSLKEYLOGFILE=/logs/keys.log", "QLOGDIR=/logs/qlog/"})
	if e.Role != "client" || e.TestCase != "transfer" || len(e.Requests) != 2 || e.KeyLog != "/logs/keys.log" || e.QLogDir != "/logs/qlog/" ||
		e.Listen != ":443" || e.WWW != "/www" || e.Downloads != "/downloads" || e.cert("cert.pem") != "/certs/cert.pem" {
		t.Errorf("got %+v", e)
	}
}

// dial connects to a Server of its own.
func dial(t *testing.T, www string) *quic.Conn {
	t.Helper()
	cert, err := SelfSigned(time.Now(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	s := Server{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN}}, WWW: www, Log: slog.New(slog.DiscardHandler)}
	go func() { served <- s.Serve(ctx, sock) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v when told to stop, want nil", err)
		}
	})
	cfg := &tls.Config{NextProtos: []string{ALPN}}
	if err := TrustPin(cfg, Pin(cert.Certificate[0])); err != nil {
		t.Fatal(err)
	}
	conn, err := quic.DialAddr(t.Context(), sock.LocalAddr().String(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

func TestServerAnswersOnlyRequestsForFiles(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), []byte("secret"))
	w := newWorld(t, map[string]string{"a": "a file"})
	if err := os.Symlink(outside, filepath.Join(w.www, "link")); err != nil {
		t.Logf("no symbolic links here: %v", err)
	}
	if err := os.Mkdir(filepath.Join(w.www, "dir"), 0o777); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, w.www)
	for _, tt := range []struct {
		request, want string
		code          uint64
	}{
		{"GET /a\r\n", "a file", 0},
		{"GET /a", "a file", 0},
		{"GET /gone\r\n", "", codeNotFound},
		{"GET /../secret\r\n", "", codeNotFound},
		{"GET /link/secret\r\n", "", codeNotFound},
		{"GET /dir\r\n", "", codeNotFound},
		{"GET /\r\n", "", codeNotFound},
		{"POST /a\r\n", "", codeBadRequest},
		{"", "", codeBadRequest},
		{"GET /" + strings.Repeat("a", maxRequest), "", codeBadRequest},
	} {
		stream, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(stream, tt.request)
		stream.CloseWrite()
		stream.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := io.ReadAll(stream)
		var reset *quic.StreamError
		if tt.code != 0 {
			if reset, _ = err.(*quic.StreamError); reset == nil || reset.Code != tt.code || !reset.Remote {
				t.Errorf("%.20q: %q, %v, want a reset with %#x", tt.request, got, err, tt.code)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("%.20q: %q, %v, want %q", tt.request, got, err, tt.want)
		}
	}
}

func TestPinTrustsOneCertificate(t *testing.T) {
	mine, err := SelfSigned(time.Now(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := SelfSigned(time.Now(), "a")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{}
	pin := strings.ToUpper(Pin(mine.Certificate[0]))
	if err := TrustPin(cfg, pin[:2]+":"+pin[2:]); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cert tls.Certificate
		ok   bool
	}{{mine, true}, {other, false}} {
		leaf, err := x509.ParseCertificate(tt.cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); (err == nil) != tt.ok {
			t.Errorf("certificate %s: %v, want trust to be %v", Pin(leaf.Raw)[:8], err, tt.ok)
		}
	}
	for _, bad := range []string{"", "12", strings.Repeat("zz", 32), strings.Repeat("00", 33)} {
		if err := TrustPin(&tls.Config{}, bad); err == nil {
			t.Errorf("pin %q is taken, want an error", bad)
		}
	}
}

func TestSelfSignedCertificateHoldsForItsNames(t *testing.T) {
	cert, err := SelfSigned(time.Now(), "localhost", "::1", "")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for name, want := range map[string]bool{"localhost": true, "::1": true, "example.org": false} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); (err == nil) != want {
			t.Errorf("name %s: %v, want %v", name, err, want)
		}
	}
}

func TestResetCaseFailsWhenTheServerLives(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "small", "b": "other"})
	addr := freeAddr(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	served := make(chan int, 1)
	go func() {
		served <- Run(ctx, Env{Role: "server", TestCase: "transfer", Listen: addr, WWW: w.www, Certs: w.certs}, io.Discard, io.Discard)
	}()
	var said bytes.Buffer
	code := Run(ctx, Env{
		Role: "client", TestCase: "stateless-reset", Requests: []string{"https://" + addr + "/a", "https://" + addr + "/b"},
		Downloads: w.downloads, Certs: w.certs,
	}, &said, &said)
	cancel()
	<-served
	if code != ExitFailed || !strings.Contains(said.String(), "want a stateless reset") {
		t.Errorf("client exits with %d, %q, want 1 because nobody reset the connection", code, &said)
	}
}
