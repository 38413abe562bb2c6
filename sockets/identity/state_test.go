package identity

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTheKeyIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "quiver")
	first := load(t, Options{StateDir: dir})
	second := load(t, Options{StateDir: dir})
	if first.Pin() != second.Pin() || first.StateDir() != dir {
		t.Errorf("pins %v and %v in %s, want the same", first.Pin(), second.Pin(), first.StateDir())
	}
	if _, err := first.Server(); err != nil {
		t.Fatal(err)
	}
	wantModes(t, dir)
	leaf := first.own.Leaf
	if host := hostName(); host != "" && leaf.VerifyHostname(host) != nil {
		t.Errorf("the certificate is for %v, want %s", leaf.DNSNames, host)
	}
	if leaf.NotAfter.Before(time.Now().AddDate(100, 0, 0)) {
		t.Errorf("the certificate ends %v, want it to live long", leaf.NotAfter)
	}
}

// wantModes looks at everything below a state directory.
func wantModes(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		want := os.FileMode(0o600)
		if err == nil && info.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBrokenKeysAreToldApart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	good := t.TempDir()
	load(t, Options{StateDir: good})
	key := read(t, filepath.Join(good, keyFile))
	other := t.TempDir()
	load(t, Options{StateDir: other})
	foreign := read(t, filepath.Join(other, keyFile))
	for _, tt := range []struct {
		name, text     string
		mode           os.FileMode
		sentence, hint string
	}{
		{"empty", "", 0o600, "key.pem: no key with its certificate in it", "restore it from a copy, or remove it"},
		{"cut", key[:100], 0o600, "no key with its certificate in it", "restore"},
		{"key without certificate", key[:strings.Index(key, "-----BEGIN CERT")], 0o600, "no key with its certificate in it", "restore"},
		{"certificate of another key", key[:strings.Index(key, "-----BEGIN CERT")] + foreign[strings.Index(foreign, "-----BEGIN CERT"):], 0o600, "private key does not match", "restore"},
		{"readable by others", key, 0o644, "others may read or write it (mode 0644), and it holds secrets", "chmod 600"},
		{"longer than maxKeyFile", strings.Repeat("#", maxKeyFile+1), 0o600, fmt.Sprintf("more than %d bytes", maxKeyFile), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, keyFile)
			write(t, path, tt.text)
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Options{StateDir: dir, Protocols: protocols})
			wantError(t, tt.name, err, tt.sentence, tt.hint)
			if read(t, path) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestStateOfSomebodyElseIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	load(t, Options{StateDir: dir})
	if err := os.Chown(filepath.Join(dir, keyFile), 4711, -1); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{StateDir: dir, Protocols: protocols})
	wantError(t, "key", err, "key.pem: it belongs to user 4711, this is user 0", "give it to this user")
	if err := os.Chown(dir, 4711, -1); err != nil {
		t.Fatal(err)
	}
	_, err = Load(Options{StateDir: dir, Protocols: protocols})
	wantError(t, "directory", err, "the directory belongs to user 4711, this is user 0", "name another one in $QUIVER_STATE_DIR")
}

func TestADirectoryThatOthersMayWriteHoldsNoKeys(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{StateDir: dir, Protocols: protocols})
	wantError(t, "directory", err, "others may write the directory (mode 0777), and so replace keys", "chmod 700 "+dir)
}

func TestADirectoryThatWasAskedForMustBeThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := Load(Options{StateDir: dir, Protocols: protocols})
		wantError(t, dir, err, dir+": not a directory", "name a directory that user")
	}
}

func TestTheStateDirectoryIsTheFirstThatCanBeUsed(t *testing.T) {
	home, xdg, asked, file := t.TempDir(), t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	uid := os.Geteuid()
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"HOME", map[string]string{"HOME": home}, filepath.Join(home, ".local", "state", "quiver")},
		{"XDG_STATE_HOME", map[string]string{"HOME": home, "XDG_STATE_HOME": xdg}, filepath.Join(xdg, "quiver")},
		{"XDG_STATE_HOME that is not absolute", map[string]string{"HOME": home, "XDG_STATE_HOME": "state"}, filepath.Join(home, ".local", "state", "quiver")},
		{"QUIVER_STATE_DIR", map[string]string{"HOME": home, "XDG_STATE_HOME": xdg, stateVar: asked}, asked},
		{"nothing", nil, ""},
		{"HOME that is no directory", map[string]string{"HOME": file}, ""},
	} {
		if uid == 0 { // whose own directory would come first
			dirs, why := usualDirs(func(name string) string { return tt.env[name] }, 1000)
			if tt.want != "" && tt.env[stateVar] == "" && (len(dirs) != 1 || dirs[0] != tt.want) || tt.env == nil && len(why) == 0 {
				t.Errorf("%s: got %v, %v, want %q", tt.name, dirs, why, tt.want)
			}
			continue
		}
		s, err := findState("", func(name string) string { return tt.env[name] }, uid)
		if err != nil || s.dir != tt.want || (s.why == "") != (tt.want != "") {
			t.Errorf("%s: got %+v, %v, want %q", tt.name, s, err, tt.want)
		}
	}
	if dirs, _ := usualDirs(func(string) string { return "/root" }, 0); dirs[0] != rootStateDir {
		t.Errorf("root's directories are %v, want %s first", dirs, rootStateDir)
	}
}

func TestWithoutAStateDirectoryTheKeyIsForThisRunAndTheUserIsTold(t *testing.T) {
	var said saying
	id := &Identity{opts: Options{Protocols: protocols}, log: said.log(), now: time.Now, state: &state{why: "HOME is not set"}}
	if err := id.loadKey(); err != nil {
		t.Fatal(err)
	}
	id.warn()
	want := "no directory for keys can be written (HOME is not set): this end has another key in every run, which peers that remember keys will refuse, and peers that are met for the first time will be strangers again; name one in $QUIVER_STATE_DIR"
	if got := said.all(); len(got) != 1 || got[0] != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if (id.Pin() == Pin{}) || id.StateDir() != "" {
		t.Errorf("pin %v, directory %q", id.Pin(), id.StateDir())
	}
}

func TestInsecureIsLoud(t *testing.T) {
	var said saying
	load(t, Options{StateDir: t.TempDir(), Insecure: true, Log: said.log()})
	if got := said.all(); len(got) != 1 || !strings.HasPrefix(got[0], "INSECURE: nobody's key") {
		t.Errorf("said %q", got)
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	write(t, empty, "")
	for _, tt := range []struct {
		opts           Options
		sentence, hint string
	}{
		{Options{}, "Options.Protocols is empty", ""},
		{Options{Protocols: protocols, Cert: "a"}, "belong together, got one of them", ""},
		{Options{Protocols: protocols, Key: "a"}, "belong together, got one of them", ""},
		{Options{Protocols: protocols, Cert: "no.pem", Key: "no.key"}, "certificate no.pem with key no.key: open no.pem", ""},
		{Options{Protocols: protocols, Pins: []string{"12"}}, `pin "12": want 64 hexadecimal digits`, ""},
		{Options{Protocols: protocols, Allow: []string{"a b"}}, `identity "a b": want sha256:`, ""},
		{Options{Protocols: protocols, CA: "no.pem"}, "no.pem: no such file or directory", "name a PEM file"},
		{Options{Protocols: protocols, ClientCA: empty}, "empty.pem: no certificate in it, want PEM", "name a PEM file"},
	} {
		tt.opts.StateDir = dir
		_, err := Load(tt.opts)
		wantError(t, tt.sentence, err, tt.sentence, tt.hint)
	}
}
