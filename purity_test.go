package quiver_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// clocks are the functions of package time that read or wait for one.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

func TestPurePackagesStartNothingAndReadNoClock(t *testing.T) {
	m := theModule(t)
	for _, pkg := range pure {
		if len(m.packages[pkg]) == 0 {
			t.Errorf("pure package %s is not there: nothing was checked", pkg)
		}
		for _, s := range m.packages[pkg] {
			if s.test {
				continue
			}
			for _, i := range impurities(s.ast) {
				t.Errorf("%s: %s: a pure package has neither goroutines, channels nor clocks", m.fset.Position(i.at), i.what)
			}
		}
	}
}

type impurity struct {
	at   token.Pos
	what string
}

// impurities finds what makes a file depend on more than its inputs.
func impurities(f *ast.File) []impurity {
	var out []impurity
	found := func(n ast.Node, what string) { out = append(out, impurity{n.Pos(), what}) }
	timeName, _ := localName(f, "time")
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found(n, "go statement")
		case *ast.ChanType:
			found(n, "channel type")
		case *ast.SendStmt:
			found(n, "send")
		case *ast.SelectStmt:
			found(n, "select statement")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found(n, "receive")
			}
		case *ast.SelectorExpr:
			if timeName != "" && isIdent(n.X, timeName) && slices.Contains(clocks, n.Sel.Name) {
				found(n, "time."+n.Sel.Name)
			}
		case *ast.ImportSpec:
			if n.Name != nil && n.Name.Name == "." {
				found(n, "import of all names")
			}
		}
		return true
	})
	return out
}

// localName returns the name under which f knows an import.
func localName(f *ast.File, path string) (name string, ok bool) {
	for _, spec := range f.Imports {
		if importPath(spec) != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name, true
		}
		return path[strings.LastIndexByte(path, '/')+1:], true
	}
	return "", false
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestImpuritiesAreSeen is a test of the test: a finder that finds nothing
// would pass as well.
func TestImpuritiesAreSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		code string
		want int
	}{
		"go statement":     {`func f() { go f() }`, 1},
		"channel":          {`func f(c chan int) {}`, 1},
		"send":             {`func f() { x <- 1 }`, 1},
		"receive":          {`func f() { y = <-x }`, 1},
		"select":           {`func f() { select {} }`, 1},
		"clock":            {`var a, b = time.Now(), time.Since(a)`, 2},
		"clock as a value": {`var now = time.Now`, 1},
		"arithmetic":       {`var d = 3 * time.Second; var e = time.Unix(1, 2)`, 0},
		"another Now":      {`var a = clock.Now()`, 0},
	} {
		src := "package p\nimport \"time\"\n" + tc.code
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := impurities(f); len(got) != tc.want {
			t.Errorf("%s: %d impurities in %s, want %d", name, len(got), tc.code, tc.want)
		}
	}
	for _, imp := range []string{`clock "time"`, `. "time"`} {
		src := fmt.Sprintf("package p\nimport %s\nvar a = clock.Now()", imp)
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if len(impurities(f)) != 1 {
			t.Errorf("import %s hides a clock", imp)
		}
	}
}
