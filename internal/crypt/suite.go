package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"

	"github.com/seed51309289/quiver/internal/wire"
	"golang.org/x/crypto/chacha20poly1305"
)

// TagSize is the size of the authentication tag of every QUIC AEAD, in bytes.
const TagSize = 16

// sampleSize is how much ciphertext header protection reads (RFC 9001 §5.4.2).
const sampleSize = 16

// suite is what a TLS 1.3 cipher suite means to packet protection (RFC 9001 §5.3).
type suite struct {
	id     uint16
	keyLen int
	hash   kdf
	aead   func(key []byte) (cipher.AEAD, error)
	mask   func(key []byte) (masker, error)
	// limits of RFC 9001 §6.6, in packets
	confidentiality, integrity uint64
}

var (
	aes128 = &suite{tls.TLS_AES_128_GCM_SHA256, 16, kdfSHA256, newGCM, newAESMask, 1 << 23, 1 << 52}
	aes256 = &suite{tls.TLS_AES_256_GCM_SHA384, 32, kdfSHA384, newGCM, newAESMask, 1 << 23, 1 << 52}
	chacha = &suite{tls.TLS_CHACHA20_POLY1305_SHA256, 32, kdfSHA256, chacha20poly1305.New, newChaChaMask, 1 << 62, 1 << 36}
)

// suiteByID knows the suites that QUIC can use; TLS_AES_128_CCM_8_SHA256 is
// not one of them (RFC 9001 §5.3) and crypto/tls has no CCM.
func suiteByID(id uint16) (*suite, error) {
	for _, s := range []*suite{aes128, aes256, chacha} {
		if s.id == id {
			return s, nil
		}
	}
	return nil, fmt.Errorf("cipher suite %#04x: got a suite without packet protection, want AES-GCM or ChaCha20-Poly1305", id)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// labels are the HKDF labels of a version (RFC 9001 §5.1, RFC 9369 §3.3.2).
type labels struct{ key, iv, hp, ku string }

func versionLabels(v wire.Version) labels {
	if v == wire.Version2 {
		return labels{"quicv2 key", "quicv2 iv", "quicv2 hp", "quicv2 ku"}
	}
	return labels{"quic key", "quic iv", "quic hp", "quic ku"}
}
