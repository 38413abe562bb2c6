package peers

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMirrorIsTheOneOfDebianItself(t *testing.T) {
	const said = "Debian Debian-Security http://mirror.invalid/security/\n" +
		"Google Google http://other.invalid/\nDebian Debian http://mirror.invalid/debian/\nDebian Debian http://second.invalid/debian/\n"
	if got, want := mirrorIn(said), "http://mirror.invalid/debian/"; got != want {
		t.Errorf("mirror = %q, want %q", got, want)
	}
	if got := mirrorIn("Ubuntu Ubuntu http://ubuntu.invalid/\n"); got != "" {
		t.Errorf("mirror of a machine without Debian = %q, want none", got)
	}
}

// bootScript puts a debootstrap into PATH that is a shell script. Its arguments are those of the real one.
func bootScript(t *testing.T, script string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root builds the tree")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "debootstrap"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestNGTCP2TreeIsBuiltOnce(t *testing.T) {
	cache := t.TempDir()
	bootScript(t, `echo "$*" >> "`+cache+`/calls"; mkdir -p "$4/usr/bin"; touch "$4/usr/bin/gtlsclient"`)
	if root := NGTCP2Root(cache); root != "" {
		t.Fatalf("tree before it was built: %s", root)
	}
	var log bytes.Buffer
	for range 2 {
		root, err := BuildNGTCP2(t.Context(), "http://mirror.invalid/debian", cache, &log)
		if err != nil || root == "" || root != NGTCP2Root(cache) {
			t.Fatalf("BuildNGTCP2 = %q, %v; NGTCP2Root = %q", root, err, NGTCP2Root(cache))
		}
	}
	calls, err := os.ReadFile(filepath.Join(cache, "calls"))
	if err != nil || strings.Count(string(calls), "\n") != 1 || !strings.Contains(string(calls), " trixie ") || !strings.HasSuffix(string(calls), "http://mirror.invalid/debian\n") {
		t.Errorf("debootstrap was called with %q, %v; want one call for trixie from the mirror", calls, err)
	}
	if !strings.Contains(log.String(), "peers: built the Debian tree of ngtcp2 in ") {
		t.Errorf("log is %q, want it to say what was built", &log)
	}
}

func TestNGTCP2TreeThatIsNotWholeIsNotThere(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"fails", `echo "E: no such suite" >&2; exit 1`, "E: no such suite"},
		{"lacks the program", `mkdir -p "$4/usr/bin"`, "made no usr/bin/gtlsclient"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cache := t.TempDir()
			bootScript(t, tc.script)
			if _, err := BuildNGTCP2(t.Context(), "http://mirror.invalid/debian", cache, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("BuildNGTCP2 = %v, want %q", err, tc.want)
			}
			if root := NGTCP2Root(cache); root != "" {
				t.Errorf("there is a tree at %s", root)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "*.new")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
