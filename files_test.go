package quiver_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// maxLines is what one file may have: what one reads in a sitting.
const maxLines = 600

func TestFilesAreShort(t *testing.T) {
	m := theModule(t)
	for _, pkg := range m.names() {
		for _, s := range m.packages[pkg] {
			if n := lines(s); n > maxLines && !generated(s) {
				t.Errorf("%s has %d lines, want at most %d: split it by concern", s.path, n, maxLines)
			}
		}
	}
}

// TestLimitsAreFilledByATest asks of every constant whose comment has "limit:",
// which bounds what a peer can grow, that a test of its package names it; the
// core's may be tests of quictest.
func TestLimitsAreFilledByATest(t *testing.T) {
	m := theModule(t)
	found := 0
	for _, pkg := range m.names() {
		tests := testsOf(m, pkg)
		if pkg == "internal/core" {
			tests += testsOf(m, "internal/quictest")
		}
		for _, s := range m.packages[pkg] {
			if s.test {
				continue
			}
			for _, name := range limits(s.ast) {
				found++
				if !regexp.MustCompile(`\b` + name.Name + `\b`).MatchString(tests) {
					t.Errorf("%s: limit %s is named by no test of its package: fill what it bounds", m.fset.Position(name.Pos()), name.Name)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no constant is marked as a limit: the test looks for the wrong mark")
	}
}

// testsOf returns the text of a package's tests.
func testsOf(m *module, pkg string) string {
	var text strings.Builder
	for _, s := range m.packages[pkg] {
		if s.test {
			text.Write(s.text)
		}
	}
	return text.String()
}

// limits returns the constants of f that are marked as limits.
func limits(f *ast.File) []*ast.Ident {
	var out []*ast.Ident
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			c := spec.(*ast.ValueSpec)
			if marked(c.Doc) || marked(c.Comment) || marked(gen.Doc) && !gen.Lparen.IsValid() {
				out = append(out, c.Names...)
			}
		}
	}
	return out
}

func marked(c *ast.CommentGroup) bool {
	return c != nil && strings.Contains(c.Text(), "limit: ")
}
