package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"

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
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
	mask   func(key []byte) (masker, error)
	// limits of RFC 9001 §6.6, in packets
	confidentiality, integrity uint64
}

var (
	aes128 = &suite{tls.TLS_AES_128_GCM_SHA256, 16, sha256.New, newGCM, newAESMask, 1 << 23, 1 << 52}
	aes256 = &suite{tls.TLS_AES_256_GCM_SHA384, 32, sha512.New384, newGCM, newAESMask, 1 << 23, 1 << 52}
	chacha = &suite{tls.TLS_CHACHA20_POLY1305_SHA256, 32, sha256.New, chacha20poly1305.New, newChaChaMask, 1 << 62, 1 << 36}
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

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1 with an empty context.
func expandLabel(h func() hash.Hash, secret []byte, label string, n int) []byte {
	info := make([]byte, 0, 4+6+len(label))
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(info, "tls13 "...)
	info = append(info, label...)
	info = append(info, 0)
	out, err := hkdf.Expand(h, secret, string(info), n)
	if err != nil {
		panic("BUG: HKDF length out of range: " + err.Error())
	}
	return out
}
