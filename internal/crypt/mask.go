package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// masker makes the header protection mask from a sample of 16 bytes
// (RFC 9001 §5.4). It writes 16 bytes of which five are used.
type masker interface {
	mask(dst *[16]byte, sample []byte)
}

type aesMask struct{ block cipher.Block }

func newAESMask(key []byte) (masker, error) {
	block, err := aes.NewCipher(key)
	return aesMask{block}, err
}

// RFC 9001 §5.4.3: AES-ECB over the sample.
func (m aesMask) mask(dst *[16]byte, sample []byte) {
	m.block.Encrypt(dst[:], sample[:sampleSize])
}

// chachaMask runs one ChaCha20 block by itself: the library makes an object
// per call, which would be an allocation per packet.
type chachaMask struct{ key [8]uint32 }

func newChaChaMask(key []byte) (masker, error) {
	m := &chachaMask{}
	for i := range m.key {
		m.key[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	return m, nil
}

// RFC 9001 §5.4.4: the first four bytes of the sample are the block counter,
// the other twelve the nonce, and five zero bytes are encrypted.
func (m *chachaMask) mask(dst *[16]byte, sample []byte) {
	var s [16]uint32
	s[0], s[1], s[2], s[3] = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574
	copy(s[4:12], m.key[:])
	for i := range 4 {
		s[12+i] = binary.LittleEndian.Uint32(sample[4*i:])
	}
	w := s
	for range 10 {
		quarter(&w, 0, 4, 8, 12)
		quarter(&w, 1, 5, 9, 13)
		quarter(&w, 2, 6, 10, 14)
		quarter(&w, 3, 7, 11, 15)
		quarter(&w, 0, 5, 10, 15)
		quarter(&w, 1, 6, 11, 12)
		quarter(&w, 2, 7, 8, 13)
		quarter(&w, 3, 4, 9, 14)
	}
	for i := range 4 {
		binary.LittleEndian.PutUint32(dst[4*i:], w[i]+s[i])
	}
}

// quarter is the ChaCha quarter round (RFC 8439 §2.1).
func quarter(s *[16]uint32, a, b, c, d int) {
	s[a] += s[b]
	s[d] = bits.RotateLeft32(s[d]^s[a], 16)
	s[c] += s[d]
	s[b] = bits.RotateLeft32(s[b]^s[c], 12)
	s[a] += s[b]
	s[d] = bits.RotateLeft32(s[d]^s[a], 8)
	s[c] += s[d]
	s[b] = bits.RotateLeft32(s[b]^s[c], 7)
}
