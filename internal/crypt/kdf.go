package crypt

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// kdf is the hash that a cipher suite derives keys with. Secrets and labels are
// short, so all of HKDF (RFC 5869) is two hashes of one small buffer each: the
// library's, made for any size, takes half the allocations of a handshake.
type kdf uint8

const (
	kdfSHA256 kdf = iota
	kdfSHA384
)

const (
	maxBlock = sha512.BlockSize
	maxSum   = sha512.Size384
	maxInfo  = 2 + 1 + 32 + 1 // of expandLabel: length, label, no context
)

// size is the length of what the hash returns, in bytes.
func (h kdf) size() int {
	if h == kdfSHA384 {
		return sha512.Size384
	}
	return sha256.Size
}

func (h kdf) block() int {
	if h == kdfSHA384 {
		return sha512.BlockSize
	}
	return sha256.BlockSize
}

func (h kdf) sum(dst *[maxSum]byte, b []byte) {
	if h == kdfSHA384 {
		*dst = sha512.Sum384(b)
		return
	}
	s := sha256.Sum256(b)
	copy(dst[:], s[:])
}

// mac is HMAC (RFC 2104) of a message of at most maxInfo+1 bytes.
func (h kdf) mac(dst *[maxSum]byte, key, message []byte) {
	var buf [maxBlock + maxSum + maxInfo]byte
	size, block := h.size(), h.block()
	if len(key) > block {
		h.sum(dst, key)
		key = dst[:size]
	}
	copy(buf[:], key)
	for i := range block {
		buf[i] ^= 0x36
	}
	n := block + copy(buf[block:], message)
	h.sum(dst, buf[:n])
	for i := range block {
		buf[i] ^= 0x36 ^ 0x5c
	}
	n = block + copy(buf[block:], dst[:size])
	h.sum(dst, buf[:n])
}

// extract is HKDF-Extract.
func (h kdf) extract(salt, secret []byte) []byte {
	var sum [maxSum]byte
	h.mac(&sum, salt, secret)
	return append([]byte(nil), sum[:h.size()]...)
}

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1 with an empty context, for
// at most size bytes.
func expandLabel(h kdf, secret []byte, label string, n int) []byte {
	const prefix = "tls13 "
	if n > h.size() || len(prefix)+len(label) > 32 {
		panic("BUG: HKDF length out of range")
	}
	var sum [maxSum]byte
	info := make([]byte, 0, maxInfo+1)
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(len(prefix)+len(label)))
	info = append(append(info, prefix...), label...)
	info = append(info, 0, 1) // no context; the first block of the output
	h.mac(&sum, secret, info)
	return append([]byte(nil), sum[:n]...)
}
