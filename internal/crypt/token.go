package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
	"golang.org/x/crypto/chacha20poly1305"
)

// TokenKind tells a Retry token from one that a NEW_TOKEN frame carried
// (RFC 9000 §8.1.1).
type TokenKind byte

// The kinds of address validation tokens.
const (
	TokenRetry   TokenKind = 1
	TokenAddress TokenKind = 2
)

// Token is what a server seals into an address validation token (RFC 9000 §8.1.4).
type Token struct {
	Kind TokenKind
	// Version is that of the connection it is for, or came from: tokens are not
	// shared across versions (RFC 9369 §5).
	Version wire.Version
	// Addr is the client's address; the port counts for Retry tokens only,
	// since a NAT may choose another one for the next connection.
	Addr netip.AddrPort
	Time time.Time // when it was issued
	// OriginalDCID and RetrySCID are of a Retry token: the first connection ID
	// of the client, and the one that the Retry gave it.
	OriginalDCID, RetrySCID []byte
}

// Errors of TokenKey.Open.
var (
	ErrToken        = errors.New("token does not authenticate")
	ErrTokenExpired = errors.New("token has expired")
	ErrTokenAddress = errors.New("token belongs to another address")
)

// tokenNonce is the size of the random part of a token: extended, so that
// random nonces never repeat.
const tokenNonce = chacha20poly1305.NonceSizeX

// TokenKey seals and opens address validation tokens. Safe for concurrent use.
type TokenKey struct{ aead cipher.AEAD }

// NewTokenKey makes a key of 32 secret bytes.
func NewTokenKey(secret [32]byte) TokenKey {
	aead, err := chacha20poly1305.NewX(secret[:])
	if err != nil {
		panic("BUG: token key size")
	}
	return TokenKey{aead}
}

// Seal returns t as opaque bytes. random must be cryptographically secure.
func (k TokenKey) Seal(random io.Reader, t *Token) ([]byte, error) {
	out := make([]byte, tokenNonce, 128)
	if _, err := io.ReadFull(random, out); err != nil {
		return nil, fmt.Errorf("token nonce: %w", err)
	}
	plain := make([]byte, 0, 64)
	plain = append(plain, byte(t.Kind))
	plain = binary.BigEndian.AppendUint32(plain, uint32(t.Version))
	plain = binary.BigEndian.AppendUint64(plain, uint64(t.Time.UnixMilli()))
	addr := t.Addr.Addr().As16()
	plain = append(plain, addr[:]...)
	plain = binary.BigEndian.AppendUint16(plain, t.Addr.Port())
	plain = append(append(plain, byte(len(t.OriginalDCID))), t.OriginalDCID...)
	plain = append(append(plain, byte(len(t.RetrySCID))), t.RetrySCID...)
	return k.aead.Seal(out, out[:tokenNonce], plain, nil), nil
}

// Open authenticates a token and checks that it was issued to from, at most
// lifetime before now. Errors are ErrToken, ErrTokenExpired and ErrTokenAddress;
// with the last two the token comes along, since it is one of ours.
func (k TokenKey) Open(token []byte, from netip.AddrPort, now time.Time, lifetime time.Duration) (*Token, error) {
	if len(token) < tokenNonce {
		return nil, ErrToken
	}
	plain, err := k.aead.Open(nil, token[:tokenNonce], token[tokenNonce:], nil)
	if err != nil {
		return nil, ErrToken
	}
	t, ok := parseToken(plain)
	if !ok {
		return nil, ErrToken
	}
	if age := now.Sub(t.Time); age > lifetime || age < -time.Second {
		return t, ErrTokenExpired
	}
	// The zone of a link-local address is our name for an interface, not the client's.
	if t.Addr.Addr() != from.Addr().Unmap().WithZone("") || t.Kind == TokenRetry && t.Addr.Port() != from.Port() {
		return t, ErrTokenAddress
	}
	return t, nil
}

func parseToken(b []byte) (*Token, bool) {
	const fixed = 1 + 4 + 8 + 16 + 2
	if len(b) < fixed+2 {
		return nil, false
	}
	t := &Token{Kind: TokenKind(b[0]), Version: wire.Version(binary.BigEndian.Uint32(b[1:]))}
	t.Time = time.UnixMilli(int64(binary.BigEndian.Uint64(b[5:])))
	addr := netip.AddrFrom16([16]byte(b[13:29])).Unmap()
	t.Addr = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[29:]))
	b = b[fixed:]
	for _, id := range []*[]byte{&t.OriginalDCID, &t.RetrySCID} {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return nil, false
		}
		*id, b = b[1:1+int(b[0])], b[1+int(b[0]):]
	}
	return t, len(b) == 0
}

// TokenID is what tells a token from all others of its key: the beginning of its
// random part. token is one that Open took.
func TokenID(token []byte) uint64 { return binary.BigEndian.Uint64(token) }

// ResetKey derives stateless reset tokens from connection IDs, so that a
// server that lost its state still knows them (RFC 9000 §10.3.2).
type ResetKey [32]byte

// Token returns the stateless reset token of a connection ID, which has at most
// 20 bytes (RFC 9000 §17.2).
func (k *ResetKey) Token(connID []byte) [16]byte {
	var sum [maxSum]byte
	kdfSHA256.mac(&sum, k[:], connID)
	return [16]byte(sum[:16])
}
