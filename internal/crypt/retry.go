package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"github.com/seed51309289/quiver/internal/wire"
)

// Retry integrity keys: RFC 9001 §5.8 and RFC 9369 §3.3.3.
var (
	retryV1 = retryAEAD("\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e")
	retryV2 = retryAEAD("\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92")

	retryNonceV1 = []byte("\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb")
	retryNonceV2 = []byte("\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a")
)

func retryAEAD(key string) cipher.AEAD {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		panic("BUG: retry key size")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: AES block size")
	}
	return aead
}

// RetryTag returns the integrity tag of a Retry packet (RFC 9001 §5.8). retry
// is the packet without its tag, odcid the destination connection ID of the
// Initial that it answers.
func RetryTag(v wire.Version, retry, odcid []byte) [TagSize]byte {
	pseudo := make([]byte, 0, 1+len(odcid)+len(retry))
	pseudo = append(pseudo, byte(len(odcid)))
	pseudo = append(pseudo, odcid...)
	pseudo = append(pseudo, retry...)
	aead, nonce := retryV1, retryNonceV1
	if v == wire.Version2 {
		aead, nonce = retryV2, retryNonceV2
	}
	return [TagSize]byte(aead.Seal(nil, nonce, nil, pseudo))
}

// ValidRetry reports whether packet, a whole Retry packet, has the tag that
// belongs to odcid.
func ValidRetry(v wire.Version, packet, odcid []byte) bool {
	if len(packet) < TagSize {
		return false
	}
	body, tag := packet[:len(packet)-TagSize], packet[len(packet)-TagSize:]
	want := RetryTag(v, body, odcid)
	return subtle.ConstantTimeCompare(tag, want[:]) == 1
}
