package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
)

func TestAPackageIsFoundByItsIdentity(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "a", "b"), cache.Options{})
	b := signed(plugin(1, 100), "alice")
	if _, err := c.Get(digest(b)); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("an empty cache answers %v", err)
	}
	e, err := c.Put(b)
	if err != nil || e.Digest != digest(b) || e.ID != "org.example.p1" || e.Version != "1.0.1" || e.Size != int64(len(b)) {
		t.Errorf("stored %+v, %v", e, err)
	}
	p, err := c.Get(e.Digest)
	if err != nil || !bytes.Equal(p.Raw, b) || p.Manifest.ID != e.ID || len(p.Signatures) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
	again := open(t, c.Dir(), cache.Options{})
	if p, err := again.Get(e.Digest); err != nil || !bytes.Equal(p.Raw, b) {
		t.Errorf("opened again: %v", err)
	}
	for path, want := range map[string]os.FileMode{".": 0o700, "sha256": 0o700, "compiled": 0o700, "index": 0o600, "lock": 0o600, "sha256/" + e.Digest.String() + ".wasm": 0o600} {
		if info, err := os.Stat(filepath.Join(c.Dir(), path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	if err := c.Remove(e.Digest); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(e.Digest); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("a removed package is answered with %v", err)
	}
	if err := c.Remove(e.Digest); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("removing it again: %v", err)
	}
	wantIDs(t, c)
}

func TestPackagesAreFoundByIDAndVersion(t *testing.T) {
	c := open(t, t.TempDir(), cache.WithClock(cache.Options{}, clock()))
	put(t, c, plugin(1, 10), plugin(2, 10), plugin(1, 20))
	for _, tc := range []struct {
		id, version string
		want        int
	}{{"org.example.p1", "", 2}, {"org.example.p1", "1.0.1", 2}, {"org.example.p1", "1.0.2", 0}, {"org.example.p2", "1.0.2", 1}, {"org.example", "", 0}} {
		if list, err := c.Find(tc.id, tc.version); err != nil || len(list) != tc.want {
			t.Errorf("%s@%s: %v, %v, want %d", tc.id, tc.version, list, err, tc.want)
		}
	}
}

func TestWhatIsNoPackageIsNotStored(t *testing.T) {
	c := open(t, t.TempDir(), cache.Options{MaxBytes: 1000})
	var e *pack.Error
	if _, err := c.Put([]byte("\x00asm\x01\x00\x00\x00")); !errors.As(err, &e) {
		t.Errorf("a module without manifest: %v", err)
	}
	if _, err := c.Put(plugin(1, 1000)); err == nil || !strings.Contains(err.Error(), "more than all that it may hold, which is 1000") {
		t.Errorf("a package larger than the cache: %v", err)
	}
	wantIDs(t, c)
}

// TestADamagedFileCountsAsMissing flips bits all over a package, its signature included, which is no part of its digest.
func TestADamagedFileCountsAsMissing(t *testing.T) {
	c := open(t, t.TempDir(), cache.Options{})
	b := signed(plugin(1, 10), "alice")
	put(t, c, b)
	path := fileOf(c, b)
	for at := 0; at < len(b); at += 7 {
		bad := bytes.Clone(b)
		bad[at] ^= 1 << (at % 8)
		wantDamaged(t, c, path, b, bad, fmt.Sprintf("bit flipped in byte %d of %d", at, len(b)))
	}
	wantDamaged(t, c, path, b, b[:len(b)-1], "cut by a byte")
	wantDamaged(t, c, path, b, nil, "empty")
	wantDamaged(t, c, path, b, append(bytes.Clone(b), 0), "longer by a byte")
	wantDamaged(t, c, path, b, plugin(2, 10), "another package")
	wantDamaged(t, c, path, b, make([]byte, pack.MaxSize+1), "too large")
}

func wantDamaged(t *testing.T, c *cache.Cache, path string, good, bad []byte, how string) {
	t.Helper()
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := c.Get(digest(good))
	if !errors.Is(err, cache.ErrMissing) || !strings.Contains(err.Error(), "was damaged and has been removed") {
		t.Errorf("%s: %v, want it damaged, removed and missing", how, err)
	}
	if exists(path) {
		t.Errorf("%s: the file is still there", how)
	}
	put(t, c, good)
	if p, err := c.Get(digest(good)); err != nil || !bytes.Equal(p.Raw, good) {
		t.Errorf("%s: stored again it is answered with %v", how, err)
	}
}

func TestPutMendsADamagedFile(t *testing.T) {
	c := open(t, t.TempDir(), cache.Options{})
	b := plugin(1, 10)
	put(t, c, b)
	bad := bytes.Clone(b)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(fileOf(c, b), bad, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, c, b)
	if _, err := c.Get(digest(b)); err != nil {
		t.Error(err)
	}
}

