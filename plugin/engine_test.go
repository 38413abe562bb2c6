package plugin_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed51309289/quiver/plugin"
)

func TestCompiledCodeIsKeptAndDamageToItIsNoHarm(t *testing.T) {
	dir, file := t.TempDir(), build(t, "diary", diary)
	start := func() *plugin.Runtime {
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
	load(t, start(), file, plugin.Policy{})
	kept := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kept++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 0xff
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil || kept == 0 {
		t.Fatalf("%d files are kept, %v", kept, err)
	}
	m, err := start().Load(context.Background(), "diary.wasm", file, plugin.Policy{})
	if err != nil {
		t.Fatalf("with a damaged cache: %v", err)
	}
	x, c := attached(t, m)
	sample(x)
	if len(c.faults) > 0 {
		t.Error(c.faults)
	}
}

func TestTheEngineIsChosenOrForced(t *testing.T) {
	for _, kind := range []plugin.EngineKind{plugin.Compiler, plugin.Interpreter} {
		r, err := plugin.NewRuntime(plugin.RuntimeConfig{Engine: kind})
		if err != nil {
			continue // no compiler here
		}
		if r.Engine() != kind {
			t.Errorf("engine %v, want %v", r.Engine(), kind)
		}
		r.Close()
	}
}
