//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// makeSocketNode makes the file of a socket that nobody listens on.
func makeSocketNode(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mknod(path, unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
}

func TestSocketsThatNobodyListensOnAreRemoved(t *testing.T) {
	dir := runtimeDir(t)
	publish(t, Program{PID: 5}, nil)
	makeSocketNode(t, dir+"/1.sock")
	if err := os.WriteFile(dir+"/2.sock", nil, 0o600); err != nil { // no socket: not ours to judge
		t.Fatal(err)
	}
	if got, err := List(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("List = %v, %v, want one program", got, err)
	}
	if left := sockets(t, dir); len(left) != 2 {
		t.Errorf("%v is left, want a socket and a file", left)
	}
}

func TestSocketOfAProcessNumberThatComesAgainIsTakenOver(t *testing.T) {
	dir := runtimeDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stale := dir + "/" + socketName(os.Getpid(), 0)
	makeSocketNode(t, stale)
	if p := publish(t, Program{}, nil); p.Path() != stale {
		t.Errorf("published as %s, want %s", p.Path(), stale)
	}
}

func TestSocketsOfOneProcessNumberHaveALimit(t *testing.T) {
	runtimeDir(t)
	for range maxSameName {
		publish(t, Program{}, nil)
	}
	_, err := Publish(t.Context(), func() Program { return Program{} }, nil)
	if err == nil || !strings.Contains(err.Error(), "8 sockets of process number") {
		t.Errorf("Publish: %v, want that there are too many", err)
	}
}

func TestSocketIsForItsUserOnly(t *testing.T) {
	dir := runtimeDir(t)
	p := publish(t, Program{}, nil)
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, p.Path(): fs.ModeSocket | 0o600} {
		if at, err := os.Lstat(path); err != nil || at.Mode() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, at.Mode(), err, want)
		}
	}
}

func TestDirectoriesThatOthersCouldMakeAreRefused(t *testing.T) {
	tmp := t.TempDir()
	for _, tc := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"link", "is a symbolic link, want a directory", func(path string) error { return os.Symlink(tmp, path) }},
		{"open", "may be written to by others (mode 0777), want 0700", func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777))
		}},
		{"file", "not a directory", func(path string) error { return os.WriteFile(path, nil, 0o600) }},
	} {
		path := tmp + "/" + tc.name
		if err := tc.make(path); err != nil {
			t.Fatal(err)
		}
		t.Setenv("QUIVER_RUNTIME_DIR", path)
		if _, err := Publish(t.Context(), func() Program { return Program{} }, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if got, err := List(t.Context()); len(got) != 0 || err != nil {
			t.Errorf("%s: List = %v, %v, want nothing", tc.name, got, err)
		}
	}
}

func TestDirectoriesOfOtherUsersAreRefused(t *testing.T) {
	path := runtimeDir(t)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	me := os.Geteuid()
	if _, err := openDirectory(path, me+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("another user's reader: %v, want that it belongs to another", err)
	}
	d, err := openDirectory(path, 0)
	if err != nil {
		t.Fatalf("root's reader: %v", err)
	}
	d.close()
	if me == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := makeDirectory(path, 0); err == nil || !strings.Contains(err.Error(), "belongs to user 65534, want 0") {
			t.Errorf("root's supervisor: %v, want that it belongs to another", err)
		}
	}
}

func TestLockedDirectoryIsLeftAlone(t *testing.T) {
	path := runtimeDir(t)
	holder, err := makeDirectory(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.close()
	if err := holder.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	makeSocketNode(t, path+"/1.sock")
	if got, err := List(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("List = %v, %v, want nothing", got, err)
	}
	if len(sockets(t, path)) != 1 {
		t.Error("a socket was removed without the lock")
	}
	if _, err := Publish(t.Context(), func() Program { return Program{} }, nil); err == nil || !strings.HasSuffix(err.Error(), "is locked by another process") {
		t.Errorf("Publish: %v, want that it is locked", err)
	}
	holder.unlock()
	if List(t.Context()); len(sockets(t, path)) != 0 {
		t.Error("the socket is still there")
	}
}

func TestListenersThatAreNoSupervisorsAreNotBuried(t *testing.T) {
	path := runtimeDir(t)
	d, err := makeDirectory(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	l, err := net.Listen("unix", path+"/1.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	(&socket{d, "1.sock"}).bury(t.Context()) // as a reader does that saw the process before it
	if len(sockets(t, path)) != 1 {
		t.Error("the socket of a process that listens was removed")
	}
}

func TestDirectoryIsReadUpToALimit(t *testing.T) {
	path := runtimeDir(t)
	dir, err := makeDirectory(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	for i := range maxSockets + 3 {
		makeSocketNode(t, path+"/"+socketName(i, 0))
	}
	if names, err := dir.names(maxSockets); len(names) != maxSockets || err != nil {
		t.Errorf("%d names, %v, want %d", len(names), err, maxSockets)
	}
}
