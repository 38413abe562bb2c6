package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	protocols = []string{"test/1"}
	server    = netip.MustParseAddrPort("192.0.2.1:8277")
	day       = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// saying collects what a user is told.
type saying struct {
	mu    sync.Mutex
	lines []string
}

func (s *saying) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func (s *saying) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *saying) log() *slog.Logger { return slog.New(plain{s}) }

// plain is a slog.Handler that writes messages alone.
type plain struct{ to *saying }

func (p plain) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (p plain) WithAttrs([]slog.Attr) slog.Handler           { return p }
func (p plain) WithGroup(string) slog.Handler                { return p }
func (p plain) Handle(_ context.Context, r slog.Record) error {
	_, err := p.to.Write([]byte(r.Message))
	return err
}

// load loads an Identity; its files are whole when the test ends.
func load(t *testing.T, opts Options) *Identity {
	t.Helper()
	if opts.Protocols == nil {
		opts.Protocols = protocols
	}
	id, err := Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(id.Close)
	return id
}

// loopback returns both ends of a connection. A net.Pipe would not do: both ends
// of TLS write at once.
func loopback(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// shake makes a handshake over TCP and returns both ends' states and errors. It
// confirms the first contact of the client.
func shake(t *testing.T, client, server *Identity, peer netip.AddrPort, expect string) (cs, ss tls.ConnectionState, cerr, serr error) {
	t.Helper()
	cconf, err := client.Client(peer, expect)
	if err != nil {
		return cs, ss, err, nil
	}
	sconf, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	a, b := loopback(t)
	defer a.Close()
	defer b.Close()
	a.SetDeadline(time.Now().Add(10 * time.Second))
	b.SetDeadline(time.Now().Add(10 * time.Second))
	c, s := tls.Client(a, cconf), tls.Server(b, sconf)
	served := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1}) // the client reads the ticket before it
		} else {
			b.Close()
		}
		served <- err
	}()
	if cerr = c.Handshake(); cerr == nil {
		_, cerr = c.Read(make([]byte, 1))
	}
	a.Close()
	serr = <-served
	cs, ss = c.ConnectionState(), s.ConnectionState()
	if cerr == nil {
		cerr = client.Confirm(peer, expect, cs)
	}
	return cs, ss, cerr, serr
}

// authority is a certificate authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue makes a certificate for addresses, names and SPIFFE IDs, and returns its
// files.
func (a *authority) issue(sans ...string) (cert, key string) {
	a.t.Helper()
	k := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, san := range sans {
		if ip := net.ParseIP(san); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if u, err := url.Parse(san); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, san)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "priv.key")
	writePEM(a.t, cert, "CERTIFICATE", der)
	writePEM(a.t, key, "PRIVATE KEY", pkcs8)
	return cert, key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		t.Fatal(err)
	}
	write(t, path, text.String())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantError checks an error and what to do about it, for parts of the sentences.
func wantError(t *testing.T, what string, err error, sentence, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("%s: got error %v, want %q", what, err, sentence)
	}
	if got := Hint(err); !strings.Contains(got, hint) || (hint == "") != (got == "") {
		t.Errorf("%s: got hint %q, want %q", what, got, hint)
	}
}
