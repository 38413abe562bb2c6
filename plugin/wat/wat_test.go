package wat_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin/wat"
)

var update = flag.Bool("update", false, "rewrite what testdata expects; binaries come from wat2wasm")

// sources returns the modules in testdata.
func sources(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(list) == 0 {
		t.Fatalf("testdata has %d sources, %v", len(list), err)
	}
	return list
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reference assembles a source with wat2wasm.
func reference(t *testing.T, path string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.wasm")
	if said, err := exec.Command(need.Tool(t, "wat2wasm"), path, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("wat2wasm %s: %v\n%s", path, err, said)
	}
	return read(t, out)
}

// same fails if two binaries differ, and says where.
func same(t *testing.T, path string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; from byte %d they are %x, want %x", path, len(got), len(want), at, got[at:min(at+16, len(got))], want[at:min(at+16, len(want))])
}

func TestAssembleMakesTheBinariesOfTheReferenceTool(t *testing.T) {
	for _, path := range sources(t) {
		golden := strings.TrimSuffix(path, "wat") + "wasm"
		if *update {
			if err := os.WriteFile(golden, reference(t, path), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := wat.Options{NoNames: true}.Assemble(path, read(t, path))
		if err != nil {
			t.Error(err)
			continue
		}
		same(t, path, got, read(t, golden))
	}
}

func TestTheReferenceToolStillMakesTheSameBinaries(t *testing.T) {
	for _, path := range sources(t) {
		got, err := wat.Options{NoNames: true}.Assemble(path, read(t, path))
		if err != nil {
			t.Error(err)
			continue
		}
		same(t, path, got, reference(t, path))
	}
}

func TestAssembleDoesNotChangeItsSource(t *testing.T) {
	for _, path := range sources(t) {
		src := read(t, path)
		before := bytes.Clone(src)
		first, err := wat.Assemble(path, src)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(src, before) {
			t.Errorf("%s: the source has changed", path)
		}
		if second, _ := wat.Assemble(path, src); !bytes.Equal(first, second) {
			t.Errorf("%s: assembled twice it comes out twice", path)
		}
	}
}
