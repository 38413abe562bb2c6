package known

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPinsAreReadInEveryFormThatIsPrinted(t *testing.T) {
	want := Pin(sha256.Sum256([]byte("key")))
	digits := want.String()
	colons := strings.ToUpper(digits[:2] + ":" + digits[2:4] + ":" + digits[4:])
	for _, s := range []string{digits, want.Tagged(), strings.ToUpper(want.Tagged()), colons, "sha256:" + colons} {
		if got, err := ParsePin(s); got != want || err != nil {
			t.Errorf("ParsePin(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestWhatIsNoPinIsRefused(t *testing.T) {
	digits := CertificatePin(nil).String()
	for _, s := range []string{"", "sha256:", "12:34", digits[1:], digits + "0", digits[1:] + "g", "md5:" + digits, "sha256:sha256:" + digits} {
		got, err := ParsePin(s)
		if got != (Pin{}) || err == nil || !strings.Contains(err.Error(), "want 64 hexadecimal digits") {
			t.Errorf("ParsePin(%q) = %v, %v, want a sentence", s, got, err)
		}
	}
}

func TestPinIsOfTheKeyAndOfTheCertificateAndOfNothingElse(t *testing.T) {
	one, other := certificate(t), certificate(t)
	for _, p := range []Pin{KeyPin(one), CertificatePin(one.Raw)} {
		if !p.IsOf(one) || p.IsOf(other) {
			t.Errorf("%v: is of its own %v, of another %v, want true, false", p, p.IsOf(one), p.IsOf(other))
		}
	}
}

func TestWhatIsNoSessionUnpacksToNone(t *testing.T) {
	if s, ok := Pack(nil); ok || s.State != nil {
		t.Errorf("Pack(nil) = %v, %v, want none", s, ok)
	}
	if _, ok := Pack(&tls.ClientSessionState{}); ok {
		t.Error("an empty session was packed")
	}
	for _, s := range []Session{{}, {Ticket: []byte("t")}, {Ticket: []byte("t"), State: []byte("no state")}} {
		if _, ok := s.Unpack(); ok {
			t.Errorf("%v was unpacked", s)
		}
	}
}

func TestWrittenFilesReplaceOlderOnesAndAreForTheirOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"one", "a longer one", ""} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); !bytes.Equal(got, []byte(text)) || err != nil {
			t.Errorf("read %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files, want the one", len(names))
	}
	if err := WriteFile(filepath.Join(path, "below a file"), nil); err == nil {
		t.Error("a file was made below a file")
	}
}
