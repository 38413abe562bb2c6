package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// resumable makes a session that can be packed.
func resumable(t *testing.T, at time.Time) *session {
	t.Helper()
	client := load(t, Options{StateDir: t.TempDir(), Insecure: true, now: func() time.Time { return at }})
	srv := load(t, Options{StateDir: t.TempDir()})
	if _, _, cerr, serr := shake(t, client, srv, server, ""); cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	e, err := client.expect(server, "")
	if err != nil {
		t.Fatal(err)
	}
	client.Close() // nobody else looks at it any more
	return client.sessions.get(client.sessionKey(e))
}

func newTestSessions(t *testing.T, now time.Time) *sessions {
	t.Helper()
	c := &chores{}
	t.Cleanup(c.wait)
	return newSessions(&state{dir: t.TempDir()}, func() time.Time { return now }, c)
}

// TestTheOldestSessionMakesRoomInMemory fills maxSessions.
func TestTheOldestSessionMakesRoomInMemory(t *testing.T) {
	s := newSessions(&state{}, time.Now, &chores{})
	for i := range maxSessions + 2 {
		s.put(fmt.Sprint(i), &session{at: day.Add(time.Duration(i) * time.Second)})
	}
	s.put(fmt.Sprint(5), &session{at: day.Add(time.Hour)}) // again, which takes no room
	if len(s.held) != maxSessions || s.get("0") != nil || s.get("1") != nil || s.get("2") == nil {
		t.Errorf("%d are held, want the newest %d", len(s.held), maxSessions)
	}
	s.put("2", nil)
	if s.get("2") != nil || len(s.changed) != 0 {
		t.Errorf("what was forgotten is there; %d wait for a disk that is none", len(s.changed))
	}
}

func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	s := newTestSessions(t, day)
	s.writing = true // and does not run
	for i := range maxSessions + 2 {
		s.put(fmt.Sprint(i), nil)
	}
	if len(s.changed) != maxSessions {
		t.Errorf("%d wait, want at most %d", len(s.changed), maxSessions)
	}
}

// TestTheOldestSessionFilesMakeRoom fills maxSessionFiles.
func TestTheOldestSessionFilesMakeRoom(t *testing.T) {
	one := resumable(t, day)
	s := newTestSessions(t, day)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxSessionFiles + 1 {
		path := s.path(fmt.Sprintf("old%04d", i))
		write(t, path, "")
		if err := os.Chtimes(path, time.Time{}, day.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	s.put("new", one)
	s.chores.wait()
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != maxSessionFiles {
		t.Errorf("%d files, %v, want %d", len(entries), err, maxSessionFiles)
	}
	for name, want := range map[string]bool{"new": true, "old0000": false, "old0001": false, "old0002": true} {
		if _, err := os.Stat(s.path(name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
	s.put("new", nil)
	s.chores.wait()
	if _, err := os.Stat(s.path("new")); !os.IsNotExist(err) {
		t.Errorf("a session that was forgotten has a file: %v", err)
	}
}

// TestBrokenSessionFilesAreNoSessions also fills maxSessionFile.
func TestBrokenSessionFilesAreNoSessions(t *testing.T) {
	text, ok := resumable(t, day).encode()
	if !ok {
		t.Fatal("the session cannot be a file")
	}
	good := string(text)
	s := newTestSessions(t, day.Add(time.Hour))
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want bool
	}{
		"whole":                   {good, 0o600, true},
		"empty":                   {"", 0o600, false},
		"cut":                     {good[:len(good)/2], 0o600, false},
		"other":                   {strings.Replace(good, sessionFormat, "quiver session 0", 1), 0o600, false},
		"null":                    {"null", 0o600, false},
		"no chain":                {strings.Replace(good, `"chain"`, `"c"`, 1), 0o600, false},
		"chain of nonsense":       {strings.Replace(good, `"chain":["`, `"chain":["AAAA`, 1), 0o600, false},
		"no state":                {strings.Replace(good, `"state"`, `"s"`, 1), 0o600, false},
		"too old":                 {strings.Replace(good, day.Format(time.RFC3339), day.Add(-sessionLife).Format(time.RFC3339), 1), 0o600, false},
		"more than is reasonable": {good + strings.Repeat(" ", maxSessionFile), 0o600, false},
		"readable for others":     {good, 0o644, false},
	} {
		write(t, s.path(name), tt.text)
		if err := os.Chmod(s.path(name), tt.mode); err != nil {
			t.Fatal(err)
		}
		if s.load(name); (s.get(name) != nil) != tt.want {
			t.Errorf("%s: loaded %v, want %v", name, s.get(name) != nil, tt.want)
		}
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte(`{"format":"quiver session 1","at":"2026-05-01T12:00:00Z","chain":["AAAA"],"ticket":"AAAA","state":"AwQ="}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if one := parseSession(text); one != nil && (one.state == nil || len(one.chain) == 0) {
			t.Error("half a session")
		}
	})
}

func TestASessionIsOfferedOnlyIfItsServerWouldBeTrustedToday(t *testing.T) {
	dir := t.TempDir()
	srv := load(t, Options{StateDir: t.TempDir()})
	shakes := func(opts Options, expect string) tls.ConnectionState {
		t.Helper()
		opts.StateDir = dir
		client := load(t, opts)
		state, _, cerr, serr := shake(t, client, srv, server, expect)
		if cerr != nil || serr != nil {
			t.Fatal(cerr, serr)
		}
		client.Close()
		return state
	}
	shakes(Options{}, "")
	if !shakes(Options{}, "").DidResume {
		t.Error("another process does not resume")
	}
	if shakes(Options{}, srv.Pin().Tagged()).DidResume {
		t.Error("a session of one way to trust was offered in another")
	}
	cert, key := newAuthority(t).issue("spiffe://corp/me")
	if shakes(Options{Cert: cert, Key: key}, "").DidResume {
		t.Error("a session of one key of ours was offered with another")
	}
	// The line is gone: whoever answers is a stranger, and early data would leave before he shows who he is.
	if err := os.Remove(filepath.Join(dir, "known_hosts")); err != nil {
		t.Fatal(err)
	}
	if shakes(Options{}, "").DidResume {
		t.Error("a stranger's session was offered")
	}
	write(t, filepath.Join(dir, "known_hosts"), Host{Peer: server, Key: otherKey}.String()+"\n")
	client := load(t, Options{StateDir: dir})
	conf, err := client.Client(server, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := conf.ClientSessionCache.Get("any name"); ok {
		t.Error("a session of another key than the known one was offered")
	}
	// And if it were, the certificates of the first connection would be looked at.
	if err := conf.VerifyConnection(tls.ConnectionState{DidResume: true, PeerCertificates: []*x509.Certificate{srv.own.Leaf}}); err == nil {
		t.Error("a resumed session is not verified")
	}
}
