package pack_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
)

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	dir := t.TempDir()
	k, err := pack.GenerateKey(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	private, pub, text := filepath.Join(dir, "a.key"), filepath.Join(dir, "a.pub"), filepath.Join(dir, "a.txt")
	for _, err := range []error{
		pack.WritePrivateKey(private, k), pack.WritePublicKey(pub, public(k)), os.WriteFile(text, []byte(public(k).String()+"\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := pack.ReadPrivateKey(private); err != nil || !got.Equal(k) {
		t.Errorf("read another private key (%v)", err)
	}
	for _, path := range []string{pub, text} {
		if got, err := pack.ReadPublicKey(path); err != nil || got != public(k) {
			t.Errorf("%s: read %v (%v), want %v", path, got, err, public(k))
		}
	}
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key has mode %v (%v), want 0600", info.Mode(), err)
	}
	for _, err := range []error{pack.WritePrivateKey(private, key("other")), pack.WritePublicKey(pub, public(key("other")))} {
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "never overwritten") {
			t.Errorf("writing over a key: %v", err)
		}
	}
	if got, err := pack.ReadPrivateKey(private); err != nil || !got.Equal(k) {
		t.Errorf("the key was overwritten (%v)", err)
	}
}

// TestKeyFilesAreThoseOfOpenSSL: made with "openssl genpkey -algorithm ed25519" and "openssl pkey -pubout".
func TestKeyFilesAreThoseOfOpenSSL(t *testing.T) {
	private := filepath.Join(t.TempDir(), "k")
	writeFile(t, private, 0o600, "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n")
	k, err := pack.ReadPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := public(k).String(), "ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"; got != want {
		t.Errorf("public key %s, want %s", got, want)
	}
	if got, want := public(k).ID().String(), "139e3940e64b5491"; got != want {
		t.Errorf("key id %s, want %s", got, want)
	}
}

func TestABadKeyFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	private, pub := filepath.Join(dir, "a.key"), filepath.Join(dir, "a.pub")
	if err := errors.Join(pack.WritePrivateKey(private, key("a")), pack.WritePublicKey(pub, public(key("a")))); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.key")
	b, _ := os.ReadFile(private)
	writeFile(t, open, 0o644, string(b))
	huge, other, enc, cut, txt, ec := filepath.Join(dir, "huge"), filepath.Join(dir, "other"), filepath.Join(dir, "enc"), filepath.Join(dir, "cut"), filepath.Join(dir, "txt"), filepath.Join(dir, "ec")
	writeFile(t, huge, 0o600, strings.Repeat("x", 20<<10))
	writeFile(t, other, 0o600, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	writeFile(t, enc, 0o600, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	writeFile(t, cut, 0o600, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	writeFile(t, txt, 0o600, "ed25519:AAAA")
	writeFile(t, ec, 0o600, "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n")
	for _, tc := range []struct {
		path, private, public string // part of what reading it as either says
	}{
		{filepath.Join(dir, "none"), "no such file", "no such file"},
		{open, "others may read it (mode 0644), so it is no secret: chmod 600", "holds a private key, want the public one"},
		{private, "", "holds a private key, want the public one"},
		{pub, "holds a public key, want the private one", ""},
		{huge, "has more than 16384 bytes", "has more than 16384 bytes"},
		{other, `holds a "CERTIFICATE", want a "PRIVATE KEY"`, `holds a "CERTIFICATE", want a "PUBLIC KEY"`},
		{enc, "is encrypted", `holds a "ENCRYPTED PRIVATE KEY"`},
		{cut, "cut: ", "holds a private key"},
		{txt, `holds a "text"`, `no key: want PEM, or "ed25519:" and 43 characters`},
		{ec, "holds a public key", "holds a key of type *ecdsa.PublicKey, want ed25519"},
	} {
		_, err1 := pack.ReadPrivateKey(tc.path)
		_, err2 := pack.ReadPublicKey(tc.path)
		for _, got := range []struct {
			want string
			err  error
		}{{tc.private, err1}, {tc.public, err2}} {
			if (got.err == nil) != (got.want == "") || got.err != nil && !strings.Contains(got.err.Error(), got.want) {
				t.Errorf("%s: %v, want %q", filepath.Base(tc.path), got.err, got.want)
			}
		}
	}
}

func writeFile(t *testing.T, path string, mode fs.FileMode, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}
