package quiver_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
)

// The mapping for those who come from quic-go, and what it has to name.
const (
	mapping     = "docs/from-quic-go.md"
	quicGoNames = "testdata/quic-go-v0.65.txt" // Name, Type.Method and Type.Field, sorted
	quicGo      = "github.com/quic-go/quic-go@v0.65.0"
)

// mappingRows returns the first two cells of each row of the mapping.
func mappingRows(t *testing.T) (rows [][2]string) {
	t.Helper()
	text, err := os.ReadFile(mapping)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) >= 4 && !strings.Contains(cells[1], "---") {
			rows = append(rows, [2]string{strings.TrimSpace(cells[1]), cells[2]})
		}
	}
	if len(rows) < 50 {
		t.Fatalf("found %d rows in the mapping: the test reads it wrong", len(rows))
	}
	return rows
}

// TestMappingNamesWhatExists: every name in the second column must be one of ours.
func TestMappingNamesWhatExists(t *testing.T) {
	have := exported(theModule(t), "quic")
	for _, row := range mappingRows(t) {
		for _, name := range regexp.MustCompile("`([A-Z][A-Za-z0-9.]*)`").FindAllStringSubmatch(row[1], -1) {
			if !have[name[1]] {
				t.Errorf("%s: %s: package quic has no %s", mapping, row[0], name[1])
			}
		}
	}
}

// TestMappingNamesAllOfQuicGo: the first column has every name of theirs, and no
// other. There `.Name` is a member of the type that was named before it.
func TestMappingNamesAllOfQuicGo(t *testing.T) {
	text, err := os.ReadFile(quicGoNames)
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(text))
	named := map[string]bool{}
	for _, row := range mappingRows(t) {
		typ := ""
		for _, m := range regexp.MustCompile("`([A-Za-z0-9_.]+)`").FindAllStringSubmatch(row[0], -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = typ + name
			}
			typ, _, _ = strings.Cut(name, ".")
			named[name] = true
			if !slices.Contains(theirs, name) {
				t.Errorf("%s: quic-go has no %s", mapping, name)
			}
		}
	}
	for _, name := range theirs {
		if !named[name] {
			t.Errorf("%s says nothing of quic-go's %s", mapping, name)
		}
	}
}

// TestNamesOfQuicGoAreThose compares the list with the source of quic-go, where
// that is in the module cache.
func TestNamesOfQuicGoAreThose(t *testing.T) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(cache)), filepath.FromSlash(quicGo))
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	if len(files) == 0 {
		need.Missing(t, "quic-go", "%s is not in the module cache", quicGo)
	}
	m := &module{fset: token.NewFileSet(), packages: map[string][]*source{}}
	linux := build.Default
	linux.GOOS, linux.GOARCH = "linux", "amd64"
	for _, f := range files {
		if ok, err := linux.MatchFile(dir, filepath.Base(f)); err != nil || !ok || strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(m.fset, f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		m.packages[file.Name.Name] = append(m.packages[file.Name.Name], &source{path: f, ast: file})
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(exported(m, "quic"))) {
		if !slices.ContainsFunc(strings.Split(name, "."), func(part string) bool { return !ast.IsExported(part) }) {
			names = append(names, name)
		}
	}
	text, _ := os.ReadFile(quicGoNames)
	if got := strings.Join(names, "\n") + "\n"; got != string(text) {
		t.Errorf("%s is not what quic-go exports, which is\n%s", quicGoNames, got)
	}
}
