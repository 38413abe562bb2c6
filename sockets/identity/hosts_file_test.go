package identity

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func strangers(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 8277)
}

// TestFirstContactsBeyondTheFileAreRememberedInMemory fills maxHostsFile.
func TestFirstContactsBeyondTheFileAreRememberedInMemory(t *testing.T) {
	var said saying
	path := filepath.Join(t.TempDir(), "hosts")
	line := Host{Peer: server, Key: oneKey, Since: day}.String() + "\n"
	write(t, path, line+strings.Repeat("#\n", (maxHostsFile-len(line)-20)/2))
	h := newHosts(&state{}, path)
	if err := h.load(); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	if err := h.learn(Host{Peer: strangers(1), Key: otherKey, Since: day}, said.log()); err != nil {
		t.Fatal(err)
	}
	if read(t, path) != before {
		t.Error("the file was changed")
	}
	if got := said.all(); len(got) != 1 || !strings.Contains(got[0], fmt.Sprintf("it would have more than %d bytes", maxHostsFile)) {
		t.Errorf("said %q", got)
	}
	if list := h.lookup(strangers(1)); len(list) != 1 || list[0].Key != otherKey {
		t.Errorf("remembered %v", list)
	}
	err := h.learn(Host{Peer: strangers(1), Key: oneKey, Since: day}, said.log())
	wantError(t, "another key", err, "has another key than before: got "+oneKey.Tagged()+", want "+otherKey.Tagged()+", known since 2026-05-01 (this process)", "ask that machine's owner")

	write(t, path, strings.Repeat("#\n", maxHostsFile/2)+"#")
	wantError(t, "too large", h.load(), fmt.Sprintf("hosts: more than %d bytes", maxHostsFile), "mend the file")
}

// TestUnwrittenFirstContactsAreBounded fills maxUnwritten.
func TestUnwrittenFirstContactsAreBounded(t *testing.T) {
	var said saying
	h := newHosts(&state{}, "")
	for i := range maxUnwritten + 1 {
		if err := h.learn(Host{Peer: strangers(i), Key: oneKey, Since: day}, said.log()); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.unwritten) != maxUnwritten || len(h.lookup(strangers(0))) != 0 || len(h.lookup(strangers(maxUnwritten))) != 1 {
		t.Errorf("%d are remembered, want the newest %d", len(h.unwritten), maxUnwritten)
	}
	if got := said.all(); len(got) != maxUnwritten+1 || !strings.Contains(got[0], "which cannot be remembered") {
		t.Errorf("said %d lines, the first %q", len(got), got[0])
	}
}

func TestALineWithoutAnEndIsNotRunInto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	write(t, path, "192.0.2.9:1 "+oneKey.String())
	var said saying
	h := newHosts(&state{}, path)
	if err := h.learn(Host{Peer: server, Key: otherKey, Since: day}, said.log()); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, path), "192.0.2.9:1 "+oneKey.String()+"\n192.0.2.1:8277 "+otherKey.Tagged()+" 2026-05-01\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if list := h.lookup(server); len(list) != 1 || list[0].Line != 2 {
		t.Errorf("learned %v, want line 2", list)
	}
}

func TestAFileThatCannotBeWrittenIsAWarning(t *testing.T) {
	var said saying
	path := filepath.Join(t.TempDir(), "no", "hosts")
	h := newHosts(&state{}, path)
	if err := h.learn(Host{Peer: server, Key: oneKey, Since: day}, said.log()); err != nil {
		t.Fatal(err)
	}
	if got := said.all(); len(got) != 1 || !strings.HasSuffix(got[0], "cannot be remembered in "+path+": no such file or directory") {
		t.Errorf("said %q", got)
	}
}

func TestAFileThatIsEditedIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	h := newHosts(&state{}, path)
	for i, text := range []string{"", Host{Peer: server, Key: oneKey}.String(), "#\n" + Host{Peer: server, Key: otherKey}.String() + "\n"} {
		write(t, path, text)
		if err := os.Chtimes(path, time.Time{}, day.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := h.load(); err != nil {
			t.Fatal(err)
		}
		if got := h.lookup(server); len(got) != min(i, 1) || i > 0 && got[0].Line != i {
			t.Errorf("after %q: %v", text, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := h.load(); err != nil || len(h.lookup(server)) != 0 {
		t.Errorf("after it was removed: %v, %v", h.lookup(server), err)
	}
}
