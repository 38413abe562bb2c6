package quic

import (
	"slices"
	"sync"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// A ClientToken proves a client's address to the server that gave it, on the
// client's next connection (RFC 9000 §8.1.3): the server then needs no Retry,
// and answers at full length at once.
type ClientToken struct {
	Data    []byte
	Version Version // of the connection that it came from; it is good for no other
}

// A TokenStore keeps the tokens of servers for a client; key stands for a
// server. Its methods are called from several goroutines and must not block.
type TokenStore interface {
	// Pop returns the newest token of a server and forgets it, or returns nil.
	// RFC 9000 §8.1.3: a token is used once, so that connections cannot be linked
	// by it.
	Pop(key string) *ClientToken
	// Put keeps a token, which must not change any more.
	Put(key string, token *ClientToken)
}

// NewLRUTokenStore returns a TokenStore in memory for the servers that were used
// last, with the newest tokens of each. Numbers below 1 count as 1.
func NewLRUTokenStore(servers, tokensEach int) TokenStore {
	return &lruTokens{servers: max(servers, 1), each: max(tokensEach, 1), byKey: make(map[string][]*ClientToken)}
}

type lruTokens struct {
	servers, each int

	mu    sync.Mutex                // guards all below; a leaf
	byKey map[string][]*ClientToken // bounded by servers, each of them by each
	order []string                  // the least recently used first; bounded by servers
}

func (s *lruTokens) Pop(key string) *ClientToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.byKey[key]
	if len(list) == 0 {
		return nil
	}
	token := list[len(list)-1]
	s.forget(key)
	if list = list[:len(list)-1]; len(list) > 0 {
		s.byKey[key], s.order = list, append(s.order, key)
	}
	return token
}

func (s *lruTokens) Put(key string, token *ClientToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(s.byKey[key], token)
	if len(list) > s.each {
		list = slices.Delete(list, 0, 1)
	}
	s.forget(key)
	if len(s.order) == s.servers {
		s.forget(s.order[0])
	}
	s.byKey[key], s.order = list, append(s.order, key)
}

func (s *lruTokens) forget(key string) {
	if _, known := s.byKey[key]; known {
		delete(s.byKey, key)
		i := slices.Index(s.order, key)
		s.order = slices.Delete(s.order, i, i+1)
	}
}

// tokens is a client's TokenStore with the server that it talks to.
type tokens struct {
	store TokenStore
	key   string
	got   []*ClientToken // not yet in store, which is not called under c.mu; bounded by the frames of one read
}

// useTokens gives the core a token of an earlier connection to the server of
// that name, or address, and keeps those of this one.
func (c *Conn) useTokens(cfg *core.Config, store TokenStore, name string) {
	if store == nil {
		return
	}
	if name == "" {
		name = c.RemoteAddr().String()
	}
	c.tokens = &tokens{store: store, key: name}
	if token := store.Pop(name); token != nil {
		cfg.Token, cfg.TokenVersion = token.Data, wire.Version(token.Version)
	}
}

// gotToken takes a token from the core. The caller holds c.mu.
func (c *Conn) gotToken(data []byte) {
	if c.tokens != nil {
		c.tokens.got = append(c.tokens.got, &ClientToken{Data: data, Version: Version(c.core.Version())})
	}
}

// newTokens returns what put is for. The caller holds c.mu.
func (c *Conn) newTokens() (got []*ClientToken) {
	if c.tokens != nil {
		got, c.tokens.got = c.tokens.got, nil
	}
	return got
}

// put hands tokens to the store. The caller holds no lock.
func (t *tokens) put(got []*ClientToken) {
	for _, token := range got {
		t.store.Put(t.key, token)
	}
}
