package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/sdk"
	"github.com/seed51309289/quiver/plugin/wat"
)

const id = "org.example.mine"

func TestEveryTemplateBecomesAPluginOfItsOwn(t *testing.T) {
	for i := range sdk.Languages {
		l := &sdk.Languages[i]
		for _, kind := range l.Kinds() {
			t.Run(l.Name+" "+kind, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "mine")
				written, err := sdk.Create(dir, l, kind, id)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range append(l.Files, "manifest.json") {
					if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
						t.Errorf("wrote %v, want %s among them", written, name)
					}
				}
				for _, name := range written {
					text, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(text), "{{") {
						t.Errorf("%s still has a placeholder", name)
					}
					if name == "manifest.json" && !strings.Contains(string(text), `"id": "`+id+`"`) {
						t.Errorf("manifest.json does not have the id %s:\n%s", id, text)
					}
				}
			})
		}
	}
}

func TestTemplatesInTextAssemble(t *testing.T) {
	l, err := sdk.Find("wat")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range l.Kinds() {
		dir := t.TempDir()
		if _, err := sdk.Create(dir, l, kind, id); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "plugin.wat")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wat.Assemble(name, text); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTemplatesInCCompile(t *testing.T) {
	clang := ""
	for _, name := range []string{"clang-19", "clang"} {
		if p, err := exec.LookPath(name); err == nil && clang == "" {
			clang = p
		}
	}
	if clang == "" {
		t.Skip("no clang on this machine")
	}
	l, err := sdk.Find("c")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range l.Kinds() {
		dir := t.TempDir()
		if _, err := sdk.Create(dir, l, kind, id); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("make", "-s", "-C", dir, "CC_WASM="+clang, "CFLAGS=-Werror").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "mine.module.wasm")); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestNothingThatIsThereIsWrittenOver(t *testing.T) {
	l, _ := sdk.Find("wat")
	dir := t.TempDir()
	mine := filepath.Join(dir, "plugin.wat")
	if err := os.WriteFile(mine, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.Create(dir, l, "cc", id); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Create in a directory that is not empty: %v", err)
	}
	if b, _ := os.ReadFile(mine); string(b) != "mine" {
		t.Errorf("the file is now %q", b)
	}
}

func TestWhatIsThereIsNamedWhenSomethingIsNot(t *testing.T) {
	if _, err := sdk.Find("cobol"); err == nil || err.Error() != `no templates in "cobol", have c, assemblyscript, wat` {
		t.Errorf("Find: %v", err)
	}
	l, _ := sdk.Find("wat")
	if _, err := sdk.Create(t.TempDir(), l, "fec", id); err == nil || err.Error() != `no template for "fec" in wat, have ack, cc, scheduler, telemetry` {
		t.Errorf("Create: %v", err)
	}
}
