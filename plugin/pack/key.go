package pack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

const maxKeyFile = 16 << 10 // bytes of a key file that are read

// PEM blocks of key files: PKCS #8 (RFC 5958) and SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), as OpenSSL writes them.
const (
	pemPrivate = "PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// A PublicKey is an ed25519 key that verifies.
type PublicKey [ed25519.PublicKeySize]byte

// A KeyID is how people tell keys apart: the first 8 bytes of the SHA-256 of the key. Whether a key is trusted is decided by the whole key.
type KeyID [8]byte

// String returns 16 hexadecimal digits.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// ID returns the short name of k.
func (k PublicKey) ID() KeyID {
	sum := sha256.Sum256(k[:])
	return KeyID(sum[:8])
}

const keyPrefix = "ed25519:"

// String returns k as trust files write it: "ed25519:" and 43 characters.
func (k PublicKey) String() string { return keyPrefix + base64.RawStdEncoding.EncodeToString(k[:]) }

// ParsePublicKey reads what [PublicKey.String] writes.
func ParsePublicKey(s string) (k PublicKey, ok bool) {
	text, ok := strings.CutPrefix(s, keyPrefix)
	if !ok || len(text) != base64.RawStdEncoding.EncodedLen(len(k)) {
		return k, false
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(k) {
		return k, false
	}
	return PublicKey(b), true
}

// GenerateKey makes a key from 32 bytes of random.
func GenerateKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("random bytes for a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// WritePrivateKey writes key to a new file that only its owner may read. It overwrites nothing: a key that is gone is gone.
func WritePrivateKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeNew(path, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), 0o600)
}

// WritePublicKey writes key to a new file that everybody may read. It overwrites nothing.
func WritePublicKey(path string, key PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key[:]))
	if err != nil {
		return err
	}
	return writeNew(path, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), 0o644)
}

// writeNew writes a file that must not exist yet, or none at all.
func writeNew(path string, b []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w, and keys are never overwritten: choose another name", path, fs.ErrExist)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// ReadPrivateKey reads a key from a PEM file. It refuses a file that others may read.
func ReadPrivateKey(path string) (ed25519.PrivateKey, error) {
	block, mode, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	switch {
	case block.Type == pemPublic:
		return nil, fmt.Errorf("%s: holds a public key, want the private one", path)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%s: is encrypted, which is not supported: decrypt it with \"openssl pkey\"", path)
	case block.Type != pemPrivate:
		return nil, fmt.Errorf("%s: holds a %q, want a %q", path, clip(block.Type), pemPrivate)
	case mode&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("%s: others may read it (mode %04o), so it is no secret: chmod 600 %[1]s", path, mode.Perm())
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: holds a key of type %T, want ed25519", path, parsed)
	}
	return key, nil
}

// ReadPublicKey reads a key from a PEM file, or from one that holds its text form.
func ReadPublicKey(path string) (k PublicKey, err error) {
	block, _, err := readPEM(path)
	if err != nil {
		return k, err
	}
	switch block.Type {
	case textKey:
		if k, ok := ParsePublicKey(string(block.Bytes)); ok {
			return k, nil
		}
		return k, fmt.Errorf("%s: no key: want PEM, or %q and 43 characters", path, keyPrefix)
	case pemPrivate:
		return k, fmt.Errorf("%s: holds a private key, want the public one", path)
	case pemPublic:
	default:
		return k, fmt.Errorf("%s: holds a %q, want a %q", path, clip(block.Type), pemPublic)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return k, fmt.Errorf("%s: holds a key of type %T, want ed25519", path, parsed)
	}
	return PublicKey(key), nil
}

// textKey marks a file that is a key in its text form.
const textKey = "text"

// readPEM reads the one block of a key file, and who may read it.
func readPEM(path string) (*pem.Block, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	b, err := readAtMost(f, maxKeyFile)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if text := bytes.TrimSpace(b); bytes.HasPrefix(text, []byte(keyPrefix)) {
		return &pem.Block{Type: textKey, Bytes: text}, info.Mode(), nil
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, 0, fmt.Errorf("%s: no PEM block: not a key file", path)
	}
	return block, info.Mode(), nil
}
