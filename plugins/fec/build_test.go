package fec_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
)

var update = flag.Bool("update", false, "build fec.wasm anew")

const (
	toolchain = "clang 19.1.7, lld 19.1.7"
	sourceURL = "https://github.com/seed51309289/quiver/tree/main/plugins/fec"
)

// buildLine is the command that makes the module, as pq.mk has it.
func buildLine(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("make", "-s", "-n", "-B", "CC_WASM=clang-19").CombinedOutput()
	if err != nil {
		t.Fatalf("make -n: %v: %s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// TestTheCommittedFileIsWhatTheSourceMakes builds the plugin again. The file must be the same, byte for byte.
func TestTheCommittedFileIsWhatTheSourceMakes(t *testing.T) {
	need.Tool(t, "make")
	version, err := exec.Command(need.Tool(t, "clang-19"), "--version").Output()
	if err != nil || !bytes.Contains(version, []byte("19.1.7")) {
		need.Missing(t, "clang-19", "clang 19.1.7 is not installed: %s", version)
	}
	name := filepath.Join(t.TempDir(), "fec")
	if out, err := exec.Command("make", "-s", "-B", "NAME="+name, "CC_WASM=clang-19").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("make: %v: %s", err, out)
	}
	module, err := os.ReadFile(name + ".module.wasm")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest("manifest.json", text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pack.Seal(module, m, &pack.Source{URL: sourceURL, Toolchain: toolchain, Build: buildLine(t)})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("fec.wasm", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("fec.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("fec.wasm is not what src and manifest.json make: run this test with -update")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, []byte(buildLine(t))) {
		t.Errorf("README.md lacks the exact build line:\n%s", buildLine(t))
	}
}

func TestThePackageIsOneThatHostsTake(t *testing.T) {
	k, err := pack.ReadFile("fec.wasm", 0)
	if err != nil {
		t.Fatal(err)
	}
	if k.Manifest.ID != "io.github.seed51309289.quiver.fec" || !k.Manifest.Payload {
		t.Errorf("manifest of %s, payload %v", k.Manifest.ID, k.Manifest.Payload)
	}
	for i, name := range []string{"SOURCE", "REPAIR", "RECOVERED"} {
		if got := k.Manifest.Frames[i].Name; got != name {
			t.Errorf("frame %d is %s, want %s", i, got, name)
		}
	}
	want, err := k.Manifest.Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := (settings{effort: 40}).bytes(); !bytes.Equal(got, want) {
		t.Errorf("the defaults are %x, the tests think %x", want, got)
	}
	b, err := os.ReadFile("fec.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plugin.Load(t.Context(), "fec.wasm", b, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
