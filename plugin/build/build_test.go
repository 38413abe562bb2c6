package build_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin/build"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/sdk"
	"github.com/seed51309289/quiver/plugin/wat"
)

// fresh makes a plugin from a template.
func fresh(t *testing.T, language, kind string) string {
	t.Helper()
	l, err := sdk.Find(language)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "mine")
	if _, err := sdk.Create(dir, l, kind, "org.example.mine"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTextIsBuiltWithoutTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := fresh(t, "wat", "cc")
	name, sealed, err := build.Dir(t.Context(), dir, build.Origin{URL: "https://example.org/mine", Commit: "abc"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(name, sealed, len(sealed))
	if err != nil {
		t.Fatal(err)
	}
	if name != "mine.wasm" || p.Manifest.ID != "org.example.mine" || p.Source == nil || p.Source.URL != "https://example.org/mine" || p.Source.Commit != "abc" {
		t.Errorf("%s: id %s, source %+v", name, p.Manifest.ID, p.Source)
	}
}

func TestTheSameSourcesGiveTheSameBytes(t *testing.T) {
	need.Tool(t, "clang-19", "clang")
	dir := fresh(t, "c", "frame")
	_, a, err := build.Dir(t.Context(), dir, build.Origin{}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := build.Dir(t.Context(), dir, build.Origin{}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two builds differ")
	}
}

func TestAnErrorInTheSourceNamesItsPlace(t *testing.T) {
	dir := fresh(t, "wat", "cc")
	file := filepath.Join(dir, "plugin.wat")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte("i64.shr_u"), []byte("i64.shr_v"), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	_, _, err = build.Dir(t.Context(), dir, build.Origin{}, t.Output())
	var at *wat.Error
	var list *wat.Errors
	if !errors.As(err, &at) && !errors.As(err, &list) || !strings.Contains(err.Error(), "plugin.wat:") || !strings.Contains(err.Error(), "i64.shr_v") {
		t.Errorf("got %v, want the line and the word", err)
	}
}

func TestWhatIsMissingIsNamedWithTheWayOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct {
		name string
		dir  func() string
		want string
		hint string
	}{
		{"no manifest", t.TempDir, "has no manifest.json: is it the directory of a plugin?", ""},
		{"no compiler", func() string { return fresh(t, "c", "cc") }, "clang: found none of clang-19", "apt-get install clang lld"},
		{"no AssemblyScript", func() string { return fresh(t, "assemblyscript", "cc") }, "AssemblyScript is not installed there", "npm install"},
		{"no sources", func() string {
			dir := fresh(t, "wat", "cc")
			os.Remove(filepath.Join(dir, "plugin.wat"))
			return dir
		}, "neither plugin.wat nor Makefile nor plugin.ts", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := build.Dir(t.Context(), c.dir(), build.Origin{}, t.Output())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
			var tool *build.ToolError
			if c.hint != "" && (!errors.As(err, &tool) || !strings.Contains(tool.Hint, c.hint)) {
				t.Errorf("got %+v, want the hint %q", tool, c.hint)
			}
		})
	}
}
