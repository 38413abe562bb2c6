package quiver_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// grown are the packages whose structures a peer, or a capture, can make grow.
var grown = []string{"internal/core", "internal/recovery", "quic", "http3", "internal/dissect", "internal/fabric", "sockets/gateway", "sockets/identity", "sockets/policy", "sockets/tunnel"}

// bound says in the comment of a field, or of its struct, what keeps it small:
// "limit: maxRetiring" names a constant, which a test fills, "bounded by …" tells
// of anything else.
var bound = regexp.MustCompile(`\blimit: (\w+)|\bbounded by \w`)

// TestEveryFieldThatGrowsHasABound finds the maps, slices and channels of structs
// that code appends to, inserts into or sends on, by the name of the field, and
// asks each of them for its bound.
func TestEveryFieldThatGrowsHasABound(t *testing.T) {
	m := theModule(t)
	for _, pkg := range grown {
		growing, constants, types, found := map[string]bool{}, map[string]bool{}, map[string]bool{}, 0
		for _, s := range m.packages[pkg] {
			if s.test {
				continue
			}
			noteGrowth(s.ast, growing)
			for _, c := range limits(s.ast) {
				constants[c.Name] = true
			}
			noteTypes(s.ast, types)
		}
		for _, s := range m.packages[pkg] {
			if s.test {
				continue
			}
			for _, f := range growable(s.ast, types) {
				if !growing[f.name.Name] {
					continue
				}
				found++
				switch named := bound.FindStringSubmatch(f.comment); {
				case named == nil:
					t.Errorf("%s: %s.%s grows: say \"limit: CONSTANT\" or \"bounded by …\" in its comment", m.fset.Position(f.name.Pos()), f.in, f.name.Name)
				case named[1] != "" && !constants[named[1]]:
					t.Errorf("%s: %s.%s names %s, which is no constant of %s with \"limit:\" in its comment",
						m.fset.Position(f.name.Pos()), f.in, f.name.Name, named[1], pkg)
				}
			}
		}
		if found == 0 {
			t.Errorf("no field of %s grows: the test looks for the wrong thing", pkg)
		}
	}
}

// growingField is a map, slice or channel of a struct.
type growingField struct {
	in, comment string
	name        *ast.Ident
}

// growable lists them.
func growable(f *ast.File, types map[string]bool) (list []growingField) {
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			ts := spec.(*ast.TypeSpec)
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			about := gen.Doc.Text() + ts.Doc.Text()
			for _, field := range st.Fields.List {
				if !canGrow(field.Type, types) {
					continue
				}
				for _, name := range field.Names {
					list = append(list, growingField{ts.Name.Name, oneLine(about + field.Doc.Text() + field.Comment.Text()), name})
				}
			}
		}
	}
	return list
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// noteTypes collects the named types that are maps, slices or channels.
func noteTypes(f *ast.File, types map[string]bool) {
	for _, d := range f.Decls {
		if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
			for _, spec := range gen.Specs {
				if ts := spec.(*ast.TypeSpec); canGrow(ts.Type, nil) {
					types[ts.Name.Name] = true
				}
			}
		}
	}
}

func canGrow(e ast.Expr, types map[string]bool) bool {
	switch t := e.(type) {
	case *ast.Ident:
		return types[t.Name]
	case *ast.MapType, *ast.ChanType:
		return true
	case *ast.ArrayType:
		return t.Len == nil
	}
	return false
}

// noteGrowth collects the names of fields that f makes larger.
func noteGrowth(f *ast.File, names map[string]bool) {
	note := func(e ast.Expr) {
		if sel, ok := e.(*ast.SelectorExpr); ok {
			names[sel.Sel.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SendStmt:
			note(n.Chan)
		case *ast.IncDecStmt:
			if at, ok := n.X.(*ast.IndexExpr); ok {
				note(at.X)
			}
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if at, ok := to.(*ast.IndexExpr); ok {
					note(at.X) // a map; a slice too, which that does not make larger
				}
				if len(n.Rhs) == len(n.Lhs) && appends(n.Rhs[i]) {
					note(to)
				}
			}
		}
		return true
	})
}

// appends reports whether e is what append returns, or a function named like it,
// or a slice made of a size that is no constant.
func appends(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name := ""
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		name = fn.Name
	case *ast.SelectorExpr:
		name = fn.Sel.Name
	}
	if name == "make" && len(call.Args) > 1 {
		_, fixed := call.Args[1].(*ast.BasicLit)
		return !fixed
	}
	return strings.HasPrefix(strings.ToLower(name), "append") || name == "Insert" || name == "Grow"
}
