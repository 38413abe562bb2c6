package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

const (
	// maxSessions is how many servers' sessions are held in memory.
	maxSessions = 256 // limit: sessions
	// maxSessionFiles is how many are kept on disk.
	maxSessionFiles = 512 // limit: files
	// maxSessionFile is the most that one of them may have.
	maxSessionFile = 256 << 10 // limit: bytes
	// sessionLife is how long one is of use (RFC 8446 §4.6.1).
	sessionLife = 7 * 24 * time.Hour
)

// session is a session to resume, and the certificates of the server whose it is,
// which crypto/tls keeps to itself. It is bounded by what crypto/tls takes of a
// server.
type session struct {
	state *tls.ClientSessionState
	chain []*x509.Certificate
	at    time.Time // when it came
}

// sessionFormat is a file's "format" member.
const sessionFormat = "quiver session 1"

// sessionFile is a session as a file: secret. It is bounded by maxSessionFile.
type sessionFile struct {
	Format string    `json:"format"`
	At     time.Time `json:"at"`
	Chain  [][]byte  `json:"chain"` // DER
	known.Session
}

// sessions are the sessions of all servers, by a name that is fit for a file.
type sessions struct {
	dir    string // "" = they are in memory only
	now    func() time.Time
	chores *chores

	mu      sync.Mutex          // guards all below; a leaf
	held    map[string]*session // limit: maxSessions
	changed map[string]struct{} // limit: maxSessions; what the writer has to do
	writing bool                // the writer runs
}

func newSessions(s *state, now func() time.Time, c *chores) *sessions {
	out := &sessions{now: now, chores: c, held: map[string]*session{}, changed: map[string]struct{}{}}
	if s.dir != "" {
		out.dir = filepath.Join(s.dir, "sessions")
	}
	return out
}

// get returns a session from memory, nil if there is none.
func (s *sessions) get(key string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key]
}

// put keeps a session, nil = forgets it, and leaves the file to a goroutine.
func (s *sessions) put(key string, one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one == nil {
		delete(s.held, key)
	} else {
		s.hold(key, one)
	}
	if s.dir == "" || len(s.changed) >= maxSessions {
		return
	}
	s.changed[key] = struct{}{}
	if !s.writing {
		s.writing = true
		s.chores.do(s.write)
	}
}

// hold makes room by forgetting the oldest. The caller holds s.mu.
func (s *sessions) hold(key string, one *session) {
	if _, there := s.held[key]; !there && len(s.held) >= maxSessions {
		oldest := ""
		for k, h := range s.held {
			if oldest == "" || h.at.Before(s.held[oldest].at) {
				oldest = k
			}
		}
		delete(s.held, oldest)
	}
	s.held[key] = one
}

// load takes a session from its file if there is none in memory. What cannot be
// read is not there: that costs a round trip.
func (s *sessions) load(key string) {
	if s.dir == "" || s.get(key) != nil {
		return
	}
	text, err := readSecret(s.path(key), maxSessionFile)
	if err != nil {
		return
	}
	one := parseSession(text)
	if one == nil || s.now().Sub(one.at) > sessionLife {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] == nil {
		s.hold(key, one)
	}
}

func (s *sessions) path(key string) string { return filepath.Join(s.dir, key+".json") }

// write writes what changed until nothing is left.
func (s *sessions) write() {
	for {
		key, one, more := s.next()
		if !more {
			return
		}
		if one == nil {
			os.Remove(s.path(key))
			continue
		}
		text, ok := one.encode()
		if !ok || os.MkdirAll(s.dir, 0o700) != nil {
			continue
		}
		if known.WriteFile(s.path(key), text) == nil { // if not, the next connection takes a round trip more
			s.prune()
		}
	}
}

// next takes one thing to do.
func (s *sessions) next() (key string, one *session, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key = range s.changed {
		delete(s.changed, key)
		return key, s.held[key], true
	}
	s.writing = false
	return "", nil, false
}

// prune removes the oldest files beyond maxSessionFiles.
func (s *sessions) prune() {
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) <= maxSessionFiles {
		return
	}
	type aged struct {
		name string
		at   time.Time
	}
	files := make([]aged, 0, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, aged{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b aged) int { return a.at.Compare(b.at) })
	for _, f := range files[:max(0, len(files)-maxSessionFiles)] {
		os.Remove(filepath.Join(s.dir, f.name))
	}
}

// encode returns the session as a file.
func (one *session) encode() ([]byte, bool) {
	f := sessionFile{Format: sessionFormat, At: one.at}
	var ok bool
	if f.Session, ok = known.Pack(one.state); !ok {
		return nil, false
	}
	for _, c := range one.chain {
		f.Chain = append(f.Chain, c.Raw)
	}
	text, err := json.Marshal(f)
	return text, err == nil && len(text) <= maxSessionFile
}

// parseSession reads a file, nil if it is none.
func parseSession(text []byte) *session {
	var f sessionFile
	if err := json.Unmarshal(text, &f); err != nil || f.Format != sessionFormat {
		return nil
	}
	one := &session{at: f.At}
	for _, der := range f.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		one.chain = append(one.chain, c)
	}
	var ok bool
	if one.state, ok = f.Unpack(); !ok || len(one.chain) == 0 {
		return nil
	}
	return one
}
