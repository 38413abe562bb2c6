package plugin_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/cache"
)

// keeping is a runtime that keeps what it makes in dir, as each process has one.
func keeping(t testing.TB, dir string) *plugin.Runtime {
	t.Helper()
	r, err := plugin.NewRuntime(plugin.RuntimeConfig{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if r.Engine() != plugin.Compiler {
		t.Skip("nothing is compiled here")
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// kept returns the files below dir/metered.
func kept(t testing.TB, dir string) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "metered", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatWasCheckedOnceIsKeptAndRunsAsBefore(t *testing.T) {
	for _, name := range []string{"diary", "memory that grew", "a table that was filled"} {
		t.Run(name, func(t *testing.T) {
			dir, file := t.TempDir(), build(t, name, diary)
			if name == "memory that grew" {
				file = build(t, name, strings.Replace(nop, "PRELUDE", `PRELUDE (func (export "pq_init") (drop (memory.grow (i32.const 2))))`, 1))
			} else if name != "diary" {
				file = build(t, name, strings.Replace(acting("", `(table.init $e (i32.const 0) (i32.const 0) (i32.const 1))`), "PRELUDE", "PRELUDE (table 2 funcref) (elem $e func 0)", 1))
			}
			first := load(t, keeping(t, dir), file, plugin.Policy{})
			if n := len(kept(t, dir)); n != 1 {
				t.Fatalf("%d files are kept, want 1", n)
			}
			again := load(t, keeping(t, dir), file, plugin.Policy{})
			if !plugin.Adopted(again) || plugin.Adopted(first) {
				t.Fatalf("adopted: %v the first time, %v the second", plugin.Adopted(first), plugin.Adopted(again))
			}
			if plugin.Resettable(first) != plugin.Resettable(again) {
				t.Error("one is used again for other connections, and one is not")
			}
			x, c := attached(t, first)
			y, d := attached(t, again)
			if !bytes.Equal(plugin.Memory(x), plugin.Memory(y)) {
				t.Error("the memory is not the same")
			}
			sample(x)
			sample(y)
			if !bytes.Equal(plugin.Memory(x), plugin.Memory(y)) || len(c.faults)+len(d.faults) > 0 {
				t.Errorf("they act differently: %v, %v", c.faults, d.faults)
			}
			if !reflect.DeepEqual(first.Report(), again.Report()) || again.Report() == nil {
				t.Error("the reports differ")
			}
		})
	}
}

// TestWhatIsDamagedIsMadeAnew, wherever the damage is.
func TestWhatIsDamagedIsMadeAnew(t *testing.T) {
	dir, file := t.TempDir(), build(t, "nop", nop)
	load(t, keeping(t, dir), file, plugin.Policy{})
	name := kept(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	damages := map[string][]byte{"empty": nil, "more than is read": append(bytes.Clone(whole), make([]byte, plugin.MaxPrepared)...), "one byte more": append(bytes.Clone(whole), 0)}
	for _, at := range []int{0, len(whole) / 4, len(whole) / 2, len(whole) - 1} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		damages["a bit"+string(rune('0'+at%10))] = b
		damages["cut"+string(rune('0'+at%10))] = whole[:at]
	}
	for what, b := range damages {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := load(t, keeping(t, dir), file, plugin.Policy{})
		if plugin.Adopted(m) {
			t.Errorf("%s: it was taken as it is", what)
		}
		attached(t, m)
		if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s: it was not made anew: %v", what, err)
		}
	}
}

// TestAFileOfAnotherPackageIsNotTakenForThisOne, should files get mixed up.
func TestAFileOfAnotherPackageIsNotTakenForThisOne(t *testing.T) {
	dir := t.TempDir()
	load(t, keeping(t, dir), variant(t, 1), plugin.Policy{})
	name := kept(t, dir)[0]
	load(t, keeping(t, dir), variant(t, 2), plugin.Policy{})
	for _, other := range kept(t, dir) {
		if other != name {
			if err := os.Rename(other, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if plugin.Adopted(load(t, keeping(t, dir), variant(t, 1), plugin.Policy{})) {
		t.Error("it was taken")
	}
}

func TestWhatIsRefusedIsNotKept(t *testing.T) {
	dir := t.TempDir()
	file := build(t, "bad", strings.Replace(nop, "(return (call $attach))", "(return (i64.const -7))", 1))
	for range 2 {
		if _, err := keeping(t, dir).Load(context.Background(), "bad.wasm", file, plugin.Policy{}); err == nil {
			t.Error("was not refused")
		}
	}
	if n := len(kept(t, dir)); n > 0 {
		t.Errorf("%d files are kept", n)
	}
}

func TestThePolicyIsAskedAboutWhatWasKept(t *testing.T) {
	dir, file := t.TempDir(), build(t, "nop", ";;! {\"limits\": {\"memory_pages\": 16}}\n"+nop)
	load(t, keeping(t, dir), file, plugin.Policy{})
	if _, err := keeping(t, dir).Load(context.Background(), "nop.wasm", file, plugin.Policy{MaxPages: 8}); err == nil {
		t.Error("16 pages are taken where 8 are allowed")
	}
}

func TestClearingTheCacheRemovesWhatWasPrepared(t *testing.T) {
	c, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	load(t, keeping(t, c.Compiled()), build(t, "nop", nop), plugin.Policy{})
	done, err := c.Clear()
	if err != nil || done.Compiled != 2 {
		t.Errorf("%+v, %v, want native code and what it was made from", done, err)
	}
	filepath.WalkDir(c.Compiled(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s is left", path)
		}
		return nil
	})
}
