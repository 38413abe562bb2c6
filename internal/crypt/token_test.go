package crypt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var (
	tokenKey   = NewTokenKey([32]byte{1, 2, 3})
	issued     = time.Date(2026, 5, 4, 3, 2, 1, 999e6, time.UTC)
	clientAddr = netip.MustParseAddrPort("192.0.2.7:50001")
)

const lifetime = 10 * time.Second

// random is a source that is the same in every run.
func random() io.Reader { return rand.NewChaCha8([32]byte{9}) }

func seal(t testing.TB, tok Token) []byte {
	t.Helper()
	b, err := tokenKey.Seal(random(), &tok)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func retryToken() Token {
	return Token{Kind: TokenRetry, Addr: clientAddr, Time: issued, OriginalDCID: bytes.Repeat([]byte{1}, 20), RetrySCID: []byte{2, 3, 4, 5}}
}

func TestTokenComesBackAsItWasSealed(t *testing.T) {
	for name, want := range map[string]Token{
		"Retry":       retryToken(),
		"address":     {Kind: TokenAddress, Addr: clientAddr, Time: issued},
		"IPv6":        {Kind: TokenRetry, Addr: netip.MustParseAddrPort("[2001:db8::1]:443"), Time: issued, OriginalDCID: []byte{1}},
		"mapped IPv4": {Kind: TokenRetry, Addr: netip.MustParseAddrPort("[::ffff:192.0.2.7]:443"), Time: issued},
		"IPv6 zone":   {Kind: TokenRetry, Addr: netip.MustParseAddrPort("[fe80::1%eth0]:443"), Time: issued},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tokenKey.Open(seal(t, want), want.Addr, issued.Add(time.Second), lifetime)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != want.Kind || !got.Time.Equal(want.Time) || got.Addr.Port() != want.Addr.Port() ||
				got.Addr.Addr() != want.Addr.Addr().Unmap().WithZone("") ||
				!bytes.Equal(got.OriginalDCID, want.OriginalDCID) || !bytes.Equal(got.RetrySCID, want.RetrySCID) {
				t.Errorf("comes back as %+v, want %+v", got, want)
			}
		})
	}
}

func TestTokenIsForItsAddressAndItsTime(t *testing.T) {
	address := retryToken()
	address.Kind = TokenAddress
	for _, tc := range []struct {
		name string
		tok  Token
		from string
		now  time.Duration // after it was issued
		want error
	}{
		{name: "Retry token, same port", tok: retryToken(), from: "192.0.2.7:50001"},
		{name: "Retry token, other port", tok: retryToken(), from: "192.0.2.7:50002", want: ErrTokenAddress},
		{name: "Retry token, other address", tok: retryToken(), from: "192.0.2.8:50001", want: ErrTokenAddress},
		{name: "Retry token, mapped address", tok: retryToken(), from: "[::ffff:192.0.2.7]:50001"},
		{name: "address token, other port", tok: address, from: "192.0.2.7:50002"},
		{name: "address token, other address", tok: address, from: "192.0.2.8:50001", want: ErrTokenAddress},
		{name: "address token, IPv6 that ends alike", tok: address, from: "[::192.0.2.7]:50001", want: ErrTokenAddress},
		{name: "at the end of its life", tok: retryToken(), from: "192.0.2.7:50001", now: lifetime},
		{name: "just expired", tok: retryToken(), from: "192.0.2.7:50001", now: lifetime + time.Millisecond, want: ErrTokenExpired},
		{name: "years later", tok: retryToken(), from: "192.0.2.7:50001", now: 1e5 * time.Hour, want: ErrTokenExpired},
		{name: "from a clock a little ahead", tok: retryToken(), from: "192.0.2.7:50001", now: -time.Second},
		{name: "from the future", tok: retryToken(), from: "192.0.2.7:50001", now: -time.Second - time.Millisecond, want: ErrTokenExpired},
		{name: "expired and of another address", tok: retryToken(), from: "192.0.2.8:50001", now: time.Hour, want: ErrTokenExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tokenKey.Open(seal(t, tc.tok), netip.MustParseAddrPort(tc.from), issued.Add(tc.now), lifetime)
			if err != tc.want {
				t.Errorf("Open from %s after %v = %v, want %v", tc.from, tc.now, err, tc.want)
			}
		})
	}
}

func TestTokenThatWasChangedDoesNotAuthenticate(t *testing.T) {
	whole := seal(t, retryToken())
	open := func(b []byte) error {
		_, err := tokenKey.Open(b, clientAddr, issued, lifetime)
		return err
	}
	if err := open(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, x := range []byte{0x01, 0x80, 0xff} {
			changed := bytes.Clone(whole)
			changed[i] ^= x
			if err := open(changed); err != ErrToken {
				t.Errorf("byte %d changed by %#x: %v, want %v", i, x, err, ErrToken)
			}
		}
	}
	for n := range whole {
		if err := open(whole[:n:n]); err != ErrToken {
			t.Errorf("cut to %d bytes: %v, want %v", n, err, ErrToken)
		}
	}
	if err := open(append(bytes.Clone(whole), 0)); err != ErrToken {
		t.Errorf("a byte longer: %v, want %v", err, ErrToken)
	}
	other := NewTokenKey([32]byte{4})
	if _, err := other.Open(whole, clientAddr, issued, lifetime); err != ErrToken {
		t.Errorf("under another key: %v, want %v", err, ErrToken)
	}
}

