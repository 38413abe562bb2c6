package quictest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// issued completes a handshake with a server and returns the token that it gave.
func issued(t *testing.T) []byte {
	t.Helper()
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	r.SendCrypto(Handshake)
	_, f := r.WantFrame("RFC 9000 §8.1.3: a token once the handshake is confirmed", wire.FrameNewToken)
	return bytes.Clone(f.Data)
}

// present sends a token to a server that asks everybody else for a Retry, and
// reports whether it was taken.
func present(r *RawPeer, token []byte) bool {
	r.Token = token
	r.Send(Initial, crypto(0, r.sp[Initial].out[:900]))
	return r.Conn != nil
}

// askingServer is a server that asks for a Retry; all of them have one key.
func askingServer(t *testing.T) *RawPeer { return NewRawClient(t, RawOptions{Retry: true}) }

func TestTokenProvesTheAddressOfTheNextConnection(t *testing.T) {
	token := issued(t)
	r := askingServer(t)
	if !present(r, token) {
		t.Fatal("RFC 9000 §8.1.3: the token was not taken")
	}
	r = NewRawClient(t, RawOptions{})
	if present(r, nil); r.Conn == nil {
		t.Fatal("a server that asks for nothing refused a client")
	}
}

func TestTokenLiftsTheLimitOfThreeTimes(t *testing.T) {
	token := issued(t)
	r := NewRawClient(t, RawOptions{})
	r.AutoAck, r.Token = false, token
	r.SendCrypto(Initial)
	r.Token = nil
	r.SentBytes = min(r.SentBytes, 1200)
	for range 20 {
		r.Advance(time.Second)
	}
	if r.GotBytes <= 3*2400 {
		t.Errorf("server sent %d bytes, no more than to an address that is not validated", r.GotBytes)
	}
}

func TestBadTokensCountAsNone(t *testing.T) {
	token := issued(t)
	seal := func(r *RawPeer, change func(tok *crypt.Token)) []byte {
		tok := crypt.Token{Kind: crypt.TokenAddress, Version: r.version, Addr: r.local, Time: r.Clock.Now()}
		change(&tok)
		b, err := r.cfg.TokenKey.Seal(r.cfg.Rand, &tok)
		must(err)
		return b
	}
	spoil := map[string]func(r *RawPeer) []byte{
		"truncated": func(r *RawPeer) []byte { return token[:len(token)-1] },
		"longer":    func(r *RawPeer) []byte { return append(bytes.Clone(token), 0) },
		"garbage":   func(r *RawPeer) []byte { return []byte("garbage") },
		"one byte":  func(r *RawPeer) []byte { return []byte{1} },
		"expired":   func(r *RawPeer) []byte { r.Clock.Advance(25 * time.Hour); return token },
		"from the future": func(r *RawPeer) []byte {
			return seal(r, func(tok *crypt.Token) { tok.Time = tok.Time.Add(time.Minute) })
		},
		"another version":  func(r *RawPeer) []byte { return seal(r, func(tok *crypt.Token) { tok.Version = wire.Version2 }) },
		"of no version":    func(r *RawPeer) []byte { return seal(r, func(tok *crypt.Token) { tok.Version = 0 }) },
		"of no known kind": func(r *RawPeer) []byte { return seal(r, func(tok *crypt.Token) { tok.Kind = 9 }) },
		"of another server": func(r *RawPeer) []byte {
			b, _ := crypt.NewTokenKey([32]byte{9}).Seal(r.cfg.Rand, &crypt.Token{Kind: crypt.TokenAddress, Version: r.version, Addr: r.local, Time: r.Clock.Now()})
			return b
		},
		"of another address": func(r *RawPeer) []byte {
			return seal(r, func(tok *crypt.Token) { tok.Addr = netip.MustParseAddrPort("192.0.2.1:1") })
		},
	}
	for i := range token {
		spoil["flipped byte "+string(rune('0'+i/10))+string(rune('0'+i%10))] = func(*RawPeer) []byte {
			b := bytes.Clone(token)
			b[i] ^= 1
			return b
		}
	}
	for name, f := range spoil {
		r := askingServer(t)
		if present(r, f(r)) {
			t.Errorf("RFC 9000 §8.1.3: a token that is %s was taken", name)
		}
		if len(r.Replies) != 1 || r.Replies[0].Type != wire.PacketRetry {
			t.Errorf("a token that is %s got %s, want a Retry as without any", name, r.Describe())
		}
		r = NewRawClient(t, RawOptions{})
		if !present(r, f(r)) {
			t.Errorf("a token that is %s harmed a client that needs none", name)
		}
	}
	t.Run("another port", func(t *testing.T) {
		r := askingServer(t)
		if !present(r, seal(r, func(tok *crypt.Token) { tok.Addr = netip.AddrPortFrom(tok.Addr.Addr(), 1) })) {
			t.Error("RFC 9000 §8.1.4: the token of a client behind a NAT was not taken from another port")
		}
	})
	t.Run("a Retry's kind", func(t *testing.T) {
		r := askingServer(t)
		if present(r, seal(r, func(tok *crypt.Token) { tok.Kind = crypt.TokenRetry })) {
			t.Error("an address token was taken as a Retry token")
		}
		if f := r.Replies[0].Frames; len(f) != 1 || core.Code(f[0].Code) != core.InvalidToken {
			t.Errorf("got %s, want INVALID_TOKEN for a Retry token that names another ID", r.Describe())
		}
	})
}