// TestNewSignaturesReplaceOldOnes: whoever once sent a plugin without the signature that counts must not keep it out for good.
func TestNewSignaturesReplaceOldOnes(t *testing.T) {
	c, other := (*cache.Cache)(nil), (*cache.Cache)(nil)
	dir := t.TempDir()
	c, other = open(t, dir, cache.Options{}), open(t, dir, cache.Options{})
	bare := plugin(1, 10)
	put(t, c, bare)
	for _, b := range [][]byte{signed(bare, "mallory"), signed(bare, "alice"), bare} {
		put(t, c, b)
		for _, reader := range []*cache.Cache{c, other} {
			if p, err := reader.Get(digest(bare)); err != nil || !bytes.Equal(p.Raw, b) {
				t.Errorf("not what was stored last: %v", err)
			}
		}
	}
	wantIDs(t, c, "p1")
}

// TestAStaleIndexCondemnsNothing: another process may replace a package and the index while this one is between the two. Here it has the index of
// before, as its file looks unchanged.
func TestAStaleIndexCondemnsNothing(t *testing.T) {
	dir := t.TempDir()
	c, other := open(t, dir, cache.Options{}), open(t, dir, cache.Options{})
	one, two := signed(plugin(1, 10), "alice"), signed(plugin(1, 10), "bob")
	put(t, c, one)
	if _, err := c.Get(digest(one)); err != nil {
		t.Fatal(err)
	}
	path, old := filepath.Join(dir, "index"), filepath.Join(dir, "old")
	if err := os.Link(path, old); err != nil {
		t.Skip("no hard links here: ", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, other, two)
	now, err := os.ReadFile(path)
	if err != nil || int64(len(now)) != info.Size() {
		t.Fatalf("the index has %d bytes (%v), want %d as before", len(now), err, info.Size())
	}
	err = errors.Join(os.WriteFile(old, now, 0o600), os.Chtimes(old, info.ModTime(), info.ModTime()), os.Rename(old, path))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := c.Get(digest(one)); err != nil || !bytes.Equal(p.Raw, two) {
		t.Errorf("a package that nobody damaged: %v", err)
	}
}

func TestTheIndexIsMadeAnewFromThePackages(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, cache.WithClock(cache.Options{}, clock()))
	b := plugin(1, 10)
	put(t, c, b, plugin(2, 10))
	path := filepath.Join(dir, "index")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[bytes.Index(good, []byte("p2"))+1] = '3'
	for name, text := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "cut": good[:len(good)-1], "without its lines": good[:bytes.IndexByte(good, '\n')+1],
		"flipped": flipped, "zeros": make([]byte, len(good)), "gone": nil,
	} {
		os.Remove(path)
		if text != nil {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Get(digest(b)); err != nil {
			t.Errorf("%s: the package is answered with %v", name, err)
		}
		wantIDs(t, c, "p1", "p2")
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, good) {
			t.Errorf("%s: the index is now\n%s(%v) want\n%s", name, again, err, good)
		}
		if _, err := c.Get(digest(plugin(2, 10))); err != nil {
			t.Errorf("%s: the other package is answered with %v", name, err)
		}
	}
	// A package that came or went without the index.
	os.Remove(fileOf(c, b))
	if err := os.WriteFile(fileOf(c, plugin(3, 10)), plugin(3, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Find("org.example.p3", "1.0.3"); err != nil || len(list) != 1 {
		t.Errorf("a package that only the directory knows: %v, %v", list, err)
	}
	if list, err := c.Find("org.example.p1", ""); err != nil || len(list) != 0 {
		t.Errorf("a package that only the index knows: %v, %v", list, err)
	}
}

func TestThePackageUsedLongestAgoMakesRoom(t *testing.T) {
	c := open(t, t.TempDir(), cache.WithClock(cache.Options{MaxPackages: 3}, clock()))
	put(t, c, plugin(1, 10), plugin(2, 10), plugin(3, 10))
	if _, err := c.Get(digest(plugin(1, 10))); err != nil {
		t.Fatal(err)
	}
	put(t, c, plugin(2, 10), plugin(4, 10)) // storing it again is a use, too
	wantIDs(t, c, "p4", "p2", "p1")
	put(t, c, plugin(5, 10))
	wantIDs(t, c, "p5", "p4", "p2")
}

func TestBytesAreBounded(t *testing.T) {
	size := int64(len(plugin(1, 1000)))
	c := open(t, t.TempDir(), cache.WithClock(cache.Options{MaxBytes: 3 * size}, clock()))
	put(t, c, plugin(1, 1000), plugin(2, 1000), plugin(3, 1000))
	wantIDs(t, c, "p3", "p2", "p1")
	put(t, c, plugin(4, 1000))
	wantIDs(t, c, "p4", "p3", "p2")
	put(t, c, plugin(5, 1001)) // one byte more than the space of one
	wantIDs(t, c, "p5", "p4")
	put(t, c, plugin(6, int(3*size-(size-1000))-20))
	wantIDs(t, c, "p6")
	if c.MaxBytes, c.MaxPackages = open(t, t.TempDir(), cache.Options{}).MaxBytes, 0; c.MaxBytes != cache.DefaultBytes {
		t.Errorf("unless said otherwise a cache holds %d bytes, want %d", c.MaxBytes, cache.DefaultBytes)
	}
}

func TestACacheHoldsSoManyPackagesUnlessSaidOtherwise(t *testing.T) {
	c := open(t, t.TempDir(), cache.WithClock(cache.Options{}, clock()))
	for n := range cache.DefaultPackages + 2 {
		put(t, c, plugin(n, 10))
	}
	list, err := c.List()
	if err != nil || len(list) != cache.DefaultPackages || list[0].ID != fmt.Sprintf("org.example.p%d", cache.DefaultPackages+1) {
		t.Errorf("%d packages (%v), want %d", len(list), err, cache.DefaultPackages)
	}
	if exists(fileOf(c, plugin(1, 10))) || !exists(fileOf(c, plugin(2, 10))) {
		t.Error("the wrong ones were removed")
	}
}

func TestNativeCodeIsBounded(t *testing.T) {
	c := open(t, t.TempDir(), cache.Options{MaxCompiled: 30})
	sub := filepath.Join(c.Compiled(), "engine-1")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		path := filepath.Join(sub, fmt.Sprint(i))
		at := time.Unix(int64(1000-i), 0) // the last is the oldest
		if err := errors.Join(os.WriteFile(path, make([]byte, 10), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, c, plugin(1, 10))
	if exists(filepath.Join(sub, "3")) || !exists(filepath.Join(sub, "2")) {
		t.Error("want the oldest removed, and no more")
	}
	if got := open(t, t.TempDir(), cache.Options{}).MaxCompiled; got != cache.DefaultCompiled {
		t.Errorf("unless said otherwise %d bytes, want %d", got, cache.DefaultCompiled)
	}
}

func TestClearingTakesNativeCodeAlong(t *testing.T) {
	c := open(t, t.TempDir(), cache.Options{})
	put(t, c, plugin(1, 10), plugin(2, 10))
	sub := filepath.Join(c.Compiled(), "engine-1")
	if err := errors.Join(os.Mkdir(sub, 0o700), os.WriteFile(filepath.Join(sub, "x"), make([]byte, 77), 0o600)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Clear()
	want := cache.Cleared{Packages: 2, Compiled: 1, Bytes: int64(len(plugin(1, 10)) + len(plugin(2, 10)) + 77)}
	if err != nil || got != want {
		t.Errorf("cleared %+v, %v, want %+v", got, err, want)
	}
	if exists(filepath.Join(sub, "x")) || !exists(sub) {
		t.Error("want the native code gone, and the directory of a running engine still there")
	}
	wantIDs(t, c)
	put(t, c, plugin(1, 10))
	wantIDs(t, c, "p1")
}

// TestDefect6ACacheHasNoNamesToTraverse: what a peer sends decides on no name. Only digests become names, and what else lies in the directory is
// neither read nor followed.
func TestDefect6ACacheHasNoNamesToTraverse(t *testing.T) {
	top := t.TempDir()
	c := open(t, filepath.Join(top, "cache"), cache.Options{})
	outside, b := filepath.Join(top, "outside.wasm"), plugin(1, 10)
	if err := os.WriteFile(outside, b, 0o600); err != nil {
		t.Fatal(err)
	}
	link, dir := fileOf(c, b), fileOf(c, plugin(2, 10))
	foreign := filepath.Join(c.Dir(), "sha256", "notes.txt")
	if err := errors.Join(os.Symlink(outside, link), os.Mkdir(dir, 0o700), os.WriteFile(foreign, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(digest(b)); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("a link out of the cache is answered with %v", err)
	}
	if _, err := c.Get(digest(plugin(2, 10))); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("a directory is answered with %v", err)
	}
	put(t, c, plugin(3, 10))
	wantIDs(t, c, "p3")
	if !exists(outside) || !exists(foreign) {
		t.Error("a file that is none of ours was removed")
	}
	names, err := os.ReadDir(top)
	if err != nil || len(names) != 2 {
		t.Errorf("%v (%v) beside the cache, want nothing new", names, err)
	}
}

func TestADirectoryThatOthersMayWriteIsRefused(t *testing.T) {
	for _, which := range []string{".", "sha256", "compiled"} {
		c := open(t, t.TempDir(), cache.Options{})
		if err := os.Chmod(filepath.Join(c.Dir(), which), 0o770); err != nil {
			t.Fatal(err)
		}
		_, err := cache.Open(c.Dir(), cache.Options{})
		if err == nil || !strings.Contains(err.Error(), "(mode 0770), and native code is run from it: chmod 700") {
			t.Errorf("%s: %v", which, err)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Open(path, cache.Options{}); err == nil || !strings.Contains(err.Error(), "plugin cache "+path+" cannot be written: ") {
		t.Errorf("a file in the place of the directory: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	c, err := cache.Open(b.TempDir(), cache.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{8 << 10, 200 << 10} {
		p := signed(plugin(1, size), "alice")
		if _, err := c.Put(p); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("size=%d", len(p)), func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if _, err := c.Get(digest(p)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