func TestTokensOfOneClientDiffer(t *testing.T) {
	source := random()
	tok := retryToken()
	a, err := tokenKey.Seal(source, &tok)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tokenKey.Seal(source, &tok)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("two tokens with the same content are equal: a client could be told by its token")
	}
	if bytes.Contains(a, tok.OriginalDCID) {
		t.Error("the token shows the connection ID")
	}
}

func TestTokenNeedsItsRandomness(t *testing.T) {
	tok := retryToken()
	if _, err := tokenKey.Seal(bytes.NewReader(make([]byte, tokenNonce-1)), &tok); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Seal with too little randomness = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// TestTokenContentCutAnywhereIsRefused covers content that authenticates, as
// that of another version of this program might.
func TestTokenContentCutAnywhereIsRefused(t *testing.T) {
	plain := make([]byte, 31)
	plain[0] = byte(TokenRetry)
	plain = append(plain, 3, 1, 2, 3, 2, 4, 5)
	if tok, ok := parseToken(plain); !ok || !bytes.Equal(tok.OriginalDCID, []byte{1, 2, 3}) || !bytes.Equal(tok.RetrySCID, []byte{4, 5}) {
		t.Fatalf("parseToken = %+v, %v", tok, ok)
	}
	for n := range plain {
		if _, ok := parseToken(plain[:n:n]); ok {
			t.Errorf("content cut to %d bytes is accepted", n)
		}
	}
	if _, ok := parseToken(append(plain, 0)); ok {
		t.Error("content with a byte too many is accepted")
	}
}

func TestResetTokensDependOnKeyAndIDAlone(t *testing.T) {
	a, b := ResetKey{1}, ResetKey{2}
	seen := map[[16]byte]string{}
	for _, k := range []*ResetKey{&a, &b} {
		for _, id := range [][]byte{nil, {0}, {0, 0}, {1, 2, 3, 4}, bytes.Repeat([]byte{7}, 20)} {
			tok := k.Token(id)
			if tok != k.Token(bytes.Clone(id)) {
				t.Errorf("ID %x has two tokens", id)
			}
			if who, dup := seen[tok]; dup {
				t.Errorf("ID %x under key %d has the token of %s", id, k[0], who)
			}
			seen[tok] = string(k[0]) + string(id)
		}
	}
	// HMAC-SHA256 with a key of zeros over nothing, by RFC 2104 from the standard definition.
	var zero ResetKey
	want := [16]byte{0xb6, 0x13, 0x67, 0x9a, 0x08, 0x14, 0xd9, 0xec, 0x77, 0x2f, 0x95, 0xd7, 0x78, 0xc3, 0x5f, 0xc5}
	if got := zero.Token(nil); got != want {
		t.Errorf("token of the empty ID under a key of zeros = %x, want %x: tokens must outlive the program", got, want)
	}
}

// FuzzToken opens what was never sealed, and content that was.
func FuzzToken(f *testing.F) {
	f.Add(seal(f, retryToken()))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if tok, err := tokenKey.Open(b, clientAddr, issued, lifetime); err == nil && !bytes.Equal(b, seal(t, *tok)) {
			t.Fatalf("a forged token opens as %+v", tok)
		}
		tok, ok := parseToken(b)
		if !ok {
			return
		}
		again, err := tokenKey.Open(seal(t, *tok), tok.Addr, tok.Time, lifetime)
		if err != nil || again.Kind != tok.Kind || again.Addr != tok.Addr || !again.Time.Equal(tok.Time) ||
			!bytes.Equal(again.OriginalDCID, tok.OriginalDCID) || !bytes.Equal(again.RetrySCID, tok.RetrySCID) {
			t.Fatalf("%+v sealed and opened is %+v, %v", tok, again, err)
		}
	})
}

func TestResetTokensAreHMACs(t *testing.T) {
	key := ResetKey{1, 2, 3, 31: 9}
	for n := range 21 {
		id := bytes.Repeat([]byte{byte(n)}, n)
		mac := hmac.New(sha256.New, key[:])
		mac.Write(id)
		if got, want := key.Token(id), mac.Sum(nil)[:16]; !bytes.Equal(got[:], want) {
			t.Fatalf("token of %d bytes is %x, want %x", n, got, want)
		}
	}
	id := make([]byte, 8)
	if n := testing.AllocsPerRun(100, func() { key.Token(id) }); n != 0 {
		t.Errorf("a token allocates %v times, want 0", n)
	}
}