func TestTokenIsTakenOnce(t *testing.T) {
	token := issued(t)
	r := askingServer(t)
	if !present(r, token) {
		t.Fatal("the token was not taken")
	}
	for i := range 1000 {
		r.Replies = nil
		r.Reconnect([]byte{byte(i), byte(i >> 8), 3, 4, 5, 6, 7, 8})
		r.Send(Initial, crypto(0, r.sp[Initial].out[:900]))
		if len(r.Replies) != 1 || r.Replies[0].Type != wire.PacketRetry {
			t.Fatalf("RFC 9000 §8.1.4: replay %d of a token got %s, want a Retry", i+1, r.Describe())
		}
		r.Clock.Advance(time.Minute)
	}
}

func TestLostNewTokenIsSentAgain(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	r.AutoAck = false
	r.SendCrypto(Handshake)
	_, f := r.WantFrame("a token", wire.FrameNewToken)
	token := bytes.Clone(f.Data)
	r.Advance(5 * time.Second)
	_, f = r.WantFrame("RFC 9000 §13.3: NEW_TOKEN until it is acknowledged", wire.FrameNewToken)
	if !bytes.Equal(f.Data, token) {
		t.Error("it is another token")
	}
	r.AckAll()
	r.Replies = nil
	r.Advance(20 * time.Second)
	r.WantNoFrame("once it is acknowledged", wire.FrameNewToken)
}

func TestClientUsesTheTokenThatItGot(t *testing.T) {
	p := NewPair(t, 1, Options{Retry: true})
	serve(p)
	var token []byte
	c := p.Dial()
	c.OnEvent = func(e core.Event) {
		if e.Kind == core.EventToken {
			token = e.Data
		}
	}
	runUntil(t, p, "a token", func() bool { return token != nil })
	start := p.Clock.Now()
	p.Client.Config.Token, p.Client.Config.TokenVersion = token, c.Version()
	c = p.Dial()
	runUntil(t, p, "the handshake", func() bool { return c.Established })
	if took := p.Clock.Now().Sub(start); took > 31*time.Millisecond {
		t.Errorf("the handshake took %v, want one round trip of 30ms: no Retry", took)
	}
	start = p.Clock.Now()
	c = p.Dial()
	runUntil(t, p, "the handshake", func() bool { return c.Established })
	if took := p.Clock.Now().Sub(start); took < 59*time.Millisecond {
		t.Errorf("the handshake with a used token took %v, want a Retry", took)
	}
}

func TestClientSendsNoTokenOfAnotherVersion(t *testing.T) {
	r := NewRawServer(t, RawOptions{Config: func(cfg *core.Config) { cfg.Token, cfg.TokenVersion = []byte("token"), wire.Version2 }})
	if r.Replies[0].Token != "" {
		t.Error("RFC 9369 §5: a token of version 2 in an Initial of version 1")
	}
	r = NewRawServer(t, RawOptions{Config: func(cfg *core.Config) { cfg.Token, cfg.TokenVersion = []byte("token"), wire.Version1 }})
	if r.Replies[0].Token != "token" {
		t.Errorf("token in the Initial is %q, want the one from before", r.Replies[0].Token)
	}
}

// TestLongTokensAreLeftAlone is about the core's maxToken.
func TestLongTokensAreLeftAlone(t *testing.T) {
	long := make([]byte, 513)
	r := NewRawServer(t, RawOptions{Config: func(cfg *core.Config) { cfg.Token, cfg.TokenVersion = long, wire.Version1 }})
	if r.Replies[0].Token != "" {
		t.Error("a token of 513 bytes was sent")
	}
	r.Connect()
	for _, size := range []int{512, 513} {
		r.Events = nil
		r.Send(App, encode(wire.Frame{Type: wire.FrameNewToken, Data: long[:size]}))
		r.WantOpen("a long token")
		if r.has(core.EventToken) != (size == 512) {
			t.Errorf("token of %d bytes: handed on is %v", size, r.has(core.EventToken))
		}
	}
}

func TestValidatedMoveGetsATokenForTheNewAddress(t *testing.T) {
	p := NewPair(t, 1, Options{})
	serve(p)
	var tokens [][]byte
	c := p.Dial()
	c.OnEvent = func(e core.Event) {
		if e.Kind == core.EventToken {
			tokens = append(tokens, e.Data)
		}
	}
	runUntil(t, p, "a token", func() bool { return len(tokens) == 1 })
	p.Client.Addr = netip.AddrPortFrom(netsim.ClientV4, 50001)
	s, _ := c.Open(false)
	c.Write(s, []byte("1"))
	c.Flush()
	runUntil(t, p, "a token for the new address", func() bool { return len(tokens) == 2 })
}
