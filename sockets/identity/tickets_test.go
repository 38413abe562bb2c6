package identity

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ticketsAt has a clock that the test moves.
func ticketsAt(t *testing.T, dir string, now *time.Time) *ticketKeys {
	t.Helper()
	c := &chores{}
	t.Cleanup(c.wait)
	k := newTicketKeys(&state{dir: dir}, func() time.Time { return *now }, c)
	if err := k.load(); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTicketKeysAreRotatedAndForgotten fills maxTicketKeys.
func TestTicketKeysAreRotatedAndForgotten(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		now := day
		k := ticketsAt(t, dir, &now)
		first := string(k.ring.Load().keys[0].Key)
		for i := range 20 {
			if err := k.load(); err != nil {
				t.Fatal(err)
			}
			keys := k.ring.Load().keys
			if want := min(i+1, 8); len(keys) != want || (string(keys[len(keys)-1].Key) == first) != (i < 8) {
				t.Errorf("%q, day %d: %d keys, want %d", dir, i, len(keys), want)
			}
			now = now.Add(ticketRotation + time.Minute)
		}
		now = day // a clock that was wrong
		if err := k.load(); err != nil || len(k.ring.Load().keys) != 1 {
			t.Errorf("%d keys, %v, want those of the future to be gone", len(k.ring.Load().keys), err)
		}
	}
	var many []ticketKey
	for range maxTicketKeys + 5 {
		many = append(many, ticketKey{day, make([]byte, 32)})
	}
	if keys, changed := freshKeys(many, day); len(keys) != maxTicketKeys || !changed {
		t.Errorf("%d keys, want at most %d", len(keys), maxTicketKeys)
	}
}

// TestBrokenTicketKeysAreReplaced also fills maxTicketFile.
func TestBrokenTicketKeysAreReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ticket-keys.json")
	now := day
	first := ticketsAt(t, dir, &now).ring.Load().keys[0]
	good := read(t, path)
	if again := ticketsAt(t, dir, &now).ring.Load().keys[0]; string(again.Key) != string(first.Key) {
		t.Error("another process has another key")
	}
	for _, text := range []string{"", "{", "null", good[:len(good)/2], strings.Replace(good, ticketFormat, "other", 1), strings.Replace(good, `"key": "`, `"key": "AAAA`, 1), good + strings.Repeat(" ", maxTicketFile)} {
		write(t, path, text)
		if got := ticketsAt(t, dir, &now).ring.Load().keys; len(got) != 1 || string(got[0].Key) == string(first.Key) {
			t.Errorf("%.20q: got %d keys, want a new one", text, len(got))
		}
		if parseTicketKeys([]byte(read(t, path))) == nil {
			t.Errorf("%.20q was not replaced", text)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wantModes(t, dir)
}

func TestATicketKeyOfAnotherProcessIsFoundWithoutWaiting(t *testing.T) {
	dir := t.TempDir()
	now, later := day, day.Add(ticketRotation+time.Minute)
	old := ticketsAt(t, dir, &now)
	other := ticketsAt(t, dir, &later)
	one := resumable(t, day)
	_, state, err := one.state.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := other.wrap(tls.ConnectionState{}, state)
	if err != nil {
		t.Fatal(err)
	}
	unwrap := func() bool {
		s, err := old.unwrap(ticket, tls.ConnectionState{})
		if err != nil {
			t.Fatal(err)
		}
		old.chores.wait()
		return s != nil
	}
	for range 2 {
		if unwrap() {
			t.Error("a key was found that was not read")
		}
	}
	now = now.Add(ticketCheck)
	if unwrap() {
		t.Error("the callback read a file")
	}
	if !unwrap() {
		t.Error("the key was not read")
	}
	if s, err := old.unwrap([]byte("nonsense"), tls.ConnectionState{}); s != nil || err != nil {
		t.Errorf("nonsense is %v, %v", s, err)
	}
}

// TestEarlyDataOfOneProcessIsNoneOfAnother: what one of them took could be
// replayed to the other, which has the same keys.
func TestEarlyDataOfOneProcessIsNoneOfAnother(t *testing.T) {
	dir, now := t.TempDir(), day
	first, second := ticketsAt(t, dir, &now), ticketsAt(t, dir, &now)
	for _, early := range []bool{true, false} {
		_, state, err := resumable(t, day).state.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		state.EarlyData = early
		ticket, err := first.wrap(tls.ConnectionState{}, state)
		if err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]*ticketKeys{"first": first, "second": second} {
			s, err := k.unwrap(ticket, tls.ConnectionState{})
			if err != nil || s == nil || s.EarlyData != (early && k == first) {
				t.Errorf("ticket of the first with early data %v, %s: %+v, %v", early, name, s, err)
			}
		}
	}
}

func TestWrappingWithAnOldKeyMakesANewOne(t *testing.T) {
	now := day
	k := ticketsAt(t, t.TempDir(), &now)
	_, state, err := resumable(t, day).state.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(ticketRotation + time.Second)
	if _, err := k.wrap(tls.ConnectionState{}, state); err != nil {
		t.Fatal(err)
	}
	k.chores.wait()
	if keys := k.ring.Load().keys; len(keys) != 2 || !keys[0].Made.Equal(now) {
		t.Errorf("%d keys, want a new one", len(keys))
	}
}

func FuzzParseTicketKeys(f *testing.F) {
	f.Add([]byte(`{"format":"quiver ticket keys 1","keys":[{"made":"2026-05-01T12:00:00Z","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _ := freshKeys(parseTicketKeys(text), day)
		if newTicketRing(keys); len(keys) == 0 || len(keys) > maxTicketKeys {
			t.Errorf("%d keys", len(keys))
		}
	})
}
