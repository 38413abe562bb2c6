package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seeded(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// generate makes a chain and returns its certificates, leaf first, and its root.
func generate(t *testing.T, n int) (dir string, chain []*x509.Certificate, root *x509.Certificate) {
	t.Helper()
	dir = t.TempDir()
	if err := Generate(dir, n, testNow, seeded(1)); err != nil {
		t.Fatal(err)
	}
	chain = parse(t, filepath.Join(dir, "cert.pem"))
	roots := parse(t, filepath.Join(dir, "ca.pem"))
	if len(roots) != 1 {
		t.Fatalf("ca.pem holds %d certificates, want 1", len(roots))
	}
	return dir, chain, roots[0]
}

func parse(t *testing.T, path string) (certs []*x509.Certificate) {
	t.Helper()
	rest, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certs
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
}

func TestChainVerifiesForEveryServerNameForTenDays(t *testing.T) {
	for _, n := range []int{1, 2, 9} {
		_, chain, root := generate(t, n)
		if len(chain) != n {
			t.Fatalf("cert.pem holds %d certificates, want %d", len(chain), n)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(root)
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		for _, name := range []string{"server", "server4", "server6", "server46"} {
			for _, tc := range []struct {
				at   time.Time
				want bool
			}{{testNow, true}, {testNow.Add(validity - time.Second), true}, {testNow.Add(validity + time.Second), false}} {
				_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: tc.at})
				if (err == nil) != tc.want {
					t.Errorf("chain of %d, name %s at %v: error %v, want valid %t", n, name, tc.at, err, tc.want)
				}
			}
		}
	}
}

func TestChainIsInTheOrderOfACertificateMessage(t *testing.T) {
	_, chain, root := generate(t, 9)
	for i, c := range chain {
		issuer := root
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		if err := c.CheckSignatureFrom(issuer); err != nil {
			t.Errorf("certificate %d is not signed by the one after it: %v", i, err)
		}
		if i > 0 && (!c.IsCA || c.MaxPathLen != 100 || c.KeyUsage != x509.KeyUsageCertSign || len(c.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0) {
			t.Errorf("certificate %d lacks an extension of an authority: %+v", i, c.Subject)
		}
	}
	if got := chain[1].Subject.String(); got != "O=interop runner intermediate 8" {
		t.Errorf("the leaf's issuer is %q, want the last intermediate", got)
	}
	if got := root.Subject.String(); got != "O=interop runner Root Certificate Authority" {
		t.Errorf("root subject %q", got)
	}
}

func TestSizesFitTheAmplificationTest(t *testing.T) {
	for _, tc := range []struct{ n, least, most int }{{1, 400, 500}, {9, 9000, 10500}} {
		_, chain, _ := generate(t, tc.n)
		total := 0
		for _, c := range chain {
			total += len(c.Raw)
		}
		if total < tc.least || total > tc.most {
			t.Errorf("chain of %d has %d bytes, want %d to %d", tc.n, total, tc.least, tc.most)
		}
		if names := len(chain[0].DNSNames); (tc.n == 1) != (names == len(leafNames)) {
			t.Errorf("chain of %d: leaf has %d names", tc.n, names)
		}
		if len(chain[0].IPAddresses) != 0 {
			t.Errorf("leaf names addresses %v, want none", chain[0].IPAddresses)
		}
	}
}

func TestKeyIsSEC1BehindItsParametersAndPrivate(t *testing.T) {
	dir, _, _ := generate(t, 1)
	path := filepath.Join(dir, "priv.key")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("priv.key has mode %v, want 0600", info.Mode().Perm())
	}
	data, _ := os.ReadFile(path)
	params, rest := pem.Decode(data)
	key, _ := pem.Decode(rest)
	if params == nil || key == nil || params.Type != "EC PARAMETERS" || key.Type != "EC PRIVATE KEY" {
		t.Fatalf("priv.key is not EC PARAMETERS, EC PRIVATE KEY:\n%s", strings.ReplaceAll(string(data), "\n", "\n  "))
	}
	if _, err := x509.ParseECPrivateKey(key.Bytes); err != nil {
		t.Error(err)
	}
}

func TestTLSServerServesTheChain(t *testing.T) {
	dir, _, root := generate(t, 9)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "priv.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	at := func() time.Time { return testNow }
	go tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}, Time: at}).Handshake()
	if err := tls.Client(b, &tls.Config{RootCAs: roots, ServerName: "server4", Time: at}).Handshake(); err != nil {
		t.Error(err)
	}
}

func TestSameSeedGivesTheSameFiles(t *testing.T) {
	read := func(seed byte) (all []byte) {
		dir := t.TempDir()
		if err := Generate(dir, 9, testNow, seeded(seed)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"cert.pem", "priv.key", "ca.pem"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	if first := read(1); !bytes.Equal(first, read(1)) || bytes.Equal(first, read(2)) {
		t.Error("files are not a function of the seed")
	}
}

func TestGenerateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name   string
		dir    string
		n      int
		random io.Reader
		want   string
	}{
		{"no certificate at all", t.TempDir(), 0, nil, "chain of length 0, want 1"},
		{"an endless chain", t.TempDir(), 101, nil, "chain of length 101"},
		{"a directory that is missing", "/nonexistent/dir", 1, nil, "/nonexistent/dir"},
		{"randomness that runs dry", t.TempDir(), 1, bytes.NewReader(make([]byte, 5)), "root certificate: key"},
		{"randomness that is all zero", t.TempDir(), 1, bytes.NewReader(make([]byte, 4096)), "no number below the order"},
	} {
		if err := Generate(tc.dir, tc.n, testNow, tc.random); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one naming %q", tc.name, err, tc.want)
		}
	}
	if names := parseNames(t); !slices.Equal(names, leafNames) {
		t.Errorf("names of a default leaf %v, want %v", names, leafNames)
	}
}

func parseNames(t *testing.T) []string {
	dir := t.TempDir()
	if err := Generate(dir, 1, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	return parse(t, filepath.Join(dir, "cert.pem"))[0].DNSNames
}
