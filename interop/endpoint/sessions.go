package endpoint

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/known"
	"github.com/seed51309289/quiver/quic"
)

// Sessions is what a client remembers of servers in a file: TLS sessions to
// resume and tokens that prove its address. Use gives it to a Client. Its methods
// are safe for concurrent use.
type Sessions struct {
	path string
	came chan struct{} // has a token when a session came that nobody waited for

	mu      sync.Mutex // guards servers; a leaf
	servers map[string]*remembered
}

// remembered is one server's part of the file.
type remembered struct {
	known.Session
	Tokens []*quic.ClientToken `json:"tokens,omitempty"`
}

// sessionsFormat is the file's "format" member.
const sessionsFormat = "quiver sessions 1"

// sessionsFile is the file: secrets, so nobody else may read it.
type sessionsFile struct {
	Format  string                 `json:"format"`
	Servers map[string]*remembered `json:"servers"`
}

// maxTokens is how many tokens of a server are kept: a token is used once.
const maxTokens = 4

var (
	_ tls.ClientSessionCache = (*Sessions)(nil)
	_ quic.TokenStore        = tokenStore{}
)

// LoadSessions reads what Save wrote to path. A file that is not there is
// empty.
func LoadSessions(path string) (*Sessions, error) {
	s := &Sessions{path: path, servers: map[string]*remembered{}, came: make(chan struct{}, 1)}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var file sessionsFile
	if err := json.Unmarshal(b, &file); err != nil || file.Format != sessionsFormat {
		return nil, fmt.Errorf("%s: not a file of sessions: got format %q, want %q", path, file.Format, sessionsFormat)
	}
	for name, r := range file.Servers {
		if r != nil {
			s.servers[name] = r
		}
	}
	return s, nil
}

// Save writes the file anew, readable for its owner only, in one step.
func (s *Sessions) Save() error {
	s.mu.Lock()
	b, err := json.MarshalIndent(sessionsFile{Format: sessionsFormat, Servers: s.servers}, "", "\t")
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return known.WriteFile(s.path, append(b, '\n'))
}

// server returns what is remembered under name, made if need be. The caller
// holds s.mu.
func (s *Sessions) server(name string) *remembered {
	if s.servers[name] == nil {
		s.servers[name] = &remembered{}
	}
	return s.servers[name]
}

// Get returns the session of a server. One that cannot be read, as one of
// another release of Go, is none.
func (s *Sessions) Get(name string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.servers[name]
	if r == nil {
		return nil, false
	}
	return r.Unpack()
}

// Put keeps a session, or forgets one for nil.
func (s *Sessions) Put(name string, session *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.server(name)
	var ok bool
	if r.Session, ok = known.Pack(session); !ok {
		return
	}
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// await waits for a session of the connection that is about to end, but not for
// ever. A Client's connections come one after another.
func (s *Sessions) await(ctx context.Context, conn *quic.Conn) {
	select {
	case <-s.came:
	case <-conn.Context().Done():
	case <-ctx.Done():
	case <-time.After(ticketWait):
	}
}

// tokenStore is the quic.TokenStore of Sessions, whose Put is that of the session
// cache.
type tokenStore struct{ *Sessions }

// Pop returns the newest token of a server and forgets it.
func (s tokenStore) Pop(name string) *quic.ClientToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.servers[name]
	if r == nil || len(r.Tokens) == 0 {
		return nil
	}
	token := r.Tokens[len(r.Tokens)-1]
	r.Tokens = r.Tokens[:len(r.Tokens)-1]
	return token
}

// Put keeps a token.
func (s tokenStore) Put(name string, token *quic.ClientToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.server(name)
	r.Tokens = append(r.Tokens, token)
	r.Tokens = r.Tokens[max(0, len(r.Tokens)-maxTokens):]
}

// Use lets a Client take sessions and tokens from s, and keep new ones there.
func (s *Sessions) Use(c *Client) {
	c.TLS = c.TLS.Clone()
	c.TLS.ClientSessionCache = s
	conf := quic.Config{}
	if c.Conf != nil {
		conf = *c.Conf
	}
	conf.TokenStore = tokenStore{s}
	c.Conf = &conf
	c.linger = s.await
}
