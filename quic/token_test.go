package quic_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func token(s string) *quic.ClientToken {
	return &quic.ClientToken{Data: []byte(s), Version: quic.Version1}
}

func wantToken(t *testing.T, s quic.TokenStore, key, want string) {
	t.Helper()
	got := s.Pop(key)
	switch {
	case got == nil && want != "":
		t.Errorf("Pop(%s) = nil, want %s", key, want)
	case got != nil && string(got.Data) != want:
		t.Errorf("Pop(%s) = %s, want %s", key, got.Data, want)
	}
}

func TestTokenStoreGivesTheNewestTokenOnce(t *testing.T) {
	s := quic.NewLRUTokenStore(2, 2)
	wantToken(t, s, "a", "")
	for _, name := range []string{"1", "2", "3"} {
		s.Put("a", token(name))
	}
	s.Put("b", token("b"))
	wantToken(t, s, "a", "3")
	wantToken(t, s, "a", "2")
	wantToken(t, s, "a", "")
	wantToken(t, s, "b", "b")
	wantToken(t, s, "b", "")
}

func TestTokenStoreIsBounded(t *testing.T) {
	s := quic.NewLRUTokenStore(2, 1)
	for i := range 100 {
		s.Put(fmt.Sprint(i), token("x"))
	}
	wantToken(t, s, "97", "")
	s.Put("98", token("y")) // used later than 99 now
	s.Put("100", token("z"))
	wantToken(t, s, "99", "")
	wantToken(t, s, "98", "y")
	wantToken(t, s, "100", "z")
	s = quic.NewLRUTokenStore(0, -1)
	s.Put("a", token("1"))
	wantToken(t, s, "a", "1")
}

func TestTokenSparesTheNextConnectionItsRetry(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		asked := 0
		w.server.RequireRetry = func(netip.AddrPort) bool { asked++; return true }
		l := w.listen(nil)
		conf := &quic.Config{TokenStore: quic.NewLRUTokenStore(1, 4)}
		for i, want := range []time.Duration{2 * rtt, rtt, rtt} {
			start := time.Now()
			c := w.dial(conf)
			w.wantTook(fmt.Sprintf("connection %d", i), start, want, want+rtt/4)
			w.accept(l)
			time.Sleep(rtt)
			c.CloseWithError(0, "")
		}
		if asked == 0 {
			w.Error("the server was never asked about a Retry")
		}
	})
}
