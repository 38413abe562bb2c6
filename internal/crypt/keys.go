package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"github.com/seed51309289/quiver/internal/wire"
)

// Keys protect the packets of one direction at one encryption level. The zero
// value has no keys; make them with New or NewInitial. Not safe for concurrent
// use: the nonce is kept inside, so that sealing does not allocate.
type Keys struct {
	suite   *suite
	version wire.Version
	secret  []byte
	hpKey   []byte
	aead    cipher.AEAD // nil = at rest
	hp      masker      // nil = at rest
	iv      [12]byte
	nonce   [12]byte
	msk     [16]byte
}

// ErrDecrypt says that a packet did not authenticate. Such a packet is
// dropped; it says nothing about the connection (RFC 9000 §12.1).
var ErrDecrypt = errors.New("packet does not authenticate")

// New derives keys from a TLS traffic secret and the ID of the cipher suite it
// belongs to (RFC 9001 §5.1). It fails only on a suite that QUIC cannot use.
// The secret is copied.
func New(v wire.Version, suiteID uint16, secret []byte) (*Keys, error) {
	s, err := suiteByID(suiteID)
	if err != nil {
		return nil, err
	}
	return newKeys(v, s, append([]byte(nil), secret...), nil), nil
}

// hpKey is kept over key updates (RFC 9001 §6.1); nil derives it.
func newKeys(v wire.Version, s *suite, secret, hpKey []byte) *Keys {
	l := versionLabels(v)
	if hpKey == nil {
		hpKey = expandLabel(s.hash, secret, l.hp, s.keyLen)
	}
	k := &Keys{suite: s, version: v, secret: secret, hpKey: hpKey}
	copy(k.iv[:], expandLabel(s.hash, secret, l.iv, len(k.iv)))
	k.wake()
	return k
}

// Wake ends a rest before the next packet does. Without one it does nothing.
func (k *Keys) Wake() {
	if k.aead == nil {
		k.wake()
	}
}

// wake makes the ciphers, which are many times larger than their keys.
func (k *Keys) wake() {
	var err error
	if k.aead, err = k.suite.aead(expandLabel(k.suite.hash, k.secret, versionLabels(k.version).key, k.suite.keyLen)); err != nil {
		panic("BUG: key size: " + err.Error())
	}
	if k.hp, err = k.suite.mask(k.hpKey); err != nil {
		panic("BUG: key size: " + err.Error())
	}
}

// Rest gives back the memory of the ciphers, which is most of what keys take.
// The next packet makes them again, in some microseconds.
func (k *Keys) Rest() { k.aead, k.hp = nil, nil }

// Initial salts: RFC 9001 §5.2 and RFC 9369 §3.3.1.
var (
	saltV1 = []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	saltV2 = []byte{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}
)

// NewInitial derives both directions' Initial keys from the destination
// connection ID of the client's first Initial packet (RFC 9001 §5.2).
func NewInitial(v wire.Version, dcid []byte) (client, server *Keys) {
	salt := saltV1
	if v == wire.Version2 {
		salt = saltV2
	}
	initial := kdfSHA256.extract(salt, dcid)
	client = newKeys(v, aes128, expandLabel(kdfSHA256, initial, "client in", 32), nil)
	server = newKeys(v, aes128, expandLabel(kdfSHA256, initial, "server in", 32), nil)
	return client, server
}

// Next derives the keys of the next key phase; header protection stays (RFC 9001 §6.1).
func (k *Keys) Next() *Keys {
	secret := expandLabel(k.suite.hash, k.secret, versionLabels(k.version).ku, k.suite.hash.size())
	return newKeys(k.version, k.suite, secret, k.hpKey)
}

// ConfidentialityLimit is how many packets these keys may protect, and
// IntegrityLimit how many may fail to authenticate (RFC 9001 §6.6).
func (k *Keys) ConfidentialityLimit() uint64 { return k.suite.confidentiality }

// IntegrityLimit is how many packets may fail to authenticate under these keys (RFC 9001 §6.6).
func (k *Keys) IntegrityLimit() uint64 { return k.suite.integrity }

// Seal protects a packet in place (RFC 9001 §5.3, §5.4). pkt holds the header,
// whose packet number of pnLen bytes starts at pnOffset, and the plaintext; its
// capacity must leave room for TagSize more bytes, and the plaintext must have
// at least 4-pnLen bytes. The result is pkt grown by the tag.
func (k *Keys) Seal(pkt []byte, pnOffset, pnLen int, pn uint64) []byte {
	header := pkt[:pnOffset+pnLen]
	k.setNonce(pn)
	sealed := k.aead.Seal(pkt[len(header):len(header)], k.nonce[:], pkt[len(header):], header)
	pkt = pkt[:len(header)+len(sealed)]
	k.hp.mask(&k.msk, pkt[pnOffset+4:])
	pkt[0] ^= k.msk[0] & firstByteMask(pkt[0])
	for i := range pnLen {
		pkt[pnOffset+i] ^= k.msk[1+i]
	}
	return pkt
}

// Unprotect removes header protection in place and returns the truncated
// packet number and its length. It reports false for a packet that is too
// short to hold a sample (RFC 9001 §5.4.2), which is then unchanged.
func (k *Keys) Unprotect(pkt []byte, pnOffset int) (truncated uint64, pnLen int, ok bool) {
	if len(pkt) < pnOffset+4+sampleSize {
		return 0, 0, false
	}
	k.Wake()
	k.hp.mask(&k.msk, pkt[pnOffset+4:])
	pkt[0] ^= k.msk[0] & firstByteMask(pkt[0])
	pnLen = int(pkt[0]&3) + 1
	for i := range pnLen {
		pkt[pnOffset+i] ^= k.msk[1+i]
		truncated = truncated<<8 | uint64(pkt[pnOffset+i])
	}
	return truncated, pnLen, true
}

// Open authenticates and decrypts, in place, a packet whose header protection
// is off and whose header takes headerLen bytes. It returns the plaintext,
// which points into pkt, or ErrDecrypt; then the payload is destroyed.
func (k *Keys) Open(pkt []byte, headerLen int, pn uint64) ([]byte, error) {
	k.setNonce(pn)
	plain, err := k.aead.Open(pkt[headerLen:headerLen], k.nonce[:], pkt[headerLen:], pkt[:headerLen])
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// Opens reports whether Open would succeed. It leaves pkt as it is, and uses
// the capacity of scratch, which is that of pkt at least.
func (k *Keys) Opens(scratch, pkt []byte, headerLen int, pn uint64) bool {
	k.setNonce(pn)
	_, err := k.aead.Open(scratch[:0], k.nonce[:], pkt[headerLen:], pkt[:headerLen])
	return err == nil
}

// setNonce comes before every use of the cipher, which may be at rest.
func (k *Keys) setNonce(pn uint64) {
	k.Wake()
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.iv[4:])^pn)
	copy(k.nonce[:4], k.iv[:4])
}

// RFC 9001 §5.4.1: four bits of a long header's first byte, five of a short one's.
func firstByteMask(b0 byte) byte {
	if wire.IsLongHeader(b0) {
		return 0x0f
	}
	return 0x1f
}
