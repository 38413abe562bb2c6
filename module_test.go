package quiver_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/seed51309289/quiver"

// source is one Go file of the module.
type source struct {
	path string // from the module root, with slashes
	text []byte
	ast  *ast.File
	test bool
}

// module holds the files of every package, by its path from the root; that of
// the root itself is ".". Files for other systems are among them.
type module struct {
	fset     *token.FileSet
	packages map[string][]*source
}

// loadModule parses the module once for all tests. It reads files rather than
// asking the go command, so that it is fast and needs no network.
var loadModule = sync.OnceValues(func() (*module, error) {
	m := &module{fset: token.NewFileSet(), packages: map[string][]*source{}}
	return m, filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && skipped(p, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		return m.add(filepath.ToSlash(p))
	})
})

// skipped says which directories the go command does not look into either.
func skipped(p, name string) bool {
	if name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	return err == nil
}

func (m *module) add(p string) error {
	text, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(m.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(p)
	m.packages[dir] = append(m.packages[dir], &source{p, text, f, strings.HasSuffix(p, "_test.go")})
	return nil
}

func theModule(t *testing.T) *module {
	t.Helper()
	m, err := loadModule()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// names returns the packages in order.
func (m *module) names() []string { return slices.Sorted(maps.Keys(m.packages)) }

// imports returns what the non-test files of pkg import, and one file that does.
func (m *module) imports(pkg string) map[string]*source {
	out := map[string]*source{}
	for _, s := range m.packages[pkg] {
		if s.test {
			continue
		}
		for _, spec := range s.ast.Imports {
			out[importPath(spec)] = s
		}
	}
	return out
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// inside returns the package that an import path names, if it is of this module.
func inside(importPath string) (pkg string, ok bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

func generated(s *source) bool {
	return ast.IsGenerated(s.ast)
}

func lines(s *source) int { return bytes.Count(s.text, []byte("\n")) }
