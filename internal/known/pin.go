package known

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
)

// Pin is a SHA-256: of a public key (the DER bytes of its SubjectPublicKeyInfo,
// RFC 7469 §2.4), or of a whole certificate.
type Pin [sha256.Size]byte

// prefix may stand before the digits, where other words could stand as well.
const prefix = "sha256:"

// KeyPin returns the pin of a certificate's public key, which outlives the
// certificate.
func KeyPin(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// CertificatePin returns the pin of a certificate, given its DER bytes: what
// `openssl x509 -fingerprint -sha256` prints.
func CertificatePin(der []byte) Pin { return sha256.Sum256(der) }

// ParsePin reads 64 hexadecimal digits, with or without "sha256:" before them.
// Colons and capitals do not matter.
func ParsePin(s string) (p Pin, err error) {
	digits := strings.ToLower(s)
	digits = strings.ReplaceAll(strings.TrimPrefix(digits, prefix), ":", "")
	if len(digits) != hex.EncodedLen(len(p)) {
		return p, badPin(s)
	}
	if _, err := hex.Decode(p[:], []byte(digits)); err != nil {
		return Pin{}, badPin(s)
	}
	return p, nil
}

func badPin(s string) error {
	return fmt.Errorf("pin %q: want %d hexadecimal digits, the SHA-256 of a key or a certificate", s, 2*sha256.Size)
}

// String returns 64 hexadecimal digits.
func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// Tagged returns "sha256:" and 64 hexadecimal digits.
func (p Pin) Tagged() string { return prefix + p.String() }

// IsOf reports whether p is the pin of cert's key or of cert itself. Nobody can
// make the one look like the other.
func (p Pin) IsOf(cert *x509.Certificate) bool {
	return p == KeyPin(cert) || p == CertificatePin(cert.Raw)
}
