package plugins_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/build"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugins"
)

// load returns a plugin that comes with the house.
func load(t testing.TB, name string) *plugin.Module {
	t.Helper()
	b, err := plugins.File(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := plugin.Load(t.Context(), name+".wasm", b, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestEveryPluginLoadsAndSaysWhereItComesFrom(t *testing.T) {
	names := plugins.Names()
	if len(names) < 6 {
		t.Fatalf("plugins: %v, want at least six", names)
	}
	for _, name := range names {
		m := load(t, name)
		if want := "io.github.seed51309289.quiver." + name; m.Manifest().ID != want {
			t.Errorf("%s: id %s, want %s", name, m.Manifest().ID, want)
		}
		if src := m.Package().Source; src == nil || src.Build == "" || src.Toolchain == "" {
			t.Errorf("%s: source %+v, want the build line and the toolchain", name, src)
		}
		for _, f := range []string{"README.md", "manifest.json", "Makefile"} {
			if _, err := os.Stat(filepath.Join(name, f)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Whoever has the compiler gets the same bytes.
func TestEveryPluginIsBuiltFromItsSources(t *testing.T) {
	need.Tool(t, "clang-19")
	need.Tool(t, "wasm-ld-19")
	for _, name := range plugins.Names() {
		file, sealed, err := build.Dir(t.Context(), name, build.Origin{}, t.Output())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		os.Remove(filepath.Join(name, name+".module.wasm"))
		if used, here := toolchain(t, name), toolchainOf(t, sealed); used != here {
			t.Logf("%s was built with %s, this is %s, which may give other bytes", name, used, here)
			continue
		}
		if have, _ := plugins.File(name); file != name+".wasm" || !bytes.Equal(have, sealed) {
			t.Errorf("%s is not what its sources give: 'quiver plugin build plugins/%s' makes it anew", file, name)
		}
	}
}

func toolchain(t *testing.T, name string) string {
	t.Helper()
	b, err := plugins.File(name)
	if err != nil {
		t.Fatal(err)
	}
	return toolchainOf(t, b)
}

func toolchainOf(t *testing.T, b []byte) string {
	t.Helper()
	p, err := pack.Read("plugin.wasm", b, len(b))
	if err != nil || p.Source == nil {
		t.Fatalf("source %v, %v", p, err)
	}
	return p.Source.Toolchain
}

func TestWhatDoesNotComeWithTheHouseIsSaidSo(t *testing.T) {
	if _, err := plugins.File("tetrys"); err == nil {
		t.Error("there is a plugin tetrys")
	}
}
