package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/sockets/identity"
)

// issue makes an authority and a certificate for a name, and returns the files.
func issue(t *testing.T, name string) (ca, cert, key string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &root.PublicKey, root)
	must(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, &leaf.PublicKey, root)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leaf)
	must(err)
	return write("ca.pem", "CERTIFICATE", rootDER), write("cert.pem", "CERTIFICATE", leafDER), write("key.pem", "PRIVATE KEY", keyDER)
}

func TestANextHopWithANameMustProveItWhereAuthoritiesVouch(t *testing.T) {
	ca, cert, key := issue(t, "svc.example")
	to := serve(t, echo)
	b := start(t, Config{Identity: identity.Options{Cert: cert, Key: key}}, fmt.Sprintf("quic://127.0.0.1:0/%d", to.Port()), "tcp://"+to.String())
	port := addrPort(b.endpoints[0].listener.Addr()).Port()
	out := func(host, rest string) string { return fmt.Sprintf("quic://%s:%d/%d%s", host, port, to.Port(), rest) }
	a := start(t, Config{Identity: identity.Options{CA: ca}, Lookup: lookup},
		"tcp://127.0.0.1:0", out("svc.example", ""),
		"tcp://127.0.0.1:0", out("other.example", ""),
		"tcp://127.0.0.1:0", out("127.0.0.1", ""),
		"tcp://127.0.0.1:0", out("127.0.0.1", "?identity=svc.example"))
	wantEcho(t, dial(t, a.tcp(0)), "hello")
	wantResetAt(t, a.tcp(1))
	wantResetAt(t, a.tcp(2)) // whose address the certificate does not have
	wantEcho(t, dial(t, a.tcp(3)), "hello")
	eventually(t, "both warnings are there", func() bool {
		return strings.Count(a.log.String(), "is not who was expected: its certificate is for svc.example") == 2
	})
}
