package quiver_test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// public are the packages that programs import.
var public = []string{"quic", "hook", "netsim", "http3"}

func TestExportedNamesHaveDocComments(t *testing.T) {
	m := theModule(t)
	for _, pkg := range public {
		for _, s := range m.packages[pkg] {
			if s.test {
				continue
			}
			for _, id := range undocumented(s.ast) {
				t.Errorf("%s: exported %s has no doc comment", m.fset.Position(id.Pos()), id.Name)
			}
		}
	}
}

// undocumented returns the exported names of f that no comment is about. That of
// a group counts for its members, if it is a sentence about them all.
func undocumented(f *ast.File) (out []*ast.Ident) {
	check := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		if id.IsExported() && !slices.ContainsFunc(docs, func(c *ast.CommentGroup) bool { return c != nil }) {
			out = append(out, id)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) && !obvious[d.Name.Name] {
				check(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					check(spec.Name, spec.Doc, d.Doc)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						check(id, spec.Doc, spec.Comment, d.Doc)
					}
				}
			}
		}
	}
	return out
}

// obvious are methods whose interface says all.
var obvious = map[string]bool{"Error": true, "String": true}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if g, ok := e.(*ast.IndexExpr); ok {
		e = g.X
	}
	id, _ := e.(*ast.Ident)
	return id.Name
}

func TestExportedTypesOfQUICHaveExamples(t *testing.T) {
	m := theModule(t)
	examples := map[string]bool{}
	var types []*ast.Ident
	for _, s := range m.packages["quic"] {
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name, ok := strings.CutPrefix(d.Name.Name, "Example"); ok && s.test {
					name, _, _ = strings.Cut(name, "_")
					examples[name] = examples[name] || strings.Contains(string(s.text[d.Pos()-s.ast.FileStart:d.End()-s.ast.FileStart]), "// Output:")
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && d.Tok == token.TYPE && !s.test && ts.Name.IsExported() {
						types = append(types, ts.Name)
					}
				}
			}
		}
	}
	if len(types) < 20 {
		t.Errorf("found %d exported types: the test looks in the wrong place", len(types))
	}
	for _, id := range types {
		if !examples[id.Name] {
			t.Errorf("%s: type %s has no Example%[2]s with an // Output: comment", m.fset.Position(id.Pos()), id.Name)
		}
	}
}

// exported returns the exported names of a package: Name, Type.Method and
// Type.Field, those of embedded types included.
func exported(m *module, pkg string) map[string]bool {
	have, embeds := map[string]bool{}, map[string][]string{}
	for _, s := range m.packages[pkg] {
		if s.test {
			continue
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					have[d.Name.Name] = true
				} else {
					have[receiver(d)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							have[id.Name] = true
						}
					case *ast.TypeSpec:
						members(spec, have, embeds)
					}
				}
			}
		}
	}
	for typ, inner := range embeds {
		for _, in := range inner {
			for name := range maps.Clone(have) {
				if member, ok := strings.CutPrefix(name, in+"."); ok {
					have[typ+"."+member] = true
				}
			}
		}
	}
	return have
}

func members(spec *ast.TypeSpec, have map[string]bool, embeds map[string][]string) {
	have[spec.Name.Name] = true
	var list *ast.FieldList
	switch t := spec.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, id := range f.Names {
			have[spec.Name.Name+"."+id.Name] = true
		}
		if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 {
			embeds[spec.Name.Name] = append(embeds[spec.Name.Name], id.Name)
		}
	}
}
