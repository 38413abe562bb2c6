package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

const (
	// ticketRotation is how long a key encrypts tickets.
	ticketRotation = 24 * time.Hour
	// ticketKeyLife is how long it decrypts them: as long as a ticket is good (RFC
	// 8446 §4.6.1) beyond its rotation.
	ticketKeyLife = 8 * 24 * time.Hour
	// ticketCheck is how often, at most, the file is read for a ticket that we
	// cannot decrypt: another process may have made a new key.
	ticketCheck = time.Minute
	// maxTicketKeys is how many keys are kept.
	maxTicketKeys = 16 // limit: keys
	// maxTicketFile is the most that their file may have.
	maxTicketFile = 64 << 10 // limit: bytes
)

// ticketFormat is the file's "format" member.
const ticketFormat = "quiver ticket keys 1"

// ticketFile is the file of keys: secret.
type ticketFile struct {
	Format string      `json:"format"`
	Keys   []ticketKey `json:"keys"` // the newest first
}

type ticketKey struct {
	Made time.Time `json:"made"`
	Key  []byte    `json:"key"` // 32 bytes
}

// ticketKeys are the keys under which a server keeps sessions with its clients,
// in memory for the callbacks of TLS and in a file for other processes.
type ticketKeys struct {
	state  *state
	path   string // "" = in memory only
	now    func() time.Time
	chores *chores
	issuer []byte // marks our tickets among those of other processes

	loading sync.Mutex // held while the keys are exchanged
	ring    atomic.Pointer[ticketRing]
	checked atomic.Int64 // Unix time in seconds of the last load
	busy    atomic.Bool  // a load is on its way
}

// ticketRing are the keys of a time. It does not change.
type ticketRing struct {
	keys []ticketKey // limit: maxTicketKeys; the newest first
	conf *tls.Config // has them set
}

// issuerMark begins our entry of tls.SessionState.Extra.
var issuerMark = []byte("quiver ticket issuer ")

func newTicketKeys(s *state, now func() time.Time, c *chores) *ticketKeys {
	t := &ticketKeys{state: s, now: now, chores: c, issuer: append(bytes.Clone(issuerMark), rand.Text()...)}
	if s.dir != "" {
		t.path = filepath.Join(s.dir, "ticket-keys.json")
	}
	return t
}

// load takes the keys of the file, or makes a new one if the newest is old.
func (t *ticketKeys) load() error {
	t.loading.Lock()
	defer t.loading.Unlock()
	defer t.checked.Store(t.now().Unix())
	if t.path == "" {
		var old []ticketKey
		if ring := t.ring.Load(); ring != nil {
			old = ring.keys
		}
		keys, _ := freshKeys(old, t.now())
		t.ring.Store(newTicketRing(keys))
		return nil
	}
	return t.state.locked(func() error {
		text, _ := readSecret(t.path, maxTicketFile) // a broken file costs clients a round trip, and is replaced
		keys, changed := freshKeys(parseTicketKeys(text), t.now())
		t.ring.Store(newTicketRing(keys))
		if !changed {
			return nil
		}
		text, err := json.MarshalIndent(ticketFile{ticketFormat, keys}, "", "\t")
		if err == nil {
			err = known.WriteFile(t.path, append(text, '\n'))
		}
		if err != nil {
			return &FileError{Path: t.path, Err: reason(err), hint: "name a directory with room in $" + stateVar}
		}
		return nil
	})
}

// parseTicketKeys reads a file; what is none has no keys.
func parseTicketKeys(text []byte) []ticketKey {
	var f ticketFile
	if err := json.Unmarshal(text, &f); err != nil || f.Format != ticketFormat {
		return nil
	}
	keys := slices.DeleteFunc(f.Keys, func(k ticketKey) bool { return len(k.Key) != 32 })
	slices.SortFunc(keys, func(a, b ticketKey) int { return b.Made.Compare(a.Made) })
	return keys
}

// freshKeys drops keys that are too old, and those of a clock that was wrong, and
// puts a new one in front if it is time.
func freshKeys(keys []ticketKey, now time.Time) (fresh []ticketKey, changed bool) {
	fresh = slices.DeleteFunc(slices.Clone(keys), func(k ticketKey) bool {
		return now.Sub(k.Made) > ticketKeyLife || k.Made.Sub(now) > ticketRotation
	})
	if len(fresh) == 0 || now.Sub(fresh[0].Made) > ticketRotation {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		fresh = append([]ticketKey{{now.UTC(), key}}, fresh...)
	}
	if len(fresh) > maxTicketKeys {
		fresh = fresh[:maxTicketKeys]
	}
	return fresh, len(fresh) != len(keys) || !fresh[0].Made.Equal(keys[0].Made)
}

func newTicketRing(keys []ticketKey) *ticketRing {
	set := make([][32]byte, len(keys))
	for i, k := range keys {
		set[i] = [32]byte(k.Key)
	}
	r := &ticketRing{keys: keys, conf: &tls.Config{MinVersion: tls.VersionTLS13}}
	r.conf.SetSessionTicketKeys(set)
	return r
}

// later loads on a goroutine, as TLS cannot wait for files.
func (t *ticketKeys) later() {
	if !t.busy.CompareAndSwap(false, true) {
		return
	}
	t.chores.do(func() {
		defer t.busy.Store(false)
		_ = t.load() // the keys that there are go on; the next ticket tries again
	})
}

// wrap is WrapSession: it makes a ticket of a session.
func (t *ticketKeys) wrap(state tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
	ring := t.ring.Load()
	if t.now().Sub(ring.keys[0].Made) > ticketRotation {
		t.later()
	}
	s.Extra = append(s.Extra, t.issuer)
	return ring.conf.EncryptTicket(state, s)
}

// unwrap is UnwrapSession: it returns the session of a ticket, nil if it is none
// of ours.
func (t *ticketKeys) unwrap(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	s, err := t.ring.Load().conf.DecryptTicket(ticket, state)
	if err != nil {
		return nil, err
	}
	if s == nil {
		if t.path != "" && t.now().Unix()-t.checked.Load() >= int64(ticketCheck/time.Second) {
			t.later()
		}
		return nil, nil
	}
	s.EarlyData = s.EarlyData && slices.ContainsFunc(s.Extra, func(e []byte) bool { return bytes.Equal(e, t.issuer) })
	return s, nil
}
