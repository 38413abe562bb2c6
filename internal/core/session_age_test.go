package core

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

// TestTicketsAreNotToldOlderThanTheyAre has a session of three quarters past a
// second: crypto/tls knows the second only, so its clock has to stand that much
// earlier (RFC 8446 §8.3).
func TestTicketsAreNotToldOlderThanTheyAre(t *testing.T) {
	stored := time.Unix(1_000_000, int64(750*time.Millisecond))
	now := stored.Add(300 * time.Millisecond)
	m := memory{wire.Version1, stored, "h3", wire.DefaultParams(), nil}
	session, err := tls.NewResumptionState([]byte("ticket"), &tls.SessionState{Extra: [][]byte{appendMemory(&m)}})
	if err != nil {
		t.Fatal(err)
	}
	cache := tls.NewLRUClientSessionCache(1)
	cache.Put("server", session)
	c := &Conn{client: true, version: wire.Version1, cfg: &Config{}}
	c.cfg.TLS = &tls.Config{ClientSessionCache: cache, Time: func() time.Time { return now }}
	cfg := c.tlsConfig()
	if got := cfg.Time(); !got.Equal(now) {
		t.Errorf("before a session is taken TLS has the time %v, want %v", got, now)
	}
	if _, ok := cfg.ClientSessionCache.Get("server"); !ok {
		t.Fatal("the session is not there")
	}
	age := cfg.Time().Sub(stored.Truncate(time.Second)) // as TLS reckons
	if want := 300 * time.Millisecond; age != want {
		t.Errorf("TLS tells an age of %v, want %v", age, want)
	}
	c.cfg.TLS.Time = nil
	if cfg := c.tlsConfig(); cfg.Time != nil {
		t.Error("a configuration without a clock got one")
	}
}
