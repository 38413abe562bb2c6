package endpoint

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// inProcess makes the test binary an endpoint: the choice of cipher suites is one for a whole process.
const inProcess = "QUIVER_ENDPOINT_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(inProcess)
	if dir == "" {
		os.Exit(m.Run())
	}
	e := FromEnviron(os.Environ())
	e.Listen, e.WWW, e.Downloads, e.Certs = os.Getenv("LISTEN"), dir, dir, dir
	os.Exit(Run(context.Background(), e, os.Stdout, os.Stderr))
}

// start runs one role of the chacha20 case in a process of its own until the test ends.
func start(t *testing.T, dir string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, inProcess+"="+dir, "TESTCASE=chacha20")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Skipf("cannot start this program again: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

func wantChaCha(t *testing.T, who string, c *quic.Conn) {
	t.Helper()
	if got := c.ConnectionState().TLS.CipherSuite; got != tls.TLS_CHACHA20_POLY1305_SHA256 {
		t.Errorf("with our %s the cipher suite is %s, want ChaCha20-Poly1305", who, tls.CipherSuiteName(got))
	}
}

func TestChaCha20CaseOffersAndTakesNothingElse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w := newWorld(t, nil)
	t.Run("server", func(t *testing.T) {
		addr := freeAddr(t)
		start(t, w.certs, "ROLE=server", "LISTEN="+addr)
		conn, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ALPN}}, &quic.Config{IgnoreUnreachable: true}) // it may be early
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		wantChaCha(t, "server", conn)
	})
	t.Run("client", func(t *testing.T) {
		cert, err := tls.LoadX509KeyPair(filepath.Join(w.certs, "cert.pem"), filepath.Join(w.certs, "priv.key"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		start(t, w.certs, "ROLE=client", "REQUESTS=https://"+l.Addr().String()+"/a")
		conn, err := l.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wantChaCha(t, "client", conn)
	})
}
